//! What a process used: CPU time and memory, from proc(5). And how long the disk takes to make a record durable.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

const SYNCS: usize = 500;

/// User and system time of a process so far, in ticks of 10 ms: fields 14 and 15 of proc_pid_stat(5).
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let (_, fields) = stat(pid)?;
    Ok(ticks(&fields, 11, 2))
}

/// The same of a process, its children that live, and those that it has seen end (fields 16 and 17).
///
/// A child that ends while the others are read would be counted twice or not at all: then all are read anew.
pub(crate) fn cpu_with_children(pid: u32) -> anyhow::Result<Duration> {
    for _ in 0..1000 {
        let (living, (own, ended)) = (children(pid)?, times(pid)?);
        let each = living.iter().map(|child| times(*child)).collect::<anyhow::Result<Vec<_>>>();
        let Ok(each) = each else { continue };
        if living == children(pid)? && ended == times(pid)?.1 {
            return Ok(own + ended + each.iter().map(|(time, _)| *time).sum::<Duration>());
        }
    }
    anyhow::bail!("the children of process {pid} come and go")
}

/// Its own time, and that of its children that have ended.
fn times(pid: u32) -> anyhow::Result<(Duration, Duration)> {
    let (_, fields) = stat(pid)?;
    Ok((ticks(&fields, 11, 2), ticks(&fields, 13, 2)))
}

fn children(pid: u32) -> anyhow::Result<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc")? {
        let Some(child) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that ends meanwhile is in its parent's sum.
        if stat(child).is_ok_and(|(parent, _)| parent == pid) {
            found.insert(child);
        }
    }
    Ok(found)
}

/// Resident memory.
pub(crate) fn rss_mib(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

/// The parent, and the fields from the third on.
fn stat(pid: u32) -> anyhow::Result<(u32, Vec<String>)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').context("an odd /proc/PID/stat")?.1;
    let fields: Vec<String> = after_name.split_whitespace().map(str::to_owned).collect();
    let parent = fields.get(1).and_then(|field| field.parse().ok()).context("no parent")?;
    Ok((parent, fields))
}

fn ticks(fields: &[String], from: usize, count: usize) -> Duration {
    let ticks: u64 = fields.iter().skip(from).take(count).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// A 4 KiB write into a file that is filled ahead, as the journal's are, and the sync that an answer waits for: the median.
pub(crate) fn fdatasync_us(folder: &Path) -> anyhow::Result<f64> {
    let path = folder.join("sync");
    let file = fs::File::create_new(&path)?;
    file.write_all_at(&vec![0; 4096 * SYNCS], 0)?;
    file.sync_all()?;
    let mut times = Vec::with_capacity(SYNCS);
    for nth in 0..SYNCS {
        let begun = Instant::now();
        file.write_all_at(&[1; 4096], 4096 * nth as u64)?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    fs::remove_file(path)?;
    times.sort_unstable();
    Ok(times.get(SYNCS / 2).copied().unwrap_or_default().as_secs_f64() * 1e6)
}

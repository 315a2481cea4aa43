//! What the benches share: a daemon of the real binary in a cache root of its own, a client that
//! speaks to its socket as a wrapper does, and a generated project. Compiles are not run: a miss is
//! answered with a report of the outputs and inputs that the compile would have had, so that
//! hundreds of thousands of results can be made known in minutes.
//!
//! Figures are times and depend on the machine. What the daemon's own thread used is counted in CPU
//! time, which other processes disturb less.
#![allow(dead_code, unused_imports)] // each bench uses its part

mod client;
pub mod pauses;
mod project;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub use client::{Answered, Client, learn};
pub use project::Project;

/// A folder that is removed at the end, with a cache root in it.
pub struct Lab {
    pub folder: PathBuf,
}

impl Lab {
    pub fn new(name: &str) -> Lab {
        let base = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let folder = base.join(format!("zccache-bench-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        Lab { folder }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.join("cache")
    }

    /// Starts a daemon and waits until it listens; gives the time that took.
    pub fn daemon(&self, limit: &str) -> (Daemon, Duration) {
        let started = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_zccache"))
            .args(["daemon", "--foreground"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.folder)
            .env("ZCCACHE_CACHE_DIR", self.root())
            .env("ZCCACHE_CACHE_SIZE", limit)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the daemon starts");
        let daemon = Daemon { child, socket: self.root().join("daemon.sock") };
        while std::os::unix::net::UnixStream::connect(&daemon.socket).is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "the daemon does not listen");
            std::thread::sleep(Duration::from_micros(200));
        }
        (daemon, started.elapsed())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A running daemon; asked to leave when dropped.
pub struct Daemon {
    child: Child,
    pub socket: PathBuf,
}

impl Daemon {
    pub fn client(&self) -> Client {
        Client::connect(&self.socket)
    }

    /// CPU time of the thread that answers, and of all threads.
    pub fn cpu(&self) -> (Duration, Duration) {
        let pid = self.child.id();
        let spent = |task: &Path| {
            let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
            let ns = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
            Duration::from_nanos(ns)
        };
        let tasks = PathBuf::from(format!("/proc/{pid}/task"));
        let all = fs::read_dir(&tasks).expect("/proc").flatten().map(|task| spent(&task.path()));
        (spent(&tasks.join(pid.to_string())), all.sum())
    }

    /// Waits until it has done what was left to do: compiles that were reported are finished after that, and a crowd of
    /// them leaves seconds of work.
    pub fn rest(&self) {
        const LOOK: Duration = Duration::from_millis(500);
        const LITTLE: Duration = Duration::from_millis(20);
        let mut before = self.cpu().1;
        for _ in 0..120 {
            std::thread::sleep(LOOK);
            let now = self.cpu().1;
            // A thread that has ended takes its time with it.
            if now.saturating_sub(before) < LITTLE {
                return;
            }
            before = now;
        }
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("/proc");
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        let kib: u64 =
            line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("KiB");
        kib << 10
    }

    pub fn log(&self) -> String {
        let folder = self.socket.parent().expect("a root");
        fs::read_to_string(folder.join("logs/daemon.log")).unwrap_or_default()
    }

    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.client().ask_to_stop();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            if std::thread::panicking() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            } else {
                self.end();
            }
        }
    }
}

/// Times of single answers.
pub struct Times(Vec<Duration>);

impl Times {
    pub fn new(mut times: Vec<Duration>) -> Times {
        times.sort_unstable();
        Times(times)
    }

    /// The time that this part of all (0 to 1) does not exceed.
    pub fn part(&self, part: f64) -> Duration {
        self.0[((self.0.len() - 1) as f64 * part) as usize]
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn worst(&self) -> Duration {
        self.0[self.0.len() - 1]
    }
}

pub fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The whole numbers given as `--NAME A,B,C`, or these.
pub fn numbers(name: &str, usual: &[usize]) -> Vec<usize> {
    let words: Vec<String> = std::env::args().collect();
    let given = words.iter().position(|word| *word == format!("--{name}"));
    let Some(text) = given.and_then(|at| words.get(at + 1)) else { return usual.to_vec() };
    let number =
        |word: &str| word.parse().unwrap_or_else(|_| panic!("--{name}: not a number: {word}"));
    text.split(',').map(number).collect()
}

/// A fixed sequence of numbers below `end` that looks random.
pub fn shuffled(count: usize, end: usize) -> impl Iterator<Item = usize> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % end as u64) as usize
    })
}

//! A stream of changes below some folders, for scripts and programs.
//!
//! [`EventWatcher`] is told by the system; [`PollingWatcher`] looks again and again, which works
//! everywhere and costs more. Both compare what is there with what they saw before, so a
//! [`Batch`] is the net change: a file that came and went within one batch is not in it.
//!
//! ```
//! use std::time::Duration;
//! use zccache::watch::{Config, EventWatcher};
//!
//! # fn main() -> Result<(), zccache::watch::Error> {
//! let folder = std::env::temp_dir().join(format!("watch-example-{}", std::process::id()));
//! std::fs::create_dir_all(&folder)?;
//!
//! let mut config = Config::new(&folder);
//! config.include.push("*.cpp".to_owned());
//! config.debounce = Duration::from_millis(20);
//! let watcher = EventWatcher::start(config)?;
//!
//! std::fs::write(folder.join("new.cpp"), "int x;\n")?;
//! std::fs::write(folder.join("notes.txt"), "not asked for\n")?;
//! let batch = watcher.poll_timeout(Duration::from_secs(20)).expect("a change was made");
//! assert_eq!(batch.created, [folder.join("new.cpp")]);
//!
//! watcher.stop();
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! A [`PollingWatcher`] is used in the same way:
//!
//! ```
//! use std::time::Duration;
//! use zccache::watch::{Config, PollingWatcher};
//!
//! # fn main() -> Result<(), zccache::watch::Error> {
//! # let folder = std::env::temp_dir().join(format!("poll-example-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let mut config = Config::new(&folder);
//! config.poll_interval = Duration::from_millis(20);
//! let watcher = PollingWatcher::start(config)?;
//! std::fs::write(folder.join("a"), "a")?;
//! assert!(watcher.poll_timeout(Duration::from_secs(20)).is_some());
//! # watcher.stop();
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```

mod events;
mod model;
mod polling;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;

pub use events::EventWatcher;
pub use polling::PollingWatcher;

use crate::fp::selection::{BadGlob, Selection};

/// What to watch, and how eagerly to tell.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folders; each with all below it. Links below them are not followed.
    pub roots: Vec<PathBuf>,
    /// Globs as `.gitignore` has them, relative to the root. Without any, every file.
    pub include: Vec<String>,
    /// What these match is left out, folders with all below them.
    pub exclude: Vec<String>,
    /// A batch waits until nothing has changed for so long, but no longer than ten times this.
    pub debounce: Duration,
    /// Between two looks at what the system does not tell about.
    pub poll_interval: Duration,
}

impl Config {
    /// Everything below one folder; 50 ms of debounce, looks once a second.
    pub fn new(root: impl Into<PathBuf>) -> Config {
        Config {
            roots: vec![root.into()],
            include: Vec::new(),
            exclude: Vec::new(),
            debounce: Duration::from_millis(50),
            poll_interval: Duration::from_secs(1),
        }
    }

    fn selection(&self) -> Selection {
        let (include, exclude) = (self.include.clone(), self.exclude.clone());
        Selection { include, exclude, ..Selection::default() }
    }
}

/// Files that are different from what the last batch left. Each list is sorted; paths begin
/// with the root as it was given. A file that was renamed is removed and created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub created: Vec<PathBuf>,
    pub changed: Vec<PathBuf>,
    pub removed: Vec<PathBuf>,
    /// The system lost events, and everything was looked at again: a file that changed and
    /// looks as before may be missing here.
    pub overflow: bool,
}

impl Batch {
    /// True when there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Batch::default()
    }
}

/// Why nothing is watched.
#[derive(Debug)]
pub enum Error {
    Glob(BadGlob),
    /// A root that is no folder.
    Root(PathBuf),
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Glob(bad) => bad.fmt(f),
            Error::Root(path) => write!(f, "{}: no such folder", path.display()),
            Error::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(error)
    }
}

/// A thread that makes batches.
struct Running {
    batches: Receiver<Batch>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// How soon a thread notices that it is to stop.
const STOP_WITHIN: Duration = Duration::from_millis(200);

impl Running {
    fn next(&self, patience: Option<Duration>) -> Option<Batch> {
        match patience {
            None => self.batches.recv().ok(),
            Some(patience) => self.batches.recv_timeout(patience).ok(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been told already.
            let _ = thread.join();
        }
    }
}

//! Being told by the system, through the `notify` crate. Events only say where to look: what
//! changed is found out by looking. Each folder is watched by itself, before it is listed, so
//! nothing is missed in new folders, and what is left out costs no watch.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::model::{Ears, Model};
use super::{Batch, Config, Error, Running, STOP_WITHIN};
use crate::files::trust;

/// A batch waits no longer than so many debounce times.
const DEBOUNCES_MAX: u32 = 10;

/// Is told of changes by the system, and looks every `poll_interval` at folders of which it is not
/// told: those beyond the limits of inotify, and those on file systems that others can change.
pub struct EventWatcher {
    running: Running,
    folders: usize,
}

impl EventWatcher {
    /// Watches everything before it returns. Fails on a bad glob or a root that is no folder.
    pub fn start(config: Config) -> Result<EventWatcher, Error> {
        let (send, events) = channel();
        let model = Model::new(&config, NotifyEars::new(send))?;
        let folders = model.folder_count();
        let (send, batches) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let listener = Listener { config, model, events, batches: send, stop: stop.clone() };
        let work = move || listener.run();
        let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(work)?;
        Ok(EventWatcher { running: Running { batches, stop, thread: Some(thread) }, folders })
    }

    /// The next batch; None when none comes in time.
    pub fn poll_timeout(&self, patience: Duration) -> Option<Batch> {
        self.running.next(Some(patience))
    }

    /// Waits for the next batch for as long as it takes.
    pub fn wait(&self) -> Option<Batch> {
        self.running.next(None)
    }

    /// How many folders there were at the start.
    pub fn folders(&self) -> usize {
        self.folders
    }

    /// Ends the watch. Dropping it does the same.
    pub fn stop(self) {}
}

/// None where the system gives us no way to listen.
struct NotifyEars(Option<RecommendedWatcher>);

impl NotifyEars {
    fn new(send: Sender<notify::Result<notify::Event>>) -> NotifyEars {
        let tell = move |event: notify::Result<notify::Event>| {
            // Opening and reading change nothing.
            let matters = !matches!(
                &event,
                Ok(event) if matches!(event.kind, EventKind::Access(kind)
                    if kind != AccessKind::Close(AccessMode::Write))
            );
            if matters {
                // Nobody listens any more when the watch is ending.
                let _ = send.send(event);
            }
        };
        NotifyEars(notify::recommended_watcher(tell).ok())
    }
}

impl Ears for NotifyEars {
    fn listen(&mut self, folder: &Path) -> bool {
        let Some(watcher) = &mut self.0 else { return false };
        let is_ours = std::fs::File::open(folder)
            .is_ok_and(|folder| trust::reports_all_changes(folder.as_fd()));
        is_ours && watcher.watch(folder, RecursiveMode::NonRecursive).is_ok()
    }

    fn leave(&mut self, folder: &Path) {
        if let Some(watcher) = &mut self.0 {
            // Fails when the folder is gone, and its watch with it.
            let _ = watcher.unwatch(folder);
        }
    }
}

struct Listener {
    config: Config,
    model: Model<NotifyEars>,
    events: Receiver<notify::Result<notify::Event>>,
    batches: Sender<Batch>,
    stop: Arc<AtomicBool>,
}

/// What events have told since the last batch.
#[derive(Default)]
struct Heard {
    paths: BTreeSet<PathBuf>,
    written: BTreeSet<PathBuf>,
    lost: bool,
    anything: bool,
}

impl Heard {
    fn take(&mut self, event: notify::Result<notify::Event>) {
        self.anything = true;
        match event {
            Ok(event) => {
                self.lost |= event.need_rescan();
                let wrote =
                    matches!(event.kind, EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any));
                if wrote {
                    self.written.extend(event.paths.iter().cloned());
                }
                self.paths.extend(event.paths);
            }
            Err(_) => self.lost = true,
        }
    }
}

impl Listener {
    fn run(mut self) {
        let mut looked = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let mut heard = Heard::default();
            let pause = self.config.poll_interval.min(STOP_WITHIN);
            match self.events.recv_timeout(pause) {
                Ok(event) => heard.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                // Without ears: nobody will ever send.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(pause),
            }
            let mut batch = Batch::default();
            if heard.anything {
                self.settle(&mut heard);
                batch = if heard.lost {
                    Batch { overflow: true, ..self.model.refresh_all() }
                } else {
                    self.model.refresh(heard.paths, &heard.written)
                };
            } else if looked.elapsed() >= self.config.poll_interval {
                batch = self.model.refresh_untold();
                looked = Instant::now();
            }
            if !batch.is_empty() && self.batches.send(batch).is_err() {
                return;
            }
        }
    }

    /// Takes in events until there is silence for a while.
    fn settle(&self, heard: &mut Heard) {
        let end = Instant::now() + self.config.debounce * DEBOUNCES_MAX;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(self.config.debounce.min(left)) {
                Ok(event) => heard.take(event),
                Err(_) => return,
            }
            if left.is_zero() {
                return;
            }
        }
    }
}

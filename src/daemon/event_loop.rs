//! The loop: the only thread that answers, and it waits for nothing but `poll`.
//!
//! One turn: read what arrived on every connection; drain the watch; answer; take in what
//! the workers finished; accept; timers. The order matters twice. A request is answered
//! only after a drain that came after it was read: so everything its build did before is
//! known. And what a new client asks waits for the next turn, behind what arrived on the connections
//! that were there: so a report is seen before the request of whoever was started after its
//! sender ended, and the end of a command before a question about it. Only compiles that may be
//! short hits do not wait, unless reports are due.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::fingerprint::Fingerprints;
use super::in_flight::{self, InFlight};
use super::jobs::{Back, Caller};
use super::lookup::Ticket;
use super::memo::Memos;
use super::notices::Notices;
use super::opening::{Opening, Progress};
use super::scribe::Scribe;
use super::shared::Shared;
use super::underway::{Ended, Fate, Lanes, Underway};
use super::upkeep::{self, Upkeep};
use super::workers::Workers;
use crate::protocol::message::Invocation;
use crate::server::hub::{Arrived, Hub, OWN, WAKES};
use crate::session::stats::Counters;
use crate::settings::Settings;
use crate::store::index::Index;

/// After events came, the watch may not wake the loop for this long: a build makes many that
/// nobody depends on, and every answer drains them anyway.
const MUTED: Duration = Duration::from_millis(50);
/// An idle daemon leaves after this long.
const IDLE: Duration = Duration::from_secs(3600);
/// So often an index that is late is looked for.
const LATE_ROUND: Duration = Duration::from_millis(100);
/// Compiles under way keep a daemon from an index that opened late for no longer than this.
const LATE_PATIENCE: Duration = Duration::from_secs(5);
/// How long its workers have to finish what they do.
const END_PATIENCE: Duration = Duration::from_secs(8);
/// After this long without a client, the index is looked after.
const QUIET: Duration = Duration::from_secs(60);

/// What the loop needs to know to run.
#[derive(Clone)]
pub(super) struct Config {
    pub(super) socket: PathBuf,
    /// Where stats of blobs wait for the next daemon.
    pub(super) kept_stats: PathBuf,
    /// By which wrappers find the board.
    pub(super) board: PathBuf,
    /// The daemon's own settings: its environment and command line, over the file.
    pub(super) settings: Settings,
    /// Where no setting says how large the store may grow.
    pub(super) default_limit_bytes: u64,
    /// Readable when SIGTERM or SIGINT came.
    pub(super) signals: Option<RawFd>,
}

impl Config {
    pub(super) fn idle(&self) -> Duration {
        self.settings.idle_timeout.unwrap_or(IDLE)
    }

    pub(super) fn limit_bytes(&self) -> u64 {
        self.settings.cache_size.unwrap_or(self.default_limit_bytes)
    }
}

/// What comes after a loop.
#[derive(PartialEq)]
enum Then {
    Nothing,
    /// Another one, at the same socket.
    Anew,
}

pub(super) struct EventLoop {
    pub(super) hub: Hub<Caller>,
    pub(super) shared: Arc<Shared>,
    pub(super) answerers: Workers,
    pub(super) finishers: Workers,
    pub(super) fingerprints: Fingerprints,
    pub(super) back: Back,
    pub(super) tickets: HashMap<u64, Box<Ticket>>,
    /// Requests read in this turn, to be answered after the drain.
    pub(super) asked: Vec<(Token, Arc<Invocation>, bool)>,
    pub(super) in_flight: InFlight,
    /// The last command that a worker had to find out was a miss.
    pub(super) finds_misses: bool,
    pub(super) memos: Memos,
    /// None: there is no board.
    pub(super) notices: Option<Notices>,
    pub(super) counters: Counters,
    pub(super) scribe: Scribe,
    lanes: Lanes,
    pub(super) upkeep: Upkeep,
    pub(super) config: Config,
    /// Until then the watch does not wake the loop.
    muted: Option<Instant>,
    /// Nobody has come since the index was last looked after.
    resting: Arc<AtomicBool>,
    /// The index on the disk, where `shared` has one in memory only.
    pub(super) late: Option<Opening>,
}

impl EventLoop {
    /// `late`: the index that was not there in time.
    pub(super) fn new(
        listener: std::os::unix::net::UnixListener,
        shared: Arc<Shared>,
        config: Config,
        late: Option<Opening>,
    ) -> std::io::Result<EventLoop> {
        let hub = Hub::new(listener, &config.socket, config.signals, config.idle())?;
        let notices = Notices::new(&shared, &config.board);
        if let Some(wake) = notices.as_ref().map(Notices::wake) {
            hub.poll.registry().register(&mut SourceFd(&wake), WAKES, Interest::READABLE)?;
        }
        if let Some(watch) = shared.table.descriptor() {
            hub.poll.registry().register(&mut SourceFd(&watch), OWN, Interest::READABLE)?;
        }
        let counters = upkeep::load_counters(&shared.index);
        let upkeep = Upkeep::new(&shared, config.limit_bytes());
        let scribe = Scribe::start(Path::new(OsStr::from_bytes(&shared.root)))?;
        let back = Back::new(hub.waker.clone());
        Ok(EventLoop {
            hub,
            shared,
            answerers: Workers::start("answer", 6)?,
            finishers: Workers::start("finish", 2)?,
            fingerprints: Fingerprints::new()?,
            back,
            tickets: HashMap::new(),
            asked: Vec::new(),
            in_flight: InFlight::new(),
            finds_misses: false,
            memos: Memos::new(),
            notices,
            counters,
            scribe,
            lanes: Lanes::default(),
            upkeep,
            config,
            muted: None,
            resting: Arc::default(),
            late,
        })
    }

    /// Runs until told to stop, idle for long, or replaced; or until the index is there that was late, with which all
    /// begins anew.
    pub(super) fn run(mut self) -> Option<Index> {
        let (mut arrived, mut new) = (Vec::new(), Vec::new());
        while !self.hub.is_over() {
            let mut nap = if new.is_empty() { self.nap() } else { Duration::ZERO };
            if let Some(notices) = &mut self.notices {
                nap = notices.nap(nap);
            }
            if let Err(error) = self.hub.turn(nap, &mut arrived) {
                log::error!("poll: {error}");
                break;
            }
            self.hear_tellings();
            if self.hub.make_round(&mut arrived) {
                self.end_if_index_is_lost();
                self.rest();
            }
            arrived.append(&mut new);
            self.take(&mut arrived);
            for done in self.back.take() {
                self.take_in(done);
            }
            if self.in_flight.has_waiters() {
                self.look_after_waiters();
            }
            if self.hub.is_awaited() {
                self.resting.store(false, Ordering::Relaxed);
            }
            while let Some(silent) = self.hub.accept(&mut new) {
                self.drop_client(silent);
            }
            if self.tickets.is_empty() {
                let mut compiles = new.extract_if(.., |what| what.is_quick()).collect();
                self.take(&mut compiles);
            }
            self.hub.poll_new(&mut new);
            if self.muted.is_some_and(|until| Instant::now() >= until) {
                self.hear_watch();
            }
            self.finishers.give_due();
            self.upkeep.tick(&self.shared, &self.counters, &self.finishers);
            if let Some(index) = self.late_index() {
                self.end(Then::Anew);
                return Some(index);
            }
        }
        self.end(Then::Nothing);
        None
    }

    /// Does what arrived, and answers.
    fn take(&mut self, arrived: &mut Vec<Arrived>) {
        let mut changed = false;
        for what in arrived.drain(..) {
            match what {
                Arrived::Own => {
                    changed = true;
                    self.mute_watch();
                }
                Arrived::Frame(token, header, payload) => {
                    // Not from one that we have just let go of.
                    if self.hub.clients.contains_key(&token) {
                        self.frame(token, header, &payload);
                    }
                }
                Arrived::Gone(token) => self.drop_client(token),
            }
        }
        // Always before an answer; else when there is something.
        if changed || !self.asked.is_empty() || self.in_flight.has_waiters() {
            self.shared.table.drain();
        }
        for (client, invocation, quick) in std::mem::take(&mut self.asked) {
            self.answer(client, invocation, quick);
        }
    }

    fn nap(&self) -> Duration {
        if !self.asked.is_empty() {
            return Duration::ZERO;
        }
        let mut due = self.upkeep.due_in();
        if let Some(soon) = self.finishers.due_in() {
            due = due.min(soon);
        }
        if self.muted.is_some() {
            due = due.min(MUTED);
        }
        if self.in_flight.has_waiters() {
            due = due.min(in_flight::ROUND);
        }
        if self.late.is_some() {
            due = due.min(LATE_ROUND);
        }
        self.hub.nap(due)
    }

    fn mute_watch(&mut self) {
        let Some(watch) = self.shared.table.descriptor() else { return };
        if self.muted.is_none()
            && self.hub.poll.registry().deregister(&mut SourceFd(&watch)).is_ok()
        {
            self.muted = Some(Instant::now() + MUTED);
        }
    }

    /// What is queued by now wakes the loop at once.
    fn hear_watch(&mut self) {
        let Some(watch) = self.shared.table.descriptor() else { return };
        let registered =
            self.hub.poll.registry().register(&mut SourceFd(&watch), OWN, Interest::READABLE);
        match registered {
            Ok(()) => self.muted = None,
            Err(error) => log::warn!("the watch does not wake the loop: {error}"),
        }
    }

    /// While nobody is there, a bloated index is compacted; whoever comes ends that.
    fn rest(&mut self) {
        if self.hub.is_quiet_for(QUIET) && !self.resting.swap(true, Ordering::Relaxed) {
            let (shared, resting) = (self.shared.clone(), self.resting.clone());
            self.finishers.give(move || {
                shared.index.compact_if_bloated(&|| !resting.load(Ordering::Relaxed));
            });
        }
    }

    /// Calls of the index that never come back hold workers and locks for good: only a new daemon
    /// helps, which sets the index aside.
    pub(super) fn end_if_index_is_lost(&mut self) {
        if self.shared.index.is_lost() {
            log::error!("the index hangs; the next daemon starts without it");
            self.hub.remove_socket();
            std::process::exit(1);
        }
    }

    /// The index that was late, once it is there and compiles are not disturbed by a change, or have been waited for.
    fn late_index(&mut self) -> Option<Index> {
        match self.late.as_mut()?.progress() {
            Progress::There(since) => {
                let now = self.tickets.is_empty() || since.elapsed() > LATE_PATIENCE;
                if now { self.late.take()?.take() } else { None }
            }
            Progress::Opens => None,
            Progress::Failed => {
                log::error!("the index does not open");
                self.late = None;
                None
            }
        }
    }

    fn end(mut self, then: Then) {
        if then == Then::Nothing {
            self.hub.remove_socket();
        }
        self.close_board();
        let left: Vec<Token> = self.hub.clients.keys().copied().collect();
        left.into_iter().for_each(|token| self.drop_client(token));
        // A worker that hangs (in the index, on a dead network disk) must not keep the root's lock
        // from the next daemon.
        let (in_time, ended) = channel::<()>();
        let watch = move || {
            if ended.recv_timeout(END_PATIENCE) == Err(RecvTimeoutError::Timeout) {
                log::error!("a worker does not end");
                std::process::exit(1);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("end".to_owned()).spawn(watch) {
            log::warn!("no thread: {error}");
        }
        self.fingerprints.finish();
        self.answerers.finish();
        self.finishers.finish();
        self.scribe.finish();
        self.shared.keep_blob_stats(&self.config.kept_stats);
        if then == Then::Nothing {
            if let Some(late) = self.late {
                late.give_up();
            }
            self.upkeep.last(&self.shared, &self.counters);
            self.shared.index.close();
            // To give gigabytes back piece by piece would take seconds; the kernel does it at once.
            std::mem::forget((self.memos, self.shared, in_time));
        }
    }

    pub(super) fn drop_client(&mut self, token: Token) {
        let Some(mut client) = self.hub.remove(token) else { return };
        let mut ran = false;
        for id in client.tickets {
            if let Some(ticket) = self.tickets.remove(&id) {
                self.shared.table.close_ticket();
                self.compile_ended(id, &ticket.actions(), false);
                ran = true;
                self.abandon(ticket, client.command.take());
            }
        }
        if let Some(command) = client.command
            && !ran
        {
            self.ended(command);
        }
    }

    /// A command begins to be under way on a connection.
    pub(super) fn begin(&mut self, invocation: Arc<Invocation>, began: Instant) -> Underway {
        Underway { invocation, began, lane: self.lanes.take(), fate: Fate::Asked }
    }

    /// A command has ended just now: its line goes to the journal.
    pub(super) fn ended(&mut self, command: Underway) {
        self.ended_at(command, self.hub.last_active);
    }

    pub(super) fn ended_at(&mut self, command: Underway, at: Instant) {
        self.lanes.release(command.lane);
        self.scribe.tell(Ended { command, at });
    }

    /// Its lane is free; its line follows from a worker.
    pub(super) fn leave_lane(&mut self, command: &Underway) {
        self.lanes.release(command.lane);
    }
}

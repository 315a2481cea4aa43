//! The loop: the only thread that answers, and it waits for nothing but `poll`.
//!
//! One turn: read what arrived on every connection; drain the watch; answer; take in what
//! the workers finished; accept; timers. The order matters twice. A request is answered
//! only after a drain that came after it was read: so everything its build did before is
//! known. And connections are read before new ones are accepted: so a report is seen before
//! the request of whoever was started after its sender ended.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::net::UnixListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use parking_lot::Mutex;

use super::connection::{Connection, Incoming};
use super::fingerprint::Fingerprints;
use super::in_flight::{self, InFlight};
use super::lookup::Ticket;
use super::memo::Memos;
use super::peer::Doorkeeper;
use super::requests::Done;
use super::scribe::Scribe;
use super::shared::Shared;
use super::underway::{Ended, Fate, Lanes, Underway};
use super::upkeep::{self, Upkeep};
use super::workers::Workers;
use crate::protocol::message::Invocation;
use crate::session::stats::Counters;
use crate::settings::Settings;
use crate::sys::fault::{self, Point};

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const WATCH: Token = Token(2);
const SIGNALS: Token = Token(3);
const FIRST_CLIENT: usize = 4;

/// Read from a client at a time.
const READ_BYTES: usize = 64 << 10;
/// Clients beyond this wait in the listener's queue.
const CLIENTS_MAX: usize = 20_000;
/// Descriptors that are not for clients: our own, and those of the workers.
const RESERVED: usize = 24;
/// A client that has been silent for this long makes way when there is no room for another.
const HOLDS_PLACE: Duration = Duration::from_millis(500);
/// How often the loop looks after silent clients and its own socket.
const ROUND: Duration = Duration::from_secs(30);
/// A client that asks for nothing may stay for this long.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// After events came, the watch may not wake the loop for this long: a build makes many that
/// nobody depends on, and every answer drains them anyway.
const MUTED: Duration = Duration::from_millis(50);
/// How soon to try again when a client could not be accepted.
const RETRY: Duration = Duration::from_millis(50);
/// How long an ending daemon waits for compiles that were already answered.
const LINGER: Duration = Duration::from_secs(2);

/// An idle daemon leaves after this long.
const IDLE: Duration = Duration::from_secs(3600);
/// How long its workers have to finish what they do.
const END_PATIENCE: Duration = Duration::from_secs(8);
/// After this long without a client, the index is looked after.
const QUIET: Duration = Duration::from_secs(60);

/// Why the loop is ending.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Serving,
    /// Nobody new; until then, whoever is connected.
    Leaving(Instant),
}

/// What the loop needs to know to run.
pub(super) struct Config {
    pub(super) socket: PathBuf,
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

pub(super) struct EventLoop {
    pub(super) poll: Poll,
    pub(super) waker: Arc<Waker>,
    listener: UnixListener,
    pub(super) shared: Arc<Shared>,
    pub(super) answerers: Workers,
    pub(super) finishers: Workers,
    pub(super) fingerprints: Fingerprints,
    pub(super) done: Arc<Mutex<Vec<Done>>>,
    pub(super) clients: HashMap<Token, Connection>,
    clients_max: usize,
    next_client: usize,
    pub(super) tickets: HashMap<u64, Box<Ticket>>,
    /// Requests read in this turn, to be answered after the drain.
    pub(super) asked: Vec<(Token, Arc<Invocation>, bool)>,
    pub(super) in_flight: InFlight,
    pub(super) memos: Memos,
    pub(super) counters: Counters,
    pub(super) scribe: Scribe,
    lanes: Lanes,
    pub(super) upkeep: Upkeep,
    doorkeeper: Doorkeeper,
    /// What a client sends is read into here.
    buffer: Box<[u8]>,
    pub(super) config: Config,
    pub(super) started: Instant,
    pub(super) last_active: Instant,
    last_round: Instant,
    /// Until then the watch does not wake the loop.
    muted: Option<Instant>,
    /// Clients wait in the listener's queue; no event will tell of them again.
    backlog: bool,
    /// Nobody has come since the index was last looked after.
    resting: Arc<AtomicBool>,
    /// Inode of the socket's name while it is ours.
    socket_inode: Option<u64>,
    phase: Phase,
}

impl EventLoop {
    pub(super) fn new(
        listener: std::os::unix::net::UnixListener,
        shared: Arc<Shared>,
        config: Config,
    ) -> std::io::Result<EventLoop> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        listener.set_nonblocking(true)?;
        let mut listener = UnixListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        if let Some(watch) = shared.table.descriptor() {
            poll.registry().register(&mut SourceFd(&watch), WATCH, Interest::READABLE)?;
        }
        if let Some(signals) = config.signals {
            poll.registry().register(&mut SourceFd(&signals), SIGNALS, Interest::READABLE)?;
        }
        let counters = upkeep::load_counters(&shared.index);
        let upkeep = Upkeep::new(&shared, config.limit_bytes());
        let scribe = Scribe::start(Path::new(OsStr::from_bytes(&shared.root)))?;
        Ok(EventLoop {
            poll,
            waker,
            listener,
            shared,
            answerers: Workers::start("answer", 6)?,
            finishers: Workers::start("finish", 2)?,
            fingerprints: Fingerprints::new()?,
            done: Arc::default(),
            clients: HashMap::new(),
            clients_max: clients_max(),
            next_client: FIRST_CLIENT,
            tickets: HashMap::new(),
            asked: Vec::new(),
            in_flight: InFlight::new(),
            memos: Memos::new(),
            counters,
            scribe,
            lanes: Lanes::default(),
            upkeep,
            doorkeeper: Doorkeeper::new(),
            buffer: vec![0; READ_BYTES].into(),
            socket_inode: inode(&config.socket),
            config,
            started: Instant::now(),
            last_active: Instant::now(),
            last_round: Instant::now(),
            muted: None,
            backlog: false,
            resting: Arc::default(),
            phase: Phase::Serving,
        })
    }

    /// Runs until told to stop, idle for long, or replaced.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        while !self.is_over() {
            if let Err(error) = self.poll.poll(&mut events, Some(self.nap())) {
                if error.kind() == std::io::ErrorKind::Interrupted {
                    continue;
                }
                log::error!("poll: {error}");
                break;
            }
            let (mut accept, mut changed) = (false, false);
            for event in &events {
                match event.token() {
                    LISTENER => accept = true,
                    WAKER => {}
                    WATCH => {
                        changed = true;
                        self.mute_watch();
                    }
                    SIGNALS => self.leave(),
                    client => {
                        if event.is_writable()
                            && !self.clients.get_mut(&client).is_none_or(Connection::flush)
                        {
                            self.drop_client(client);
                        }
                        if event.is_readable() || event.is_read_closed() {
                            self.read(client, event.is_read_closed());
                        }
                    }
                }
            }
            // Always before an answer; else when there is something.
            if changed || !self.asked.is_empty() || self.in_flight.has_waiters() {
                self.shared.table.drain();
            }
            for (client, invocation, quick) in std::mem::take(&mut self.asked) {
                self.answer(client, invocation, quick);
            }
            let finished = std::mem::take(&mut *self.done.lock());
            for done in finished {
                self.take_in(done);
            }
            if self.in_flight.has_waiters() {
                self.look_after_waiters();
            }
            if (accept || self.backlog) && self.phase == Phase::Serving {
                self.accept();
            }
            if self.muted.is_some_and(|until| Instant::now() >= until) {
                self.hear_watch();
            }
            if self.last_round.elapsed() >= ROUND {
                self.make_round();
            }
            self.upkeep.tick(&self.shared, &self.counters, &self.finishers);
        }
        self.end();
    }

    fn is_over(&self) -> bool {
        match self.phase {
            Phase::Leaving(until) => self.clients.is_empty() || Instant::now() >= until,
            Phase::Serving => {
                self.clients.is_empty() && self.last_active.elapsed() >= self.config.idle()
            }
        }
    }

    fn nap(&self) -> Duration {
        match self.phase {
            _ if !self.asked.is_empty() => Duration::ZERO,
            Phase::Leaving(_) => Duration::from_millis(20),
            Phase::Serving => {
                let idle_left = self.config.idle().saturating_sub(self.last_active.elapsed());
                let retry = match () {
                    () if self.backlog || self.muted.is_some() => RETRY,
                    () if self.in_flight.has_waiters() => in_flight::ROUND,
                    () => ROUND,
                };
                self.upkeep.due_in().min(idle_left).min(retry).max(Duration::from_millis(1))
            }
        }
    }

    fn mute_watch(&mut self) {
        let Some(watch) = self.shared.table.descriptor() else { return };
        if self.muted.is_none() && self.poll.registry().deregister(&mut SourceFd(&watch)).is_ok() {
            self.muted = Some(Instant::now() + MUTED);
        }
    }

    /// What is queued by now wakes the loop at once.
    fn hear_watch(&mut self) {
        let Some(watch) = self.shared.table.descriptor() else { return };
        let registered =
            self.poll.registry().register(&mut SourceFd(&watch), WATCH, Interest::READABLE);
        match registered {
            Ok(()) => self.muted = None,
            Err(error) => log::warn!("the watch does not wake the loop: {error}"),
        }
    }

    /// No new clients from here on; the next daemon may take the socket's name.
    pub(super) fn leave(&mut self) {
        if self.phase == Phase::Serving {
            self.remove_socket();
            fault::at(Point::Leave);
            self.phase = Phase::Leaving(Instant::now() + LINGER);
        }
    }

    /// Removes the socket's name if it still is ours: the cache root may have been removed
    /// under us, and another daemon may serve a new one.
    fn remove_socket(&mut self) {
        if let Some(ours) = self.socket_inode.take()
            && inode(&self.config.socket) == Some(ours)
        {
            let _ = std::fs::remove_file(&self.config.socket);
        }
    }

    /// While nobody is there, a bloated index is compacted; whoever comes ends that.
    fn rest(&mut self) {
        let quiet = self.clients.is_empty() && self.last_active.elapsed() >= QUIET;
        if quiet && self.phase == Phase::Serving && !self.resting.swap(true, Ordering::Relaxed) {
            let (shared, resting) = (self.shared.clone(), self.resting.clone());
            self.finishers.give(move || {
                shared.index.compact_if_bloated(&|| !resting.load(Ordering::Relaxed));
            });
        }
    }

    /// Lets go of silent clients; leaves when nobody can find us any more.
    fn make_round(&mut self) {
        self.last_round = Instant::now();
        self.end_if_index_is_lost();
        self.rest();
        if let Some(before) = Instant::now().checked_sub(SILENCE_MAX) {
            let silent: Vec<Token> = self
                .clients
                .iter()
                .filter(|(_, client)| client.is_silent_since(before))
                .map(|(token, _)| *token)
                .collect();
            for token in silent {
                self.drop_client(token);
            }
        }
        if self.socket_inode.is_some() && inode(&self.config.socket) != self.socket_inode {
            log::info!("the socket is gone");
            self.leave();
        }
    }

    /// Calls of the index that never come back hold workers and locks for good: only a new daemon
    /// helps, which sets the index aside.
    pub(super) fn end_if_index_is_lost(&mut self) {
        if self.shared.index.is_lost() {
            log::error!("the index hangs; the next daemon starts without it");
            self.remove_socket();
            std::process::exit(1);
        }
    }

    fn end(mut self) {
        self.remove_socket();
        let left: Vec<Token> = self.clients.keys().copied().collect();
        left.into_iter().for_each(|token| self.drop_client(token));
        // A worker that hangs (in the index, on a dead network disk) must not keep the root's lock
        // from the next daemon.
        let overdue = || {
            std::thread::sleep(END_PATIENCE);
            log::error!("a worker does not end");
            std::process::exit(1);
        };
        if let Err(error) = std::thread::Builder::new().name("end".to_owned()).spawn(overdue) {
            log::warn!("no thread: {error}");
        }
        self.fingerprints.finish();
        self.answerers.finish();
        self.finishers.finish();
        self.scribe.finish();
        self.upkeep.last(&self.shared, &self.counters);
    }

    fn accept(&mut self) {
        self.resting.store(false, Ordering::Relaxed);
        self.backlog = true;
        loop {
            if self.clients.len() >= self.clients_max && !self.make_room() {
                return;
            }
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.backlog = false;
                    return;
                }
                Err(error) => {
                    log::warn!("accept: {error}");
                    if self.make_room() {
                        continue;
                    }
                    return;
                }
            };
            let Some(peer) = self.doorkeeper.judge(&stream) else {
                log::warn!("a connection of another user was refused");
                continue;
            };
            let token = Token(self.next_client);
            self.next_client += 1;
            let interest = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = self.poll.registry().register(&mut stream, token, interest) {
                log::warn!("register: {error}");
                continue;
            }
            self.clients.insert(token, Connection::new(stream, peer));
        }
    }

    /// Lets go of the client that has been silent for longest. False if all are busy.
    fn make_room(&mut self) -> bool {
        let Some(before) = Instant::now().checked_sub(HOLDS_PLACE) else { return false };
        let silent = self.clients.iter().filter(|(_, client)| client.is_silent_since(before));
        let oldest = silent.min_by_key(|(_, client)| client.heard).map(|(token, _)| *token);
        if let Some(token) = oldest {
            self.drop_client(token);
        }
        oldest.is_some()
    }

    pub(super) fn drop_client(&mut self, token: Token) {
        // Closing it ends its registration.
        let Some(mut client) = self.clients.remove(&token) else { return };
        self.last_active = Instant::now();
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
        self.lanes.release(command.lane);
        self.scribe.tell(Ended { command, at: self.last_active });
    }

    /// Its lane is free; its line follows from a worker.
    pub(super) fn leave_lane(&mut self, command: &Underway) {
        self.lanes.release(command.lane);
    }

    fn read(&mut self, token: Token, ended: bool) {
        let Some(client) = self.clients.get_mut(&token) else { return };
        let open = client.fill(&mut self.buffer, ended);
        loop {
            let Some(client) = self.clients.get_mut(&token) else { return };
            match client.next() {
                Incoming::Frame(header, payload) => self.frame(token, header, &payload),
                Incoming::Partial if open => return,
                Incoming::Partial | Incoming::Ended => return self.drop_client(token),
            }
        }
    }
}

/// As many clients as descriptors allow, and a few even where those are scarce.
fn clients_max() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    limit.saturating_sub(RESERVED).clamp(4, CLIENTS_MAX)
}

fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).ok().map(|meta| meta.ino())
}

//! The loop: the only thread that answers, and it waits for nothing but `poll`.
//!
//! One turn: read what arrived on every connection; drain the watch; answer; take in what
//! the workers finished; accept; timers. The order matters twice. A request is answered
//! only after a drain that came after it was read: so everything its build did before is
//! known. And connections are read before new ones are accepted: so a report is seen before
//! the request of whoever was started after its sender ended.

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::UnixListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use parking_lot::Mutex;

use super::connection::{Connection, Incoming, Peer};
use super::finish;
use super::lookup::{self, Outcome, Ticket};
use super::memo::{Memos, RequestKey};
use super::peer::View;
use super::shared::Shared;
use super::upkeep::{self, Upkeep};
use super::workers::Workers;
use crate::protocol::frame::{self, Build, Header, Verb};
use crate::protocol::message::{
    Answer, Cleared, Delivery, Exit, Invocation, Reply, Report, Request, Step, Work,
};
use crate::protocol::quick;
use crate::session::reason::Reason;
use crate::session::stats::{Counters, Status};
use crate::store::blob::BlobId;
use crate::tools::environment::Environment;

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const WATCH: Token = Token(2);
const SIGNALS: Token = Token(3);
const FIRST_CLIENT: usize = 4;

/// Clients beyond this wait in the listener's queue.
const CLIENTS_MAX: usize = 20_000;
/// How often the loop looks after silent clients and its own socket.
const ROUND: Duration = Duration::from_secs(30);
/// A client that asks for nothing may stay for this long.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How soon to try again when a client could not be accepted.
const RETRY: Duration = Duration::from_millis(50);
/// How long an ending daemon waits for compiles that were already answered.
const LINGER: Duration = Duration::from_secs(2);

/// What a worker hands back.
enum Done {
    Answered { client: Token, key: Option<RequestKey>, quick: bool, outcome: Box<Outcome> },
    Stored { refused: Vec<Reason> },
    Cleared { client: Token, cleared: Cleared },
}

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
    pub(super) idle: Duration,
    pub(super) limit_bytes: u64,
    /// Readable when SIGTERM or SIGINT came.
    pub(super) signals: Option<RawFd>,
}

pub(super) struct EventLoop {
    poll: Poll,
    waker: Arc<Waker>,
    listener: UnixListener,
    shared: Arc<Shared>,
    answerers: Workers,
    finishers: Workers,
    done: Arc<Mutex<Vec<Done>>>,
    clients: HashMap<Token, Connection>,
    next_client: usize,
    tickets: HashMap<u64, Box<Ticket>>,
    /// Requests read in this turn, to be answered after the drain.
    asked: Vec<(Token, Box<Invocation>, bool)>,
    memos: Memos,
    counters: Counters,
    upkeep: Upkeep,
    view: View,
    config: Config,
    started: Instant,
    last_active: Instant,
    last_round: Instant,
    /// Clients wait in the listener's queue; no event will tell of them again.
    backlog: bool,
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
        let watch = shared.table.descriptor();
        poll.registry().register(&mut SourceFd(&watch), WATCH, Interest::READABLE)?;
        if let Some(signals) = config.signals {
            poll.registry().register(&mut SourceFd(&signals), SIGNALS, Interest::READABLE)?;
        }
        let counters = upkeep::load_counters(&shared.index);
        let upkeep = Upkeep::new(&shared, config.limit_bytes);
        Ok(EventLoop {
            poll,
            waker,
            listener,
            shared,
            answerers: Workers::start("answer", 6)?,
            finishers: Workers::start("finish", 2)?,
            done: Arc::default(),
            clients: HashMap::new(),
            next_client: FIRST_CLIENT,
            tickets: HashMap::new(),
            asked: Vec::new(),
            memos: Memos::new(),
            counters,
            upkeep,
            view: View::own(),
            socket_inode: inode(&config.socket),
            config,
            started: Instant::now(),
            last_active: Instant::now(),
            last_round: Instant::now(),
            backlog: false,
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
            let mut accept = false;
            for event in &events {
                match event.token() {
                    LISTENER => accept = true,
                    WAKER | WATCH => {}
                    SIGNALS => self.leave(),
                    client => {
                        if event.is_writable()
                            && !self.clients.get_mut(&client).is_none_or(Connection::flush)
                        {
                            self.drop_client(client);
                        }
                        if event.is_readable() || event.is_read_closed() {
                            self.read(client);
                        }
                    }
                }
            }
            self.shared.table.drain();
            for (client, invocation, quick) in std::mem::take(&mut self.asked) {
                self.answer(client, invocation, quick);
            }
            let finished = std::mem::take(&mut *self.done.lock());
            for done in finished {
                self.take_in(done);
            }
            if (accept || self.backlog) && self.phase == Phase::Serving {
                self.accept();
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
                self.clients.is_empty() && self.last_active.elapsed() >= self.config.idle
            }
        }
    }

    fn nap(&self) -> Duration {
        match self.phase {
            Phase::Leaving(_) => Duration::from_millis(20),
            Phase::Serving => {
                let idle_left = self.config.idle.saturating_sub(self.last_active.elapsed());
                let retry = if self.backlog { RETRY } else { ROUND };
                self.upkeep.due_in().min(idle_left).min(retry).max(Duration::from_millis(1))
            }
        }
    }

    /// No new clients from here on; the next daemon may take the socket's name.
    fn leave(&mut self) {
        if self.phase == Phase::Serving {
            self.remove_socket();
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

    /// Lets go of silent clients; leaves when nobody can find us any more.
    fn make_round(&mut self) {
        self.last_round = Instant::now();
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

    fn end(mut self) {
        self.remove_socket();
        self.answerers.finish();
        self.finishers.finish();
        self.upkeep.last(&self.shared, &self.counters);
    }

    fn accept(&mut self) {
        self.backlog = true;
        while self.clients.len() < CLIENTS_MAX {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.backlog = false;
                    return;
                }
                Err(error) => {
                    log::warn!("accept: {error}");
                    return;
                }
            };
            let Some(peer) = self.view.judge(&stream) else {
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

    fn drop_client(&mut self, token: Token) {
        let Some(mut client) = self.clients.remove(&token) else { return };
        // Fails only for a descriptor that is closed, which ends the registration as well.
        let _ = self.poll.registry().deregister(&mut client.stream);
        for ticket in client.tickets {
            if self.tickets.remove(&ticket).is_some() {
                self.shared.table.close_ticket();
            }
        }
        self.last_active = Instant::now();
    }

    fn read(&mut self, token: Token) {
        let Some(client) = self.clients.get_mut(&token) else { return };
        let open = client.fill();
        loop {
            let Some(client) = self.clients.get_mut(&token) else { return };
            match client.next() {
                Incoming::Frame(header, payload) => self.frame(token, header, &payload),
                Incoming::Partial if open => return,
                Incoming::Partial | Incoming::Ended => return self.drop_client(token),
            }
        }
    }

    fn frame(&mut self, token: Token, header: Header, payload: &[u8]) {
        self.last_active = Instant::now();
        if header.verb == Verb::Retire {
            let leaving = header.build.version >= Build::own().version;
            self.send(token, &frame::bare(if leaving { Verb::Leaving } else { Verb::Refused }));
            if leaving {
                self.leave();
            }
            return;
        }
        if header.build != Build::own() {
            return self.send(token, &frame::bare(Verb::OtherBuild));
        }
        if header.verb == Verb::QuickReport {
            for (id, stat) in quick::decode_report(payload) {
                self.shared.set_blob_stat(id, stat);
            }
            return;
        }
        match postcard::from_bytes(payload) {
            Ok(Request::Compile(invocation)) => {
                self.asked.push((token, Box::new(invocation), header.quick));
            }
            Ok(Request::Report(report)) => self.report(token, report),
            Ok(Request::Status) => {
                let status = Reply::Status(Box::new(self.status()));
                self.reply(token, &status);
            }
            Ok(Request::Stop) => {
                self.reply(token, &Reply::Done);
                self.leave();
            }
            Ok(Request::Clear) => self.clear(token),
            Err(error) => {
                log::warn!("a message of our own build does not decode: {error}");
                self.drop_client(token);
            }
        }
    }

    fn send(&mut self, token: Token, frame: &[u8]) {
        if let Some(client) = self.clients.get_mut(&token)
            && !client.send(frame)
        {
            self.drop_client(token);
        }
    }

    fn reply(&mut self, token: Token, reply: &Reply) {
        match frame::message(reply) {
            Ok(frame) => self.send(token, &frame),
            Err(error) => {
                log::warn!("a reply can't be sent: {error}");
                self.drop_client(token);
            }
        }
    }

    /// Answers from memory, or lets a worker find out.
    fn answer(&mut self, token: Token, invocation: Box<Invocation>, quick: bool) {
        let Some(client) = self.clients.get_mut(&token) else { return };
        if client.peer == Peer::Foreign {
            return self.plain(token, Reason::ForeignNamespace, None);
        }
        let key = invocation.damaged.is_empty().then(|| self.memos.key(&invocation));
        if let Some(key) = key
            && let Some(deliveries) = self.remembered(key, &invocation)
        {
            return self.hit(token, &deliveries, quick);
        }
        client_waits(&mut self.clients, token);
        let (shared, done, waker) = (self.shared.clone(), self.done.clone(), self.waker.clone());
        self.answerers.give(move || {
            let work = std::panic::AssertUnwindSafe(|| lookup::answer(&shared, &invocation));
            let outcome = std::panic::catch_unwind(work).unwrap_or_else(|_| {
                log::error!("answering panicked; the client compiles plainly");
                Outcome::Plain(Reason::InternalFault.into())
            });
            done.lock().push(Done::Answered {
                client: token,
                key,
                quick,
                outcome: Box::new(outcome),
            });
            wake(&waker);
        });
    }

    /// The warm path: one look-up, one comparison of counters, no system call.
    fn remembered(
        &mut self,
        key: RequestKey,
        invocation: &Invocation,
    ) -> Option<Vec<Arc<Delivery>>> {
        let memo = self.memos.get(key)?;
        let env = Environment::new(&invocation.env);
        if !memo.variables.iter().all(|(name, value)| env.get(name) == value.as_deref()) {
            return None;
        }
        let lists = [&*memo.tool_paths, &*memo.input_paths];
        let Some(now) = self.shared.table.still(&lists, memo.verified) else {
            self.memos.remove(key);
            return None;
        };
        memo.verified = now;
        self.counters.hits += 1;
        self.counters.saved_ns += memo.saves_ns;
        self.upkeep.used(&memo.results);
        Some(memo.deliveries.clone())
    }

    /// Sends a hit, in the short form where it fits.
    fn hit(&mut self, token: Token, deliveries: &[Arc<Delivery>], quick: bool) {
        let shared = &self.shared;
        let short = quick.then(|| {
            let path = |id: &BlobId| shared.blobs.path(id);
            let seen = |id: &BlobId, recorded| shared.blob_stat(id, recorded);
            quick::encode(deliveries, shared.fine_times, path, seen)
        });
        if let Some(Some(payload)) = short {
            return self.send(token, &frame::around(Verb::QuickHit, &payload));
        }
        let steps = deliveries.iter();
        let steps =
            steps.map(|delivery| Step::Deliver(lookup::with_stats(shared, delivery))).collect();
        let work = Work { ticket: 0, steps, fine_times: shared.fine_times };
        self.reply(token, &Reply::Answer(Answer::Work(work)));
    }

    fn plain(&mut self, token: Token, reason: Reason, argument: Option<Vec<u8>>) {
        self.counters.uncacheable += 1;
        self.counters.count(reason);
        self.reply(token, &Reply::Answer(Answer::Plain(reason, argument)));
    }

    fn take_in(&mut self, done: Done) {
        match done {
            Done::Answered { client, key, quick, outcome } => {
                self.answered(client, key, quick, *outcome);
            }
            Done::Stored { refused } => {
                for reason in refused {
                    self.counters.count(reason);
                }
            }
            Done::Cleared { client, cleared } => {
                self.memos.clear();
                self.counters = Counters::default();
                self.reply(client, &Reply::Cleared(cleared));
            }
        }
    }

    fn answered(&mut self, token: Token, key: Option<RequestKey>, quick: bool, outcome: Outcome) {
        let gone = match self.clients.get_mut(&token) {
            Some(client) => {
                client.waiting = false;
                false
            }
            None => true,
        };
        match outcome {
            Outcome::Plain(refusal) => self.plain(token, refusal.reason, refusal.argument),
            Outcome::Hit { deliveries, results, saves_ns, memo } => {
                self.counters.hits += 1;
                self.counters.saved_ns += saves_ns;
                self.upkeep.used(&results);
                if let (Some(key), Some(memo)) = (key, memo) {
                    self.memos.insert(key, memo);
                }
                self.hit(token, &deliveries, quick);
            }
            Outcome::Miss { work, ticket, reasons, results } => {
                if gone {
                    self.shared.table.close_ticket();
                    return;
                }
                self.counters.misses += 1;
                for reason in reasons {
                    self.counters.count(reason);
                }
                self.upkeep.used(&results);
                if let Some(client) = self.clients.get_mut(&token) {
                    client.tickets.push(ticket.id);
                }
                self.tickets.insert(ticket.id, ticket);
                self.reply(token, &Reply::Answer(Answer::Work(work)));
            }
        }
    }

    fn report(&mut self, token: Token, report: Report) {
        for (id, stat) in &report.blobs {
            self.shared.set_blob_stat(*id, *stat);
        }
        let Some(ticket) = self.tickets.remove(&report.ticket) else { return };
        if let Some(client) = self.clients.get_mut(&token) {
            client.tickets.retain(|held| *held != report.ticket);
        }
        if report.runs.iter().any(|run| run.exit != Exit::Status(0)) {
            self.counters.errors += 1;
        }
        let actions = ticket.actions();
        self.shared.storing.begin(&actions);
        self.upkeep.note_stored(&report);
        let (shared, done, waker) = (self.shared.clone(), self.done.clone(), self.waker.clone());
        self.finishers.give(move || {
            let work = std::panic::AssertUnwindSafe(|| finish::finish(&shared, &ticket, &report));
            let refused =
                std::panic::catch_unwind(work).unwrap_or_else(|_| vec![Reason::InternalFault]);
            shared.table.close_ticket();
            shared.storing.end(&actions);
            done.lock().push(Done::Stored { refused });
            wake(&waker);
        });
    }

    fn clear(&mut self, token: Token) {
        client_waits(&mut self.clients, token);
        let (shared, done, waker) = (self.shared.clone(), self.done.clone(), self.waker.clone());
        self.finishers.give(move || {
            let cleared = upkeep::clear(&shared);
            done.lock().push(Done::Cleared { client: token, cleared });
            wake(&waker);
        });
    }

    fn status(&self) -> Status {
        let (metadata, watched) = self.shared.table.sizes();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            socket: self.config.socket.to_string_lossy().into_owned(),
            cache_dir: String::from_utf8_lossy(&self.shared.root).into_owned(),
            uptime_s: self.started.elapsed().as_secs(),
            pid: std::process::id(),
            counters: self.counters.clone(),
            artifacts: self.upkeep.artifacts(),
            artifact_bytes: self.upkeep.bytes(),
            artifact_limit: self.config.limit_bytes,
            dep_graph: self.memos.len() as u64,
            metadata: metadata as u64,
            watched_folders: watched as u64,
        }
    }
}

fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).ok().map(|meta| meta.ino())
}

fn client_waits(clients: &mut HashMap<Token, Connection>, token: Token) {
    if let Some(client) = clients.get_mut(&token) {
        client.waiting = true;
    }
}

fn wake(waker: &Waker) {
    if let Err(error) = waker.wake() {
        log::error!("wake: {error}");
    }
}

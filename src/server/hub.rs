//! The inside of a daemon's loop, whatever it serves: poll, clients with their frames, when to
//! leave. It waits for nothing but `poll`.
//!
//! The daemon's own loop calls `turn`, does what arrived, and then calls `accept`, which reads what new
//! clients have said already. What must not overtake those who were there before is for after the
//! next `turn`. Who has got all it came for by then is never polled; `poll_new` is for the others.

use std::collections::HashMap;
use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::UnixListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connection::{Connection, Incoming, Standing};
use super::name::Name;
use super::peer::Doorkeeper;
use crate::protocol::frame::{self, Build, Header, Verb};
use crate::sys::fault::{self, Point};

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const SIGNALS: Token = Token(2);
/// A source that only ends `turn`.
pub const WAKES: Token = WAKER;
/// The daemon's own source, if it has one.
pub const OWN: Token = Token(3);
const NAME: Token = Token(4);
const FIRST_CLIENT: usize = 5;

/// Read from a client at a time.
const READ_BYTES: usize = 64 << 10;
/// Clients beyond this wait in the listener's queue.
const CLIENTS_MAX: usize = 20_000;
/// Descriptors that are not for clients: our own, and those of the workers.
const RESERVED: usize = 25;
/// A client that has been silent for this long makes way when there is no room for another.
const HOLDS_PLACE: Duration = Duration::from_millis(500);
/// How often the loop looks after silent clients, and whether its socket can still be found.
const ROUND: Duration = Duration::from_secs(30);
/// A client that asks for nothing may stay for this long.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How soon to try again when a client could not be accepted.
const RETRY: Duration = Duration::from_millis(50);
/// How long an ending daemon waits for clients that were already answered.
const LINGER: Duration = Duration::from_secs(2);

/// Why the loop is ending.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Serving,
    /// Nobody new; until then, whoever is connected.
    Leaving(Instant),
}

/// What a turn found, in order.
pub enum Arrived {
    Frame(Token, Header, Vec<u8>),
    /// The other end is gone: let go of it.
    Gone(Token),
    /// The daemon's own source is readable.
    Own,
}

impl Arrived {
    /// The question of a client that takes a short hit.
    pub fn is_quick(&self) -> bool {
        matches!(self, Arrived::Frame(_, header, _) if header.quick)
    }
}

pub struct Hub<S> {
    pub poll: Poll,
    pub waker: Arc<Waker>,
    pub clients: HashMap<Token, Connection<S>>,
    pub started: Instant,
    pub last_active: Instant,
    events: Events,
    listener: UnixListener,
    clients_max: usize,
    next_client: usize,
    doorkeeper: Doorkeeper,
    /// Clients that poll does not tell of yet.
    new: Vec<Token>,
    /// What a client sends is read into here.
    buffer: Box<[u8]>,
    name: Name,
    idle: Duration,
    last_round: Instant,
    /// Clients may wait in the listener's queue; no event will tell of them again.
    backlog: bool,
    phase: Phase,
}

impl<S: Standing> Hub<S> {
    /// `signals`: readable when SIGTERM or SIGINT came. `idle`: a daemon without clients leaves
    /// after so long.
    pub fn new(
        listener: std::os::unix::net::UnixListener,
        socket: &Path,
        signals: Option<RawFd>,
        idle: Duration,
    ) -> io::Result<Hub<S>> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        listener.set_nonblocking(true)?;
        let mut listener = UnixListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        if let Some(signals) = signals {
            poll.registry().register(&mut SourceFd(&signals), SIGNALS, Interest::READABLE)?;
        }
        let name = Name::of(socket)?;
        if let Some(watch) = name.descriptor() {
            poll.registry().register(&mut SourceFd(&watch), NAME, Interest::READABLE)?;
        }
        Ok(Hub {
            poll,
            waker,
            clients: HashMap::new(),
            started: Instant::now(),
            last_active: Instant::now(),
            events: Events::with_capacity(1024),
            listener,
            clients_max: clients_max(),
            next_client: FIRST_CLIENT,
            doorkeeper: Doorkeeper::of_this_process(),
            new: Vec::new(),
            buffer: vec![0; READ_BYTES].into(),
            name,
            idle,
            last_round: Instant::now(),
            backlog: false,
            phase: Phase::Serving,
        })
    }

    /// Nobody is served any more.
    pub fn is_over(&self) -> bool {
        match self.phase {
            Phase::Leaving(until) => self.clients.is_empty() || Instant::now() >= until,
            Phase::Serving => self.clients.is_empty() && self.last_active.elapsed() >= self.idle,
        }
    }

    /// How long `turn` may wait, where nothing of the daemon's own is due before `due`.
    pub fn nap(&self, due: Duration) -> Duration {
        match self.phase {
            Phase::Leaving(_) => Duration::from_millis(20),
            Phase::Serving => {
                let idle_left = self.idle.saturating_sub(self.last_active.elapsed());
                let retry = if self.backlog { RETRY } else { ROUND };
                due.min(idle_left).min(retry).max(Duration::from_millis(1))
            }
        }
    }

    /// Waits for at most `nap`, sends what could not be sent before, and reads what came.
    pub fn turn(&mut self, nap: Duration, arrived: &mut Vec<Arrived>) -> io::Result<()> {
        if let Err(error) = self.poll.poll(&mut self.events, Some(nap)) {
            return match error.kind() {
                io::ErrorKind::Interrupted => Ok(()),
                _ => Err(error),
            };
        }
        let (mut signalled, mut named) = (false, false);
        for event in &self.events {
            match event.token() {
                LISTENER => self.backlog = true,
                WAKER => {}
                OWN => arrived.push(Arrived::Own),
                SIGNALS => signalled = true,
                NAME => named = true,
                token => {
                    let Some(client) = self.clients.get_mut(&token) else { continue };
                    if event.is_writable() && !client.flush() {
                        arrived.push(Arrived::Gone(token));
                    } else if event.is_readable() || event.is_read_closed() {
                        let ended = event.is_read_closed();
                        read(token, client, &self.doorkeeper, &mut self.buffer, ended, arrived);
                    }
                }
            }
        }
        if signalled {
            self.leave();
        }
        if named {
            self.name.heard();
            self.leave_if_lost();
        }
        Ok(())
    }

    /// Answers what every daemon answers alike. True: the frame is a message of our own build.
    pub fn is_ours(&mut self, token: Token, header: &Header) -> bool {
        self.last_active = Instant::now();
        if header.verb == Verb::Retire {
            let leaving = header.build.version >= Build::own().version;
            self.send(token, &frame::bare(if leaving { Verb::Leaving } else { Verb::Refused }));
            if leaving {
                self.leave();
            }
            return false;
        }
        if header.build != Build::own() {
            self.send(token, &frame::bare(Verb::OtherBuild));
            return false;
        }
        true
    }

    /// Sends a frame. False when the other end is gone: let go of it.
    pub fn send(&mut self, token: Token, frame: &[u8]) -> bool {
        let Some(client) = self.clients.get_mut(&token) else { return true };
        if !client.send(frame) {
            return false;
        }
        // Seldom: it does not read. A new one is polled for both from the start then.
        if client.polled && !client.is_flushed() {
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registry = self.poll.registry();
            return registry.reregister(&mut client.stream, token, interest).is_ok();
        }
        true
    }

    /// Has poll tell of new clients from now on.
    pub fn poll_new(&mut self, arrived: &mut Vec<Arrived>) {
        for token in self.new.drain(..) {
            let Some(client) = self.clients.get_mut(&token) else { continue };
            // That there is room to write again is of interest only where there was none: else it would
            // wake the loop for each answer that is read.
            let interest = match client.is_flushed() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            };
            match self.poll.registry().register(&mut client.stream, token, interest) {
                Ok(()) => client.polled = true,
                Err(error) => {
                    log::warn!("register: {error}");
                    arrived.push(Arrived::Gone(token));
                }
            }
        }
    }

    /// Somebody may wait to be served.
    pub fn is_awaited(&self) -> bool {
        self.backlog && self.phase == Phase::Serving
    }

    /// Takes in whoever waits to be served, unless we are leaving, with what they have said. Gives the client that
    /// has been silent for longest where there is no room for another: let go of it, and call again.
    pub fn accept(&mut self, arrived: &mut Vec<Arrived>) -> Option<Token> {
        while self.is_awaited() {
            if self.clients.len() >= self.clients_max {
                return self.silent_longest();
            }
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.backlog = false;
                    return None;
                }
                Err(error) => {
                    log::warn!("accept: {error}");
                    return self.silent_longest();
                }
            };
            if !self.doorkeeper.admits(&stream) {
                log::warn!("a connection of another user was refused");
                continue;
            }
            let token = Token(self.next_client);
            self.next_client += 1;
            let client = self.clients.entry(token).or_insert(Connection::new(stream));
            self.new.push(token);
            read(token, client, &self.doorkeeper, &mut self.buffer, false, arrived);
            self.backlog = self.has_queue();
        }
        None
    }

    /// Whether somebody waits in the listener's queue. An `accept` that finds nobody takes ten times as long: it makes
    /// the descriptor first.
    fn has_queue(&self) -> bool {
        let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
        !matches!(poll(&mut [PollFd::new(&self.listener, PollFlags::IN)], Some(&no_wait)), Ok(0))
    }

    /// None: all are busy.
    fn silent_longest(&self) -> Option<Token> {
        let before = Instant::now().checked_sub(HOLDS_PLACE)?;
        let silent = self.clients.iter().filter(|(_, client)| client.is_silent_since(before));
        silent.min_by_key(|(_, client)| client.heard).map(|(token, _)| *token)
    }

    /// Nobody has been there for this long, and we stay.
    pub fn is_quiet_for(&self, time: Duration) -> bool {
        self.phase == Phase::Serving
            && self.clients.is_empty()
            && self.last_active.elapsed() >= time
    }

    /// Lets go of a client; gives what was known of it.
    pub fn remove(&mut self, token: Token) -> Option<S> {
        // Closing it ends its registration.
        let client = self.clients.remove(&token)?;
        self.last_active = Instant::now();
        Some(client.standing)
    }

    /// Now and then: names silent clients to let go of; leaves when nobody can find us any more.
    /// False: it is not time for that.
    pub fn make_round(&mut self, arrived: &mut Vec<Arrived>) -> bool {
        if self.last_round.elapsed() < ROUND {
            return false;
        }
        self.last_round = Instant::now();
        if let Some(before) = Instant::now().checked_sub(SILENCE_MAX) {
            let silent = self.clients.iter().filter(|(_, client)| client.is_silent_since(before));
            arrived.extend(silent.map(|(token, _)| Arrived::Gone(*token)));
        }
        self.leave_if_lost();
        true
    }

    /// Who can't be found makes way for one who can.
    fn leave_if_lost(&mut self) {
        if self.name.is_lost() {
            log::info!("the socket is gone");
            self.leave();
        }
    }

    /// No new clients from here on; the next daemon may take the socket's name.
    pub fn leave(&mut self) {
        if self.phase == Phase::Serving {
            self.remove_socket();
            fault::at(Point::Leave);
            self.phase = Phase::Leaving(Instant::now() + LINGER);
        }
    }

    /// Nobody finds us any more.
    pub fn remove_socket(&mut self) {
        self.name.remove();
    }
}

fn read<S: Standing>(
    token: Token,
    client: &mut Connection<S>,
    doorkeeper: &Doorkeeper,
    buffer: &mut [u8],
    ended: bool,
    arrived: &mut Vec<Arrived>,
) {
    let open = client.fill(buffer, ended);
    loop {
        match client.next_frame() {
            Incoming::Frame(header, view, payload) => {
                if let Some(view) = view {
                    client.peer = doorkeeper.judge(view);
                }
                arrived.push(Arrived::Frame(token, header, payload))
            }
            Incoming::Partial if open => return,
            Incoming::Partial | Incoming::Ended => return arrived.push(Arrived::Gone(token)),
        }
    }
}

/// As many clients as descriptors allow, and a few even where those are scarce.
fn clients_max() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    limit.saturating_sub(RESERVED).clamp(4, CLIENTS_MAX)
}

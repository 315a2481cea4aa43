//! What the loop does with each message: answer from memory or have a worker find out, tell and
//! clear. `endings` has the reports.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mio::{Token, Waker};

use super::about::About;
use super::event_loop::{Caller, EventLoop};
use super::hit::{self, Hit};
use super::lookup::{self, Outcome};
use super::memo::{Memo, RequestKey};
use super::scribe::Desk;
use super::shared::Shared;
use super::underway::Fate;
use super::{inspect, upkeep};
use crate::fp::set::Digest;
use crate::protocol::frame::{self, Header, Verb};
use crate::protocol::message::{
    Answer, Cleared, Delivery, Fingerprint, Invocation, Plot, Reply, Request, Step, Work,
};
use crate::protocol::quick;
use crate::protocol::told::Json;
use crate::server::connection::{Connection, Peer};
use crate::session::kind::Kind;
use crate::session::reason::Reason;
use crate::session::stats::{Counters, Status};
use crate::store::blob::BlobId;
use crate::store::deliver::LinkMode;
use crate::store::key::ActionKey;
use crate::sys::fault::{self, Point};
use crate::sys::priority::Niceness;
use crate::tools::environment::Environment;
use crate::tools::find::base;
use crate::tools::understand::Refusal;

/// An index that keeps its callers waiting for longer is not asked.
const INDEX_PATIENCE: Duration = Duration::from_secs(1);

/// What a worker hands back.
pub(super) enum Done {
    Answered {
        asked: Asked,
        outcome: Box<Outcome>,
    },
    /// The settings file was read again; the invocation is yet to be answered.
    Configured {
        client: Token,
        invocation: Arc<Invocation>,
        quick: bool,
    },
    Stored {
        ticket: u64,
        actions: Vec<ActionKey>,
        is_stored: bool,
        reasons: Vec<Reason>,
        /// What answers the same question from now on.
        memo: Option<(RequestKey, Box<Memo>)>,
    },
    /// A compile whose end nobody reported.
    Abandoned {
        reasons: Vec<Reason>,
    },
    Reply {
        client: Token,
        reply: Box<Reply>,
    },
    Cleared {
        client: Token,
        cleared: Cleared,
    },
}

/// A question that a worker is busy with.
pub(super) struct Asked {
    pub(super) client: Token,
    pub(super) invocation: Arc<Invocation>,
    /// None where memory must not answer.
    pub(super) key: Option<RequestKey>,
    /// The client reads short hits.
    pub(super) quick: bool,
    /// It may wait for a compile of the same that is under way.
    pub(super) may_wait: bool,
}

impl EventLoop {
    pub(super) fn frame(&mut self, token: Token, header: Header, payload: &[u8]) {
        if !self.hub.is_ours(token, &header) {
            return;
        }
        match postcard::from_bytes(payload) {
            Ok(Request::Compile(invocation)) => {
                fault::at(Point::Request);
                self.asked.push((token, Arc::new(invocation), header.quick));
            }
            Ok(Request::Report(report)) => self.report(token, report),
            Ok(Request::Status) => {
                let status = Reply::Status(Box::new(self.status()));
                self.reply(token, &status);
            }
            Ok(Request::Stop) => {
                self.reply(token, &Reply::Done);
                self.hub.leave();
            }
            Ok(Request::Clear) => self.clear(token),
            Ok(Request::Fingerprint { plot, wanted }) => self.fingerprint(token, plot, wanted),
            Ok(Request::Plant { plot, cache_file }) => {
                if !self.is_foreign(token) {
                    self.fingerprints.plant(plot, cache_file);
                }
            }
            Ok(Request::Explain(invocation)) => {
                self.tell(token, move |shared| {
                    Reply::Explained(Box::new(Json(lookup::explain(shared, invocation))))
                });
            }
            Ok(Request::Inspect(start)) => {
                self.tell(token, move |shared| {
                    Reply::Inspected(inspect::results(&shared.index, &start))
                });
            }
            Ok(Request::Session { id, end }) => {
                self.after_writing(token, move |desk| {
                    let record = desk.tell_session(id, end);
                    Reply::Session(record.map(|record| Box::new(Json(record))))
                });
            }
            Ok(Request::Picture) => self.picture(token),
            Ok(Request::Flush) => self.after_writing(token, |_| Reply::Done),
            Ok(Request::FellBack(reason)) => self.fell_back(token, reason),
            Err(error) => {
                log::warn!("a message of our own build does not decode: {error}");
                self.drop_client(token);
            }
        }
    }

    pub(super) fn send(&mut self, token: Token, frame: &[u8]) {
        fault::at(Point::Reply);
        if !self.hub.send(token, frame) {
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
    pub(super) fn answer(&mut self, token: Token, mut invocation: Arc<Invocation>, quick: bool) {
        if !self.shared.configured.is_current(&self.shared.table) {
            return self.reread_settings(token, invocation, quick);
        }
        let Some(client) = self.hub.clients.get_mut(&token) else { return };
        let (foreign, began) = (client.peer == Peer::Foreign, client.heard);
        let earlier = client.standing.command.take();
        self.shared.configured.complete_shared(&mut invocation);
        let command = self.begin(invocation.clone(), began);
        if let Some(client) = self.hub.clients.get_mut(&token) {
            client.standing.command = Some(command);
        }
        if let Some(earlier) = earlier {
            self.ended(earlier);
        }
        if foreign {
            return self.plain(token, Reason::ForeignNamespace.into(), None);
        }
        let key = invocation.damaged.is_empty().then(|| self.memos.key(&invocation));
        if invocation.again {
            // Counted when it was first answered; what comes now counts in its place.
            let memo = self.memos.get(self.memos.key(&invocation));
            let kind = memo.map_or(Kind::default(), |memo| memo.about.kind);
            self.counters.take_back_hit(kind);
        }
        if let Some(key) = key
            && let Some((deliveries, about, saved_ns)) = self.remembered(key, &invocation)
        {
            return self.hit(token, &deliveries, about, saved_ns, quick);
        }
        self.find_out(Asked { client: token, invocation, key, quick, may_wait: true });
    }

    /// Has a worker answer what is not known.
    pub(super) fn find_out(&mut self, mut asked: Asked) {
        // Whoever needs the index now would wait for as long as others do already, and in vain.
        if self.shared.index.stalled_for() > INDEX_PATIENCE {
            self.end_if_index_is_lost();
            return self.plain(asked.client, Reason::InternalFault.into(), None);
        }
        // It may be just what is asked for.
        self.finishers.give_all();
        let client = asked.client;
        client_waits(&mut self.hub.clients, client);
        // A miss takes a worker a while, in which a client that has only asked so far can start its C library. But
        // then it reads no short hits any more, so it is told only if a miss is likely: as the last command that had
        // to be found out was one.
        let told = asked.quick && self.finds_misses;
        asked.quick &= !told;
        let (shared, done, waker) =
            (self.shared.clone(), self.done.clone(), self.hub.waker.clone());
        self.answerers.give(move || {
            let work = std::panic::AssertUnwindSafe(|| {
                fault::at(Point::Lookup);
                lookup::answer(&shared, &asked.invocation, asked.key)
            });
            let outcome = std::panic::catch_unwind(work).unwrap_or_else(|_| {
                log::error!("answering panicked; the client compiles plainly");
                Outcome::Plain(Reason::InternalFault.into(), None)
            });
            done.lock().push(Done::Answered { asked, outcome: Box::new(outcome) });
            wake(&waker);
        });
        // After the worker: so that gets the client's processor, and the client ours.
        if told {
            self.send(client, &frame::bare(Verb::Wait));
        }
    }

    /// The warm path: one look-up, one comparison of counters, no system call.
    fn remembered(
        &mut self,
        key: RequestKey,
        invocation: &Invocation,
    ) -> Option<(Vec<Arc<Delivery>>, Arc<About>, u64)> {
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
        self.upkeep.used(&memo.results);
        Some((memo.deliveries.clone(), memo.about.clone(), memo.saves_ns))
    }

    /// Sends a hit, in the short form where it fits.
    fn hit(
        &mut self,
        token: Token,
        deliveries: &[Arc<Delivery>],
        about: Arc<About>,
        saved_ns: u64,
        quick: bool,
    ) {
        self.counters.hit(about.kind, saved_ns);
        self.counters.worktree_hits += u64::from(about.is_from_elsewhere);
        self.fate(token, Fate::Hit { about, saved_ns });
        let shared = &self.shared;
        let link_mode = shared.configured.link_mode();
        let short = (quick && link_mode == LinkMode::Auto).then(|| {
            let path = |id: &BlobId| shared.blobs.path(id);
            quick::encode(deliveries, path, |output| shared.handing(output))
        });
        if let Some(Some(payload)) = short {
            self.send(token, &frame::around(Verb::QuickHit, &payload));
            self.drop_if_told(token);
            return;
        }
        let steps = deliveries.iter();
        let steps =
            steps.map(|delivery| Step::Deliver(hit::with_stats(shared, delivery))).collect();
        let fine_times = shared.fine_times;
        let work =
            Work { ticket: 0, steps, fine_times, link_mode, niceness: None, scratch: Vec::new() };
        self.reply(token, &Reply::Answer(Answer::Work(work)));
    }

    /// Lets go of a client that has got all it came for, without waiting for it to leave.
    fn drop_if_told(&mut self, token: Token) {
        if self.hub.clients.get(&token).is_some_and(Connection::is_flushed) {
            self.drop_client(token);
        }
    }

    /// The settings file changed: a worker reads it, then the question is answered.
    fn reread_settings(&mut self, client: Token, invocation: Arc<Invocation>, quick: bool) {
        client_waits(&mut self.hub.clients, client);
        let (shared, done, waker) =
            (self.shared.clone(), self.done.clone(), self.hub.waker.clone());
        self.answerers.give(move || {
            shared.configured.refresh(&shared.table);
            done.lock().push(Done::Configured { client, invocation, quick });
            wake(&waker);
        });
    }

    /// Takes over the daemon's own settings from the file.
    fn configure(&mut self) {
        let settings = self.config.settings.clone().over(&self.shared.configured.file());
        crate::session::log::set_level(settings.log_level);
        self.config.settings = settings;
        self.upkeep.set_limit(self.config.limit_bytes());
    }

    fn fate(&mut self, token: Token, fate: Fate) {
        let client = self.hub.clients.get_mut(&token);
        if let Some(command) = client.and_then(|client| client.standing.command.as_mut()) {
            command.fate = fate;
        }
    }

    fn plain(&mut self, token: Token, refusal: Refusal, niceness: Option<Niceness>) {
        let Refusal { reason, argument } = refusal;
        self.count_plain(token, reason, argument.clone());
        self.reply(token, &Reply::Answer(Answer::Plain(reason, argument, niceness)));
    }

    /// The cache has no part in this command.
    fn count_plain(&mut self, token: Token, reason: Reason, argument: Option<Vec<u8>>) {
        let client = self.hub.clients.get(&token);
        let command = client.and_then(|client| client.standing.command.as_ref());
        let kind = command.map_or(Kind::default(), |command| kind_of(&command.invocation));
        self.counters.uncacheable(kind, reason);
        self.fate(token, Fate::Plain(reason, argument));
    }

    pub(super) fn take_in(&mut self, done: Done) {
        match done {
            Done::Answered { asked, outcome } => self.answered(asked, *outcome),
            Done::Stored { ticket, actions, is_stored, reasons, memo } => {
                if let Some((key, memo)) = memo {
                    self.remember(key, *memo);
                }
                self.compile_ended(ticket, &actions, is_stored);
                reasons.into_iter().for_each(|reason| self.counters.count(reason));
            }
            Done::Configured { client, invocation, quick } => {
                if let Some(client) = self.hub.clients.get_mut(&client) {
                    client.waiting = false;
                }
                self.configure();
                // Its answer waits for the drain, as all do.
                self.asked.push((client, invocation, quick));
            }
            Done::Abandoned { reasons } => {
                reasons.into_iter().for_each(|reason| self.counters.count(reason));
            }
            Done::Reply { client, reply } => {
                if let Some(client) = self.hub.clients.get_mut(&client) {
                    client.waiting = false;
                }
                self.reply(client, &reply);
            }
            Done::Cleared { client, cleared } => {
                self.forget();
                self.counters = Counters::default();
                self.reply(client, &Reply::Cleared(cleared));
            }
        }
    }

    fn answered(&mut self, asked: Asked, outcome: Outcome) {
        let token = asked.client;
        let gone = match self.hub.clients.get_mut(&token) {
            Some(client) => {
                client.waiting = false;
                false
            }
            None => true,
        };
        match outcome {
            Outcome::Plain(refusal, niceness) => self.plain(token, refusal, niceness),
            Outcome::Refused(line) => {
                self.count_plain(token, Reason::StrictPaths, None);
                self.reply(token, &Reply::Answer(Answer::Refused(line)));
            }
            Outcome::Hit(Hit { deliveries, results, saves_ns, about, memo }) => {
                self.finds_misses = false;
                self.upkeep.used(&results);
                if let (Some(key), Some(memo)) = (asked.key, memo) {
                    self.remember(key, memo);
                }
                self.hit(token, &deliveries, about, saves_ns, asked.quick);
            }
            Outcome::Miss { work, ticket, results } => {
                self.finds_misses = true;
                if gone {
                    self.shared.table.close_ticket();
                    return;
                }
                let actions = ticket.actions();
                if asked.may_wait
                    && !ticket.recaches()
                    && let Some(other) = self.in_flight.other(&actions)
                {
                    self.shared.table.close_ticket();
                    client_waits(&mut self.hub.clients, token);
                    self.in_flight.wait(other, token, asked.invocation);
                    return self.send(token, &frame::bare(Verb::Wait));
                }
                if !ticket.readonly {
                    self.in_flight.begin(ticket.id, &actions);
                }
                self.counters.miss(ticket.about.kind);
                self.fate(token, Fate::Running);
                self.upkeep.used(&results);
                if let Some(client) = self.hub.clients.get_mut(&token) {
                    client.standing.tickets.push(ticket.id);
                }
                self.tickets.insert(ticket.id, ticket);
                self.reply(token, &Reply::Answer(Answer::Work(work)));
            }
        }
    }

    fn remember(&mut self, key: RequestKey, memo: Memo) {
        if let Some(retired) = self.memos.insert(key, memo) {
            self.finishers.give(move || drop(retired));
        }
    }

    /// Nothing that is remembered, or about to be, answers any more.
    pub(super) fn forget(&mut self) {
        let retired = self.memos.clear();
        self.finishers.give(move || drop(retired));
    }

    /// Has a worker find out a reply.
    fn tell(&mut self, token: Token, find: impl FnOnce(&Shared) -> Reply + Send + 'static) {
        client_waits(&mut self.hub.clients, token);
        let (shared, done, waker) =
            (self.shared.clone(), self.done.clone(), self.hub.waker.clone());
        self.answerers.give(move || {
            let work = std::panic::AssertUnwindSafe(|| find(&shared));
            // The client takes it for what it is: no answer to its question.
            let reply = std::panic::catch_unwind(work).unwrap_or(Reply::Done);
            done.lock().push(Done::Reply { client: token, reply: Box::new(reply) });
            wake(&waker);
        });
    }

    /// Has the scribe reply once all commands that have ended are written down.
    fn after_writing(
        &mut self,
        token: Token,
        find: impl FnOnce(&mut Desk) -> Reply + Send + 'static,
    ) {
        client_waits(&mut self.hub.clients, token);
        let (done, waker, scribe) =
            (self.done.clone(), self.hub.waker.clone(), self.scribe.clone());
        // Compiles that are just being finished tell the scribe when they are.
        self.finishers.after_all(move || {
            scribe.then(move |desk| {
                done.lock().push(Done::Reply { client: token, reply: Box::new(find(desk)) });
                wake(&waker);
            });
        });
    }

    fn clear(&mut self, token: Token) {
        client_waits(&mut self.hub.clients, token);
        let (shared, done, waker) =
            (self.shared.clone(), self.done.clone(), self.hub.waker.clone());
        // What was reported before goes as well.
        self.finishers.after_all(move || {
            let cleared = upkeep::clear(&shared);
            done.lock().push(Done::Cleared { client: token, cleared });
            wake(&waker);
        });
    }

    fn is_foreign(&self, token: Token) -> bool {
        self.hub.clients.get(&token).is_none_or(|client| client.peer == Peer::Foreign)
    }

    fn fingerprint(&mut self, token: Token, plot: Plot, wanted: Option<Digest>) {
        if self.is_foreign(token) {
            return self.reply(token, &Reply::Fingerprint(Fingerprint::Unknown));
        }
        client_waits(&mut self.hub.clients, token);
        let (done, waker) = (self.done.clone(), self.hub.waker.clone());
        self.fingerprints.answer(plot, wanted, move |fingerprint| {
            let reply = Box::new(Reply::Fingerprint(fingerprint));
            done.lock().push(Done::Reply { client: token, reply });
            wake(&waker);
        });
    }

    fn status(&self) -> Status {
        let (metadata, watched) = self.shared.table.sizes();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            socket: self.config.socket.to_string_lossy().into_owned(),
            cache_dir: String::from_utf8_lossy(&self.shared.root).into_owned(),
            uptime_s: self.hub.started.elapsed().as_secs(),
            pid: std::process::id(),
            counters: self.counters.clone(),
            artifacts: self.upkeep.artifacts(),
            artifact_bytes: self.upkeep.bytes(),
            artifact_limit: self.config.limit_bytes(),
            dep_graph: self.memos.len() as u64,
            metadata: metadata as u64,
            watched_folders: watched as u64,
            watched_trees: self.fingerprints.grown() as u64,
            journal_lines_lost: self.scribe.lost(),
        }
    }
}

/// As far as the invocation tells.
pub(super) fn kind_of(invocation: &Invocation) -> Kind {
    let name = invocation.argv.split(|byte| *byte == 0).next().unwrap_or_default();
    Kind::of_name(base(name))
}

fn client_waits(clients: &mut HashMap<Token, Connection<Caller>>, token: Token) {
    if let Some(client) = clients.get_mut(&token) {
        client.waiting = true;
    }
}

pub(super) fn wake(waker: &Waker) {
    if let Err(error) = waker.wake() {
        log::error!("wake: {error}");
    }
}

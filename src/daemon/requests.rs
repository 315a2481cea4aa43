//! What the loop does with each message: answer from memory or have a worker find out, hand
//! reports on, tell and clear. The other half of `event_loop`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use mio::{Token, Waker};

use super::connection::{Connection, Peer};
use super::event_loop::EventLoop;
use super::in_flight::Waiter;
use super::lookup::{self, Outcome};
use super::memo::RequestKey;
use super::{finish, peer, upkeep};
use crate::fp::set::Digest;
use crate::protocol::frame::{self, Build, Header, Verb};
use crate::protocol::message::{
    Answer, Cleared, Delivery, Exit, Fingerprint, Invocation, Plot, Reply, Report, Request, Step,
    Work,
};
use crate::protocol::quick;
use crate::session::reason::Reason;
use crate::session::stats::{Counters, Status};
use crate::store::blob::BlobId;
use crate::store::key::ActionKey;
use crate::tools::environment::Environment;

/// What a worker hands back.
pub(super) enum Done {
    Answered { asked: Asked, outcome: Box<Outcome> },
    Stored { ticket: u64, actions: Vec<ActionKey>, refused: Vec<Reason> },
    Cleared { client: Token, cleared: Cleared },
    Fingerprinted { client: Token, fingerprint: Fingerprint },
}

/// A question that a worker is busy with.
pub(super) struct Asked {
    client: Token,
    invocation: Box<Invocation>,
    /// None where memory must not answer.
    key: Option<RequestKey>,
    /// The client reads short hits.
    quick: bool,
    /// It may wait for a compile of the same that is under way.
    may_wait: bool,
}

impl EventLoop {
    pub(super) fn frame(&mut self, token: Token, header: Header, payload: &[u8]) {
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
            Ok(Request::Fingerprint { plot, wanted }) => self.fingerprint(token, plot, wanted),
            Ok(Request::Plant { plot, cache_file }) => {
                if !self.is_foreign(token) {
                    self.fingerprints.plant(plot, cache_file);
                }
            }
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
    pub(super) fn answer(&mut self, token: Token, invocation: Box<Invocation>, quick: bool) {
        let Some(client) = self.clients.get_mut(&token) else { return };
        if client.peer == Peer::Foreign {
            return self.plain(token, Reason::ForeignNamespace, None);
        }
        if invocation.again {
            // Counted when it was first answered; what comes now counts in its place.
            self.counters.hits = self.counters.hits.saturating_sub(1);
        }
        let key = invocation.damaged.is_empty().then(|| self.memos.key(&invocation));
        if let Some(key) = key
            && let Some(deliveries) = self.remembered(key, &invocation)
        {
            return self.hit(token, &deliveries, quick);
        }
        self.find_out(Asked { client: token, invocation, key, quick, may_wait: true });
    }

    fn find_out(&mut self, asked: Asked) {
        client_waits(&mut self.clients, asked.client);
        let (shared, done, waker) = (self.shared.clone(), self.done.clone(), self.waker.clone());
        self.answerers.give(move || {
            let work = std::panic::AssertUnwindSafe(|| lookup::answer(&shared, &asked.invocation));
            let outcome = std::panic::catch_unwind(work).unwrap_or_else(|_| {
                log::error!("answering panicked; the client compiles plainly");
                Outcome::Plain(Reason::InternalFault.into())
            });
            done.lock().push(Done::Answered { asked, outcome: Box::new(outcome) });
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

    pub(super) fn take_in(&mut self, done: Done) {
        match done {
            Done::Answered { asked, outcome } => self.answered(asked, *outcome),
            Done::Stored { ticket, actions, refused } => {
                self.compile_ended(ticket, &actions, refused.is_empty());
                for reason in refused {
                    self.counters.count(reason);
                }
            }
            Done::Cleared { client, cleared } => {
                self.memos.clear();
                self.counters = Counters::default();
                self.reply(client, &Reply::Cleared(cleared));
            }
            Done::Fingerprinted { client, fingerprint } => {
                if let Some(client) = self.clients.get_mut(&client) {
                    client.waiting = false;
                }
                self.reply(client, &Reply::Fingerprint(fingerprint));
            }
        }
    }

    fn answered(&mut self, asked: Asked, outcome: Outcome) {
        let token = asked.client;
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
                if let (Some(key), Some(memo)) = (asked.key, memo) {
                    self.memos.insert(key, memo);
                }
                self.hit(token, &deliveries, asked.quick);
            }
            Outcome::Miss { work, ticket, reasons, results } => {
                if gone {
                    self.shared.table.close_ticket();
                    return;
                }
                let actions = ticket.actions();
                if asked.may_wait
                    && !reasons.contains(&Reason::Recache)
                    && let Some(other) = self.in_flight.other(&actions)
                {
                    self.shared.table.close_ticket();
                    client_waits(&mut self.clients, token);
                    self.in_flight.wait(other, token, asked.invocation);
                    return self.send(token, &frame::bare(Verb::Wait));
                }
                if !ticket.readonly {
                    self.in_flight.begin(ticket.id, &actions);
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
        let (id, actions) = (ticket.id, ticket.actions());
        self.shared.storing.begin(&actions);
        self.upkeep.note_stored(&report);
        let (shared, done, waker) = (self.shared.clone(), self.done.clone(), self.waker.clone());
        self.finishers.give(move || {
            let work = std::panic::AssertUnwindSafe(|| finish::finish(&shared, &ticket, &report));
            let refused =
                std::panic::catch_unwind(work).unwrap_or_else(|_| vec![Reason::InternalFault]);
            shared.table.close_ticket();
            shared.storing.end(&actions);
            done.lock().push(Done::Stored { ticket: id, actions, refused });
            wake(&waker);
        });
    }

    /// Answers those who waited for a compile.
    pub(super) fn compile_ended(&mut self, ticket: u64, actions: &[ActionKey], is_stored: bool) {
        for waiter in self.in_flight.end(ticket, actions, is_stored) {
            self.waited(waiter);
        }
    }

    /// Answers a request that waited, and waits no more: what it waited for may have failed.
    fn waited(&mut self, waiter: Waiter) {
        let Waiter { client, invocation, .. } = waiter;
        if self.clients.contains_key(&client) {
            let key = invocation.damaged.is_empty().then(|| self.memos.key(&invocation));
            // It reads no short hits any more.
            self.find_out(Asked { client, invocation, key, quick: false, may_wait: false });
        }
    }

    /// Tells those who wait that we are still there, and answers those who waited enough.
    pub(super) fn look_after_waiters(&mut self) {
        let clients = &self.clients;
        let (waiting, enough) = self.in_flight.round(|ticket| {
            let holder = clients.values().find(|client| client.tickets.contains(&ticket));
            holder.is_some_and(|client| peer::is_stopped(&client.stream))
        });
        for client in waiting {
            self.send(client, &frame::bare(Verb::Wait));
        }
        for waiter in enough {
            self.waited(waiter);
        }
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

    fn is_foreign(&self, token: Token) -> bool {
        self.clients.get(&token).is_none_or(|client| client.peer == Peer::Foreign)
    }

    fn fingerprint(&mut self, token: Token, plot: Plot, wanted: Option<Digest>) {
        if self.is_foreign(token) {
            return self.reply(token, &Reply::Fingerprint(Fingerprint::Unknown));
        }
        client_waits(&mut self.clients, token);
        let (done, waker) = (self.done.clone(), self.waker.clone());
        self.fingerprints.answer(plot, wanted, move |fingerprint| {
            done.lock().push(Done::Fingerprinted { client: token, fingerprint });
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
            watched_trees: self.fingerprints.grown() as u64,
        }
    }
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

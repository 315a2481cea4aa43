//! What the loop does with each message: tell, clear, pass on. `answers` has the questions about commands,
//! `endings` the reports.

use std::sync::Arc;

use mio::Token;

use super::event_loop::EventLoop;
use super::jobs::{Done, client_waits};
use super::lookup::{self};
use super::scribe::Desk;
use super::shared::Shared;
use super::{inspect, upkeep};
use crate::fp::set::Digest;
use crate::protocol::frame::{self, Header, Verb};
use crate::protocol::message::{Fingerprint, Plot, Reply, Request};
use crate::protocol::told::Json;
use crate::server::connection::Peer;
use crate::session::stats::{Counters, Status};
use crate::sys::fault::{self, Point};

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

    pub(super) fn reply(&mut self, token: Token, reply: &Reply) {
        match frame::message(reply) {
            Ok(frame) => self.send(token, &frame),
            Err(error) => {
                log::warn!("a reply can't be sent: {error}");
                self.drop_client(token);
            }
        }
    }

    pub(super) fn take_in(&mut self, done: Done) {
        match done {
            Done::Answered { asked, outcome } => self.answered(asked, *outcome),
            Done::Stored { ticket, actions, is_stored, reasons, memo, stays } => {
                if let Some((key, memo)) = memo {
                    self.remember(key, *memo);
                }
                if let Some(client) = stays {
                    self.reply(client, &Reply::Done);
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
            Done::Packed { retired, packed } => self.packed(retired, packed),
            Done::TakenDown { notices } => self.taken_down(notices),
            Done::Reply { client, reply } => {
                if let Some(client) = self.hub.clients.get_mut(&client) {
                    client.waiting = false;
                }
                self.reply(client, &reply);
            }
            Done::Cleared { client, cleared } => {
                self.forget();
                self.upkeep.emptied();
                self.counters = Counters::default();
                self.reply(client, &Reply::Cleared(cleared));
            }
        }
    }

    /// Has a worker find out a reply.
    fn tell(&mut self, token: Token, find: impl FnOnce(&Shared) -> Reply + Send + 'static) {
        self.takes_time(token);
        let (shared, back) = (self.shared.clone(), self.back.clone());
        self.answerers.give(move || {
            let work = std::panic::AssertUnwindSafe(|| find(&shared));
            // The client takes it for what it is: no answer to its question.
            let reply = std::panic::catch_unwind(work).unwrap_or(Reply::Done);
            back.give(Done::Reply { client: token, reply: Box::new(reply) });
        });
    }

    /// Has the scribe reply once all commands that have ended are written down.
    fn after_writing(
        &mut self,
        token: Token,
        find: impl FnOnce(&mut Desk) -> Reply + Send + 'static,
    ) {
        self.takes_time(token);
        let (back, scribe) = (self.back.clone(), self.scribe.clone());
        // Compiles that are just being finished tell the scribe when they are.
        self.finishers.after_all(move || {
            scribe.then(move |desk| {
                back.give(Done::Reply { client: token, reply: Box::new(find(desk)) });
            });
        });
    }

    /// Others find the reply out, and the client hears that somebody is at work on it.
    fn takes_time(&mut self, token: Token) {
        client_waits(&mut self.hub.clients, token);
        self.send(token, &frame::bare(Verb::Wait));
    }

    fn clear(&mut self, token: Token) {
        // At once, for it may be taken up before the worker is done.
        if let Some(late) = &mut self.late {
            late.clear();
        }
        self.takes_time(token);
        let (shared, back) = (self.shared.clone(), self.back.clone());
        // What was reported before goes as well.
        self.finishers.after_all(move || {
            let cleared = upkeep::clear(&shared);
            back.give(Done::Cleared { client: token, cleared });
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
        let back = self.back.clone();
        self.fingerprints.answer(plot, wanted, move |fingerprint| {
            let reply = Box::new(Reply::Fingerprint(fingerprint));
            back.give(Done::Reply { client: token, reply });
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

//! The ends of compiles: reports, those that never came, and those that were not needed; and who
//! waited for them. A part of what the loop does, as `requests` is.

use std::time::Instant;

use mio::Token;

use super::answers::kind_of;
use super::event_loop::EventLoop;
use super::finish::{self, Finished};
use super::in_flight::Waiter;
use super::jobs::{Asked, Back, Done};
use super::lookup::Ticket;
use super::memo::RequestKey;
use super::scribe::Scribe;
use super::underway::{Ended, Fate, Underway};
use crate::protocol::frame::{self, Verb};
use crate::protocol::message::{Exit, Report, RunReport};
use crate::server::peer;
use crate::session::reason::Reason;
use crate::sys::fault::{self, Point};
use crate::terms::key::ActionKey;

/// How a compile ended, to be told once its worker is done with it.
struct End {
    scribe: Scribe,
    back: Back,
    command: Option<Underway>,
    at: Instant,
    /// None: no report came.
    exit: Option<Exit>,
    took_ns: u64,
}

/// A compile that was reported.
struct Compile {
    ticket: u64,
    actions: Vec<ActionKey>,
    request: Option<RequestKey>,
    /// Who waits to hear that it is stored.
    stays: Option<Token>,
}

impl End {
    /// The reasons go to the counters, the line to the journal.
    fn conclude(self, finished: Finished, compile: Option<Compile>) {
        let Finished { causes, about, is_stored, memo } = finished;
        let reasons = causes.iter().map(|cause| cause.reason).collect();
        if let Some(mut command) = self.command {
            let (exit, took_ns) = (self.exit, self.took_ns);
            command.fate = Fate::Ran { about: Box::new(about), exit, took_ns, causes };
            self.scribe.tell(Ended { command, at: self.at });
        }
        self.back.give(match compile {
            Some(Compile { ticket, actions, request, stays }) => {
                let memo = request.zip(memo).map(|(request, memo)| (request, Box::new(memo)));
                Done::Stored { ticket, actions, is_stored, reasons, memo, stays }
            }
            None => Done::Abandoned { reasons },
        });
    }
}

impl EventLoop {
    pub(super) fn report(&mut self, token: Token, report: Report) {
        for (id, stat) in &report.blobs {
            self.shared.set_blob_stat(*id, *stat);
        }
        fault::at(Point::Reported);
        let Some(mut ticket) = self.tickets.remove(&report.ticket) else { return };
        let mut command = None;
        if let Some(client) = self.hub.clients.get_mut(&token) {
            client.standing.tickets.retain(|held| *held != report.ticket);
            command = client.standing.command.take();
        }
        if let Some(error) = report.niceness_refused {
            let error = std::io::Error::from_raw_os_error(error);
            log::warn!("a compiler's priority stays as it was: {error}");
        }
        let meaning = &ticket.understood.meaning;
        let is_failure = |run: &RunReport| match run.exit {
            Exit::Status(status) => !meaning.is_answer(status, &run.text),
            Exit::Signal(_) => true,
        };
        if report.runs.iter().any(is_failure) {
            self.counters.errors += 1;
        }
        if ticket.recaches() {
            // What comes of it takes the place of results that memory may hold.
            self.forget();
        }
        let (id, actions) = (ticket.id, ticket.actions());
        self.shared.storing.begin(&actions);
        self.in_flight.stores(id, &actions);
        self.upkeep.note_stored(&report);
        let failed = report.runs.iter().find(|run| run.exit != Exit::Status(0));
        let exit = Some(failed.map_or(Exit::Status(0), |run| run.exit));
        let took_ns = report.runs.iter().map(|run| run.took_ns).sum();
        let end = self.end_of(command, exit, took_ns);
        let shared = self.shared.clone();
        let stays = ticket.stays && failed.is_none();
        let compile =
            Compile { ticket: id, actions, request: ticket.request, stays: stays.then_some(token) };
        let finish = move || {
            let work =
                std::panic::AssertUnwindSafe(|| finish::finish(&shared, &mut ticket, &report));
            let finished = std::panic::catch_unwind(work).unwrap_or_else(|_| Finished::fault());
            shared.table.close_ticket();
            shared.storing.end(&compile.actions);
            end.conclude(finished, Some(compile));
        };
        // Not at once if nobody waits: on a busy machine the worker would get the processor before the wrapper,
        // which has nothing left to do but end.
        self.finishers.give_soon(finish);
        if stays || self.in_flight.has_waiters() {
            self.finishers.give_all();
        }
    }

    fn end_of(&mut self, command: Option<Underway>, exit: Option<Exit>, took_ns: u64) -> End {
        if let Some(command) = &command {
            self.leave_lane(command);
        }
        let (scribe, back) = (self.scribe.clone(), self.back.clone());
        End { scribe, back, command, at: self.hub.last_active, exit, took_ns }
    }

    /// A client is gone and left a compile unreported.
    pub(super) fn abandon(&mut self, mut ticket: Box<Ticket>, command: Option<Underway>) {
        let end = self.end_of(command, None, 0);
        let shared = self.shared.clone();
        self.finishers.give(move || {
            let work = std::panic::AssertUnwindSafe(|| finish::abandon(&shared, &mut ticket));
            let finished = std::panic::catch_unwind(work).unwrap_or_else(|_| Finished::fault());
            end.conclude(finished, None);
        });
    }

    /// An answer did not help: the client becomes the tool.
    pub(super) fn fell_back(&mut self, token: Token, reason: Reason) {
        let Some(client) = self.hub.clients.get_mut(&token) else { return };
        let Some(command) = &mut client.standing.command else { return };
        let kind = kind_of(&command.invocation);
        if let Fate::Hit { about, .. } = &command.fate {
            self.counters.take_back_hit(about.kind);
        }
        command.fate = Fate::FellBack(reason);
        self.counters.uncacheable(kind, reason);
        for ticket in std::mem::take(&mut client.standing.tickets) {
            if let Some(ticket) = self.tickets.remove(&ticket) {
                self.counters.take_back_miss(ticket.about.kind);
                self.shared.table.close_ticket();
                self.compile_ended(ticket.id, &ticket.actions(), false);
            }
        }
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
        if self.hub.clients.contains_key(&client) {
            let key = invocation.damaged.is_empty().then(|| self.memos.key(&invocation));
            // It reads no short hits any more.
            self.find_out(Asked { client, invocation, key, quick: false, may_wait: false });
        }
    }

    /// Tells those who wait that we are still there, and answers those who waited enough.
    pub(super) fn look_after_waiters(&mut self) {
        let clients = &self.hub.clients;
        let (waiting, enough) = self.in_flight.round(|ticket| {
            let holder = clients.values().find(|client| client.standing.tickets.contains(&ticket));
            holder.is_some_and(|client| peer::is_stopped(&client.stream))
        });
        for client in waiting {
            self.send(client, &frame::bare(Verb::Wait));
        }
        for waiter in enough {
            self.waited(waiter);
        }
    }
}

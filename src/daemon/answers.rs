//! What the loop does with a question about a command: answers from memory, or has a worker find out
//! and passes that on. A part of what the loop does, as `requests` is.

use std::sync::Arc;
use std::time::Duration;

use mio::Token;

use super::about::About;
use super::event_loop::EventLoop;
use super::hit::{self, Hit};
use super::jobs::{Asked, Done, client_waits};
use super::lookup::{self, Outcome};
use super::memo::{Memo, RequestKey, Retired};
use super::packed::PackedMemos;
use super::underway::Fate;
use super::workers::aside;
use crate::protocol::frame::{self, Verb};
use crate::protocol::message::{Answer, Delivery, Invocation, Reply, Step, Work};
use crate::protocol::quick;
use crate::server::connection::{Connection, Peer};
use crate::session::kind::Kind;
use crate::session::reason::Reason;
use crate::sys::fault::{self, Point};
use crate::terms::blob::BlobId;
use crate::terms::output::LinkMode;
use crate::terms::priority::Niceness;
use crate::tools::environment::Environment;
use crate::tools::find::base;
use crate::tools::kind;
use crate::tools::refusal::Refusal;

/// An index that keeps its callers waiting for longer is not asked.
const INDEX_PATIENCE: Duration = Duration::from_secs(1);

impl EventLoop {
    /// Answers from memory, or lets a worker find out.
    pub(super) fn answer(&mut self, token: Token, mut invocation: Arc<Invocation>, quick: bool) {
        if !self.shared.configured.is_current(&self.shared.table) {
            return self.reread_settings(token, invocation, quick);
        }
        let Some(client) = self.hub.clients.get_mut(&token) else { return };
        let (foreign, began) = (client.peer == Peer::Foreign, client.heard);
        let earlier = client.standing.command.take();
        let asked = invocation.clone();
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
            if self.hit(token, &deliveries, about, saved_ns, quick) {
                self.put_up(key, &asked, &invocation);
            }
            return self.retire_memos();
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
        let (shared, back) = (self.shared.clone(), self.back.clone());
        self.answerers.give(move || {
            let work = std::panic::AssertUnwindSafe(|| {
                fault::at(Point::Lookup);
                lookup::answer(&shared, &asked.invocation, asked.key)
            });
            let outcome = std::panic::catch_unwind(work).unwrap_or_else(|_| {
                log::error!("answering panicked; the client compiles plainly");
                Outcome::Plain(Reason::InternalFault.into(), None)
            });
            back.give(Done::Answered { asked, outcome: Box::new(outcome) });
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

    pub(super) fn count_hit(&mut self, about: &About, saved_ns: u64) {
        self.counters.hit(about.kind, saved_ns);
        self.counters.worktree_hits += u64::from(about.is_from_elsewhere);
    }

    /// Sends a hit, in the short form where it fits: then true.
    fn hit(
        &mut self,
        token: Token,
        deliveries: &[Arc<Delivery>],
        about: Arc<About>,
        saved_ns: u64,
        quick: bool,
    ) -> bool {
        self.count_hit(&about, saved_ns);
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
            return true;
        }
        let steps = deliveries.iter();
        let steps =
            steps.map(|delivery| Step::Deliver(hit::with_stats(shared, delivery))).collect();
        let fine_times = shared.fine_times;
        let work = Work {
            ticket: 0,
            steps,
            fine_times,
            link_mode,
            niceness: None,
            scratch: Vec::new(),
            stays: false,
        };
        self.reply(token, &Reply::Answer(Answer::Work(work)));
        false
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
        let (shared, back) = (self.shared.clone(), self.back.clone());
        self.answerers.give(move || {
            shared.configured.refresh(&shared.table);
            back.give(Done::Configured { client, invocation, quick });
        });
    }

    /// Takes over the daemon's own settings from the file.
    pub(super) fn configure(&mut self) {
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

    pub(super) fn answered(&mut self, asked: Asked, outcome: Outcome) {
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

    pub(super) fn remember(&mut self, key: RequestKey, memo: Memo) {
        self.memos.insert(key, memo);
        self.retire_memos();
    }

    fn retire_memos(&mut self) {
        let Some(retired) = self.memos.retire() else { return };
        let (back, job) = (self.back.clone(), retired.clone());
        let pack = move || {
            // Without it none would be packed from then on.
            let packed = std::panic::catch_unwind(|| job.pack()).unwrap_or_default();
            log::info!(
                "{} remembered answers packed into {} KiB",
                packed.len(),
                packed.size() >> 10
            );
            back.give(Done::Packed { retired: job, packed });
        };
        if let Err(error) = aside("pack", pack) {
            log::warn!("remembered answers are forgotten: {error}");
            self.packed(retired, PackedMemos::default());
        }
    }

    /// Memos that were not asked for in a while are packed.
    pub(super) fn packed(&mut self, retired: Retired, packed: PackedMemos) {
        let forgotten = self.memos.take_back(retired, packed);
        self.finishers.give(move || drop(forgotten));
    }

    /// Nothing that is remembered, or about to be, answers any more.
    pub(super) fn forget(&mut self) {
        self.clear_board();
        let forgotten = self.memos.clear();
        self.finishers.give(move || drop(forgotten));
    }
}

/// As far as the invocation tells.
pub(super) fn kind_of(invocation: &Invocation) -> Kind {
    let name = invocation.argv.split(|byte| *byte == 0).next().unwrap_or_default();
    kind::of_name(base(name))
}

//! What is going on right now, for `top`: told when asked for, kept up by nobody on the way
//! of a hit.

use std::time::Instant;

use mio::Token;

use super::event_loop::EventLoop;
use super::jobs::Done;
use super::underway::{Fate, Underway};
use crate::protocol::message::Reply;
use crate::protocol::told::{Moving, Picture, State};

/// Commands under way beyond this many are only counted.
const LISTED_MAX: usize = 200;
/// A name is cut here.
const NAME_CHARS: usize = 300;

impl EventLoop {
    /// Replies with the commands under way and the latest that ended.
    pub(super) fn picture(&mut self, token: Token) {
        let now = Instant::now();
        let commands = self.hub.clients.values().filter_map(|client| {
            let command = client.standing.command.as_ref()?;
            let ticket = client.standing.tickets.last().and_then(|ticket| self.tickets.get(ticket));
            let source = ticket.and_then(|ticket| ticket.about.sources.first());
            Some(moving(command, source.map(Vec::as_slice), now))
        });
        let mut under_way: Vec<Moving> = commands.collect();
        under_way.sort_by_key(|command| command.lane);
        let more = under_way.len().saturating_sub(LISTED_MAX) as u64;
        under_way.truncate(LISTED_MAX);
        let mut picture = Picture {
            pid: std::process::id(),
            uptime_s: self.hub.started.elapsed().as_secs(),
            counters: self.counters.clone(),
            under_way,
            more,
            recent: Vec::new(),
        };
        if let Some(client) = self.hub.clients.get_mut(&token) {
            client.waiting = true;
        }
        let back = self.back.clone();
        self.scribe.then(move |desk| {
            picture.recent = desk.recent();
            let reply = Box::new(Reply::Picture(Box::new(picture)));
            back.give(Done::Reply { client: token, reply });
        });
    }
}

fn moving(command: &Underway, source: Option<&[u8]>, now: Instant) -> Moving {
    let state = match command.fate {
        Fate::Asked => State::Asked,
        Fate::Hit { .. } => State::Hit,
        Fate::Running | Fate::Ran { .. } => State::Compiling,
        Fate::Plain(..) | Fate::FellBack(_) => State::Plain,
    };
    let typed = || {
        let argv = command.invocation.argv.strip_suffix(b"\0");
        argv.unwrap_or(&command.invocation.argv)
    };
    let name = String::from_utf8_lossy(source.unwrap_or_else(typed)).replace('\0', " ");
    Moving {
        lane: command.lane,
        state,
        name: name.chars().take(NAME_CHARS).collect(),
        for_ms: now.saturating_duration_since(command.began).as_millis() as u64,
    }
}

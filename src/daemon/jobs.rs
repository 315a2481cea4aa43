//! What the loop and its workers hand each other.

use std::collections::HashMap;
use std::sync::Arc;

use mio::{Token, Waker};
use parking_lot::Mutex;

use super::lookup::Outcome;
use super::memo::{Memo, RequestKey, Retired};
use super::packed::PackedMemos;
use super::underway::Underway;
use crate::protocol::message::{Cleared, Invocation, Reply};
use crate::server::connection::{Connection, Standing};
use crate::session::reason::Reason;
use crate::terms::key::ActionKey;

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
        /// Who waits to hear that it is stored.
        stays: Option<Token>,
    },
    /// A compile whose end nobody reported.
    Abandoned {
        reasons: Vec<Reason>,
    },
    /// Memos that were not asked for in a while.
    Packed {
        retired: Retired,
        packed: PackedMemos,
    },
    /// Notices that are not on the board any more.
    TakenDown {
        notices: Vec<u64>,
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

/// What the loop knows of a client.
#[derive(Default)]
pub(super) struct Caller {
    /// Tickets handed out to it and not reported on yet.
    pub(super) tickets: Vec<u64>,
    /// The command it last asked about, until that is in the journal.
    pub(super) command: Option<Underway>,
}

impl Standing for Caller {
    fn is_expected(&self) -> bool {
        !self.tickets.is_empty()
    }
}

/// A worker is busy for this client.
pub(super) fn client_waits(clients: &mut HashMap<Token, Connection<Caller>>, token: Token) {
    if let Some(client) = clients.get_mut(&token) {
        client.waiting = true;
    }
}

/// Through which workers hand back to the loop.
#[derive(Clone)]
pub(super) struct Back {
    done: Arc<Mutex<Vec<Done>>>,
    waker: Arc<Waker>,
}

impl Back {
    pub(super) fn new(waker: Arc<Waker>) -> Back {
        Back { done: Arc::default(), waker }
    }

    /// A method, so that whatever takes time to find out is found out before the loop is kept from its queue.
    pub(super) fn give(&self, done: Done) {
        self.done.lock().push(done);
        if let Err(error) = self.waker.wake() {
            log::error!("wake: {error}");
        }
    }

    /// What was handed back since the last time.
    pub(super) fn take(&self) -> Vec<Done> {
        std::mem::take(&mut *self.done.lock())
    }
}

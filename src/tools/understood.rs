//! A command that was understood, and the halves of that: as typed, and as its family answers.

use super::key_parts::KeyParts;
use super::meaning::Meaning;
use super::places::Places;
use super::worktree::Sharing;
use crate::files::PathId;
use crate::protocol::message::{StdoutIs, Terminal};
use crate::session::kind::Kind;
use crate::terms::Arg;
use crate::terms::key::ActionKey;

/// A command whose results may be cached, understood.
#[derive(Debug)]
pub struct Understood {
    /// The program file to run on a miss.
    pub program: Vec<u8>,
    /// Its argv[0].
    pub argv0: Vec<u8>,
    pub cwd: Vec<u8>,
    /// One for each unit, in order.
    pub units: Vec<ActionKey>,
    /// What each unit's key is made of.
    pub parts: Vec<KeyParts>,
    pub kind: Kind,
    pub meaning: Box<dyn Meaning>,
    /// Folders whose names are no part of the actions.
    pub places: Places,
    /// Whether its results fit other checkouts.
    pub sharing: Sharing,
    /// Every path whose change makes this understanding void.
    pub depends: Vec<PathId>,
    /// Files that the tool itself changes: what they were before is a part of the actions.
    pub before: Vec<PathId>,
    /// It also depends on variables that only this tool knows of.
    pub scripted: bool,
    /// The situation that messages were made for (terminal, colours).
    pub text_context: u64,
}

/// What one family of tools makes of a command.
pub(super) struct Actions {
    pub(super) units: Vec<KeyParts>,
    pub(super) kind: Kind,
    pub(super) meaning: Box<dyn Meaning>,
    pub(super) places: Places,
    pub(super) sharing: Sharing,
    pub(super) before: Vec<PathId>,
    pub(super) scripted: bool,
    pub(super) text_context: u64,
}

/// A command as a family of tools gets it.
pub(super) struct Typed<'a> {
    /// The file behind the name.
    pub(super) program: &'a [u8],
    /// The name without its folder.
    pub(super) called: &'a [u8],
    pub(super) args: &'a [Arg],
    /// The caller's standard error, if it is a terminal.
    pub(super) terminal: Option<Terminal>,
    /// Where its stdout goes; only told of tools that mind it.
    pub(super) stdout: StdoutIs,
}

impl Understood {
    /// What becomes of a family's answer.
    pub(super) fn of(
        actions: Actions,
        program: Vec<u8>,
        argv0: Vec<u8>,
        cwd: Vec<u8>,
        mut depends: Vec<PathId>,
    ) -> Understood {
        depends.sort();
        depends.dedup();
        Understood {
            program,
            argv0,
            cwd,
            units: actions.units.iter().map(KeyParts::key).collect(),
            parts: actions.units,
            kind: actions.kind,
            meaning: actions.meaning,
            places: actions.places,
            sharing: actions.sharing,
            depends,
            before: actions.before,
            scripted: actions.scripted,
            text_context: actions.text_context,
        }
    }
}

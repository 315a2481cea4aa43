//! What was checked, what succeeded, what failed; and from that, whether to run.
//!
//! A check that says run leaves the set it saw as *pending*. `mark-success` promotes exactly
//! that set, so a file edited while the step ran differs from it at the next check. As long
//! as anything is pending, nobody knows what the step has left behind: run.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::owner::{Kinship, Owner};
use super::selection::Selection;
use super::set::{Digest, FileSet};

/// More checks than these are not kept pending; the oldest go.
const PENDING_MAX: usize = 8;

/// A set as it was captured by a check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Captured {
    pub digest: Digest,
    /// `FileSet::encode`. Empty when only the head of a cache file was read.
    #[serde(skip)]
    pub body: Vec<u8>,
}

impl Captured {
    pub fn of(set: &FileSet) -> Captured {
        Captured { digest: set.digest(), body: set.encode() }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    pub owner: Owner,
    pub set: Captured,
}

/// The content of a cache file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The root, relative to the cache file's folder, so that both can move together.
    pub place: Vec<u8>,
    pub selection: Selection,
    /// The set on which the step last succeeded.
    pub baseline: Option<Captured>,
    /// The step failed since.
    pub failed: bool,
    /// The oldest first.
    pub pending: Vec<Pending>,
}

/// Why there is no state.
#[derive(Debug)]
pub enum NoState {
    Missing,
    Damaged,
    OtherVersion,
    Unreadable(std::io::Error),
}

/// Why to run, or not.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    NoCacheFile,
    DamagedCacheFile,
    OtherVersion,
    UnreadableCacheFile(String),
    OtherRoot,
    OtherSelection,
    /// A file that can't be read, and why not.
    Unreadable(String),
    PreviousFailure,
    Pending,
    /// How many files differ.
    Changed(usize),
    NoChanges,
}

impl Reason {
    pub fn runs(&self) -> bool {
        *self != Reason::NoChanges
    }

    /// Without `run` or `skip`.
    pub fn words(&self) -> String {
        match self {
            Reason::NoCacheFile => "no cache file".to_owned(),
            Reason::DamagedCacheFile => "damaged cache file".to_owned(),
            Reason::OtherVersion => "cache file of another version".to_owned(),
            Reason::UnreadableCacheFile(why) => format!("cannot read the cache file: {why}"),
            Reason::OtherRoot => "cache file for another root".to_owned(),
            Reason::OtherSelection => "cache file for other globs".to_owned(),
            Reason::Unreadable(what) => format!("cannot read {what}"),
            Reason::PreviousFailure => "previous failure".to_owned(),
            Reason::Pending => "pending".to_owned(),
            Reason::Changed(count) => format!("content changed, {count} file(s) changed"),
            Reason::NoChanges => "no changes".to_owned(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", if self.runs() { "run" } else { "skip" }, self.words())
    }
}

impl From<&NoState> for Reason {
    fn from(why: &NoState) -> Reason {
        match why {
            NoState::Missing => Reason::NoCacheFile,
            NoState::Damaged => Reason::DamagedCacheFile,
            NoState::OtherVersion => Reason::OtherVersion,
            NoState::Unreadable(error) => Reason::UnreadableCacheFile(error.to_string()),
        }
    }
}

/// What became of a mark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Marked {
    Done,
    /// No check waits for it.
    NothingChecked,
    /// Only checks of other scripts wait, which still run.
    OthersOnly,
}

impl State {
    pub fn new(place: Vec<u8>, selection: Selection) -> State {
        State { place, selection, baseline: None, failed: false, pending: Vec::new() }
    }

    /// A reason to run that does not depend on what the files contain now.
    pub fn mismatch(&self, place: &[u8], selection: &Selection) -> Option<Reason> {
        if self.place != place {
            Some(Reason::OtherRoot)
        } else if self.selection != *selection {
            Some(Reason::OtherSelection)
        } else {
            None
        }
    }

    /// The digest that the files must have now for the answer to be skip.
    pub fn clean(&self) -> Option<Digest> {
        let settled = !self.failed && self.pending.is_empty();
        self.baseline.as_ref().filter(|_| settled).map(|set| set.digest)
    }

    /// Whether to run on a set that can be read as a whole. `changed` counts its differences
    /// to the baseline; it is asked only where the answer says so.
    pub fn judge(&self, now: Digest, changed: impl FnOnce() -> usize) -> Reason {
        let same = self.baseline.as_ref().is_some_and(|set| set.digest == now);
        if self.failed {
            Reason::PreviousFailure
        } else if self.pending.iter().any(|pending| pending.set.digest == now)
            || same && !self.pending.is_empty()
        {
            Reason::Pending
        } else if same {
            Reason::NoChanges
        } else {
            Reason::Changed(changed())
        }
    }

    /// A check said run. It takes the place of earlier ones of the same script and of those
    /// whose script is gone.
    pub fn begin(&mut self, owner: Owner, set: Captured) {
        self.pending
            .retain(|other| other.owner != owner && other.owner.kinship() == Kinship::Other);
        if self.pending.len() >= PENDING_MAX {
            self.pending.remove(0);
        }
        self.pending.push(Pending { owner, set });
    }

    /// The step succeeded on what its own check saw.
    pub fn mark_success(&mut self) -> Marked {
        let marked = self.take_own();
        marked.map_or_else(
            |none| none,
            |pending| {
                self.baseline = Some(pending.set);
                self.failed = false;
                Marked::Done
            },
        )
    }

    /// The step failed. True to every check: run.
    pub fn mark_failure(&mut self) {
        // Without a check of our own there is nothing to take back, but it failed all the same.
        let _ = self.take_own();
        self.failed = true;
    }

    /// The check that this mark belongs to: our script's, or where each step has a shell of
    /// its own (make, CI), the latest one whose shell is gone.
    fn take_own(&mut self) -> Result<Pending, Marked> {
        let kin: Vec<Kinship> = self.pending.iter().map(|one| one.owner.kinship()).collect();
        let find = |wanted| kin.iter().rposition(|kin| *kin == wanted);
        match find(Kinship::Ours).or_else(|| find(Kinship::Gone)) {
            Some(at) => Ok(self.pending.remove(at)),
            None if kin.is_empty() => Err(Marked::NothingChecked),
            None => Err(Marked::OthersOnly),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::set::{Entry, Value};
    use super::*;

    fn captured(name: &str) -> Captured {
        let mut set = FileSet::default();
        let value = Value::Link(Vec::new(), None);
        set.entries.insert(Arc::from(name.as_bytes()), Entry { value, stat: None });
        Captured::of(&set)
    }

    fn state() -> State {
        State::new(b".".to_vec(), Selection::default())
    }

    #[track_caller]
    fn says(state: &State, name: &str, expected: Reason) {
        assert_eq!(state.judge(captured(name).digest, || 7), expected);
    }

    #[test]
    fn a_life() {
        let mut state = state();
        let me = Owner::caller();
        says(&state, "a", Reason::Changed(7));
        state.begin(me.clone(), captured("a"));
        says(&state, "a", Reason::Pending);
        says(&state, "b", Reason::Changed(7));
        assert_eq!(state.mark_success(), Marked::Done);
        says(&state, "a", Reason::NoChanges);
        assert_eq!(state.clean(), Some(captured("a").digest));
        says(&state, "b", Reason::Changed(7));
        state.begin(me.clone(), captured("b"));
        // What the step on "b" has left behind is not what "a" would have.
        says(&state, "a", Reason::Pending);
        assert_eq!(state.clean(), None);
        state.mark_failure();
        says(&state, "a", Reason::PreviousFailure);
        says(&state, "b", Reason::PreviousFailure);
        state.begin(me, captured("b"));
        assert_eq!(state.mark_success(), Marked::Done);
        says(&state, "b", Reason::NoChanges);
        assert_eq!(state.mark_success(), Marked::NothingChecked);
        says(&state, "b", Reason::NoChanges);
    }

    #[test]
    fn one_script_does_not_vouch_for_another() {
        let mut state = state();
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let theirs = Owner::of(other.id() as i32);
        state.begin(theirs.clone(), captured("a"));
        assert_eq!(state.mark_success(), Marked::OthersOnly);
        state.begin(Owner::caller(), captured("b"));
        assert_eq!(state.pending.len(), 2);
        assert_eq!(state.mark_success(), Marked::Done);
        // The other one still runs.
        says(&state, "b", Reason::Pending);
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(theirs.kinship(), Kinship::Gone);
        // Its check may have been a shell's of which only that line was run.
        assert_eq!(state.mark_success(), Marked::Done);
        says(&state, "a", Reason::NoChanges);
    }

    #[test]
    fn words() {
        assert_eq!(Reason::NoCacheFile.to_string(), "run (no cache file)");
        assert_eq!(Reason::Changed(2).to_string(), "run (content changed, 2 file(s) changed)");
        assert_eq!(Reason::NoChanges.to_string(), "skip (no changes)");
    }
}

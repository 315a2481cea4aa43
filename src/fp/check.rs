//! The four verbs on a cache file.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use super::cache_file::{CacheFile, Depth};
use super::owner::Owner;
use super::scan::{NoGuard, Scan};
use super::selection::{Matcher, Selection};
use super::set::{Change, Digest, FileSet, RelPath};
use super::state::{Captured, Marked, NoState, Reason, State};

/// What proves that a file is what it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CacheType {
    /// Its stat, where that can prove it, else its content.
    #[default]
    TwoLayer,
    /// Its content only.
    Hash,
}

/// What is to be checked.
pub struct Subject<'a> {
    /// Absolute.
    pub root: &'a Path,
    pub selection: &'a Selection,
    pub matcher: &'a Matcher,
    pub cache_type: CacheType,
}

/// What somebody who watches the files says.
pub enum Told {
    /// Their digest is the one that was asked about.
    Same,
    Set(FileSet),
    /// Nothing: look yourself.
    Unknown,
}

/// The answer to a check.
pub struct Verdict {
    pub reason: Reason,
    /// What differs from the set on which the step last succeeded; from nothing at all where
    /// there is none.
    pub changes: Vec<(RelPath, Change)>,
    /// The cache file could not be written: the next check will say run as well.
    pub unwritten: Option<io::Error>,
}

/// Says whether to run. `watcher` is asked with the digest that would mean skip. Fails when
/// the root is no folder.
pub fn check(
    file: &CacheFile,
    subject: &Subject<'_>,
    watcher: impl FnOnce(Option<Digest>) -> Told,
) -> io::Result<Verdict> {
    let place = file.place_of(subject.root)?;
    let mismatch = |state: &State| state.mismatch(&place, subject.selection);
    let wanted = file.read(Depth::Head).ok().filter(|state| mismatch(state).is_none());
    let wanted = wanted.and_then(|state| state.clean());
    let told = watcher(wanted);
    if wanted.is_some() && matches!(told, Told::Same) {
        let (reason, changes) = (Reason::NoChanges, Vec::new());
        return Ok(Verdict { reason, changes, unwritten: None });
    }
    let now = match told {
        Told::Set(set) => set,
        Told::Same | Told::Unknown => {
            let known = match subject.cache_type {
                CacheType::TwoLayer => captured_sets(file),
                CacheType::Hash => Vec::new(),
            };
            look(subject, &known)?
        }
    };

    let lock = file.lock();
    let read = file.read(Depth::Whole);
    let fresh = || State::new(place.clone(), subject.selection.clone());
    let (mut state, obstacle) = match read {
        Err(why) => (fresh(), Some(Reason::from(&why))),
        Ok(state) => match mismatch(&state) {
            Some(reason) => (fresh(), Some(reason)),
            None => (state, None),
        },
    };
    let latest = || state.pending.last().map(|pending| &pending.set);
    let reference = state.baseline.as_ref().or_else(latest);
    let reference = reference.and_then(|set| FileSet::decode(&set.body)).unwrap_or_default();
    let changes = now.changes_since(&reference);
    let captured = Captured::of(&now);
    let reason = match (obstacle, now.unreadable()) {
        (Some(reason), _) => reason,
        (None, Some((path, error))) => {
            let path = String::from_utf8_lossy(path);
            let error = io::Error::from_raw_os_error(error);
            Reason::Unreadable(format!("{path}: {error}"))
        }
        (None, None) => state.judge(captured.digest, || changes.len()),
    };
    let mut unwritten = None;
    if reason.runs() {
        state.begin(Owner::caller(), captured);
        unwritten = file.write(&state).err();
    } else if state.baseline.as_ref().is_some_and(|set| set.body != captured.body) {
        // Same content, other stats: the next look need not read those files. Where that
        // can't be kept, the answer is as good.
        state.baseline = Some(captured);
        let _ = file.write(&state);
    }
    drop(lock);
    Ok(Verdict { reason, changes, unwritten })
}

/// The sets in a cache file, by which files can be known again.
pub fn captured_sets(file: &CacheFile) -> Vec<FileSet> {
    let Ok(state) = file.read(Depth::Whole) else { return Vec::new() };
    let pending = state.pending.iter().map(|pending| &pending.set);
    let captured = state.baseline.iter().chain(pending);
    captured.filter_map(|set| FileSet::decode(&set.body)).collect()
}

fn look(subject: &Subject<'_>, known: &[FileSet]) -> io::Result<FileSet> {
    let mut set = FileSet::default();
    let root = subject.root.as_os_str().as_bytes();
    let known = known.iter().collect();
    let never = AtomicBool::new(false);
    Scan::new(root, subject.matcher, known, &mut set, NoGuard, &never).all()?;
    Ok(set)
}

/// The step succeeded on the files its check saw.
pub fn mark_success(file: &CacheFile) -> io::Result<Marked> {
    change(file, Marked::NothingChecked, State::mark_success)
}

/// The step failed.
pub fn mark_failure(file: &CacheFile) -> io::Result<Marked> {
    change(file, Marked::NothingChecked, |state| {
        state.mark_failure();
        Marked::Done
    })
}

/// Forgets everything: the next check finds no cache file.
pub fn invalidate(file: &CacheFile) -> io::Result<()> {
    let _lock = file.lock();
    file.remove()
}

fn change(
    file: &CacheFile,
    without: Marked,
    then: impl FnOnce(&mut State) -> Marked,
) -> io::Result<Marked> {
    let _lock = file.lock();
    match file.read(Depth::Whole) {
        Ok(mut state) => {
            let marked = then(&mut state);
            if marked == Marked::Done {
                file.write(&state)?;
            }
            Ok(marked)
        }
        // The next check says run whatever is done here.
        Err(NoState::Missing | NoState::Damaged | NoState::OtherVersion) => Ok(without),
        Err(NoState::Unreadable(error)) => Err(error),
    }
}

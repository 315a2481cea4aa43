//! What a program and all that it started did to files, put together from single calls.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use crate::tools::find::within;

/// A name as somebody used it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// Absolute, and otherwise as it was spelled.
    pub(super) spelled: Vec<u8>,
    /// With no symlink in its folder.
    pub(super) real: Vec<u8>,
}

impl Place {
    /// A name as the kernel itself says it.
    pub(super) fn plain(real: Vec<u8>) -> Place {
        Place { spelled: real.clone(), real }
    }
}

/// What was found under a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Found {
    File,
    Folder,
    Nothing,
}

/// What is left of a program's doings when it has ended. Names are absolute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trail {
    /// Files that were read, or looked at; as spelled. Those that it made itself are left out here and in
    /// the next two.
    pub read: Vec<Vec<u8>>,
    /// Places where nothing was.
    pub absent: Vec<Vec<u8>>,
    /// Folders that were seen to be there.
    pub exists: Vec<Vec<u8>>,
    /// Names that it made or wrote anew, and has not removed again; with no symlink in their folder, as
    /// all that follow.
    pub made: Vec<Vec<u8>>,
    /// Those of them whose content may come from what was there before.
    pub mixed: Vec<Vec<u8>>,
    /// Names that were there before and are not any more.
    pub removed: Vec<Vec<u8>>,
    /// Folders whose names were read.
    pub listed: Vec<Vec<u8>>,
    /// False: others may have done something for it as well.
    pub is_whole: bool,
    /// Something happened that can't be told.
    pub is_unclear: bool,
}

/// A trail in the making.
#[derive(Default)]
pub(super) struct Recorder {
    looked: BTreeMap<Vec<u8>, (Vec<u8>, Found)>,
    /// Names whose content was asked for before it was made.
    tried: HashSet<Vec<u8>>,
    made: BTreeSet<Vec<u8>>,
    mixed: HashSet<Vec<u8>>,
    removed: BTreeSet<Vec<u8>>,
    listed: BTreeSet<Vec<u8>>,
    has_company: bool,
    is_unclear: bool,
}

impl Recorder {
    /// Somebody wanted to know whether something is there.
    pub(super) fn look(&mut self, place: Place, found: Found) {
        if is_kernels(&place.real) || self.made.contains(&place.real) {
            return;
        }
        // The first look is the one that counts: later there may be what somebody else made.
        self.looked.entry(place.spelled).or_insert((place.real, found));
    }

    /// Somebody wanted to read it.
    pub(super) fn read(&mut self, place: Place, found: Found) {
        if !self.made.contains(&place.real) {
            self.tried.insert(place.real.clone());
        }
        self.look(place, found);
    }

    /// It is new, or nothing of what it was is left.
    pub(super) fn make(&mut self, place: Place) {
        if is_kernels(&place.real) {
            return;
        }
        if self.tried.contains(&place.real) && !self.made.contains(&place.real) {
            self.mixed.insert(place.real.clone());
        }
        self.made.insert(place.real);
    }

    /// It was changed, and something of what it was is left.
    pub(super) fn update(&mut self, place: Place) {
        if !self.made.contains(&place.real) {
            self.tried.insert(place.real.clone());
        }
        self.make(place);
    }

    pub(super) fn remove(&mut self, place: Place) {
        self.mixed.remove(&place.real);
        if !self.made.remove(&place.real) {
            self.removed.insert(place.real);
        }
    }

    pub(super) fn rename(&mut self, from: Place, to: Place) {
        let is_mixed = self.mixed.contains(&from.real);
        self.remove(from);
        if is_mixed {
            self.mixed.insert(to.real.clone());
        }
        self.make(to);
    }

    pub(super) fn list(&mut self, real: Vec<u8>) {
        if !is_kernels(&real) && !self.made.contains(&real) {
            self.listed.insert(real);
        }
    }

    /// Others may do something for it from now on.
    pub(super) fn has_company(&mut self) {
        self.has_company = true;
    }

    /// Something can't be told.
    pub(super) fn is_unclear(&mut self) {
        self.is_unclear = true;
    }

    pub(super) fn conclude(self) -> Trail {
        let mut trail = Trail {
            is_whole: !self.has_company,
            is_unclear: self.is_unclear,
            listed: self.listed.into_iter().collect(),
            ..Trail::default()
        };
        for (spelled, (real, found)) in self.looked {
            // Tools look before they write: the file they leave is the same.
            if self.made.contains(&real) {
                continue;
            }
            match found {
                Found::File => trail.read.push(spelled),
                Found::Folder => trail.exists.push(spelled),
                Found::Nothing => trail.absent.push(spelled),
            }
        }
        trail.mixed = self.made.iter().filter(|real| self.mixed.contains(*real)).cloned().collect();
        trail.removed = self.removed.difference(&self.made).cloned().collect();
        trail.made = self.made.into_iter().collect();
        trail
    }
}

/// Not files that anybody keeps.
fn is_kernels(real: &[u8]) -> bool {
    [&b"/proc"[..], b"/dev", b"/sys"].iter().any(|folder| within(real, folder).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        Place { spelled: name.into(), real: name.into() }
    }

    fn texts(names: &[Vec<u8>]) -> Vec<String> {
        names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    #[test]
    fn what_it_made_itself_is_nothing_it_depends_on() {
        let mut recorder = Recorder::default();
        recorder.look(place("/o/lib.dll"), Found::Nothing);
        recorder.read(place("/src/lib.dll"), Found::File);
        recorder.make(place("/o/lib.dll"));
        recorder.read(place("/o/lib.dll"), Found::File);
        recorder.make(place("/tmp/cc1.o"));
        recorder.remove(place("/tmp/cc1.o"));
        recorder.look(place("/o/other"), Found::Nothing);
        recorder.look(place("/o"), Found::Folder);
        recorder.read(place("/proc/self/maps"), Found::File);
        let trail = recorder.conclude();
        assert_eq!(texts(&trail.read), ["/src/lib.dll"]);
        assert_eq!(texts(&trail.absent), ["/o/other"]);
        assert_eq!(texts(&trail.exists), ["/o"]);
        assert_eq!(texts(&trail.made), ["/o/lib.dll"]);
        assert!(trail.is_whole && !trail.is_unclear);
        assert!(trail.mixed.is_empty() && trail.removed.is_empty());
    }

    #[test]
    fn what_may_hold_something_old_is_mixed() {
        let mut recorder = Recorder::default();
        // Counters, which are read if they are there, and logs.
        recorder.read(place("/o/count"), Found::Nothing);
        recorder.make(place("/o/count.new"));
        recorder.rename(place("/o/count.new"), place("/o/count"));
        recorder.update(place("/o/log"));
        recorder.update(place("/o/gone"));
        recorder.remove(place("/o/gone"));
        recorder.make(place("/o/fresh"));
        recorder.update(place("/o/fresh"));
        let trail = recorder.conclude();
        assert_eq!(texts(&trail.mixed), ["/o/count", "/o/log"]);
        assert_eq!(texts(&trail.made), ["/o/count", "/o/fresh", "/o/log"]);
    }

    #[test]
    fn what_went_away_is_told() {
        let mut recorder = Recorder::default();
        recorder.remove(place("/o/old"));
        recorder.remove(place("/o/again"));
        recorder.make(place("/o/again"));
        recorder.rename(place("/o/from"), place("/o/to"));
        let trail = recorder.conclude();
        assert_eq!(texts(&trail.removed), ["/o/from", "/o/old"]);
        assert_eq!(texts(&trail.made), ["/o/again", "/o/to"]);
    }
}

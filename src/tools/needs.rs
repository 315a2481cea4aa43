//! An input set in the making.

use super::meaning::Ground;
use crate::files::{ContentHash, Seen, look_plainly};
use crate::inputs::resolve::{InputSet, Presence};
use crate::protocol::message::LookedAt;
use crate::session::reason::Reason;

/// Whether nothing is at an absolute path that only this run of the tool can have used, as its temporary files. Asked past the
/// file table, which would know each of those names for good, and watch a folder in which compilers write all the time.
pub(super) fn is_gone(path: &[u8]) -> bool {
    look_plainly(path, false) == Seen::Absent
}

/// What a result depends on, as it is found out.
pub(super) struct Needs<'a, 'g> {
    pub(super) ground: &'a mut Ground<'g>,
    pub(super) set: InputSet,
}

impl<'a, 'g> Needs<'a, 'g> {
    pub(super) fn new(ground: &'a mut Ground<'g>) -> Needs<'a, 'g> {
        Needs { ground, set: InputSet::default() }
    }

    /// What is at a path.
    pub(super) fn presence(&mut self, path: &[u8]) -> Presence {
        let path = self.ground.world.intern(path);
        self.ground.world.presence(path)
    }

    /// A file that was read.
    pub(super) fn must(&mut self, path: &[u8]) -> Result<(), Reason> {
        let path = self.ground.world.intern(path);
        match self.ground.world.presence(path) {
            Presence::File(_) => self.set.read.push(path),
            Presence::Absent => return Err(Reason::ChangedDuringCompile),
            // One that a macro tracks: what counts in it nobody says.
            Presence::Folder(_) => return Err(Reason::DependencyOutput),
        }
        Ok(())
    }

    /// A file that was read: its content and size.
    pub(super) fn content(&mut self, path: &[u8]) -> Option<(ContentHash, u64)> {
        let path = self.ground.world.intern(path);
        let found = self.ground.world.content(path)?;
        self.set.read.push(path);
        Some(found)
    }

    /// A file that was read if it was there.
    pub(super) fn maybe(&mut self, path: &[u8]) {
        let path = self.ground.world.intern(path);
        match self.ground.world.presence(path) {
            Presence::File(_) => self.set.read.push(path),
            Presence::Folder(_) => self.set.exists.push(path),
            Presence::Absent => self.set.absent.push(path),
        }
    }

    /// A place that was looked at, or could have been: whether something is there counts, not what. So something
    /// that came while the tool ran keeps the result from being stored.
    pub(super) fn whether_there(&mut self, path: &[u8]) {
        let path = self.ground.world.intern(path);
        match self.ground.world.presence(path) {
            Presence::Absent => self.set.absent.push(path),
            _ => self.set.exists.push(path),
        }
    }

    /// What a run was seen to use.
    pub(super) fn looked_at(&mut self, looked: &LookedAt) -> Result<(), Reason> {
        for path in looked.read.iter().chain(&looked.exists) {
            let path = self.ground.world.intern(path);
            match self.ground.world.presence(path) {
                Presence::File(_) => self.set.read.push(path),
                Presence::Folder(_) => self.set.exists.push(path),
                Presence::Absent => return Err(Reason::ChangedDuringCompile),
            }
        }
        for path in &looked.absent {
            let path = self.ground.world.intern(path);
            self.set.absent.push(path);
        }
        Ok(())
    }

    /// Takes in what another part of the same command depends on.
    pub(super) fn add(&mut self, set: InputSet) {
        self.set.add(set);
    }

    pub(super) fn conclude(self) -> InputSet {
        let mut set = self.set;
        set.sort();
        set
    }
}

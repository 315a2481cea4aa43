//! System headers under paths of their own: gcc calls one by its path without symlinks and `..`, where that is shorter
//! (`-fcanonical-system-headers`, on by default). It names it so, and looks beside that for what it includes in quotes.
//!
//! Only folders given by options and variables, and those of the compiler's own that lie behind a link, as below a
//! `--sysroot`, are minded: no link is expected to come to be in `/usr/include`.

use super::Run;
use crate::inputs::resolve::spots::Spot;
use crate::inputs::resolve::{PathRef, Presence, World};

impl<W: World + ?Sized> Run<'_, W> {
    /// Notes what the paths of such headers begin with, and the folders.
    pub(super) fn find_canonical(&mut self) {
        let search = self.question.search;
        if !self.question.canonical || !self.directives {
            return;
        }
        for at in search.systems()..search.folders().len() {
            let folder = self.path(self.memo.folders[at]);
            let spelled = [&search.folders()[at][..], b"/"].concat();
            let own = self.world.own_path(folder);
            if search.is_own(&spelled) {
                self.out.linked.extend(own.map(|_| folder));
                continue;
            }
            self.out.linked.push(folder);
            self.canonical.push(spelled);
            self.canonical.extend(own.map(|own| [&own[..], b"/"].concat()));
        }
    }

    fn is_canonical(&self, path: PathRef) -> bool {
        if self.canonical.is_empty() {
            return false;
        }
        let spelled = self.world.spelled(path);
        self.canonical.iter().any(|prefix| spelled.starts_with(prefix))
    }

    /// What is known by text alone is read under its own path as well.
    pub(super) fn join_own(&mut self, spot: Spot) {
        let path = self.path(spot);
        if self.is_canonical(path)
            && let Some(own) = self.world.own_path(path)
        {
            let own = self.memo.spots.intern(self.world, &own);
            if let Presence::File(_) = self.presence(own) {
                self.join(own, true);
            }
        }
    }

    /// Their own paths are inputs.
    pub(super) fn link(&mut self) {
        let linked = self.out.read.iter().copied().filter(|path| self.is_canonical(*path));
        let linked: Vec<PathRef> = linked.collect();
        self.out.linked.extend(linked);
    }
}

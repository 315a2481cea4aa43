//! Files that compilers may take for one: gcc by content, size and mtime, clang by inode. What was read
//! under one name says nothing of the other, then, and both must go on being one, or two.

use std::collections::HashMap;

use super::Run;
use crate::inputs::dialect::Flavor;
use crate::inputs::resolve::spots::{Spot, Touch};
use crate::inputs::resolve::{PathRef, Reason, World};

impl<W: World + ?Sized> Run<'_, W> {
    /// Notes a file whose text was read under another name, too.
    pub(super) fn compare(&mut self, path: PathRef, text: u32) {
        let run = self.memo.run;
        let mark = &mut self.memo.text_marks[text as usize];
        if mark.0 != run {
            *mark = (run, path);
        } else if mark.1 != path {
            self.twins.extend([mark.1, path]);
        }
    }

    /// Another name of a file that was read. The compiler may have known that it is the same one, and
    /// then lists it once.
    pub(super) fn also_read(&mut self, spot: Spot) {
        if !self.is_null(spot) && self.mark(spot, Touch::Read) {
            self.out.read.push(self.path(spot));
            self.enqueue(spot, false);
        }
    }

    /// gcc lists nothing of a file that it takes for one it has read. Where there are such, all
    /// directives are followed again, with them among what was read.
    pub(super) fn skipped(&mut self) -> Result<bool, Reason> {
        let unlisted = std::mem::take(&mut self.unlisted);
        self.out.passed.extend(unlisted.iter().map(|spot| self.memo.spots.path(*spot)));
        if unlisted.is_empty() || self.question.flavor != Flavor::Gcc {
            return Ok(false);
        }
        let any = self.reads_once();
        let read = if any { self.out.read.clone() } else { self.once.clone() };
        if read.is_empty() {
            return Ok(false);
        }
        let mut dated: HashMap<(u64, i64), Vec<PathRef>> = HashMap::new();
        for path in read {
            if let Some(date) = self.world.dated(path) {
                dated.entry(date).or_default().push(path);
            }
        }
        let mut found = false;
        for spot in unlisted {
            let path = self.path(spot);
            let Some(date) = self.world.dated(path) else { continue };
            let Some(others) = dated.get(&date) else { continue };
            let content = self.world.content(path);
            if others.iter().any(|other| self.world.content(*other) == content) {
                self.join(spot, false);
                found = true;
            }
        }
        if found {
            self.follow_again()?;
        }
        Ok(found)
    }

    fn follow_again(&mut self) -> Result<(), Reason> {
        // What is marked was marked by the run before.
        self.memo.run += 1;
        for (place, file) in self.scans.clone().into_iter().enumerate() {
            for at in 0..self.memo.files.directive_count(file) {
                // The source was taken up first.
                self.directive(self.memo.files.directive(file, at), false, place == 0)?;
            }
        }
        Ok(())
    }

    /// True when something may make any file one that is read once.
    fn reads_once(&self) -> bool {
        self.digests().any(|digest| digest.reads_once)
    }

    /// Which of the equal ones are one is an input where the compiler asks for it.
    pub(super) fn relate_twins(&mut self) {
        if self.twins.is_empty() || !self.directives {
            return;
        }
        match self.question.flavor {
            Flavor::Clang => self.out.related.append(&mut self.twins),
            Flavor::Gcc if !self.once.is_empty() || self.reads_once() => {
                self.out.coeval.append(&mut self.twins);
            }
            Flavor::Gcc => {}
        }
    }
}

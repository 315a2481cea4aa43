//! What one directive makes a compiler read, and what it makes it look for in vain.

use super::Run;
use crate::inputs::dialect::Flavor;
use crate::inputs::resolve::memo::{Class, Directive};
use crate::inputs::resolve::spots::Spot;
use crate::inputs::resolve::{Presence, Reason, World};

impl<W: World + ?Sized> Run<'_, W> {
    /// Follows one, once in a run for either way. `main`: it stands in the source itself.
    pub(super) fn directive(
        &mut self,
        number: u32,
        by_text: bool,
        main: bool,
    ) -> Result<(), Reason> {
        let directive = self.memo.directives[number as usize].directive;
        let includes = matches!(directive.class, Class::Plain | Class::Next);
        if main && includes && self.question.precompiled && self.question.flavor == Flavor::Gcc {
            self.precompiled(directive, &[".gch"])?;
        }
        let run = self.memo.run;
        let mark = &mut self.memo.directives[number as usize].marks[usize::from(by_text)];
        if *mark == run {
            return Ok(());
        }
        *mark = run;
        match directive.class {
            Class::Plain => {
                self.plain(directive, by_text);
            }
            Class::Has => self.has(directive),
            Class::Next | Class::HasNext => self.next(directive, by_text),
        }
        Ok(())
    }

    /// Whether one of the candidates was read, or (by text) is there.
    pub(super) fn plain(&mut self, directive: Directive, by_text: bool) -> bool {
        if let Some(beside) = directive.beside
            && let Presence::File(id) = self.presence(beside)
        {
            if by_text {
                self.join(beside, true);
            }
            if self.identities.contains(&id) {
                self.explained.insert(id);
                self.also_read(beside);
                return true;
            }
            self.unlisted.push(beside);
        }
        let found = self.plain_list(directive.list, by_text);
        if found {
            directive.beside.into_iter().for_each(|beside| self.passed_over(beside));
        } else if by_text || !self.canonical.is_empty() {
            // Not taken, or what was read is gone already, and no list names it, or by another name.
            let passed = self.memo.candidates(directive).map(|spot| self.memo.spots.path(spot));
            self.out.passed.extend(passed);
        }
        found
    }

    fn plain_list(&mut self, list: u32, by_text: bool) -> bool {
        let run = self.memo.run;
        let slot = usize::from(by_text);
        let mark = self.memo.lists[list as usize].marks[slot];
        if mark >> 1 == run {
            return mark & 1 == 1;
        }
        let count = self.memo.lists[list as usize].count();
        let stops = self.stops.len() - count.min(self.stops.len());
        let absolute = count == 1 && self.stops.len() != 1;
        let mut found = false;
        let mut until = count;
        for at in 0..count {
            let spot = self.memo.candidate(list, at);
            let Presence::File(id) = self.presence(spot) else { continue };
            if by_text {
                self.join(spot, true);
            } else if !self.identities.contains(&id) {
                self.unlisted.push(spot);
                continue;
            }
            self.explained.insert(id);
            found = true;
            // Should the folder come again later, that is its place; should it become another
            // folder, this spelling notices.
            self.also_read(spot);
            if absolute || self.stops[stops + at] {
                until = at;
                break;
            }
        }
        if found {
            for at in 0..until {
                self.passed_over(self.memo.candidate(list, at));
            }
        }
        self.memo.lists[list as usize].marks[slot] = run << 1 | u64::from(found);
        found
    }

    /// All that a directive may mean, in order.
    pub(super) fn candidates(&self, directive: Directive) -> Vec<Spot> {
        self.memo.candidates(directive).collect()
    }

    fn has(&mut self, directive: Directive) {
        for spot in self.candidates(directive) {
            match self.presence(spot) {
                Presence::Absent => self.absent(spot),
                Presence::File(_) => {
                    self.exists(spot);
                    break;
                }
                Presence::Folder(_) => self.exists(spot),
            }
        }
    }

    fn next(&mut self, directive: Directive, by_text: bool) {
        for spot in self.candidates(directive) {
            match self.presence(spot) {
                Presence::Absent => self.absent(spot),
                Presence::File(id) => {
                    if directive.class == Class::HasNext {
                        self.exists(spot);
                    } else if by_text {
                        self.join(spot, true);
                    }
                    if self.identities.contains(&id) {
                        self.explained.insert(id);
                        self.also_read(spot);
                    } else {
                        self.unlisted.push(spot);
                    }
                }
                Presence::Folder(_) => self.exists(spot),
            }
        }
    }
}

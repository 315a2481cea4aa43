//! What is read before the source's first line: `-include` and its like, gcc's own first header, and the
//! compiled forms that may be taken instead of headers.

use super::Run;
use crate::inputs::dialect::Flavor;
use crate::inputs::resolve::memo::Directive;
use crate::inputs::resolve::{Presence, Reason, World};
use crate::inputs::scan::{How, Include, Kind};

impl<W: World + ?Sized> Run<'_, W> {
    /// `-include` and its like, gcc's own first header, and their precompiled forms.
    pub(super) fn forced(&mut self, by_text: bool) -> Result<(), Reason> {
        let search = self.question.search;
        // gcc looks for a compiled form of the source itself first of all.
        if self.question.precompiled && self.question.flavor == Flavor::Gcc {
            let compiled = self.memo.suffixed(self.world, self.source, ".gch");
            match self.presence(compiled) {
                Presence::Absent => self.absent(compiled),
                Presence::File(_) => self.read(compiled),
                Presence::Folder(_) => return Err(Reason::UncacheableArgument),
            }
        }
        for header in self.question.forced {
            let name = header.name.as_slice().into();
            let include = Include { how: How::Quote, kind: Kind::Include, name };
            // The cwd stands where the includer's folder would.
            let number = self.memo.directive(self.world, search, b"", &include);
            let directive = self.memo.directives[number as usize].directive;
            if self.question.precompiled && header.or_compiled {
                let suffixes: &[&str] = match self.question.flavor {
                    Flavor::Gcc => &[".gch"],
                    Flavor::Clang => &[".pch", ".gch"],
                };
                self.precompiled(directive, suffixes)?;
            }
            // It was read for sure: where the list does not show it, it was a precompiled one.
            if !self.plain(directive, by_text) && !by_text {
                let first = self.candidates(directive)[0];
                if matches!(self.presence(first), Presence::Folder(_)) {
                    return Err(Reason::UncacheableArgument);
                }
                self.plain(directive, true);
            }
        }
        let include =
            Include { how: How::Angle, kind: Kind::Include, name: b"stdc-predef.h"[..].into() };
        let number = self.memo.directive(self.world, search, b"", &include);
        // gcc looks for a compiled form of it, too, as of a header that the source names.
        self.directive(number, by_text, true)
    }

    /// A compiled form of a header may have been taken in its place, which no list shows (gcc then
    /// leaves out the header and all that it includes, too).
    pub(super) fn precompiled(
        &mut self,
        directive: Directive,
        suffixes: &[&'static str],
    ) -> Result<(), Reason> {
        let mut taken = false;
        for spot in self.candidates(directive) {
            for suffix in suffixes {
                let compiled = self.memo.suffixed(self.world, spot, suffix);
                match self.presence(compiled) {
                    Presence::Absent => self.absent(compiled),
                    Presence::File(_) => {
                        self.join(compiled, false);
                        taken = true;
                    }
                    // A folder of several: which one fits is the compiler's choice.
                    Presence::Folder(_) => return Err(Reason::UncacheableArgument),
                }
            }
            if !taken
                && let Presence::File(id) = self.presence(spot)
                && self.identities.contains(&id)
            {
                break;
            }
        }
        // What it was made from holds the macros that still expand here, `__TIME__` for one.
        if taken && !self.plain(directive, true) {
            return Err(Reason::DependencyOutput);
        }
        Ok(())
    }
}

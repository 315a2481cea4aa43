//! Before a compile: everything that it will probably read, and the places where that is looked for, is looked at, so that it
//! is watched from then on. What the set would be does not matter.
//!
//! Nearly all of that was looked at before an earlier compile. As long as the world has stayed the same since, it need not be
//! gone through again: of those texts only the macros count which make names of headers.

use super::Run;
use crate::inputs::resolve::World;
use crate::inputs::resolve::memo::Walked;
use crate::inputs::resolve::spots::Spot;

impl<W: World + ?Sized> Run<'_, W> {
    /// Follows what no run before a compile has followed in this epoch. False where this does not reach everything.
    pub(in crate::inputs::resolve) fn walk(mut self) -> bool {
        let defines = self.defines();
        // In assembly and in what is preprocessed the same text may say something else, and where the command line asks for
        // a header, it does so in every text.
        if self.assembly || !self.directives || !defines.includes.is_empty() {
            return false;
        }
        self.passes_walked = true;
        let walked = &mut self.memo.walked;
        self.known = std::mem::take(&mut walked.files);
        self.uses = std::mem::take(&mut walked.uses);
        self.callers = std::mem::take(&mut walked.callers);
        self.wrappers = std::mem::take(&mut walked.wrappers);
        let mut reached = self.forced(true).is_ok();
        while reached {
            reached = self.drain().is_ok();
            self.computed(&defines);
            if self.queue.is_empty() {
                break;
            }
        }
        // Whether those are looked for depends on what stands elsewhere.
        reached &= !self.digests().any(|digest| digest.assembler_files);
        if !reached {
            self.memo.walked = Walked::default();
            return false;
        }
        // Where that ends early, there is nothing to be stored.
        let _ = self.quoted();
        self.know_scans();
        let Run { memo, known, uses, callers, wrappers, walked, .. } = self;
        let Walked { mut spots, .. } = std::mem::take(&mut memo.walked);
        spots.extend(walked);
        memo.walked = Walked { spots, files: known, uses, callers, wrappers };
        true
    }

    /// True when the text is not to be taken up: it was, with all it includes.
    pub(super) fn passes(&mut self, spot: Spot) -> bool {
        if !self.passes_walked {
            return false;
        }
        let walked = (spot, self.question.canonical);
        let is_walked = self.memo.walked.spots.contains(&walked);
        if !is_walked {
            self.walked.push(walked);
        }
        is_walked
    }
}

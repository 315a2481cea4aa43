//! What the texts say of the time: of the day, of the clock, and of the files' own times.

use super::Run;
use crate::inputs::resolve::World;
use crate::inputs::scan::Scan;

impl<W: World + ?Sized> Run<'_, W> {
    /// Says which times the result depends on. Comes last: when all that was read is known.
    pub(super) fn times(&mut self, defines: &Scan) {
        let mut stamped = defines.timestamp;
        if self.directives {
            for file in &self.scans {
                let digest = self.memo.files.digest(*file);
                self.out.time |= digest.time;
                self.out.date |= digest.date;
                stamped |= digest.timestamp;
            }
            let [time, date, timestamp] = self.pasted(defines);
            self.out.time |= time || defines.time;
            self.out.date |= date || defines.date;
            stamped |= timestamp;
        }
        // Who defines such a name has taken the compiler's own meaning from it for good.
        self.out.time &= !self.is_defined(b"__TIME__");
        self.out.date &= !self.is_defined(b"__DATE__");
        stamped &= !self.is_defined(b"__TIMESTAMP__");
        // It stands for the file whose line a macro is expanded on: any of them.
        if stamped || self.question.records_times {
            self.out.stamped.clone_from(&self.out.read);
        } else if self.question.checks_times {
            self.stamp_precompiled();
        }
    }

    /// Where there is a precompiled header, the times of all that it may be made of. Its own is no matter, unless it
    /// is another one's beginning.
    fn stamp_precompiled(&mut self) {
        self.precompiled.sort_unstable();
        self.precompiled.dedup();
        match self.precompiled[..] {
            [] => {}
            [own] => {
                let others = self.out.read.iter().filter(|path| **path != own);
                self.out.stamped = others.copied().collect();
            }
            _ => self.out.stamped.clone_from(&self.out.read),
        }
    }

    /// Which of the names that mean a time may be put together by `##`.
    fn pasted(&self, defines: &Scan) -> [bool; 3] {
        let mut pieces = defines.pieces;
        let mut others_paste = false;
        for digest in self.digests() {
            if digest.own {
                others_paste |= digest.pieces.pastes;
            } else {
                pieces.add(&digest.pieces);
            }
        }
        pieces.make(others_paste)
    }

    /// Whether the command line defines the name. (To undefine it later does not bring the compiler's own back.)
    fn is_defined(&self, name: &[u8]) -> bool {
        self.question.defines.iter().any(|body| {
            body.strip_prefix(name).is_some_and(|rest| matches!(rest.first(), None | Some(b'=')))
        })
    }
}

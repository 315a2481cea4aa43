//! Files as one resolver knows them. What every run needs of their scans is a cache line each: a compile has hundreds
//! of them, and other memory is seldom at hand when it ends.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::memo::NumberHasher;
use super::spots::Spot;
use crate::inputs::scan::{Pieces, Scan};

/// The number of a file in one resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileNumber(u32);

/// How a file's text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reading {
    Preprocessed,
    /// With or without a preprocessor in front.
    Assembly,
    /// By the assembler alone, which another text told to include it.
    Included,
}

/// What a scan says, in short.
#[repr(align(64))]
pub(super) struct Digest {
    /// In this epoch of the spots it is what a new scan would give.
    pub(super) epoch: u32,
    /// The number of the text: equal for equal texts.
    pub(super) text: u32,
    pub(super) folder: Spot,
    /// Among the numbers of all files' directives.
    from: u32,
    to: u32,
    pub(super) pieces: Pieces,
    /// Below a folder of the compiler's own.
    pub(super) own: bool,
    // As in the scan:
    pub(super) precompiled: bool,
    pub(super) once: bool,
    pub(super) reads_once: bool,
    pub(super) modules: bool,
    pub(super) dependency_pragma: bool,
    pub(super) time: bool,
    pub(super) date: bool,
    pub(super) timestamp: bool,
    pub(super) uses_asm: bool,
    pub(super) line_opaque: bool,
    pub(super) assembler_opaque: bool,
    // There are some of these in the scan:
    pub(super) line_files: bool,
    pub(super) assembler_files: bool,
    pub(super) has_calls: bool,
    /// Something is included, or asked for, by a macro; or a macro asks.
    pub(super) computes: bool,
}

/// The rest of what is known of a file.
pub(super) struct File {
    pub(super) scan: Arc<Scan>,
    pub(super) folder: Arc<[u8]>,
}

#[derive(Default)]
pub(super) struct Files {
    digests: Vec<Digest>,
    files: Vec<File>,
    directives: Vec<u32>,
    definers: Definers,
}

/// Which files may define a macro that names a header, by the hash of its name. Most resolvers are never asked that.
#[derive(Default)]
struct Definers {
    by_name: HashMap<u64, Vec<FileNumber>, BuildHasherDefault<NumberHasher>>,
    /// So many files are taken in.
    files: usize,
}

impl Files {
    pub(super) fn digest(&self, file: FileNumber) -> &Digest {
        &self.digests[file.0 as usize]
    }

    pub(super) fn file(&self, file: FileNumber) -> &File {
        &self.files[file.0 as usize]
    }

    pub(super) fn confirm(&mut self, file: FileNumber, epoch: u32) {
        self.digests[file.0 as usize].epoch = epoch;
    }

    /// How many directives a file has.
    pub(super) fn directive_count(&self, file: FileNumber) -> usize {
        let Digest { from, to, .. } = self.digest(file);
        (to - from) as usize
    }

    /// One of a file's directives.
    pub(super) fn directive(&self, file: FileNumber, at: usize) -> u32 {
        self.directives[self.digest(file).from as usize + at]
    }

    /// The files whose texts may define this macro as the name of a header, or as another macro.
    pub(super) fn definers(&mut self, name: &[u8]) -> &[FileNumber] {
        let Definers { by_name, files } = &mut self.definers;
        for (number, file) in self.files.iter().enumerate().skip(*files) {
            for (defined, _) in &file.scan.header_macros {
                let all = by_name.entry(xxh3_64(defined)).or_default();
                let number = FileNumber(number as u32);
                if all.last() != Some(&number) {
                    all.push(number);
                }
            }
        }
        *files = self.files.len();
        by_name.get(&xxh3_64(name)).map_or(&[], |all| all)
    }

    /// Adds a file, or puts it in the place of what it was `before`.
    pub(super) fn put(
        &mut self,
        before: Option<FileNumber>,
        file: File,
        directives: &[u32],
        known: Known,
    ) -> FileNumber {
        let room = before.map(|before| self.digest(before)).map(|digest| (digest.from, digest.to));
        let from = match room {
            Some((from, to)) if directives.len() <= (to - from) as usize => {
                self.directives[from as usize..][..directives.len()].copy_from_slice(directives);
                from
            }
            _ => {
                self.directives.extend_from_slice(directives);
                (self.directives.len() - directives.len()) as u32
            }
        };
        let digest = digest(&file.scan, known, from, directives.len());
        match before {
            Some(number) => {
                self.digests[number.0 as usize] = digest;
                self.files[number.0 as usize] = file;
                self.definers = Definers::default();
                number
            }
            None => {
                self.digests.push(digest);
                self.files.push(file);
                FileNumber(self.files.len() as u32 - 1)
            }
        }
    }
}

/// What a digest has beside the scan.
pub(super) struct Known {
    pub(super) epoch: u32,
    pub(super) text: u32,
    pub(super) folder: Spot,
    pub(super) own: bool,
}

fn digest(scan: &Scan, known: Known, from: u32, directives: usize) -> Digest {
    let Known { epoch, text, folder, own } = known;
    Digest {
        epoch,
        text,
        folder,
        from,
        to: from + directives as u32,
        pieces: scan.pieces,
        own,
        precompiled: scan.precompiled,
        once: scan.once,
        reads_once: scan.reads_once,
        modules: scan.modules,
        dependency_pragma: scan.dependency_pragma,
        time: scan.time,
        date: scan.date,
        timestamp: scan.timestamp,
        uses_asm: scan.uses_asm,
        line_opaque: scan.line_opaque,
        line_files: !scan.line_files.is_empty(),
        assembler_files: !scan.assembler_files.is_empty(),
        assembler_opaque: scan.assembler_opaque,
        has_calls: !scan.has_calls.is_empty(),
        computes: scan.computed
            || scan.computed_opaque
            || scan.has_opaque
            || !scan.computed_names.is_empty()
            || !scan.has_names.is_empty()
            || !scan.has_wrappers.is_empty(),
    }
}

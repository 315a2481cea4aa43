//! One resolution, from the list of what was read to the input set.

mod ahead;
mod canonical;
mod directives;
mod forced;
mod late;
mod times;
mod twins;

use std::collections::HashSet;
use std::sync::Arc;

use super::digest::{Digest, FileNumber, Reading};
use super::memo::{Numbers, Resolver, Use};
use super::spots::{Spot, Touch};
use super::{InputSet, PathRef, Presence, Question, Read, Reason, World};
use crate::inputs::dialect::{Flavor, Language};
use crate::inputs::scan::{Scan, scan};

pub(super) struct Run<'a, W: World + ?Sized> {
    world: &'a mut W,
    memo: &'a mut Resolver,
    question: &'a Question<'a>,
    out: InputSet,
    /// Inodes of what was read.
    identities: Numbers<u64>,
    /// Of those, the ones some directive explains.
    explained: Numbers<u64>,
    /// For each search folder: no later one is the same folder.
    stops: Vec<bool>,
    queue: Vec<(Spot, bool)>,
    visited: Numbers<(u64, u64, bool)>,
    scans: Vec<FileNumber>,
    /// Those whose macros count; `know_scans` fills it.
    known: Numbers<FileNumber>,
    listed: Vec<Spot>,
    uses: Vec<Use>,
    /// With `F(NAME)` in `#if` lines.
    callers: Vec<(FileNumber, Spot)>,
    wrappers: HashSet<Box<[u8]>>,
    folders_with_computed: Vec<Arc<[u8]>>,
    assembly: bool,
    /// Directives mean something: neither preprocessed nor plain assembly.
    directives: bool,
    source: Spot,
    /// Something was read whose text is not known well enough.
    opaque_by_text: bool,
    /// Paths of equal content.
    twins: Vec<PathRef>,
    /// Precompiled headers that were read.
    precompiled: Vec<PathRef>,
    /// With `#pragma once`.
    once: Vec<PathRef>,
    /// Named by some directive and there, but not in the list.
    unlisted: Vec<Spot>,
    /// What the paths of system headers begin with that may be called by their own: see `canonical`.
    canonical: Vec<Vec<u8>>,
    /// What was walked before is passed over, and what was not is noted: see `ahead`.
    passes_walked: bool,
    walked: Vec<(Spot, bool)>,
}

impl<'a, W: World + ?Sized> Run<'a, W> {
    pub(super) fn new(
        world: &'a mut W,
        memo: &'a mut Resolver,
        question: &'a Question<'a>,
    ) -> Result<Self, Reason> {
        memo.begin(world, question.search);
        let mut stops = vec![true; memo.folders.len()];
        let mut seen = Numbers::<u64>::default();
        for (at, stop) in stops.iter_mut().enumerate().rev() {
            if let Presence::Folder(id) = memo.spots.presence(world, memo.folders[at]) {
                *stop = seen.insert(id);
            }
        }
        let source = memo.listed(world, question.source);
        let language = question.language;
        let mut run = Run {
            world,
            memo,
            question,
            out: InputSet::default(),
            identities: Numbers::default(),
            explained: Numbers::default(),
            stops,
            queue: Vec::new(),
            visited: Numbers::default(),
            scans: Vec::new(),
            known: Numbers::default(),
            listed: Vec::new(),
            uses: Vec::new(),
            callers: Vec::new(),
            wrappers: HashSet::new(),
            folders_with_computed: Vec::new(),
            // What assembler there is in LLVM's own text stands in no literals as C has them.
            assembly: matches!(
                language,
                Language::Assembler | Language::AssemblerWithCpp | Language::Ir
            ),
            directives: !matches!(
                language,
                Language::Assembler
                    | Language::PreprocessedC
                    | Language::PreprocessedCxx
                    | Language::Ir
            ),
            source,
            opaque_by_text: false,
            twins: Vec::new(),
            precompiled: Vec::new(),
            once: Vec::new(),
            unlisted: Vec::new(),
            canonical: Vec::new(),
            passes_walked: false,
            walked: Vec::new(),
        };
        run.find_canonical();
        if run.directives && question.search.has_others() {
            let folders = run.memo.folders.iter();
            run.out.related = folders.map(|folder| run.memo.spots.path(*folder)).collect();
        }
        let (list, by_text) = match question.read {
            Read::Complete(list) => (list, false),
            Read::UserHeaders(list) => (list, true),
            Read::Nothing => (&[][..], true),
        };
        run.identities.reserve(list.len());
        run.explained.reserve(list.len());
        run.visited.reserve(list.len());
        run.listed.push(source);
        for path in list {
            let spot = run.memo.listed(run.world, path);
            run.listed.push(spot);
        }
        // The source comes last here, so that it is taken up first, as what it is.
        for at in (0..run.listed.len()).rev() {
            let spot = run.listed[at];
            // A name that is not there is gone already (or was misread).
            run.join(spot, by_text).ok_or(Reason::ChangedDuringCompile)?;
        }
        Ok(run)
    }

    pub(super) fn finish(mut self) -> Result<InputSet, Reason> {
        let by_text = !matches!(self.question.read, Read::Complete(_));
        let defines = self.defines();
        if self.directives {
            self.forced(by_text)?;
        }
        let mut unresolved;
        loop {
            self.drain()?;
            unresolved = self.computed(&defines);
            if self.queue.is_empty() && !self.skipped()? {
                break;
            }
        }
        if unresolved || self.opaque_by_text {
            return Err(Reason::ComputedInclude);
        }
        if !by_text {
            self.unexplained();
        }
        self.assembler()?;
        if self.question.flavor == Flavor::Gcc {
            self.quoted()?;
        }
        let cxx = matches!(
            self.question.language,
            Language::Cxx | Language::ObjCxx | Language::CxxHeader | Language::PreprocessedCxx
        );
        for digest in self.digests().filter(|digest| !digest.own) {
            if digest.modules && cxx {
                return Err(Reason::Modules);
            }
            if digest.dependency_pragma {
                return Err(Reason::UncacheableArgument);
            }
        }
        self.times(&defines);
        self.relate_twins();
        self.link();
        self.out.sort();
        Ok(self.out)
    }

    /// The `-D` arguments, read as the definitions they become.
    fn defines(&self) -> Scan {
        let mut text = Vec::new();
        for body in self.question.defines {
            text.extend_from_slice(b"#define ");
            let equals = body.iter().position(|&b| b == b'=').unwrap_or(body.len());
            text.extend_from_slice(&body[..equals]);
            text.push(b' ');
            let value = body.get(equals + 1..).unwrap_or(b"1");
            text.extend(value.iter().map(|&b| if b == b'\n' { b' ' } else { b }));
            text.push(b'\n');
        }
        scan(&text)
    }

    /// Of all files whose text counts.
    fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.scans.iter().map(|file| self.memo.files.digest(*file))
    }

    fn scan(&self, file: FileNumber) -> &Arc<Scan> {
        &self.memo.files.file(file).scan
    }

    fn folder(&self, file: FileNumber) -> &Arc<[u8]> {
        &self.memo.files.file(file).folder
    }

    fn reading(&self) -> Reading {
        if self.assembly { Reading::Assembly } else { Reading::Preprocessed }
    }

    fn presence(&mut self, spot: Spot) -> Presence {
        self.memo.spots.presence(self.world, spot)
    }

    fn path(&self, spot: Spot) -> PathRef {
        self.memo.spots.path(spot)
    }

    /// True the first time in this run.
    fn mark(&mut self, spot: Spot, touch: Touch) -> bool {
        self.memo.spots.mark(self.memo.run, spot, touch)
    }

    fn absent(&mut self, spot: Spot) {
        if self.mark(spot, Touch::Absent) {
            self.out.absent.push(self.path(spot));
        }
    }

    fn read(&mut self, spot: Spot) {
        if self.mark(spot, Touch::Read) {
            self.out.read.push(self.path(spot));
        }
    }

    fn exists(&mut self, spot: Spot) {
        let is_read = self.memo.spots.is_marked(self.memo.run, spot, Touch::Read);
        if !is_read && self.mark(spot, Touch::Exists) {
            self.out.exists.push(self.path(spot));
        }
    }

    /// A candidate before the one that was read. If it is there, it may have come since.
    fn passed_over(&mut self, spot: Spot) {
        match self.presence(spot) {
            Presence::Absent => self.absent(spot),
            Presence::File(_) | Presence::Folder(_) => self.exists(spot),
        }
    }

    /// The file was read; its text is scanned later. `None` where it is not there.
    fn join(&mut self, spot: Spot, by_text: bool) -> Option<()> {
        let Presence::File(id) = self.presence(spot) else { return None };
        self.identities.insert(id);
        if self.is_null(spot) {
            self.exists(spot);
            return Some(());
        }
        self.read(spot);
        self.enqueue(spot, by_text);
        Some(())
    }

    /// Once for each way: what is found in every round must not begin another one.
    fn enqueue(&mut self, spot: Spot, by_text: bool) {
        let touch = if by_text { Touch::QueuedByText } else { Touch::QueuedAsListed };
        if self.mark(spot, touch) {
            self.queue.push((spot, by_text));
        }
    }

    /// `/dev/null`, as long as it is the device: it never holds anything.
    fn is_null(&mut self, spot: Spot) -> bool {
        spot == self.memo.null && self.world.dated(self.path(spot)).is_none()
    }

    /// Scans what waits, and follows its directives.
    fn drain(&mut self) -> Result<(), Reason> {
        while let Some((spot, by_text)) = self.queue.pop() {
            let Presence::File(id) = self.presence(spot) else {
                return Err(Reason::ChangedDuringCompile);
            };
            if self.passes(spot) {
                continue;
            }
            let Some(file) = self.text(spot)? else { continue };
            let path = self.path(spot);
            let Digest { precompiled, once, text, folder, .. } = *self.memo.files.digest(file);
            if precompiled {
                self.precompiled.push(path);
            }
            self.compare(path, text);
            if by_text {
                self.join_own(spot);
            }
            // The same file in the same folder says the same again under any other spelling;
            // this is what ends `a/../a/../a/x.h`.
            let folder = match self.presence(folder) {
                Presence::Folder(folder) => folder,
                _ => u64::from(self.path(folder).0),
            };
            if !self.visited.insert((id, folder, by_text)) {
                continue;
            }
            self.scans.push(file);
            if once {
                self.once.push(path);
            }
            if self.directives {
                self.follow(spot, file, by_text)?;
            }
        }
        Ok(())
    }

    /// The text of a file that was read. None if what it says does not matter.
    fn text(&mut self, spot: Spot) -> Result<Option<FileNumber>, Reason> {
        let Question { search, without_own, .. } = *self.question;
        let reading = self.reading();
        if let Some(file) = self.memo.unchanged(spot, reading) {
            let is_left_out = without_own && self.memo.files.digest(file).own;
            return Ok((!is_left_out).then_some(file));
        }
        let path = self.path(spot);
        let spelled = self.world.spelled(path);
        // Tokens, not text. What they were made from is found through the header itself.
        let precompiled = spelled.ends_with(b".gch") || spelled.ends_with(b".pch");
        if precompiled {
            self.precompiled.push(path);
        }
        if precompiled || without_own && search.is_own(&spelled) {
            return Ok(None);
        }
        let file = self.memo.scanned(self.world, search, spot, reading);
        file.map(Some).ok_or(Reason::ChangedDuringCompile)
    }

    fn follow(&mut self, spot: Spot, file: FileNumber, by_text: bool) -> Result<(), Reason> {
        let main = spot == self.source;
        for at in 0..self.memo.files.directive_count(file) {
            self.directive(self.memo.files.directive(file, at), by_text, main)?;
        }
        let Digest { has_calls, computes, .. } = *self.memo.files.digest(file);
        if has_calls {
            self.callers.push((file, spot));
        }
        // So it is with nearly all.
        if !computes {
            return Ok(());
        }
        let scan = self.scan(file).clone();
        if scan.computed {
            self.folders_with_computed.push(self.folder(file).clone());
        }
        // In a full list a computed include is explained by what it read.
        if scan.has_opaque || by_text && scan.computed_opaque {
            self.opaque_by_text = true;
        }
        for (kind, name) in scan.computed_names.iter().chain(&scan.has_names) {
            let name = name.clone();
            self.uses.push(Use { file, spot, kind: *kind, name, by_text });
        }
        self.wrappers.extend(scan.has_wrappers.iter().cloned());
        Ok(())
    }
}

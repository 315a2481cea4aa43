//! One resolution, from the list of what was read to the input set.

mod ahead;
mod canonical;
mod late;
mod times;
mod twins;

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use super::memo::{Class, Directive, FileMemo, NumberHasher, Resolver};
use super::{InputSet, PathRef, Presence, Question, Read, Reason, World};
use crate::inputs::dialect::{Flavor, Language};
use crate::inputs::scan::{Kind, Scan, scan};

type Numbers<T> = HashSet<T, BuildHasherDefault<NumberHasher>>;

const READ: u64 = 1;
const ABSENT: u64 = 2;
const EXISTS: u64 = 4;
/// Its text was taken up, or waits for that: as a file of the list, or by text.
const QUEUED: [u64; 2] = [8, 16];
/// Below the bits of a mark stands the number of the run.
const MARK_BITS: u32 = 5;

/// A macro that names a header: where it was used, and how.
struct Use {
    file: Arc<FileMemo>,
    path: PathRef,
    kind: Kind,
    name: Box<[u8]>,
    by_text: bool,
}

/// `F(NAME)` in an `#if` line.
struct Call {
    file: Arc<FileMemo>,
    path: PathRef,
    wrapper: Box<[u8]>,
    argument: Box<[u8]>,
}

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
    queue: Vec<(PathRef, bool)>,
    visited: Numbers<(u64, u64, bool)>,
    scans: Vec<Arc<FileMemo>>,
    listed: Vec<PathRef>,
    uses: Vec<Use>,
    calls: Vec<Call>,
    wrappers: HashSet<Box<[u8]>>,
    folders_with_computed: Vec<Arc<[u8]>>,
    assembly: bool,
    /// Directives mean something: neither preprocessed nor plain assembly.
    directives: bool,
    source: PathRef,
    /// Something was read whose text is not known well enough.
    opaque_by_text: bool,
    /// Paths of equal content.
    twins: Vec<PathRef>,
    /// Precompiled headers that were read.
    precompiled: Vec<PathRef>,
    /// With `#pragma once`.
    once: Vec<PathRef>,
    /// Named by some directive and there, but not in the list.
    unlisted: Vec<PathRef>,
    /// What the paths of system headers begin with that may be called by their own: see `canonical`.
    canonical: Vec<Vec<u8>>,
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
            if let Presence::Folder(id) = memo.presence(world, memo.folders[at]) {
                *stop = seen.insert(id);
            }
        }
        let source = memo.path(world, question.source);
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
            listed: Vec::new(),
            uses: Vec::new(),
            calls: Vec::new(),
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
        };
        run.find_canonical();
        if run.directives && question.search.has_others() {
            run.out.related.clone_from(&run.memo.folders);
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
            let path = run.memo.path(run.world, path);
            run.listed.push(path);
        }
        // The source comes last here, so that it is taken up first, as what it is.
        for at in (0..run.listed.len()).rev() {
            let path = run.listed[at];
            // A name that is not there is gone already (or was misread).
            run.join(path, by_text).ok_or(Reason::ChangedDuringCompile)?;
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
        for FileMemo { scan, own, .. } in self.scans.iter().map(|file| &**file) {
            if *own {
                continue;
            }
            if scan.modules && cxx {
                return Err(Reason::Modules);
            }
            if scan.dependency_pragma {
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

    fn presence(&mut self, path: PathRef) -> Presence {
        self.memo.presence(self.world, path)
    }

    fn mark(&mut self, path: PathRef, bit: u64) -> bool {
        let at = path.0 as usize;
        if at >= self.memo.path_marks.len() {
            self.memo.path_marks.resize(at + 1 + at / 2, 0);
        }
        let mark = &mut self.memo.path_marks[at];
        if *mark >> MARK_BITS != self.memo.run {
            *mark = self.memo.run << MARK_BITS;
        }
        let fresh = *mark & bit == 0;
        *mark |= bit;
        fresh
    }

    fn absent(&mut self, path: PathRef) {
        if self.mark(path, ABSENT) {
            self.out.absent.push(path);
        }
    }

    fn read(&mut self, path: PathRef) {
        if self.mark(path, READ) {
            self.out.read.push(path);
        }
    }

    fn exists(&mut self, path: PathRef) {
        if self.mark(path, READ) {
            // Not read so far: take the mark back.
            let at = path.0 as usize;
            self.memo.path_marks[at] &= !READ;
            if self.mark(path, EXISTS) {
                self.out.exists.push(path);
            }
        }
    }

    /// A candidate before the one that was read. If it is there, it may have come since.
    fn passed_over(&mut self, path: PathRef) {
        match self.presence(path) {
            Presence::Absent => self.absent(path),
            Presence::File(_) | Presence::Folder(_) => self.exists(path),
        }
    }

    /// The file was read; its text is scanned later. `None` where it is not there.
    fn join(&mut self, path: PathRef, by_text: bool) -> Option<()> {
        let Presence::File(id) = self.presence(path) else { return None };
        self.identities.insert(id);
        if self.is_null(path) {
            self.exists(path);
            return Some(());
        }
        self.read(path);
        self.enqueue(path, by_text);
        Some(())
    }

    /// Once for each way: what is found in every round must not begin another one.
    fn enqueue(&mut self, path: PathRef, by_text: bool) {
        if self.mark(path, QUEUED[usize::from(by_text)]) {
            self.queue.push((path, by_text));
        }
    }

    /// `/dev/null`, as long as it is the device: it never holds anything.
    fn is_null(&mut self, path: PathRef) -> bool {
        path == self.memo.null && self.world.dated(path).is_none()
    }

    /// Scans what waits, and follows its directives.
    fn drain(&mut self) -> Result<(), Reason> {
        while let Some((path, by_text)) = self.queue.pop() {
            let Presence::File(id) = self.presence(path) else {
                return Err(Reason::ChangedDuringCompile);
            };
            let Some(file) = self.text(path)? else { continue };
            if file.scan.precompiled {
                self.precompiled.push(path);
            }
            self.compare(path, &file);
            if by_text {
                self.join_own(path);
            }
            // The same file in the same folder says the same again under any other spelling;
            // this is what ends `a/../a/../a/x.h`.
            let folder = match self.presence(file.folder_ref) {
                Presence::Folder(folder) => folder,
                _ => u64::from(file.folder_ref.0),
            };
            if !self.visited.insert((id, folder, by_text)) {
                continue;
            }
            self.scans.push(file.clone());
            if file.scan.once {
                self.once.push(path);
            }
            if self.directives {
                self.follow(path, &file, by_text)?;
            }
        }
        Ok(())
    }

    /// The text of a file that was read. None if what it says does not matter.
    fn text(&mut self, path: PathRef) -> Result<Option<Arc<FileMemo>>, Reason> {
        let Question { search, without_own, .. } = *self.question;
        if let Some(file) = self.memo.unchanged(path, self.assembly) {
            return Ok((!(without_own && file.own)).then(|| file.clone()));
        }
        let spelled = self.world.spelled(path);
        // Tokens, not text. What they were made from is found through the header itself.
        let precompiled = spelled.ends_with(b".gch") || spelled.ends_with(b".pch");
        if precompiled {
            self.precompiled.push(path);
        }
        if precompiled || without_own && search.is_own(&spelled) {
            return Ok(None);
        }
        let file = self.memo.scanned(self.world, search, path, self.assembly);
        file.map(Some).ok_or(Reason::ChangedDuringCompile)
    }

    fn follow(&mut self, path: PathRef, file: &Arc<FileMemo>, by_text: bool) -> Result<(), Reason> {
        let main = path == self.source;
        for &number in &file.directives {
            self.directive(number, by_text, main)?;
        }
        let scan = &file.scan;
        if scan.computed {
            self.folders_with_computed.push(file.folder.clone());
        }
        // In a full list a computed include is explained by what it read.
        if scan.has_opaque || by_text && scan.computed_opaque {
            self.opaque_by_text = true;
        }
        for (kind, name) in scan.computed_names.iter().chain(&scan.has_names) {
            let (file, name) = (file.clone(), name.clone());
            self.uses.push(Use { file, path, kind: *kind, name, by_text });
        }
        for (wrapper, argument) in &scan.has_calls {
            let (file, wrapper, argument) = (file.clone(), wrapper.clone(), argument.clone());
            self.calls.push(Call { file, path, wrapper, argument });
        }
        self.wrappers.extend(scan.has_wrappers.iter().cloned());
        Ok(())
    }

    fn directive(&mut self, number: u32, by_text: bool, main: bool) -> Result<(), Reason> {
        let directive = self.memo.directives[number as usize];
        let includes = matches!(directive.class, Class::Plain | Class::Next);
        if main && includes && self.question.precompiled && self.question.flavor == Flavor::Gcc {
            self.precompiled(directive, &[".gch"])?;
        }
        let run = self.memo.run;
        let mark = &mut self.memo.directive_marks[number as usize][usize::from(by_text)];
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
    fn plain(&mut self, directive: Directive, by_text: bool) -> bool {
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
            self.out.passed.extend(directive.beside);
            self.out.passed.extend(&self.memo.lists[directive.list as usize][..]);
        }
        found
    }

    fn plain_list(&mut self, list: u32, by_text: bool) -> bool {
        let run = self.memo.run;
        let slot = usize::from(by_text);
        let mark = self.memo.list_marks[list as usize][slot];
        if mark >> 1 == run {
            return mark & 1 == 1;
        }
        let paths = self.memo.lists[list as usize].clone();
        let stops = self.stops.len() - paths.len().min(self.stops.len());
        let absolute = paths.len() == 1 && self.stops.len() != 1;
        let mut found = false;
        let mut until = paths.len();
        for (at, &path) in paths.iter().enumerate() {
            let Presence::File(id) = self.presence(path) else { continue };
            if by_text {
                self.join(path, true);
            } else if !self.identities.contains(&id) {
                self.unlisted.push(path);
                continue;
            }
            self.explained.insert(id);
            found = true;
            // Should the folder come again later, that is its place; should it become another
            // folder, this spelling notices.
            self.also_read(path);
            if absolute || self.stops[stops + at] {
                until = at;
                break;
            }
        }
        if found {
            for &path in &paths[..until] {
                self.passed_over(path);
            }
        }
        self.memo.list_marks[list as usize][slot] = run << 1 | u64::from(found);
        found
    }

    fn has(&mut self, directive: Directive) {
        let paths = self.memo.lists[directive.list as usize].clone();
        for path in directive.beside.into_iter().chain(paths.iter().copied()) {
            match self.presence(path) {
                Presence::Absent => self.absent(path),
                Presence::File(_) => {
                    self.exists(path);
                    break;
                }
                Presence::Folder(_) => self.exists(path),
            }
        }
    }

    fn next(&mut self, directive: Directive, by_text: bool) {
        let paths = self.memo.lists[directive.list as usize].clone();
        for path in directive.beside.into_iter().chain(paths.iter().copied()) {
            match self.presence(path) {
                Presence::Absent => self.absent(path),
                Presence::File(id) => {
                    if directive.class == Class::HasNext {
                        self.exists(path);
                    } else if by_text {
                        self.join(path, true);
                    }
                    if self.identities.contains(&id) {
                        self.explained.insert(id);
                        self.also_read(path);
                    } else {
                        self.unlisted.push(path);
                    }
                }
                Presence::Folder(_) => self.exists(path),
            }
        }
    }
}

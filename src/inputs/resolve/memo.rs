//! What stays true from one compile to the next: the candidate paths of every directive.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::digest::{File, FileNumber, Files, Known, Reading};
use super::spots::{Spot, Spots};
use super::{PathRef, World};
use crate::inputs::scan::{How, Include, Kind, Scan};
use crate::inputs::search::{SearchPath, join, normal, parent};

/// Candidate lists for one search path and one cwd; paths are built once.
#[derive(Default)]
pub struct Resolver {
    pub(super) spots: Spots,
    pub(super) folders: Vec<Spot>,
    /// `/dev/null`
    pub(super) null: Spot,
    names: HashMap<(How, Box<[u8]>), u32>,
    /// Of what compilers list as read.
    paths: HashMap<Box<[u8]>, Spot, BuildHasherDefault<TextHasher>>,
    pub(super) lists: Vec<List>,
    /// Those of all lists.
    candidates: Vec<Spot>,
    known: HashMap<Directive, u32, BuildHasherDefault<NumberHasher>>,
    pub(super) directives: Vec<Noted>,
    pub(super) files: Files,
    numbers: HashMap<(Spot, Reading), FileNumber, BuildHasherDefault<NumberHasher>>,
    suffixed: HashMap<(Spot, &'static str), Spot>,
    /// Numbers of texts, as their scans tell them apart.
    texts: HashMap<u64, u32, BuildHasherDefault<NumberHasher>>,
    /// Forgotten with each new epoch of the spots.
    pub(super) walked: Walked,
    /// Per text: the run that last read it, and where.
    pub(super) text_marks: Vec<(u64, PathRef)>,
    pub(super) run: u64,
}

/// What runs before compiles have followed.
#[derive(Default)]
pub(super) struct Walked {
    /// Whose text, and that of all it includes; and whether own paths were minded (`Question::canonical`).
    pub(super) spots: Numbers<(Spot, bool)>,
    pub(super) files: Numbers<FileNumber>,
    /// What these files ask for by macros, which may mean something else with each command.
    pub(super) uses: Vec<Use>,
    pub(super) callers: Vec<(FileNumber, Spot)>,
    pub(super) wrappers: HashSet<Box<[u8]>>,
}

/// A macro that names a header: where it was used, and how.
pub(super) struct Use {
    pub(super) file: FileNumber,
    pub(super) spot: Spot,
    pub(super) kind: Kind,
    pub(super) name: Box<[u8]>,
    pub(super) by_text: bool,
}

/// The candidates of a directive in the search folders.
#[derive(Clone, Copy)]
pub(super) struct List {
    from: u32,
    to: u32,
    /// For either way of following directives, by the list and by text: the run that last went through it, and whether
    /// that found something.
    pub(super) marks: [u64; 2],
}

impl List {
    pub(super) fn count(&self) -> usize {
        (self.to - self.from) as usize
    }
}

/// A directive, and the run that last followed it, by the list and by text.
pub(super) struct Noted {
    pub(super) directive: Directive,
    pub(super) marks: [u64; 2],
}

/// How a directive is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    /// The first one there is taken.
    Plain,
    /// Any behind some place in the list.
    Next,
    /// Only whether one is there.
    Has,
    HasNext,
}

/// A directive of some file, as paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Directive {
    pub(super) class: Class,
    /// The candidate beside the file itself.
    pub(super) beside: Option<Spot>,
    /// Index into `lists`.
    pub(super) list: u32,
}

impl Resolver {
    /// An empty memory, for one search path and one cwd.
    pub fn new() -> Resolver {
        Resolver::default()
    }

    pub(super) fn begin<W: World + ?Sized>(&mut self, world: &mut W, search: &SearchPath) {
        if self.spots.is_used_up() {
            *self = Resolver::new();
        }
        self.run += 1;
        if self.run == 1 {
            self.null = self.spots.intern(world, b"/dev/null");
        }
        if self.spots.begin(world) {
            self.walked = Walked::default();
        }
        if self.folders.len() != search.folders().len() {
            let folders = search.folders().iter();
            self.folders = folders.map(|folder| self.spots.intern(world, folder)).collect();
        }
    }

    /// A path as a compiler lists it.
    pub(super) fn listed<W: World + ?Sized>(&mut self, world: &mut W, path: &[u8]) -> Spot {
        if let Some(spot) = self.paths.get(path) {
            return *spot;
        }
        let spot = self.spots.intern(world, &normal(path));
        self.paths.insert(path.into(), spot);
        spot
    }

    /// All that a directive may mean, in order.
    pub(super) fn candidates(&self, directive: Directive) -> impl Iterator<Item = Spot> {
        let List { from, to, .. } = self.lists[directive.list as usize];
        let listed = &self.candidates[from as usize..to as usize];
        directive.beside.into_iter().chain(listed.iter().copied())
    }

    /// One of a list.
    pub(super) fn candidate(&self, list: u32, at: usize) -> Spot {
        self.candidates[self.lists[list as usize].from as usize + at]
    }

    /// What `scanned` gave, if that still holds.
    pub(super) fn unchanged(&self, spot: Spot, reading: Reading) -> Option<FileNumber> {
        let file = *self.numbers.get(&(spot, reading))?;
        (self.files.digest(file).epoch == self.spots.epoch()).then_some(file)
    }

    /// A file that is there, as its scan has it. None if it can't be read.
    pub(super) fn scanned<W: World + ?Sized>(
        &mut self,
        world: &mut W,
        search: &SearchPath,
        spot: Spot,
        reading: Reading,
    ) -> Option<FileNumber> {
        let scan = world.scan(self.spots.path(spot), reading == Reading::Assembly)?;
        let before = self.numbers.get(&(spot, reading)).copied();
        if let Some(file) = before
            && Arc::ptr_eq(&self.files.file(file).scan, &scan)
        {
            self.files.confirm(file, self.spots.epoch());
            return Some(file);
        }
        Some(self.take_up(world, search, spot, reading, scan))
    }

    /// A file with this scan.
    pub(super) fn take_up<W: World + ?Sized>(
        &mut self,
        world: &mut W,
        search: &SearchPath,
        spot: Spot,
        reading: Reading,
        scan: Arc<Scan>,
    ) -> FileNumber {
        let spelled = world.spelled(self.spots.path(spot));
        let folder: Arc<[u8]> = parent(&spelled).into();
        let mut directives: Vec<u32> = Vec::with_capacity(scan.includes.len());
        for include in &scan.includes {
            directives.push(self.directive(world, search, &folder, include));
        }
        directives.sort_unstable();
        directives.dedup();
        let cwd = if folder.is_empty() { &b"."[..] } else { &folder };
        let next = self.text_marks.len() as u32;
        let text = *self.texts.entry(scan.text).or_insert(next);
        if text == next {
            self.text_marks.push((0, self.spots.path(spot)));
        }
        let folder_spot = self.spots.intern(world, cwd);
        let own = search.is_own(&spelled);
        let known = Known { epoch: self.spots.epoch(), text, folder: folder_spot, own };
        let before = self.numbers.get(&(spot, reading)).copied();
        let file = self.files.put(before, File { scan, folder }, &directives, known);
        self.numbers.insert((spot, reading), file);
        file
    }

    /// The number of a directive that stands in a file of `folder`.
    pub(super) fn directive<W: World + ?Sized>(
        &mut self,
        world: &mut W,
        search: &SearchPath,
        folder: &[u8],
        include: &Include,
    ) -> u32 {
        let class = match include.kind {
            Kind::Include | Kind::Import | Kind::Embed => Class::Plain,
            Kind::Next => Class::Next,
            Kind::HasInclude | Kind::HasEmbed => Class::Has,
            Kind::HasIncludeNext => Class::HasNext,
        };
        let absolute = include.name.first() == Some(&b'/');
        let beside = (include.how == How::Quote && !absolute)
            .then(|| self.spots.intern(world, &join(folder, &include.name)));
        let list = self.list(world, search, include.how, &include.name);
        let directive = Directive { class, beside, list };
        let next = self.directives.len() as u32;
        let number = *self.known.entry(directive).or_insert(next);
        if number == next {
            self.directives.push(Noted { directive, marks: [0; 2] });
        }
        number
    }

    fn list<W: World + ?Sized>(
        &mut self,
        world: &mut W,
        search: &SearchPath,
        how: How,
        name: &[u8],
    ) -> u32 {
        if let Some(&list) = self.names.get(&(how, name.into())) {
            return list;
        }
        let from = self.candidates.len() as u32;
        if name.first() == Some(&b'/') {
            self.candidates.push(self.spots.intern(world, &join(b"", name)));
        } else {
            let skip = if how == How::Angle { search.quotes() } else { 0 };
            for folder in &search.folders()[skip..] {
                self.candidates.push(self.spots.intern(world, &join(folder, name)));
            }
        }
        let list = self.lists.len() as u32;
        self.lists.push(List { from, to: self.candidates.len() as u32, marks: [0; 2] });
        self.names.insert((how, name.into()), list);
        list
    }

    /// The path with `suffix` behind it.
    pub(super) fn suffixed<W: World + ?Sized>(
        &mut self,
        world: &mut W,
        spot: Spot,
        suffix: &'static str,
    ) -> Spot {
        *self.suffixed.entry((spot, suffix)).or_insert_with(|| {
            let mut spelled = world.spelled(self.spots.path(spot)).to_vec();
            spelled.extend_from_slice(suffix.as_bytes());
            self.spots.intern(world, &spelled)
        })
    }
}

/// A set of small numbers.
pub(super) type Numbers<T> = HashSet<T, BuildHasherDefault<NumberHasher>>;

/// For keys that are small numbers already.
#[derive(Default)]
pub(super) struct NumberHasher(u64);

impl NumberHasher {
    fn add(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(29) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.add(byte.into());
        }
    }
    fn write_u8(&mut self, value: u8) {
        self.add(value.into());
    }
    fn write_u32(&mut self, value: u32) {
        self.add(value.into());
    }
    fn write_u64(&mut self, value: u64) {
        self.add(value);
    }
    fn write_isize(&mut self, value: isize) {
        self.add(value as u64);
    }
}

/// For keys that are texts: several times as fast as the usual one, which is made against keys that somebody chose to collide. Here
/// that would slow down no cache but their own.
#[derive(Default)]
pub(super) struct TextHasher(u64);

impl Hasher for TextHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = self.0.rotate_left(29) ^ xxh3_64(bytes);
    }
    // The length, which `write` has hashed.
    fn write_usize(&mut self, _: usize) {}
}

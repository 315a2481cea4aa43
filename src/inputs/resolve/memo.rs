//! What stays true from one compile to the next: the candidate paths of every directive.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::{PathRef, Presence, World};
use crate::inputs::scan::{How, Include, Kind, MacroBody, Scan};
use crate::inputs::search::{SearchPath, join, normal, parent};

/// Candidate lists for one search path and one cwd; paths are built once.
#[derive(Default)]
pub struct Resolver {
    pub(super) folders: Vec<PathRef>,
    /// `/dev/null`
    pub(super) null: PathRef,
    names: HashMap<(How, Box<[u8]>), u32>,
    /// Of what compilers list as read.
    paths: HashMap<Box<[u8]>, PathRef>,
    pub(super) lists: Vec<Arc<[PathRef]>>,
    known: HashMap<Directive, u32, BuildHasherDefault<NumberHasher>>,
    pub(super) directives: Vec<Directive>,
    files: HashMap<(PathRef, bool), Filed, BuildHasherDefault<NumberHasher>>,
    suffixed: HashMap<(PathRef, &'static str), PathRef>,
    /// Numbers of texts, as their scans tell them apart.
    texts: HashMap<u64, u32, BuildHasherDefault<NumberHasher>>,
    /// The world's, when this run began.
    version: u64,
    /// What is there, as long as that version stays.
    presences: HashMap<PathRef, Presence, BuildHasherDefault<NumberHasher>>,
    /// Per path, directive and list: the run that last touched it, and how.
    pub(super) path_marks: Vec<u64>,
    pub(super) directive_marks: Vec<[u64; 2]>,
    pub(super) list_marks: Vec<[u64; 2]>,
    /// Per text: the run that last read it, and where.
    pub(super) text_marks: Vec<(u64, PathRef)>,
    pub(super) run: u64,
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
    pub(super) beside: Option<PathRef>,
    /// Index into `lists`.
    pub(super) list: u32,
}

/// A file's scan, digested.
pub(super) struct FileMemo {
    pub(super) scan: Arc<Scan>,
    /// The number of its text: equal for equal texts.
    pub(super) text: u32,
    pub(super) folder: Arc<[u8]>,
    pub(super) folder_ref: PathRef,
    pub(super) directives: Box<[u32]>,
    /// Below a folder of the compiler's own.
    pub(super) own: bool,
}

struct Filed {
    memo: Arc<FileMemo>,
    /// While the world has this version, it is what a new scan would give.
    version: u64,
}

impl Resolver {
    /// An empty memory, for one search path and one cwd.
    pub fn new() -> Resolver {
        Resolver::default()
    }

    pub(super) fn begin<W: World + ?Sized>(&mut self, world: &mut W, search: &SearchPath) {
        self.run += 1;
        if self.run == 1 {
            self.null = world.intern(b"/dev/null");
        }
        let version = world.version();
        if version != self.version {
            self.version = version;
            self.presences.clear();
        }
        if self.folders.len() != search.folders().len() {
            self.folders = search.folders().iter().map(|folder| world.intern(folder)).collect();
        }
    }

    /// A path as a compiler lists it.
    pub(super) fn path<W: World + ?Sized>(&mut self, world: &mut W, listed: &[u8]) -> PathRef {
        if let Some(path) = self.paths.get(listed) {
            return *path;
        }
        let path = world.intern(&normal(listed));
        self.paths.insert(listed.into(), path);
        path
    }

    /// What is there under a path.
    pub(super) fn presence<W: World + ?Sized>(&mut self, world: &mut W, path: PathRef) -> Presence {
        *self.presences.entry(path).or_insert_with(|| world.presence(path))
    }

    /// What `scanned` gave, if that still holds.
    pub(super) fn unchanged(&self, path: PathRef, assembly: bool) -> Option<&Arc<FileMemo>> {
        let filed = self.files.get(&(path, assembly))?;
        (filed.version == self.version).then_some(&filed.memo)
    }

    /// The scan of a file that is there, digested. None if it can't be read.
    pub(super) fn scanned<W: World + ?Sized>(
        &mut self,
        world: &mut W,
        search: &SearchPath,
        path: PathRef,
        assembly: bool,
    ) -> Option<Arc<FileMemo>> {
        let scan = world.scan(path, assembly)?;
        if let Some(filed) = self.files.get_mut(&(path, assembly))
            && Arc::ptr_eq(&filed.memo.scan, &scan)
        {
            filed.version = self.version;
            return Some(filed.memo.clone());
        }
        let memo = self.digest(world, search, path, scan);
        let filed = Filed { memo: memo.clone(), version: self.version };
        self.files.insert((path, assembly), filed);
        Some(memo)
    }

    /// A scan, digested.
    pub(super) fn digest<W: World + ?Sized>(
        &mut self,
        world: &mut W,
        search: &SearchPath,
        path: PathRef,
        scan: Arc<Scan>,
    ) -> Arc<FileMemo> {
        let spelled = world.spelled(path);
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
            self.text_marks.push((0, path));
        }
        Arc::new(FileMemo {
            scan,
            text,
            folder_ref: world.intern(cwd),
            folder,
            directives: directives.into(),
            own: search.is_own(&spelled),
        })
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
            .then(|| world.intern(&join(folder, &include.name)));
        let list = self.list(world, search, include.how, &include.name);
        let directive = Directive { class, beside, list };
        let next = self.directives.len() as u32;
        let number = *self.known.entry(directive).or_insert(next);
        if number == next {
            self.directives.push(directive);
            self.directive_marks.push([0; 2]);
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
        let paths: Arc<[PathRef]> = if name.first() == Some(&b'/') {
            Arc::new([world.intern(&join(b"", name))])
        } else {
            let skip = if how == How::Angle { search.quotes() } else { 0 };
            search.folders()[skip..]
                .iter()
                .map(|folder| world.intern(&join(folder, name)))
                .collect()
        };
        let list = self.lists.len() as u32;
        self.lists.push(paths);
        self.list_marks.push([0; 2]);
        self.names.insert((how, name.into()), list);
        list
    }

    /// The path with `suffix` behind it.
    pub(super) fn suffixed<W: World + ?Sized>(
        &mut self,
        world: &mut W,
        path: PathRef,
        suffix: &'static str,
    ) -> PathRef {
        *self.suffixed.entry((path, suffix)).or_insert_with(|| {
            let mut spelled = world.spelled(path).to_vec();
            spelled.extend_from_slice(suffix.as_bytes());
            world.intern(&spelled)
        })
    }
}

/// The literal includes a macro may stand for, over all scans; and whether it may be anything else.
pub(super) fn macro_values(
    name: &[u8],
    kind: Kind,
    scans: &[Arc<FileMemo>],
    defines: &Scan,
) -> (Vec<Include>, bool) {
    let mut found = Vec::new();
    let mut opaque = false;
    let mut names: Vec<&[u8]> = vec![name];
    let mut at = 0;
    while at < names.len() {
        let wanted = names[at];
        at += 1;
        let all = scans.iter().map(|memo| &*memo.scan).chain([defines]);
        for (_, body) in all.flat_map(|scan| &scan.header_macros).filter(|m| &*m.0 == wanted) {
            match body {
                MacroBody::Quote(name) => {
                    found.push(Include { how: How::Quote, kind, name: name.clone() });
                }
                MacroBody::Angle(name) => {
                    found.push(Include { how: How::Angle, kind, name: name.clone() });
                }
                MacroBody::Alias(other) => {
                    if !names.contains(&&**other) {
                        names.push(other);
                    }
                }
                MacroBody::Opaque => opaque = true,
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    (found, opaque)
}

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

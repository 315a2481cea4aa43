//! From what a linker says it read to all that its result depends on.

use std::collections::HashSet;

use super::binary::{self, Content};
use super::options::{Said, library_names};
use super::script;
use super::tool::Linker;
use crate::inputs::resolve::Presence;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::environment::Environment;
use crate::tools::find::{absolute, base, folder_of};
use crate::tools::meaning::Ground;
use crate::tools::needs::{Needs, is_gone};
use crate::tools::places::Places;

/// One link that succeeded.
pub(in crate::tools) struct Link<'a> {
    pub(in crate::tools) linker: Linker,
    pub(in crate::tools) said: &'a Said,
    /// Folders that driver and linker search by themselves.
    pub(in crate::tools) folders: &'a [Arg],
    /// By what names paths are stored.
    pub(in crate::tools) places: &'a Places,
    pub(in crate::tools) cwd: &'a [u8],
    pub(in crate::tools) env: Environment<'a>,
}

/// Adds the inputs of a link. `listed` is what the linker's dependency output names; None of a
/// linker that has none.
pub(in crate::tools) fn inputs(
    needs: &mut Needs<'_, '_>,
    link: &Link<'_>,
    listed: Option<Vec<Arg>>,
) -> Result<(), Reason> {
    let said = link.said;
    let presence =
        |needs: &mut Needs<'_, '_>, path: &[u8]| needs.presence(&link.places.spell(path));
    let mut read: Vec<Arg> = said.files.iter().chain(&said.read).cloned().collect();
    let explicit: HashSet<Arg> = read.iter().cloned().collect();
    for path in listed.unwrap_or_default() {
        if !(is_temporary(&path, link.env) && is_gone(&absolute(link.cwd, &path))) {
            read.push(path);
        }
    }
    let mut looked = Looked { names: said.names.clone(), ..Looked::default() };
    looked.folders.extend(said.folders.iter().chain(link.folders).cloned());
    for path in &said.symbols {
        match presence(needs, path) {
            Presence::Folder(_) => looked.run_folders.push(path.clone()),
            _ => read.push(path.clone()),
        }
    }
    looked.run_folders.extend(said.run_folders.iter().cloned());
    for name in [&b"LD_RUN_PATH"[..], b"LD_LIBRARY_PATH"] {
        let list = link.env.get(name).unwrap_or_default();
        looked.run_folders.extend(list.split(|byte| *byte == b':').map(<[u8]>::to_vec));
    }
    let mut seen = HashSet::new();
    while let Some(path) = read.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        needs.must(&link.places.spell(&path))?;
        if !explicit.contains(&path) {
            looked.also_known_as(base(&path));
        }
        let content =
            binary::inspect(&absolute(link.cwd, &path)).ok_or(Reason::DependencyOutput)?;
        match content {
            Content::Whole => {}
            Content::Thin(members) => {
                read.extend(members.iter().map(|member| beside(&path, member)));
            }
            Content::Shared(needed) if link.linker.opens_needed() => {
                looked.run_folders.extend(needed.folders(folder_of(&path)).concat());
                looked.needed.extend(needed.names);
            }
            Content::Shared(_) => {}
            Content::Text(text) => looked.by_script(&script::named(&text), &path),
        }
    }
    looked.places(needs, said, link.places);
    Ok(())
}

/// Looks at what a command names before it runs: its files may be younger than their times can tell.
pub(in crate::tools) fn look_ahead(
    ground: &mut Ground<'_>,
    said: &Said,
    folders: &[Arg],
    places: &Places,
) {
    let mut look = |path: &[u8]| {
        let path = ground.world.intern(&places.spell(path));
        ground.world.presence(path);
    };
    said.files.iter().chain(&said.read).for_each(|path| look(path));
    for folder in said.folders.iter().chain(folders) {
        for name in &said.names {
            look(&[folder, &b"/"[..], name].concat());
        }
    }
}

/// Where a linker looked for files, and for which.
#[derive(Default)]
struct Looked {
    names: Vec<Arg>,
    folders: Vec<Arg>,
    /// Libraries that libraries need, and folders for these alone.
    needed: Vec<Arg>,
    run_folders: Vec<Arg>,
    /// Single files.
    files: Vec<Arg>,
}

impl Looked {
    /// A file that was found could be found elsewhere under the same name, or as the other kind
    /// of library.
    fn also_known_as(&mut self, name: &[u8]) {
        self.names.push(name.to_vec());
        let stem = [&b".so"[..], b".a"].iter().find_map(|end| name.strip_suffix(*end));
        if let Some(stem) = stem.and_then(|stem| stem.strip_prefix(b"lib")) {
            self.names.extend(library_names(stem));
        }
    }

    fn by_script(&mut self, named: &script::Named, script: &[u8]) {
        for name in &named.files {
            match name.strip_prefix(b"-l") {
                Some(library) => self.names.extend(library_names(library)),
                None if name.starts_with(b"/") => {}
                None => {
                    self.names.push(name.clone());
                    self.files.extend([name.clone(), beside(script, name)]);
                }
            }
        }
        self.folders.extend(named.folders.iter().cloned());
    }

    /// Every place in which something could be found, now or later.
    fn places(mut self, needs: &mut Needs<'_, '_>, said: &Said, places: &Places) {
        let sysroot = said.choosing.iter().find_map(|arg| arg.strip_prefix(b"--sysroot="));
        let sysroot = sysroot.unwrap_or_default();
        let mut run_folders = self.folders.clone();
        run_folders.append(&mut self.run_folders);
        for path in &self.files {
            needs.maybe(&places.spell(path));
        }
        for (names, folders) in [(&mut self.names, &self.folders), (&mut self.needed, &run_folders)]
        {
            names.sort_unstable();
            names.dedup();
            let mut seen = HashSet::new();
            for folder in folders {
                let spelled =
                    [&b"="[..], b"$SYSROOT"].iter().find_map(|mark| folder.strip_prefix(*mark));
                let folder = spelled.map_or(folder.clone(), |rest| [sysroot, rest].concat());
                let folder = if folder.is_empty() { b".".to_vec() } else { folder };
                if seen.insert(folder.clone()) {
                    in_folder(needs, &folder, names, places);
                }
            }
        }
    }
}

/// What is or may come to be in one folder that is searched.
fn in_folder(needs: &mut Needs<'_, '_>, folder: &[u8], names: &[Arg], places: &Places) {
    let own = places.spell(folder);
    if needs.presence(&own) == Presence::Absent {
        return needs.whether_there(&own);
    }
    for name in names {
        let path = places.spell(&[folder, b"/", name].concat());
        // Of an archive beside the shared library that was found, nothing is read.
        let shared = path.strip_suffix(b".a").map(|stem| [stem, b".so"].concat());
        if shared.is_some_and(|shared| needs.presence(&shared) != Presence::Absent) {
            needs.whether_there(&path);
        } else {
            // One that is there and was not read may have been passed over as unfit.
            needs.maybe(&path);
        }
    }
}

/// The members that a thin archive names, relative to its folder. None: the file can't be read.
pub(in crate::tools) fn members_of(path: &[u8]) -> Option<Vec<Arg>> {
    Some(match binary::inspect(path)? {
        Content::Thin(members) => members,
        _ => Vec::new(),
    })
}

/// A name as seen from the folder of another file.
pub(in crate::tools) fn beside(path: &[u8], name: &[u8]) -> Arg {
    if name.starts_with(b"/") || !path.contains(&b'/') {
        return name.to_vec();
    }
    [folder_of(path), b"/", name].concat()
}

/// Right in a folder for temporary files, where drivers and plugins put theirs.
fn is_temporary(path: &[u8], env: Environment<'_>) -> bool {
    let folders = ["TMPDIR", "TMP", "TEMP"].map(|name| env.get(name.as_bytes()).unwrap_or(b"/tmp"));
    let own = folder_of(path);
    let mut folders = folders.iter().map(|folder| folder.strip_suffix(b"/").unwrap_or(folder));
    own == b"/tmp" || (own.starts_with(b"/") && folders.any(|folder| folder == own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_a_file() {
        assert_eq!(beside(b"a/b.a", b"c.o"), b"a/c.o");
        assert_eq!(beside(b"b.a", b"c.o"), b"c.o");
        assert_eq!(beside(b"/b.a", b"c.o"), b"//c.o");
        assert_eq!(beside(b"a/b.a", b"/c.o"), b"/c.o");
        assert_eq!(folder_of(b"b.a"), b".");
    }

    #[test]
    fn temporary_files() {
        let env = Environment::new(b"TMPDIR=/var/t\0");
        assert!(is_temporary(b"/var/t/ccx.o", env) && is_temporary(b"/tmp/ccx.o", env));
        for path in ["/var/tx/ccx.o", "a.o", "/tmp/build/libx.a"] {
            assert!(!is_temporary(path.as_bytes(), env), "{path}");
        }
    }

    #[test]
    fn a_library_may_be_found_as_the_other_kind() {
        let mut looked = Looked::default();
        looked.also_known_as(b"libm.so");
        looked.also_known_as(b"crt1.o");
        assert_eq!(looked.names, [&b"libm.so"[..], b"libm.so", b"libm.a", b"crt1.o"]);
    }
}

//! What becomes of a folder while a tool runs that may make files nobody named there.
//!
//! A traced run tells which of them are its own; those come back with the result. Of any other it can't be
//! told whose a file is: other tools work in the same folder. Then it is only said that there was one.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;

use crate::protocol::message::{LookedAt, Observation, Run};
use crate::terms::Arg;
use crate::tools::find::{self, absolute, base};
use crate::tracer::{Trail, real};

/// Inode, size, mtime and ctime: what tells one state of a file from another.
type State = (u64, u64, (i64, i64), (i64, i64));

/// Folders in which a listing is the system's, and changes with what is installed.
const SYSTEM: [&[u8]; 5] = [b"/usr", b"/etc", b"/lib", b"/bin", b"/opt"];

/// A folder as it was.
pub struct Observed<'a> {
    what: &'a Observation,
    /// None: it can't be read.
    files: Option<HashMap<OsString, State>>,
}

/// What a run did besides what it was asked for.
#[derive(Debug, Default, PartialEq)]
pub struct Besides {
    /// Its own files and folders in the observed folder, by their names from there.
    pub siblings: Vec<Arg>,
    pub looked_at: LookedAt,
    /// There is something that can't be told to be a sibling or somebody else's.
    pub is_unclear: bool,
}

impl<'a> Observed<'a> {
    pub fn begin(what: &'a Observation) -> Observed<'a> {
        Observed { what, files: list(what) }
    }

    /// What happened since. `cwd` is where the run's relative names begin, `temporary` the folder for its
    /// temporary files.
    pub fn end(&self, run: &Run, trail: Option<Trail>, cwd: &[u8], temporary: &[u8]) -> Besides {
        let outputs = run.units.iter().flat_map(|unit| &unit.outputs).map(|output| &output.path);
        let own = outputs.chain(run.read_back.iter().map(|file| &file.path));
        let Some(trail) = trail else {
            let own: Vec<Arg> = own.map(|path| base(path).to_vec()).collect();
            return Besides { is_unclear: self.made_besides(&own), ..Besides::default() };
        };
        let own: Vec<Arg> = own.map(|path| real(&absolute(cwd, path))).collect();
        let folder = absolute(cwd, &self.what.folder);
        // It may itself be named by a symlink.
        let folder = std::fs::canonicalize(OsStr::from_bytes(&folder))
            .map_or(folder, |folder| folder.into_os_string().into_vec());
        let is_whole = trail.is_whole;
        let mut besides = settle(trail, &own, &folder, temporary);
        if !is_whole {
            let own = own.iter().map(|path| base(path).to_vec());
            let own: Vec<Arg> = own.chain(besides.siblings.iter().cloned()).collect();
            besides.is_unclear |= self.made_besides(&own);
        }
        besides
    }

    /// Whether files of other names were made or changed since. What can't be known counts as if.
    fn made_besides(&self, own: &[Arg]) -> bool {
        let (Some(before), Some(after)) = (&self.files, list(self.what)) else { return true };
        let is_own = |name: &OsString| own.iter().any(|own| own == name.as_bytes());
        after.iter().any(|(name, state)| !is_own(name) && before.get(name) != Some(state))
    }
}

/// What a trail comes to; all names have no symlinks in their folders.
fn settle(trail: Trail, own: &[Arg], folder: &[u8], temporary: &[u8]) -> Besides {
    let is_there = |path: &Arg| std::fs::symlink_metadata(OsStr::from_bytes(path)).is_ok();
    let name_of = |path: &Arg| below(path, folder).map(<[u8]>::to_vec);
    let is_temporary = |path: &Arg| {
        [temporary, b"/tmp", b"/var/tmp"].iter().any(|folder| below(path, folder).is_some())
    };
    let left: Vec<&Arg> =
        trail.made.iter().filter(|path| !own.contains(path) && is_there(path)).collect();
    let is_gone = |path: &&Arg| !own.contains(path) && !is_there(path);
    let mut others = left.iter().filter(|path| name_of(path).is_none());
    let is_systems = |path: &Arg| SYSTEM.iter().any(|system| find::within(path, system).is_some());
    let has_siblings = left.iter().any(|path| name_of(path).is_some());
    let is_unclear = trail.is_unclear
        || left.iter().any(|path| name_of(path).is_some() && trail.mixed.contains(path))
        // Files elsewhere would not come back, and would not go.
        || others.any(|path| !is_temporary(path))
        || trail.removed.iter().filter(is_gone).any(|path| name_of(path).is_some() || !is_temporary(path))
        // What was in a folder can't be told later, and siblings may come from there.
        || has_siblings && !trail.listed.iter().all(is_systems);
    // Without its own folder it fails, and others there come back with what was made in them.
    let is_needed = |path: &Arg| {
        let path = real(path);
        let is_above = |file: &[u8]| below(file, &path).is_some();
        path != folder && !is_above(folder) && !left.iter().any(|file| is_above(file))
    };
    Besides {
        siblings: left.iter().filter_map(|path| name_of(path)).collect(),
        looked_at: LookedAt {
            // Its own files were there before, or are for us.
            read: trail.read.into_iter().filter(|path| !own.contains(&real(path))).collect(),
            absent: trail.absent.into_iter().filter(|path| !own.contains(&real(path))).collect(),
            exists: trail.exists.into_iter().filter(is_needed).collect(),
        },
        is_unclear,
    }
}

/// The rest of a path that lies in a folder.
fn below<'p>(path: &'p [u8], folder: &[u8]) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(folder)?;
    if folder.ends_with(b"/") { Some(rest) } else { rest.strip_prefix(b"/") }
}

/// All that counts and is not a folder.
fn list(what: &Observation) -> Option<HashMap<OsString, State>> {
    let mut files = HashMap::new();
    for entry in std::fs::read_dir(OsStr::from_bytes(&what.folder)).ok()? {
        let entry = entry.ok()?;
        if !entry.file_name().as_bytes().starts_with(&what.beginning) {
            continue;
        }
        // One that is gone already was not left by anybody.
        let Ok(meta) = entry.metadata() else { continue };
        if !meta.is_dir() {
            let times = ((meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()));
            files.insert(entry.file_name(), (meta.ino(), meta.size(), times.0, times.1));
        }
    }
    Some(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::message::RunUnit;
    use crate::terms::output::{Output, Role, WriteStyle};

    #[test]
    fn only_other_files_count() {
        let folder = std::env::temp_dir().join(format!("zcc-observe-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("old"), "1").unwrap();
        let path = folder.join("app").into_os_string().into_encoded_bytes();
        let output = Output { role: Role::Main, path, style: WriteStyle::Replace, required: true };
        let run = Run { units: vec![RunUnit { unit: 0, outputs: vec![output] }], ..Run::default() };
        let name = folder.as_os_str().as_bytes().to_vec();
        let what = Observation { folder: name.clone(), beginning: Vec::new(), is_traced: false };
        let narrow = Observation { folder: name, beginning: b"app.".to_vec(), is_traced: false };
        let observed = Observed::begin(&what);
        let beside = Observed::begin(&narrow);
        let made_besides =
            |observed: &Observed<'_>| observed.end(&run, None, b"/", b"/tmp").is_unclear;
        std::fs::write(folder.join("app"), "2").unwrap();
        assert!(!made_besides(&observed));
        std::fs::write(folder.join("old"), "22").unwrap();
        assert!(made_besides(&observed) && !made_besides(&beside));
        std::fs::remove_file(folder.join("old")).unwrap();
        assert!(!made_besides(&observed));
        std::fs::write(folder.join("app.dll"), "3").unwrap();
        assert!(made_besides(&observed) && made_besides(&beside));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(made_besides(&observed));
    }

    fn names(list: &[&str]) -> Vec<Arg> {
        list.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    /// Files that are there stand for those that were made.
    #[test]
    fn only_what_is_told_whole_comes_back() {
        let folder = std::env::temp_dir().join(format!("zcc-settle-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("out/sub")).unwrap();
        std::fs::create_dir_all(folder.join("logs")).unwrap();
        let folder = std::fs::canonicalize(&folder).unwrap();
        let path = |name: &str| folder.join(name).into_os_string().into_encoded_bytes();
        for name in ["out/app", "out/app.dll", "out/sub/x", "logs/1", "out/left"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        let made = |all: &[&str]| Trail {
            made: all.iter().map(|name| path(name)).collect(),
            is_whole: true,
            ..Trail::default()
        };
        let settled = |trail| settle(trail, &[path("out/app")], &path("out"), &path("tmp"));
        let all = made(&["out/app", "out/app.dll", "out/gone", "out/sub", "out/sub/x"]);
        let told = settled(all.clone());
        assert_eq!(told.siblings, names(&["app.dll", "sub", "sub/x"]));
        assert!(!told.is_unclear);
        let unclear = |trail| settled(trail).is_unclear;
        assert!(unclear(Trail { mixed: vec![path("out/app.dll")], ..all.clone() }));
        assert!(!unclear(Trail { mixed: vec![path("out/app")], ..all.clone() }));
        assert!(unclear(Trail { removed: vec![path("out/old")], ..all.clone() }));
        assert!(!unclear(Trail { removed: vec![path("out/left")], ..all.clone() }));
        assert!(unclear(Trail { listed: vec![path("out")], ..all.clone() }));
        assert!(!unclear(Trail { listed: vec![path("out")], ..made(&["out/app"]) }));
        assert!(!unclear(Trail { listed: names(&["/usr/lib/x", "/opt"]), ..all.clone() }));
        assert!(unclear(Trail { is_unclear: true, ..all }));
        // This machine's folder for temporary files may be where all of this lies.
        let elsewhere = Trail { made: names(&["/etc/passwd"]), is_whole: true, ..Trail::default() };
        assert!(unclear(elsewhere));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

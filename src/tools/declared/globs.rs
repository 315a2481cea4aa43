//! Which files the globs of a command mean, as a shell has them: `*` and `?` stay within a folder,
//! `**` does not. What is meant is that file, or all that is in that folder; a hidden folder is only meant by a name that
//! begins with a dot.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::tools::find::absolute;

/// A glob that makes no sense.
#[derive(Debug)]
pub struct BadGlob(String);

impl fmt::Display for BadGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One glob, ready for looking.
pub struct Glob {
    /// The folders and names in front that hold no signs.
    literal: Vec<u8>,
    /// The rest; None where there is none.
    rest: Option<GlobMatcher>,
    /// How many names a path behind `literal` can have.
    deepest: usize,
    /// Hidden folders are meant.
    hidden: bool,
}

/// Deeper than any tree of sources.
const DEPTH_MAX: usize = 500;

impl Glob {
    /// A file, or all that is in a folder.
    fn whole(path: &[u8]) -> Glob {
        Glob { literal: path.to_vec(), rest: None, deepest: DEPTH_MAX, hidden: true }
    }

    pub fn parse(glob: &[u8]) -> Result<Glob, BadGlob> {
        if glob.is_empty() {
            return Err(BadGlob("a glob is empty".to_owned()));
        }
        let is_literal = |part: &&[u8]| !part.iter().any(|byte| b"*?[{\\".contains(byte));
        let parts: Vec<&[u8]> = glob.split(|byte| *byte == b'/').collect();
        let literals = parts.iter().take_while(|part| is_literal(part)).count();
        if literals == parts.len() {
            return Ok(Glob::whole(glob));
        }
        let literal = match parts[..literals].join(&b'/') {
            root if root.is_empty() && literals > 0 => b"/".to_vec(),
            folder => folder,
        };
        let signs = parts[literals..].iter().filter(|part| !matches!(**part, b"" | b"."));
        let signs: Vec<&[u8]> = signs.copied().collect();
        if signs.contains(&&b".."[..]) {
            return Err(BadGlob(format!("{}: `..` behind a sign", glob.escape_ascii())));
        }
        let rest = signs.join(&b'/');
        let text = std::str::from_utf8(&rest)
            .map_err(|_| BadGlob(format!("{}: not UTF-8", glob.escape_ascii())))?;
        let built = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
        let built = built.map_err(|error| BadGlob(error.to_string()))?;
        // Braces may hold slashes.
        let deep = text.contains("**") || text.contains('{');
        let deepest = if deep { DEPTH_MAX } else { signs.len() };
        let hidden = signs.last().is_some_and(|last| last.starts_with(b"."));
        Ok(Glob { literal, rest: Some(built.compile_matcher()), deepest, hidden })
    }
}

/// What globs mean at one time.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Listing {
    /// The files that are meant, absolute, and whether they can be executed.
    pub(super) files: BTreeMap<Vec<u8>, bool>,
    /// The folders that are meant, in a folder that is meant as a whole. Those that outputs lie in are left out.
    pub(super) subfolders: BTreeSet<Vec<u8>>,
    /// The folders that were looked through, and when names in them last came or went. Those that
    /// outputs lie in are left out: the command itself makes names there.
    folders: BTreeMap<PathBuf, (u64, u64, i64, i64)>,
}

/// Finds all files (and what links lead to) that one of the globs means and that are none of the
/// outputs. A name that is not there is listed as well: it may come.
pub(super) fn list(cwd: &[u8], globs: &[Glob], outputs: &[Vec<u8>]) -> io::Result<Listing> {
    let place = |path: &Vec<u8>| PathBuf::from(OsString::from_vec(absolute(cwd, path)));
    let outputs = outputs.iter().map(place).collect();
    let mut walk = Walk { outputs, found: Listing::default() };
    for glob in globs {
        let top = absolute(cwd, &glob.literal);
        let top = Path::new(OsStr::from_bytes(&top));
        match fs::metadata(top) {
            Ok(meta) if meta.is_dir() => walk.folder(top, Path::new(""), glob, &mut Vec::new())?,
            Ok(meta) if glob.rest.is_none() => walk.file(top, meta.permissions().mode()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if glob.rest.is_none() {
                    walk.found.files.insert(top.as_os_str().as_bytes().to_vec(), false);
                }
            }
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    Ok(walk.found)
}

struct Walk {
    outputs: Vec<PathBuf>,
    found: Listing,
}

impl Walk {
    fn file(&mut self, path: &Path, mode: u32) {
        self.found.files.insert(path.as_os_str().as_bytes().to_vec(), mode & 0o111 != 0);
    }

    fn is_output(&self, path: &Path) -> bool {
        self.outputs.iter().any(|output| output == path)
    }

    fn holds_outputs(&self, folder: &Path) -> bool {
        self.outputs.iter().any(|output| output.parent() == Some(folder))
    }

    /// Whether the folder is there, or may be, because an output is.
    fn comes_with_outputs(&self, folder: &Path) -> bool {
        self.outputs.iter().any(|output| output.starts_with(folder))
    }

    /// `above`: the folders that the walk is in, so that a link back ends it.
    fn folder(
        &mut self,
        path: &Path,
        below: &Path,
        glob: &Glob,
        above: &mut Vec<(u64, u64)>,
    ) -> io::Result<()> {
        let meta = fs::metadata(path)?;
        let own = (meta.dev(), meta.ino());
        if above.contains(&own) || above.len() >= glob.deepest || self.is_output(path) {
            return Ok(());
        }
        above.push(own);
        if !self.holds_outputs(path) {
            let stamp = (own.0, own.1, meta.mtime(), meta.mtime_nsec());
            self.found.folders.insert(path.to_owned(), stamp);
        }
        for entry in fs::read_dir(path)? {
            let name = entry?.file_name();
            let (path, below): (PathBuf, PathBuf) = (path.join(&name), below.join(&name));
            let is_meant = glob.rest.as_ref().is_none_or(|rest| rest.is_match(&below));
            match fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => {
                    let is_hidden = name.as_bytes().starts_with(b".");
                    let is_meant = is_meant && (glob.hidden || !is_hidden);
                    if is_meant && !self.comes_with_outputs(&path) {
                        self.found.subfolders.insert(path.as_os_str().as_bytes().to_vec());
                    }
                    match is_meant && glob.rest.is_some() {
                        true => self.folder(&path, Path::new(""), &Glob::whole(b""), above)?,
                        false => self.folder(&path, &below, glob, above)?,
                    }
                }
                _ if !is_meant || self.is_output(&path) => {}
                Ok(meta) => self.file(&path, meta.permissions().mode()),
                // A link to nothing: what it leads to may come.
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.file(&path, 0),
                Err(error) => return Err(error),
            }
        }
        above.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_mean_what_a_shell_means() {
        let here = std::env::temp_dir().join(format!("zcc-globs-{}", std::process::id()));
        let _ = fs::remove_dir_all(&here);
        for name in ["a.c", "b.h", "s/a.c", "s/t/c.c", "s/t/.hidden", "out/a.c", "s/gen.c"] {
            fs::create_dir_all(here.join(name).parent().unwrap()).unwrap();
            fs::write(here.join(name), "").unwrap();
        }
        std::os::unix::fs::symlink("..", here.join("s/loop")).unwrap();
        let cwd = here.as_os_str().as_bytes();
        let found = |globs: &[&str]| -> Vec<String> {
            let globs: Vec<Glob> =
                globs.iter().map(|glob| Glob::parse(glob.as_bytes()).unwrap()).collect();
            let outputs = [b"out".to_vec(), b"s/gen.c".to_vec()];
            let listing = list(cwd, &globs, &outputs).unwrap();
            let name = |path: Vec<u8>| String::from_utf8(path[cwd.len() + 1..].to_vec()).unwrap();
            listing.files.into_keys().map(name).collect()
        };
        assert_eq!(found(&["*.c"]), ["a.c"]);
        assert_eq!(found(&["*.[ch]"]), ["a.c", "b.h"]);
        assert_eq!(found(&["s/*.c"]), ["s/a.c"]);
        assert_eq!(found(&["s/t"]), ["s/t/.hidden", "s/t/c.c"]);
        assert_eq!(found(&["none.c", "*/none.c"]), ["none.c"]);
        assert_eq!(found(&["**/{c,x}.c"]), ["s/t/c.c"]);
        assert_eq!(found(&["**/*.c", "out"]), ["a.c", "s/a.c", "s/t/c.c"]);
        for whole in ["s*", "*/t", "s*/t/", "s*//./t"] {
            assert!(found(&[whole]).ends_with(&["s/t/c.c".to_owned()]), "{whole}");
        }
        fs::remove_file(here.join("s/loop")).unwrap();
        fs::rename(here.join("s/t"), here.join("s/.t")).unwrap();
        assert_eq!(found(&["s/*"]), ["s/a.c"]);
        assert_eq!(found(&["s/.*"]), ["s/.t/.hidden", "s/.t/c.c"]);
        fs::remove_dir_all(&here).unwrap();
        for bad in ["", "a[", "{a", "*/../a"] {
            assert!(Glob::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}

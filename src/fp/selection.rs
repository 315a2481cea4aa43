//! Which files of a folder are meant: globs as `.gitignore` has them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use globset::GlobBuilder;
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use serde::{Deserialize, Serialize};

/// What the user asked for, as text. Without includes and extensions, every file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Selection {
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// File name endings, without the dot; each adds what `--include '*.X'` would.
    pub extensions: BTreeSet<String>,
}

/// A glob that makes no sense.
#[derive(Debug)]
pub struct BadGlob(String);

impl fmt::Display for BadGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A selection ready for matching.
pub struct Matcher {
    /// None: everything.
    include: Option<Gitignore>,
    exclude: Gitignore,
    /// Folders outside which no include can match; None where one may match anywhere.
    roots: Option<Vec<Vec<u8>>>,
}

/// What a folder or file is to the selection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// Not meant, nor anything below it.
    Out,
    /// Not meant itself; something below it may be.
    Above,
    /// Meant; of a folder: with all below it that nothing takes away.
    In,
}

impl Selection {
    /// Fails on a glob that can't be parsed.
    pub fn matcher(&self) -> Result<Matcher, BadGlob> {
        let mut include: Vec<String> = self.include.iter().map(|glob| normal(glob)).collect();
        include.extend(self.extensions.iter().map(|ending| format!("*.{}", escaped(ending))));
        let exclude: Vec<String> = self.exclude.iter().map(|glob| normal(glob)).collect();
        Ok(Matcher {
            roots: roots(&include),
            include: if include.is_empty() { None } else { Some(build(&include)?) },
            exclude: build(&exclude)?,
        })
    }
}

impl Matcher {
    /// What the root itself is.
    pub fn top(&self) -> Place {
        if self.include.is_none() { Place::In } else { Place::Above }
    }

    /// What `path` (relative to the root, its parent being `parent`) is.
    pub fn place(&self, path: &[u8], is_folder: bool, parent: Place) -> Place {
        let name = OsStr::from_bytes(path);
        if self.exclude.matched(name, is_folder).is_ignore() {
            return Place::Out;
        }
        let included = match self.include.as_ref().map(|globs| globs.matched(name, is_folder)) {
            None | Some(Match::Ignore(_)) => true,
            Some(Match::Whitelist(_)) => false,
            Some(Match::None) => parent == Place::In,
        };
        match (included, is_folder) {
            (true, _) => Place::In,
            (false, true) if self.may_hold(path) => Place::Above,
            (false, _) => Place::Out,
        }
    }

    /// Whether an include can match below this folder.
    fn may_hold(&self, folder: &[u8]) -> bool {
        let Some(roots) = &self.roots else { return true };
        roots.iter().any(|root| is_at_or_below(folder, root) || is_at_or_below(root, folder))
    }
}

fn is_at_or_below(path: &[u8], folder: &[u8]) -> bool {
    folder.is_empty()
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
}

/// In a list of globs on a command line, `./` means the root and `#` is no comment.
fn normal(glob: &str) -> String {
    match glob.strip_prefix("./") {
        Some(rest) => format!("/{rest}"),
        None if glob.starts_with('#') => format!("\\{glob}"),
        None => glob.to_owned(),
    }
}

fn escaped(ending: &str) -> String {
    let special = |c: char| matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\' | '!');
    ending.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

fn build(globs: &[String]) -> Result<Gitignore, BadGlob> {
    let bad = |error: globset::Error| BadGlob(error.to_string());
    let mut builder = GitignoreBuilder::new("");
    for glob in globs {
        if glob.trim().is_empty() {
            return Err(BadGlob("a glob is empty".to_owned()));
        }
        // In a file of git's a bracket that nothing closes just matches nothing. Here somebody mistyped.
        GlobBuilder::new(glob).backslash_escape(true).build().map_err(bad)?;
        builder.add_line(None, glob).map_err(|error| BadGlob(error.to_string()))?;
    }
    builder.build().map_err(|error| BadGlob(error.to_string()))
}

/// The literal folders that the globs begin with.
fn roots(globs: &[String]) -> Option<Vec<Vec<u8>>> {
    globs.iter().filter(|glob| !glob.starts_with('!')).map(|glob| root(glob)).collect()
}

/// None for a glob that may match at any depth.
fn root(glob: &str) -> Option<Vec<u8>> {
    let inner = glob.strip_prefix('/').unwrap_or(glob).trim_end_matches('/');
    if !glob.starts_with('/') && !inner.contains('/') {
        return None;
    }
    let literal = |part: &&str| !part.contains(['*', '?', '[', '{', '\\']);
    let parts: Vec<&str> = inner.split('/').take_while(literal).collect();
    Some(parts.join("/").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(include: &[&str], exclude: &[&str], extensions: &[&str]) -> Matcher {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Selection {
            include: list(include),
            exclude: list(exclude),
            extensions: extensions.iter().map(|word| (*word).to_owned()).collect(),
        }
        .matcher()
        .unwrap()
    }

    /// As the walk does it, folder by folder.
    fn takes(matcher: &Matcher, path: &str) -> bool {
        let mut place = matcher.top();
        let ends = path.match_indices('/').map(|(at, _)| at);
        for end in ends {
            place = matcher.place(&path.as_bytes()[..end], true, place);
            if place == Place::Out {
                return false;
            }
        }
        matcher.place(path.as_bytes(), false, place) == Place::In
    }

    #[track_caller]
    fn check(matcher: &Matcher, yes: &[&str], no: &[&str]) {
        for path in yes {
            assert!(takes(matcher, path), "{path} is left out");
        }
        for path in no {
            assert!(!takes(matcher, path), "{path} is taken");
        }
    }

    #[test]
    fn everything_by_default() {
        check(&selection(&[], &[], &[]), &["a", ".hidden", "d/e/f", ".git/config"], &[]);
    }

    #[test]
    fn excludes_as_gitignore_has_them() {
        let matcher = selection(&[], &["build", "/top", "*.o", "docs/*.txt", "!keep.o", "x/"], &[]);
        check(
            &matcher,
            &["a.c", "src/top", "keep.o", "docs/a/b.txt", "x", "#x"],
            &["build", "d/build/a", "top/a", "a.o", "d/a.o", "docs/a.txt", "d/x/a"],
        );
        check(&selection(&[], &["#x"], &[]), &["a"], &["#x"]);
        check(&selection(&[], &["./d"], &[]), &["e/d"], &["d", "d/a"]);
    }

    #[test]
    fn includes_name_files_and_folders() {
        check(
            &selection(&["**/*.cpp", "include", "/src/gen/**/*.h"], &[".git"], &["rs"]),
            &["a.cpp", "d/a.cpp", "include/x", "d/include/x/y", "src/gen/a/b.h", "d/m.rs"],
            &["a.h", "src/a.h", "gen/a.h", ".git/a.cpp", "rs"],
        );
        check(&selection(&["src", "!src/old"], &[], &[]), &["src/a"], &["src/old/a", "b"]);
    }

    #[test]
    fn folders_that_no_include_can_reach_are_not_entered() {
        let matcher = selection(&["/src/**/*.c", "tests/data/x"], &[], &[]);
        let above = |path: &str| matcher.place(path.as_bytes(), true, matcher.top());
        assert_eq!(above("src"), Place::Above);
        assert_eq!(above("tests"), Place::Above);
        assert_eq!(above("srcs"), Place::Out);
        assert_eq!(above("other"), Place::Out);
    }

    #[test]
    fn bad_globs_are_told() {
        for glob in ["a{b", "a{b,{c}", " "] {
            let selection = Selection { include: vec![glob.to_owned()], ..Selection::default() };
            assert!(selection.matcher().is_err(), "{glob:?}");
        }
    }
}

//! Where `#include` looks, in order.
//!
//! Measured with gcc 12 and clang 14, which agree: the includer's own folder (quotes only),
//! `-iquote`, `-I`, `CPATH`, `-isystem`, `C_INCLUDE_PATH` and its like, the compiler's own folders,
//! `-idirafter`. Both drop a `-I` folder that is also a system one, and later duplicates; that
//! depends on the disk, so it is left to the resolver. Folders that are not there stay: they may
//! appear.

use crate::terms::Arg;

/// Where `#include` looks, as far as the command line says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// `-iquote`, in order.
    pub quote: Vec<Arg>,
    /// `-I`, in order (a `-I-` makes the call plain).
    pub angle: Vec<Arg>,
    /// `-isystem`, `-cxx-isystem`, in order.
    pub system: Vec<Arg>,
    /// `-idirafter`, in order.
    pub after: Vec<Arg>,
    /// `-include`, `-imacros`, `-include-pch` files, in order.
    pub forced: Vec<ForcedHeader>,
}

/// A header that an option names.
#[derive(Clone, Debug, PartialEq)]
pub struct ForcedHeader {
    /// As spelled.
    pub name: Arg,
    /// A precompiled form of it is looked for, and taken. Not of what `-Xclang` names: clang's driver would look,
    /// its compiler does not (measured).
    pub or_compiled: bool,
}

/// The folders of one compile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SearchPath {
    folders: Vec<Box<[u8]>>,
    /// How many of `folders` serve quotes only.
    quotes: usize,
    /// From here on they hold system headers.
    systems: usize,
    /// The compiler's own folders, each with a slash at its end.
    own: Vec<Box<[u8]>>,
}

impl SearchPath {
    /// `cpath` and `lang_path` are the elements of the environment's lists, `own` the folders the
    /// compiler's `-v` prints for a compile without any of the others.
    pub fn new(search: &Search, cpath: &[Arg], lang_path: &[Arg], own: &[Arg]) -> SearchPath {
        let angle = [&search.angle[..], cpath, &search.system, lang_path, own, &search.after];
        let all = search.quote.iter().chain(angle.into_iter().flatten());
        SearchPath {
            folders: all.map(|folder| normal_folder(folder)).collect(),
            quotes: search.quote.len(),
            systems: search.quote.len() + search.angle.len() + cpath.len(),
            own: own
                .iter()
                .map(|folder| {
                    let mut prefix = normal_folder(folder).into_vec();
                    if prefix.last() != Some(&b'/') {
                        prefix.push(b'/');
                    }
                    prefix.into()
                })
                .collect(),
        }
    }

    /// All folders, those for quotes only first.
    pub fn folders(&self) -> &[Box<[u8]>] {
        &self.folders
    }

    /// How many of the folders angle includes skip.
    pub fn quotes(&self) -> usize {
        self.quotes
    }

    /// From which of the folders on they hold system headers.
    pub fn systems(&self) -> usize {
        self.systems
    }

    /// Whether there are any beside the compiler's own.
    pub fn has_others(&self) -> bool {
        self.folders.len() > self.own.len()
    }

    /// Whether a path, in its normal spelling, lies in a folder of the compiler's own.
    pub fn is_own(&self, path: &[u8]) -> bool {
        self.own.iter().any(|prefix| path.starts_with(prefix))
    }
}

/// The normal spelling of a folder; an empty name, as lists in the environment may hold, is the cwd.
fn normal_folder(folder: &[u8]) -> Box<[u8]> {
    let mut path = normal(folder);
    if path.len() > 1 && path.last() == Some(&b'/') {
        path.pop();
    }
    if path.is_empty() { b"."[..].into() } else { path.into() }
}

/// A path without `./` parts and doubled slashes. `..` stays: what it means depends on symlinks.
pub fn normal(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    if path.first() == Some(&b'/') {
        out.push(b'/');
    }
    let mut parts = path.split(|&b| b == b'/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        if part == b"." && !(last && out.is_empty() && !path.ends_with(b"/")) {
            continue;
        }
        out.extend_from_slice(part);
        if !last || path.ends_with(b"/") {
            out.push(b'/');
        }
    }
    out
}

/// What a compiler opens for `name` in `folder` (empty: the cwd), in the normal spelling.
pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() || name.first() == Some(&b'/') {
        return normal(name);
    }
    let mut path = Vec::with_capacity(folder.len() + name.len() + 1);
    path.extend_from_slice(folder);
    path.push(b'/');
    path.extend_from_slice(name);
    normal(&path)
}

/// The folder part of a path; empty for the cwd.
pub fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&b| b == b'/') {
        Some(0) => b"/",
        Some(at) => &path[..at],
        None => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(names: &[&str]) -> Vec<Arg> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    #[test]
    fn order() {
        let search = Search {
            quote: args(&["q"]),
            angle: args(&["i", "./j/"]),
            system: args(&["s"]),
            after: args(&["a"]),
            forced: vec![],
        };
        let path =
            SearchPath::new(&search, &args(&["", "cp"]), &args(&["lp"]), &args(&["/usr/include"]));
        let names: Vec<_> =
            path.folders().iter().map(|f| String::from_utf8_lossy(f).into_owned()).collect();
        assert_eq!(names, ["q", "i", "j", ".", "cp", "s", "lp", "/usr/include", "a"]);
        assert_eq!(path.quotes(), 1);
        assert!(path.is_own(b"/usr/include/x/y.h"));
        assert!(!path.is_own(b"/usr/include2/x.h"));
    }

    #[test]
    fn spelling() {
        for (from, to) in [
            ("./x.h", "x.h"),
            ("././/x.h", "x.h"),
            ("a//b.h", "a/b.h"),
            ("a/./b.h", "a/b.h"),
            ("/a/./b/../c", "/a/b/../c"),
            ("//a", "/a"),
            ("/", "/"),
            (".", "."),
            ("a/.", "a/"),
            ("../x", "../x"),
            ("", ""),
        ] {
            assert_eq!(normal(from.as_bytes()), to.as_bytes(), "{from}");
        }
        assert_eq!(join(b".", b"x.h"), b"x.h");
        assert_eq!(join(b"", b"./x.h"), b"x.h");
        assert_eq!(join(b"d", b"/x.h"), b"/x.h");
        assert_eq!(join(b"/", b"x.h"), b"/x.h");
        assert_eq!(parent(b"a/b.c"), b"a");
        assert_eq!(parent(b"b.c"), b"");
        assert_eq!(parent(b"/b.c"), b"/");
    }
}

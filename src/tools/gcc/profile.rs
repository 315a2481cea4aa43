//! The profile data that gcc reads for `-fprofile-use`: one file for each object, whose name is made of the object's.
//!
//! Measured on gcc 12.2: the object's name without its last ending, as spelled; in the folder that an option names it
//! is the whole path with `#` for each slash and `^` for each `..`, unless the object's name was absolute. Other
//! versions take the plain name there. All of those are inputs, there or not.

use super::outputs::stem;
use crate::terms::Arg;

/// How a command uses profile data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileUse {
    /// `-fprofile-use=FOLDER`, `-fprofile-dir=FOLDER`: the last one counts, the others do no harm.
    pub folders: Vec<Arg>,
}

impl ProfileUse {
    /// The files that may be read for an object, for each name that gcc may take for the working folder (`PWD`).
    pub fn candidates(&self, object: &[u8], working_folders: &[&[u8]]) -> Vec<Arg> {
        let name = stem(object).unwrap_or(object);
        let mut found = vec![[name, b".gcda"].concat()];
        for folder in &self.folders {
            found.push([&folder[..], b"/", name, b".gcda"].concat());
            if name.starts_with(b"/") {
                continue;
            }
            for working_folder in working_folders {
                let whole = [working_folder, &b"/"[..], name].concat();
                found.push([&folder[..], b"/", &mangled(&whole), b".gcda"].concat());
            }
        }
        found
    }
}

/// A path as one name.
fn mangled(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|byte| *byte == b'/');
    let parts: Vec<&[u8]> = parts.map(|part| if part == b".." { b"^" } else { part }).collect();
    parts.join(&b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(folders: &[&str], object: &str) -> Vec<String> {
        let folders = folders.iter().map(|folder| folder.as_bytes().to_vec()).collect();
        let found = ProfileUse { folders }.candidates(object.as_bytes(), &[b"/w", b"/link"]);
        found.into_iter().map(|path| String::from_utf8(path).unwrap()).collect()
    }

    #[test]
    fn names_as_measured() {
        assert_eq!(candidates(&[], "out/b.x.o"), ["out/b.x.gcda"]);
        assert_eq!(candidates(&[], "b"), ["b.gcda"]);
        assert_eq!(
            candidates(&["p"], "../b.o"),
            ["../b.gcda", "p/../b.gcda", "p/#w#^#b.gcda", "p/#link#^#b.gcda"]
        );
        assert_eq!(candidates(&["p"], "./b.o")[2], "p/#w#.#b.gcda");
        assert_eq!(candidates(&["p"], "out//b.o")[2], "p/#w#out##b.gcda");
        assert_eq!(candidates(&["p"], "/o/b.o"), ["/o/b.gcda", "p//o/b.gcda"]);
    }
}

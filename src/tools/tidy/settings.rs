//! Where `.clang-tidy` may lie: in the folder of each file that is looked at, and in those above.

use std::collections::BTreeSet;

/// Each `.clang-tidy` that may hold for these files (absolute), there or not.
pub(super) fn candidates<'a>(files: impl Iterator<Item = &'a [u8]>) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    for file in files {
        // Both ways of taking `..`: older versions go up by name, newer ones clean the name first.
        for name in [file.to_vec(), clean(file)] {
            let mut folder = &name[..];
            while let Some(slash) = folder.iter().rposition(|byte| *byte == b'/') {
                folder = &folder[..slash];
                // Those above a folder that is known are known as well.
                if !found.insert([folder, b"/.clang-tidy"].concat()) {
                    break;
                }
            }
        }
    }
    found
}

/// An absolute path without `.` and `..`, by name alone.
fn clean(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    [b"/", &parts.join(&b'/')[..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_above_each_file() {
        let files = [&b"/a/b/../c/x.h"[..], b"/a/y.h"];
        let found: Vec<String> = candidates(files.into_iter())
            .into_iter()
            .map(|path| String::from_utf8(path).unwrap())
            .collect();
        let expected = ["", "/a", "/a/b/..", "/a/b/../c", "/a/b", "/a/c"];
        assert_eq!(found, expected.map(|folder| format!("{folder}/.clang-tidy")));
    }
}

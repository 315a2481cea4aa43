//! Lists of what sanitizers leave alone, which clang looks for without being asked.

use crate::inputs::dialect::Flavor;
use crate::terms::Arg;
use crate::tools::command::Command;

/// Below `share` in clang's own folder; the second half as older releases named them.
const LISTS: [&str; 16] = [
    "asan_ignorelist.txt",
    "hwasan_ignorelist.txt",
    "memtag_ignorelist.txt",
    "msan_ignorelist.txt",
    "tsan_ignorelist.txt",
    "dfsan_abilist.txt",
    "cfi_ignorelist.txt",
    "ubsan_ignorelist.txt",
    "asan_blacklist.txt",
    "hwasan_blacklist.txt",
    "memtag_blacklist.txt",
    "msan_blacklist.txt",
    "tsan_blacklist.txt",
    "cfi_blacklist.txt",
    "ubsan_blacklist.txt",
    "vtables_blacklist.txt",
];

/// Where a sanitizing command of clang looks for lists. None: the folder is not known, ask for it.
///
/// `own`: the folders in which the compiler looks for its own headers, one of which lies in clang's.
pub(super) fn lists(command: &Command, own: &[Vec<u8>]) -> Option<Vec<Arg>> {
    if command.flavor != Flavor::Clang || !sanitizes(command) {
        return Some(Vec::new());
    }
    let named = command.query_args.iter().rev().find_map(|arg| arg.strip_prefix(b"-resource-dir="));
    if let Some(folder) = named {
        return Some(below(folder));
    }
    let searched = own.iter().chain(&command.search.system);
    let folders: Vec<&[u8]> = searched.filter_map(|folder| clangs_own(folder)).collect();
    (!folders.is_empty()).then(|| folders.into_iter().flat_map(below).collect())
}

/// The lists below one of clang's folders.
pub(super) fn below(folder: &[u8]) -> Vec<Arg> {
    LISTS.iter().map(|name| [folder, b"/share/", name.as_bytes()].concat()).collect()
}

fn sanitizes(command: &Command) -> bool {
    command.key_args.iter().any(|arg| arg.starts_with(b"-fsanitize="))
}

/// The folder of clang's that these headers are in (`…/lib/clang/14.0.6/include`).
fn clangs_own(headers: &[u8]) -> Option<&[u8]> {
    let headers = headers.strip_suffix(b"/").unwrap_or(headers);
    let folder = headers.strip_suffix(b"/include")?;
    let parent = &folder[..folder.iter().rposition(|byte| *byte == b'/')?];
    parent.ends_with(b"/clang").then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_clangs() {
        assert_eq!(clangs_own(b"/l/lib/clang/14.0.6/include"), Some(&b"/l/lib/clang/14.0.6"[..]));
        assert_eq!(clangs_own(b"/usr/include"), None);
        assert_eq!(clangs_own(b"/usr/lib/clang/14/lib"), None);
        assert!(below(b"res").contains(&b"res/share/asan_ignorelist.txt".to_vec()));
    }
}

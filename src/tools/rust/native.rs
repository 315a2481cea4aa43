//! What rustc reads beside sources and named crates: static libraries, and crates behind
//! the named ones.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::parse::{Command, Folder, Library};
use super::{assembler, loaded};
use crate::tools::find::absolute;
use crate::tools::link::binary::{self, Needed};

/// Folders of more files than this hold libraries for many: only what is named counts there.
const OWN_FILES_MAX: usize = 64;

/// The static libraries that a crate may link: those that options name, and those that lie in the folders
/// searched, where `#[link(…)]` may name them in whatever way. In a folder with many, one of `words` has to be its
/// name. Too many do no harm.
pub(super) fn libraries(
    command: &Command,
    cwd: &[u8],
    words: &dyn Fn(&[u8]) -> bool,
) -> Vec<Library> {
    let mut found = command.libraries.clone();
    for folder in command.folders.iter().filter(|folder| folder.has_native()) {
        let names = names_in(&absolute(cwd, &folder.path));
        let is_own = names.len() <= OWN_FILES_MAX;
        for name in names {
            let stem = name.strip_prefix(b"lib").and_then(|rest| rest.strip_suffix(b".a"));
            if let Some(stem) = stem
                && (is_own || words(stem))
            {
                found.push(Library { name: stem.to_vec(), verbatim: false });
            } else if words(&name) {
                found.push(Library { name, verbatim: true });
            }
        }
    }
    let mut seen = HashSet::new();
    found.retain(|library| seen.insert((library.name.clone(), library.verbatim)));
    found
}

/// What is in a folder that is not one for many.
pub(super) fn own_names(folder: &[u8]) -> Vec<Vec<u8>> {
    let names = names_in(folder);
    if names.len() <= OWN_FILES_MAX { names } else { Vec::new() }
}

fn names_in(folder: &[u8]) -> Vec<Vec<u8>> {
    let listed = std::fs::read_dir(OsStr::from_bytes(folder)).into_iter().flatten().flatten();
    let mut names: Vec<Vec<u8>> =
        listed.map(|entry| entry.file_name().into_encoded_bytes()).collect();
    names.sort_unstable();
    names
}

/// Where a static library may be: every candidate counts, there or not.
pub(super) fn candidates(folders: &[Folder], libraries: &[Library]) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    for folder in folders.iter().filter(|folder| folder.has_native()) {
        for library in libraries {
            let join = |name: &[&[u8]]| [&folder.path[..], b"/", &name.concat()].concat();
            if library.verbatim {
                paths.push(join(&[&library.name]));
            } else {
                paths.push(join(&[b"lib", &library.name, b".a"]));
            }
        }
    }
    paths
}

/// Crates that `extern crate` could find by name alone, in the folders where rustc looks for them: all that are there
/// are a part of the question, since another one of the same name is an error. Shared objects are too many in some
/// folders; of them those count that an `--extern` without a path asks for.
pub(super) fn unnamed(command: &Command, cwd: &[u8]) -> Vec<Vec<u8>> {
    let asked = |name: &[u8]| command.externs.iter().any(|one| one.path.is_none() && one.is(name));
    let mut found = Vec::new();
    for folder in command.folders.iter().filter(|folder| folder.has_crates()) {
        for name in names_in(&absolute(cwd, &folder.path)) {
            let path = [&folder.path[..], b"/", &name].concat();
            let counts = match crate_name(&name) {
                Some(named) => !name.ends_with(b".so") || asked(named),
                None => false,
            };
            if counts && !is_own(command, cwd, &path) {
                found.push(path);
            }
        }
    }
    found
}

/// A file that the command itself makes.
fn is_own(command: &Command, cwd: &[u8], path: &[u8]) -> bool {
    let path = absolute(cwd, path);
    command.outputs.iter().any(|output| absolute(cwd, &output.path) == path)
}

/// `x` of `libx-1.rlib`.
fn crate_name(file: &[u8]) -> Option<&[u8]> {
    stem(file)?.split(|byte| *byte == b'-').next()
}

/// Crates that a compile reads beside those that it names, and what all of them may bring into it.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// As spelled by the folders.
    pub(super) files: Vec<Vec<u8>>,
    /// One of them has a text for the assembler that reads files.
    pub(super) may_assemble: bool,
    /// The procedural macros among them, and among those that were named, that need shared libraries.
    pub(super) loaded: Vec<(Vec<u8>, Needed)>,
}

/// Crates that rustc may load though no `--extern` names their files. The files of a crate
/// that was named carry the rest of the file names of those behind it (`-0f1e…` of
/// `libx-0f1e….rlib`), so a search of their bytes finds them; a file that matches by chance
/// does no harm. `named`: the files given. `unnamed`: those of that function. `words`: what the sources could name.
pub(super) fn crates_behind(
    command: &Command,
    named: &[Vec<u8>],
    unnamed: &[Vec<u8>],
    cwd: &[u8],
    words: &dyn Fn(&[u8]) -> bool,
) -> Behind {
    // By what follows the first dash of the name, or by all of it.
    let mut waiting: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    let mut found = unnamed.to_vec();
    for folder in command.folders.iter().filter(|folder| folder.has_dependencies()) {
        for name in names_in(&absolute(cwd, &folder.path)) {
            let Some(stem) = stem(&name) else { continue };
            let path = [&folder.path[..], b"/", &name].concat();
            if folder.has_crates() {
                let is_word = crate_name(&name).is_some_and(words);
                if name.ends_with(b".so") && is_word && !is_own(command, cwd, &path) {
                    found.push(path);
                }
                continue;
            }
            let dash = stem.iter().position(|byte| *byte == b'-').unwrap_or(0);
            waiting.entry(stem[dash..].to_vec()).or_default().push(path);
        }
    }
    let mut behind = Behind::default();
    let mut seen: HashSet<Vec<u8>> = named.iter().cloned().collect();
    found.retain(|path| seen.insert(path.clone()));
    let mut todo: Vec<Vec<u8>> = named.iter().chain(&found).cloned().collect();
    while let Some(path) = todo.pop() {
        let Some(facts) = facts(&absolute(cwd, &path), &waiting) else { continue };
        behind.may_assemble |= facts.may_assemble;
        if facts.is_macro {
            behind.loaded.extend(facts.needs.map(|needs| (path.clone(), needs)));
        }
        let keys: Vec<Vec<u8>> = match path.ends_with(b".so") {
            false => facts.keys,
            // A procedural macro holds what it needs.
            true if facts.is_macro => Vec::new(),
            // A library tells it, packed.
            true => waiting.keys().cloned().collect(),
        };
        for key in keys {
            for path in waiting.remove(&key).unwrap_or_default() {
                if seen.insert(path.clone()) {
                    found.push(path.clone());
                    todo.push(path);
                }
            }
        }
    }
    if !command.reads_all_crates {
        // Metadata is enough, and cargo starts such a compile when a library's code is still
        // being written.
        let light: HashSet<Vec<u8>> = named
            .iter()
            .chain(&found)
            .filter_map(|path| path.strip_suffix(b".rmeta"))
            .map(<[u8]>::to_vec)
            .collect();
        found.retain(|path| !path.strip_suffix(b".rlib").is_some_and(|stem| light.contains(stem)));
    }
    behind.files = found;
    behind
}

/// `x-1` of `libx-1.rlib`.
fn stem(name: &[u8]) -> Option<&[u8]> {
    let rest = name.strip_prefix(b"lib")?;
    [&b".rlib"[..], b".rmeta", b".so"].iter().find_map(|end| rest.strip_suffix(*end))
}

/// Cargo's form of a key: a dash and sixteen digits.
const USUAL: usize = 17;

/// What the bytes of a crate's file tell.
struct Facts {
    /// Those keys that occur in it.
    keys: Vec<Vec<u8>>,
    is_macro: bool,
    may_assemble: bool,
    /// See `loaded`.
    needs: Option<Needed>,
}

/// Of a file for as long as it stays the same: its keys of the usual form, and the other facts.
struct Read {
    usual: HashSet<Vec<u8>>,
    is_macro: bool,
    may_assemble: bool,
    needs: Option<Needed>,
}

type Kept = HashMap<(Vec<u8>, (u64, u64, i64, i64)), Arc<Read>>;
static KEPT: Mutex<Option<Kept>> = Mutex::new(None);
const KEPT_MAX: usize = 20_000;

/// What a file tells, and which of `keys` occur in it. None: it can't be read.
fn facts(path: &[u8], keys: &BTreeMap<Vec<u8>, Vec<Vec<u8>>>) -> Option<Facts> {
    let path_name = OsStr::from_bytes(path);
    let meta = std::fs::metadata(path_name).ok()?;
    let name = (path.to_vec(), (meta.ino(), meta.size(), meta.ctime(), meta.ctime_nsec()));
    let kept = KEPT.lock().as_ref().and_then(|kept| kept.get(&name).cloned());
    let unusual: Vec<&Vec<u8>> = keys.keys().filter(|key| !is_usual(key)).collect();
    let bytes = match (&kept, &unusual[..]) {
        (Some(_), []) => Vec::new(),
        _ => std::fs::read(path_name).ok()?,
    };
    let read = kept.unwrap_or_else(|| {
        let is_macro = memchr::memmem::find(&bytes, b"__rustc_proc_macro_decls_").is_some();
        let read = Arc::new(Read {
            usual: usual_keys(&bytes),
            is_macro,
            may_assemble: assembler::may_assemble(&bytes),
            needs: if is_macro { binary::inspect(path).and_then(loaded::others) } else { None },
        });
        let mut kept = KEPT.lock();
        let kept = kept.get_or_insert_default();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(name, read.clone());
        read
    });
    let mut found: Vec<Vec<u8>> =
        read.usual.iter().filter(|key| keys.contains_key(*key)).cloned().collect();
    found.extend(
        unusual.into_iter().filter(|key| memchr::memmem::find(&bytes, key).is_some()).cloned(),
    );
    let Read { is_macro, may_assemble, .. } = *read;
    Some(Facts { keys: found, is_macro, may_assemble, needs: read.needs.clone() })
}

fn is_usual(key: &[u8]) -> bool {
    key.len() == USUAL && key[0] == b'-' && key[1..].iter().all(u8::is_ascii_hexdigit)
}

fn usual_keys(bytes: &[u8]) -> HashSet<Vec<u8>> {
    memchr::memchr_iter(b'-', bytes)
        .filter_map(|at| bytes.get(at..at + USUAL).filter(|key| is_usual(key)))
        .map(<[u8]>::to_vec)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Command {
        let argv = ["--crate-name", "b", "b.rs", "--crate-type", "lib", "--emit=metadata,link"];
        let argv: Vec<_> = argv.iter().chain(words).map(|arg| arg.as_bytes().to_vec()).collect();
        crate::tools::rust::parse::parse(&argv, &mut |_| None).unwrap()
    }

    /// A folder with these files.
    fn folder(name: &str, files: &[&str]) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("zcc-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        files.iter().for_each(|file| std::fs::write(folder.join(file), b"").unwrap());
        folder
    }

    #[test]
    fn static_libraries_are_those_that_are_there() {
        let here = folder("static", &["libz.a", "y.lib", "other"]);
        let search = format!("-Lnative={}", here.display());
        let command = command(&[&search, "-lstatic=q"]);
        let found = libraries(&command, b"/", &|word| word == b"y.lib");
        let many: Vec<String> = (0..OWN_FILES_MAX).map(|nth| format!("{nth}")).collect();
        many.iter().for_each(|name| std::fs::write(here.join(name), b"").unwrap());
        let among_many = libraries(&command, b"/", &|_| false);
        std::fs::remove_dir_all(&here).unwrap();
        let library = |name: &[u8], verbatim| Library { name: name.to_vec(), verbatim };
        assert_eq!(found, [library(b"q", false), library(b"z", false), library(b"y.lib", true)]);
        assert_eq!(among_many, [library(b"q", false)]);
        let folders = [Folder { kind: b"native".to_vec(), path: b"/n".to_vec() }];
        let paths = candidates(&folders, &found[1..]);
        assert_eq!(paths, [b"/n/libz.a".to_vec(), b"/n/y.lib".to_vec()]);
    }

    #[test]
    fn crates_that_nobody_named() {
        let here = folder("unnamed", &["liba-1.rlib", "libb.rlib", "libm.so", "libz.so", "x.rs"]);
        let search = format!("-L{}", here.display());
        let out = format!("--out-dir={}", here.display());
        let command = command(&[&search, &out, "--extern", "m"]);
        let listed = unnamed(&command, b"/");
        let behind = crates_behind(&command, &[], &listed, b"/", &|word| word == b"z").files;
        std::fs::remove_dir_all(&here).unwrap();
        let name =
            |path: &Vec<u8>| String::from_utf8_lossy(path).rsplit('/').next().map(str::to_owned);
        let names = |paths: &[Vec<u8>]| paths.iter().filter_map(name).collect::<Vec<_>>();
        assert_eq!(names(&listed), ["liba-1.rlib", "libm.so"], "its own output is none");
        assert_eq!(names(&behind), ["liba-1.rlib", "libm.so", "libz.so"]);
    }

    #[test]
    fn crates_are_known_by_the_end_of_their_names() {
        assert_eq!(stem(b"libx-1.rlib"), Some(&b"x-1"[..]));
        assert_eq!(stem(b"x-1.d"), None);
        let keys: BTreeMap<_, _> = [&b"-0123456789abcdef"[..], b"-1", b"plain", b"-none"]
            .map(|key| (key.to_vec(), Vec::new()))
            .into();
        let path = std::env::temp_dir().join(format!("zcc-mentioned-{}", std::process::id()));
        std::fs::write(&path, b"..-0123456789abcdef\x00plain -1").unwrap();
        let mut found = facts(path.as_os_str().as_bytes(), &keys).unwrap().keys;
        std::fs::remove_file(&path).unwrap();
        found.sort();
        assert_eq!(found, [&b"-0123456789abcdef"[..], b"-1", b"plain"]);
    }

    /// A crate's metadata holds its own key too.
    #[test]
    fn code_still_being_written_is_left_out() {
        let folder = folder("behind", &[]);
        let path = |end: &str| folder.join(format!("liba-0123456789abcdef.{end}"));
        std::fs::write(path("rmeta"), b"a-0123456789abcdef").unwrap();
        std::fs::write(path("rlib"), b"a").unwrap();
        let meta = path("rmeta").into_os_string().into_encoded_bytes();
        let command = command(&[&format!("-Ldependency={}", folder.display())]);
        let found =
            crates_behind(&command, std::slice::from_ref(&meta), &[], b"/", &|_| false).files;
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(found.is_empty(), "{found:?}");
    }
}

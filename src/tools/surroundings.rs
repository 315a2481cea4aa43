//! What clang would find around itself if it came to be there: configuration files that nobody
//! names, and installations of gcc, whose newest it takes headers and start files from.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::caller::Caller;
use super::closure::Closure;
use super::find::{absolute, base, folder_of};
use crate::files::Seen;
use crate::terms::Arg;

/// Adds the configuration files that this clang read, as `said` tells, and those that it would read for its
/// name and its target. None: one of them names others, which are not followed.
pub(super) fn add_configurations(
    caller: Caller<'_>,
    driver: &[u8],
    target: &[u8],
    said: &[u8],
    closure: &mut Closure,
) -> Option<()> {
    let lines = said.split(|byte| *byte == b'\n');
    for path in lines.filter_map(|line| line.strip_prefix(b"Configuration file: ")) {
        let path = absolute(caller.cwd, path);
        closure.file(caller, &path);
        let text = std::fs::read(OsStr::from_bytes(&path)).ok()?;
        if text.contains(&b'@') {
            return None;
        }
    }
    let real = std::fs::canonicalize(OsStr::from_bytes(driver)).ok();
    let real = real.map_or(driver.to_vec(), |path| path.into_os_string().into_encoded_bytes());
    let mut folders = vec![folder_of(driver).to_vec(), folder_of(&real).to_vec()];
    folders.dedup();
    folders.push(b"/etc/clang".to_vec());
    for (variable, rest) in [("XDG_CONFIG_HOME", "/clang"), ("HOME", "/.config/clang")] {
        let home = caller.env.get(variable.as_bytes()).filter(|home| home.starts_with(b"/"));
        folders.extend(home.map(|home| [home, rest.as_bytes()].concat()));
    }
    let names = configuration_names(base(driver), target);
    for folder in folders {
        if is_absent(caller, &folder, closure) {
            continue;
        }
        for name in &names {
            let id = caller.table.intern(&[&folder[..], b"/", name].concat());
            closure.add_seen(caller, id);
        }
    }
    Some(())
}

/// The names that configuration files have for a driver of this name (clang 14 to 21).
fn configuration_names(called: &[u8], target: &[u8]) -> Vec<Arg> {
    let architecture = target.split(|byte| *byte == b'-').next().unwrap_or_default();
    let mut stems = vec![called.to_vec(), target.to_vec(), architecture.to_vec()];
    let at = memchr::memmem::rfind(called, b"clang").filter(|at| *at > 0);
    let own = at.map(|at| called[..at - 1].to_vec());
    stems.extend(own.clone());
    for mode in [&b"clang"[..], b"clang++"] {
        stems.push(mode.to_vec());
        let before = [target, architecture].into_iter().chain(own.as_deref());
        stems.extend(before.map(|before| [before, b"-", mode].concat()));
    }
    stems.sort();
    stems.dedup();
    stems.iter().map(|stem| [stem, &b".cfg"[..]].concat()).collect()
}

/// Whether nothing is there, which is then remembered.
fn is_absent(caller: Caller<'_>, path: &[u8], closure: &mut Closure) -> bool {
    let id = caller.table.intern(&absolute(caller.cwd, path));
    let is_absent = caller.table.look(id, false) == Seen::Absent;
    if is_absent {
        closure.absent.push(id);
    }
    is_absent
}

/// How many versions later than the one that was taken are looked for.
const LATER_VERSIONS: u32 = 5;
/// The versions of which one may be the first to come.
const VERSIONS: std::ops::Range<u32> = 4..24;

/// Adds that no newer gcc is there than the one clang selected, as `said` tells, and none of those that
/// the arguments send it to.
pub(super) fn add_installations(
    caller: Caller<'_>,
    args: &[Arg],
    target: &[u8],
    said: &[u8],
    closure: &mut Closure,
) {
    let selected = said
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"Selected GCC installation: "));
    if let Some(folder) = selected {
        add_newer(caller, folder, closure);
    }
    for root in roots(args) {
        for library in ["lib", "lib64", "lib32"] {
            for kind in ["gcc", "gcc-cross"] {
                for triple in triples(target) {
                    let rest = [library.as_bytes(), kind.as_bytes(), &triple];
                    add_first(caller, &root, &rest, closure);
                }
            }
        }
    }
    closure.absent.sort_unstable();
    closure.absent.dedup();
}

/// The folders that arguments tell clang to search for a gcc.
fn roots(args: &[Arg]) -> Vec<Arg> {
    let mut roots = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if let Some(root) = arg.strip_prefix(b"--gcc-toolchain=") {
            roots.push(root.to_vec());
        } else if matches!(&arg[..], b"--gcc-toolchain" | b"-gcc-toolchain") {
            roots.extend(args.next().cloned());
        } else if let Some(root) = arg.strip_prefix(b"--sysroot=") {
            roots.extend([root.to_vec(), [root, b"/usr"].concat()]);
        }
    }
    roots
}

/// The names that a target's folder may have.
fn triples(target: &[u8]) -> Vec<Arg> {
    let mut parts = target.splitn(2, |byte| *byte == b'-');
    let architecture = parts.next().unwrap_or_default();
    let system = target.rsplitn(3, |byte| *byte == b'-').collect::<Vec<_>>();
    // `linux-gnu` of `x86_64-pc-linux-gnu`.
    let system = match system[..] {
        [end, start, ..] => [start, b"-", end].concat(),
        _ => b"linux-gnu".to_vec(),
    };
    let mut triples = vec![target.to_vec(), [architecture, b"-", &system[..]].concat()];
    for vendor in
        ["unknown-linux-gnu", "pc-linux-gnu", "redhat-linux", "suse-linux", "amazon-linux"]
    {
        triples.push([architecture, b"-", vendor.as_bytes()].concat());
    }
    triples.sort();
    triples.dedup();
    triples
}

/// Adds the versions that come after the one in `folder`.
fn add_newer(caller: Caller<'_>, folder: &[u8], closure: &mut Closure) {
    let version = base(folder);
    let Ok(text) = std::str::from_utf8(version) else { return };
    let mut numbers = text.splitn(2, '.');
    let Some(major) = numbers.next().and_then(|text| text.parse::<u32>().ok()) else { return };
    let is_dotted = numbers.next().is_some();
    let above = &folder[..folder.len() - version.len()];
    let after = if is_dotted { major } else { major + 1 };
    for later in after..=major + LATER_VERSIONS {
        let minors = if is_dotted { 1..LATER_VERSIONS } else { 0..1 };
        for minor in minors {
            let name = if is_dotted { format!("{later}.{minor}.0") } else { later.to_string() };
            let path = [above, name.as_bytes(), b"/crtbegin.o"].concat();
            // Of this version itself and older ones, nothing is to be said.
            if name != text {
                is_absent(caller, &path, closure);
            }
        }
    }
}

/// Adds what is missing for an installation to be found below a root.
fn add_first(caller: Caller<'_>, root: &[u8], rest: &[&[u8]], closure: &mut Closure) {
    let mut folder = root.to_vec();
    if is_absent(caller, &folder, closure) {
        return;
    }
    for part in rest {
        folder = [&folder[..], b"/", part].concat();
        if is_absent(caller, &folder, closure) {
            return;
        }
    }
    for version in VERSIONS {
        let path = [&folder[..], b"/", version.to_string().as_bytes(), b"/crtbegin.o"].concat();
        is_absent(caller, &path, closure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(list: &[Arg], word: &str) -> bool {
        list.iter().any(|one| one == word.as_bytes())
    }

    #[test]
    fn names_of_configurations() {
        let names = configuration_names(b"x86_64-linux-gnu-clang++", b"x86_64-pc-linux-gnu");
        for name in [
            "x86_64-linux-gnu-clang++",
            "x86_64-linux-gnu",
            "clang++",
            "x86_64-pc-linux-gnu",
            "x86_64",
        ] {
            assert!(has(&names, &format!("{name}.cfg")), "{name}");
        }
        assert!(!has(&configuration_names(b"clang", b"a-b"), ".cfg"));
    }

    #[test]
    fn names_of_installations() {
        let names = triples(b"x86_64-pc-linux-gnu");
        assert!(has(&names, "x86_64-linux-gnu") && has(&names, "x86_64-redhat-linux"), "{names:?}");
        assert!(has(&triples(b"arm-none-eabi"), "arm-none-eabi"));
        let words = ["--gcc-toolchain=/a", "-gcc-toolchain", "/b", "--sysroot=/c"];
        let words: Vec<Arg> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let found = roots(&words);
        assert!(["/a", "/b", "/c", "/c/usr"].iter().all(|root| has(&found, root)), "{found:?}");
    }
}

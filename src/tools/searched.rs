//! Where a driver searches for its programs and files, as it says itself, and what that makes its answers
//! depend on. A *place* is what goes before a name: a folder's ends in a slash. One that does not is a
//! prefix to gcc (`-Bbin/arm-` finds `bin/arm-as`), until it is a folder.

use super::caller::Caller;
use super::closure::Closure;
use super::driver::Driver;
use super::find::{absolute, base, folder_of};
use super::query;
use crate::files::{PathId, Seen};
use crate::terms::Arg;

/// The places of one driver under one set of arguments, in order, those that are not there (yet) included.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Searched {
    pub(super) programs: Vec<Arg>,
    pub(super) libraries: Vec<Arg>,
}

/// Asks a driver. None: it does not say.
pub(super) fn ask(caller: Caller<'_>, program: &[u8], args: &[Arg]) -> Option<Searched> {
    let args = [args, &[b"-print-search-dirs".to_vec()]].concat();
    let said = query::ask(program, &args, caller.env, caller.cwd)?;
    said.success.then(|| read(&said.stdout))
}

/// Reads what `-print-search-dirs` prints.
fn read(text: &[u8]) -> Searched {
    let list = |name: &[u8]| -> Vec<Arg> {
        let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name));
        let list = line.map_or(&b""[..], |line| line.strip_prefix(b"=").unwrap_or(line));
        let mut places: Vec<Arg> = Vec::new();
        for place in list.split(|byte| *byte == b':').filter(|place| !place.is_empty()) {
            if !places.iter().any(|known| known == place) {
                places.push(place.to_vec());
            }
        }
        places
    };
    Searched { programs: list(b"programs: "), libraries: list(b"libraries: ") }
}

/// The folders of PATH as places.
pub(super) fn on_path(caller: Caller<'_>) -> Vec<Arg> {
    let path = caller.env.get(b"PATH").unwrap_or(b"/usr/local/bin:/usr/bin:/bin");
    path.split(|byte| *byte == b':')
        .map(|folder| [folder_path(caller, folder), b"/".to_vec()].concat())
        .collect()
}

/// A folder without the slash at its end, as seen from the cwd.
fn folder_path(caller: Caller<'_>, folder: &[u8]) -> Vec<u8> {
    let full = absolute(caller.cwd, folder);
    full.strip_suffix(b"/").unwrap_or(&full).to_vec()
}

/// What may be found under a name in a place.
pub(super) fn candidates(caller: Caller<'_>, place: &[u8], name: &[u8]) -> Vec<Arg> {
    let inside = [&folder_path(caller, place)[..], b"/", name].concat();
    match place.ends_with(b"/") {
        true => vec![inside],
        false => vec![[&absolute(caller.cwd, place)[..], name].concat(), inside],
    }
}

/// Where a planned command's program is: as printed when it has a folder, else the first of
/// the places; those where it is not are remembered as absent. A driver for `target` may look for
/// `TARGET-NAME` first: clang in all places, gcc in each of its own.
pub(super) fn find_program(
    caller: Caller<'_>,
    printed: &[u8],
    target: &[u8],
    places: &[Vec<u8>],
    closure: &mut Closure,
) -> Option<Vec<u8>> {
    let printed_path = printed.contains(&b'/').then(|| absolute(caller.cwd, printed));
    let real = |path: &[u8]| caller.table.look(caller.table.intern(path), false).identity();
    let wanted = printed_path.as_deref().map(real);
    let prefix = [target, b"-"].concat();
    let plain = base(printed).strip_prefix(&prefix[..]).unwrap_or(base(printed));
    let mut searched = places;
    for name in [&[&prefix[..], plain].concat()[..], plain] {
        for (at, place) in searched.iter().enumerate() {
            let mut is_found = false;
            for candidate in candidates(caller, place, name) {
                let id = caller.table.intern(&candidate);
                match (caller.table.look(id, false), wanted) {
                    (Seen::Absent, _) => closure.absent.push(id),
                    // Printed without a folder: found on PATH, under the very name.
                    (Seen::File { .. }, None) if name == base(printed) => return Some(candidate),
                    (seen @ Seen::File { .. }, Some(wanted)) => {
                        is_found |= seen.identity() == wanted;
                    }
                    _ => {}
                }
            }
            if is_found {
                searched = &places[..at];
                break;
            }
        }
    }
    printed_path
}

/// The values of `-B` among a driver's arguments.
pub(super) fn given(args: &[Arg]) -> Vec<Arg> {
    let mut found = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.strip_prefix(b"-B") {
            Some(b"") => found.extend(args.next().cloned()),
            Some(place) => found.push(place.to_vec()),
            None => {}
        }
    }
    found
}

/// Adds the files of these names that gcc reads, or would read if they were there, wherever it
/// searches: spec files among them.
pub(super) fn add_files(
    caller: Caller<'_>,
    driver: &Driver,
    searched: &Searched,
    names: &[&[u8]],
    closure: &mut Closure,
) {
    // It looks for specs beside its own version's folder, too, whatever GCC_EXEC_PREFIX says.
    let own = [folder_of(&driver.path), b"/../lib/gcc/", driver.target(), b"/"].concat();
    let places: Vec<&Arg> =
        searched.libraries.iter().chain(&searched.programs).chain([&own]).collect();
    for name in names {
        add_file(caller, &places, name, closure);
    }
}

/// Adds what is, or may come to be, under one name in these places.
fn add_file(caller: Caller<'_>, places: &[&Arg], name: &[u8], closure: &mut Closure) {
    let look = |path: &[u8], content| {
        let id = caller.table.intern(path);
        (id, caller.table.look(id, content))
    };
    let all: Vec<(PathId, Seen)> = places
        .iter()
        .flat_map(|place| candidates(caller, place, name))
        .map(|path| look(&path, true))
        // What a driver can't read as a file ends it, or it never looked there.
        .filter(|(_, seen)| !matches!(seen, Seen::Folder { .. } | Seen::Special))
        .collect();
    if all.iter().any(|(_, seen)| *seen != Seen::Absent) {
        // Not all places are tried for each name: in which one it is matters as well.
        closure.content.extend(all.iter().map(|(id, _)| *id));
        return;
    }
    for place in places {
        // One path tells of all that is not in a folder that is not there.
        let (folder, seen) = look(&folder_path(caller, place), false);
        if seen == Seen::Absent {
            closure.absent.push(folder);
        }
        if seen != Seen::Absent || !place.ends_with(b"/") {
            let paths = candidates(caller, place, name);
            closure.absent.extend(paths.iter().map(|path| caller.table.intern(path)));
        }
    }
}

/// Adds the folders of headers that gcc searches if they are there, in the places of `-B`.
pub(super) fn add_header_folders(
    caller: Caller<'_>,
    args: &[Arg],
    searched: &Searched,
    closure: &mut Closure,
) {
    let given = given(args);
    let is_given = |place: &&Arg| given.iter().any(|given| place.starts_with(given));
    for place in searched.libraries.iter().chain(&searched.programs).filter(is_given) {
        for name in [&b"include"[..], b"include-fixed"] {
            for path in candidates(caller, place, name) {
                let id = caller.table.intern(&path);
                if caller.table.look(id, false) == Seen::Absent {
                    closure.absent.push(id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Vec<Arg> {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn places_are_read_as_printed() {
        let text = b"install: /l/12/\nprograms: =B/x/12/:B/:B/:/l/\nlibraries: =Bx:/l/../lib/\n";
        let found = read(text);
        assert_eq!(found.programs, args(&["B/x/12/", "B/", "/l/"]));
        assert_eq!(found.libraries, args(&["Bx", "/l/../lib/"]));
        assert_eq!(read(b"gcc: error\n"), Searched::default());
    }

    #[test]
    fn both_spellings_of_a_flag() {
        assert_eq!(given(&args(&["-m32", "-Ba/", "-B", "b", "-O2", "-B"])), args(&["a/", "b"]));
    }
}

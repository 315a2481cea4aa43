//! A command that compiles and links, taken apart: each source compiled by a command of its own, as
//! `-c` would, and one link of what came out. That is only done where the driver says, by `-###`, that
//! the commands it would run are the same either way, word for word, but for the names of temporary
//! files and the names of dumps that nobody asked for.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::action::Link;
use crate::files::Seen;
use crate::inputs::dialect::Flavor;
use crate::protocol::message::Stage;
use crate::terms::Arg;
use crate::tools::caller::Caller;
use crate::tools::closure::field;
use crate::tools::command::{ArgPart, Command, UserDeps};
use crate::tools::driver::Driver;
use crate::tools::environment::Environment;
use crate::tools::find::{absolute, base, without_ending};
use crate::tools::gcc::{args_for, language_behind, without_colours};
use crate::tools::meaning::{Asking, Piece, Split};
use crate::tools::query;

/// Takes a link apart, or says that it is to run as it is. `temporary` is as for `Meaning::plan`.
pub(super) fn split(
    link: &Link,
    asking: &Asking<'_>,
    temporary: &dyn Fn(&str) -> Vec<u8>,
) -> Option<Split> {
    let caller = asking.caller;
    let command = &link.compiles.as_ref()?.command;
    let driver = asking.toolchains.driver(caller, &asking.tool.program).ok()?;
    if driver.is_script || !may_be_apart(command) || !all_there(link, command, caller) {
        return None;
    }
    // Of a language behind the last source the driver says that it has no effect.
    if language_behind(&link.args, &link.parts).is_some() {
        return None;
    }
    let folder = temporary_folder(caller.env)?;
    if !is_the_same(link, asking, &driver, &folder) {
        return None;
    }
    let objects: Vec<Arg> = (command.sources.iter())
        .map(|source| object_name(command.flavor, &folder, &source.path))
        .collect();
    let pieces = (0..objects.len()).map(|at| {
        let args = compile_args(link, Some(at));
        let understood = (asking.compile)(&link.called, &args)?;
        let is_one = understood.units.len() == 1 && understood.meaning.outputs(0).len() == 1;
        // A compile for all checkouts is another than this one.
        let is_for_here = understood.places.roots().is_empty();
        (is_one && is_for_here).then(|| Piece { understood, output: objects[at].clone() })
    });
    let pieces = pieces.collect::<Option<Vec<_>>>()?;
    let mut last = link.plan_link(asking.tool, &link_args(link, &objects), temporary);
    last.run.stage = Stage::Last;
    Some(Split { pieces, last })
}

/// Nothing comes of a compile but its object, and that does not name itself.
fn may_be_apart(command: &Command) -> bool {
    let plain_outputs = command.outputs.iter().all(Vec::is_empty);
    plain_outputs
        && command.user_deps == UserDeps::None
        && !command.records_output
        && !command.records_command
        && !command.key_args.iter().any(|arg| arg.starts_with(b"-flto"))
}

/// Without one of its files a driver does other things, in another order.
fn all_there(link: &Link, command: &Command, caller: Caller<'_>) -> bool {
    let sources = command.sources.iter().map(|source| &source.path);
    sources.chain(&link.said.files).all(|path| {
        let id = caller.table.intern(&absolute(caller.cwd, path));
        matches!(caller.table.look(id, false), Seen::File { .. })
    })
}

/// The arguments of one source's compile, or of all of them.
fn compile_args(link: &Link, only: Option<usize>) -> Vec<Arg> {
    let parts = link.args.iter().cloned().zip(link.parts.iter().copied());
    let (args, parts): (Vec<_>, Vec<_>) = parts.filter(|(_, part)| *part != ArgPart::Link).unzip();
    let mut args = args_for(&args, &parts, |nth| only.is_none_or(|only| only == nth));
    args.push(b"-c".to_vec());
    args
}

/// The arguments of the link, where each object stands in its source's place.
fn link_args(link: &Link, objects: &[Arg]) -> Vec<Arg> {
    let mut objects = objects.iter();
    let parts = link.args.iter().zip(&link.parts);
    parts
        .filter_map(|(arg, part)| match part {
            ArgPart::Both | ArgPart::Link => Some(arg),
            ArgPart::Language => None,
            ArgPart::Source => objects.next(),
        })
        .cloned()
        .collect()
}

/// Where the driver puts its temporary files.
fn temporary_folder(env: Environment<'_>) -> Option<Arg> {
    let named = [&b"TMPDIR"[..], b"TMP", b"TEMP"].into_iter().find_map(|name| env.get(name));
    let folder = named.unwrap_or(b"/tmp");
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    let is_folder = std::fs::metadata(OsStr::from_bytes(folder)).is_ok_and(|meta| meta.is_dir());
    (folder.starts_with(b"/") && is_folder).then(|| folder.to_vec())
}

/// A name as the driver would have given it: messages may tell it.
fn object_name(flavor: Flavor, folder: &[u8], source: &[u8]) -> Arg {
    let random = uuid::Uuid::new_v4();
    let letters = |alphabet: &'static [u8]| {
        let bytes = random.as_bytes().iter().take(6);
        bytes.map(|byte| alphabet[usize::from(*byte) % alphabet.len()]).collect::<Vec<u8>>()
    };
    let name = match flavor {
        Flavor::Gcc => {
            let letters =
                letters(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
            [&b"cc"[..], &letters].concat()
        }
        Flavor::Clang => {
            [without_ending(base(source)), b"-", &letters(b"0123456789abcdef")].concat()
        }
    };
    [folder, b"/", &name, b".o"].concat()
}

/// Whether the driver would run the same for the whole as for its parts. Asked once for each
/// command line.
fn is_the_same(link: &Link, asking: &Asking<'_>, driver: &Driver, folder: &[u8]) -> bool {
    let caller = asking.caller;
    let mut key = blake3::Hasher::new();
    field(&mut key, b"split");
    key.update(&asking.tool.units[0].0);
    for part in [&asking.tool.argv0, &folder.to_vec()] {
        field(&mut key, part);
    }
    let answer = asking.toolchains.answer(caller, *key.finalize().as_bytes(), &|closure| {
        driver.add_to(closure);
        let program = &asking.tool.program;
        let ask = |args: Vec<Arg>| {
            let said = query::ask(
                program,
                &[vec![b"-###".to_vec()], args].concat(),
                caller.env,
                caller.cwd,
            )?;
            // A message that the whole would not give, or the parts would give twice.
            let plain = without_colours(&said.stderr);
            let complains = [&b": warning: "[..], b": error: "].iter().any(|word| {
                let mut lines = plain.split(|byte| *byte == b'\n');
                lines.any(|line| {
                    !line.starts_with(b" ") && memchr::memmem::find(line, word).is_some()
                })
            });
            (said.success && !complains).then(|| query::planned_commands(&said.stderr))
        };
        let sources = &link.compiles.as_ref()?.command.sources;
        let is_mixed = sources.iter().any(|source| source.language != sources[0].language);
        let stand_ins: Vec<Arg> =
            (0..sources.len()).map(|at| [&b"/"[..], &b"./".repeat(at)].concat()).collect();
        let same = || {
            let whole = ask(link.args.clone())?;
            // Sources of one language are asked about together. Of several, one may use a flag that is of
            // no use to another, which then complains of it.
            let mut compiles = Vec::new();
            for only in if is_mixed { (0..sources.len()).map(Some).collect() } else { vec![None] } {
                compiles.extend(ask(compile_args(link, only))?);
            }
            let last = ask(link_args(link, &stand_ins))?;
            Some(are_equal(&whole, &compiles, &last, &stand_ins, folder))
        };
        Some(vec![if same()? { b"yes".to_vec() } else { b"no".to_vec() }])
    });
    answer.is_some_and(|answer| answer.words == [b"yes"])
}

type Words = Vec<Arg>;

/// Compares planned commands. `stand_ins` are what the link was given in place of the objects.
pub(super) fn are_equal(
    whole: &[Words],
    compiles: &[Words],
    last: &[Words],
    stand_ins: &[Arg],
    folder: &[u8],
) -> bool {
    if last.len() != 1 || whole.len() != compiles.len() + 1 {
        return false;
    }
    let is_temporary = |path: &[u8]| {
        let own = path.len() - base(path).len();
        path[..own].strip_suffix(b"/").is_some_and(|own| own == folder || own == b"/tmp")
    };
    // What the whole calls the objects, in the order of the sources.
    let mut objects: Vec<&[u8]> = Vec::new();
    for (whole, apart) in whole.iter().zip(compiles) {
        let (whole, apart) = (without_dumps(whole), without_dumps(apart));
        if whole.len() != apart.len() {
            return false;
        }
        for at in 0..whole.len() {
            let (one, other) = (whole[at], apart[at]);
            let is_output = at > 0 && whole[at - 1] == b"-o";
            let are_temporary = is_temporary(one) && (is_output || is_temporary(other));
            let is_kept = is_output && one != b"-" && !is_temporary(one);
            if is_kept || (one != other && !are_temporary) {
                return false;
            }
            if is_output && one.ends_with(b".o") {
                objects.push(one);
            }
        }
    }
    if objects.len() != stand_ins.len() {
        return false;
    }
    let (whole, apart) = (&whole[compiles.len()], &last[0]);
    let is_equal = |(one, other): (&Arg, &Arg)| {
        if let Some(at) = objects.iter().position(|object| one == object) {
            return *other == stand_ins[at];
        }
        // `-plugin-opt=-fresolution=/tmp/ccX.res`
        let cut = |word: &Arg| word.iter().rposition(|byte| *byte == b'=').map_or(0, |at| at + 1);
        let (one, other) = (one.split_at(cut(one)), other.split_at(cut(other)));
        one == other || (one.0 == other.0 && is_temporary(one.1) && is_temporary(other.1))
    };
    whole.len() == apart.len() && whole.iter().zip(apart).all(is_equal)
}

/// A compiler's words without those that name dumps, and without the object's name for CodeView, which
/// clang's assembler is told and ELF has no place for.
fn without_dumps(words: &Words) -> Vec<&[u8]> {
    const NAMES: &[&[u8]] =
        &[b"-dumpdir", b"-dumpbase", b"-dumpbase-ext", b"-auxbase", b"-auxbase-strip"];
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if NAMES.contains(&&word[..]) {
            words.next();
        } else if !word.starts_with(b"-object-file-name=") {
            kept.push(&word[..]);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(whole: &str, compiles: &str, last: &str) -> bool {
        let stand_ins = [b"/".to_vec(), b"/./".to_vec()];
        let [whole, compiles, last] = [whole, compiles, last].map(str::as_bytes);
        super::super::is_sum(whole, compiles, last, &stand_ins, b"/var/t")
    }

    #[test]
    fn only_names_of_temporary_files_may_differ() {
        let whole = " cc1 a.c -dumpdir app- -O2 -o /var/t/cc1.s\n as -o /var/t/cc2.o /var/t/cc1.s\n \
                     cc1 b.c -dumpdir app- -O2 -o /var/t/cc1.s\n as -o /var/t/cc3.o /var/t/cc1.s\n \
                     collect2 -r=/var/t/cc4.res -o app /var/t/cc2.o x.a /var/t/cc3.o\n";
        let compiles = " cc1 a.c -O2 -o /var/t/cc5.s\n as -o a.o /var/t/cc5.s\n \
                        cc1 b.c -O2 -o /var/t/cc6.s\n as -o b.o /var/t/cc6.s\n";
        let last = " collect2 -r=/var/t/cc9.res -o app / x.a /./\n";
        assert!(equal(whole, compiles, last));
        assert!(!equal(whole, &compiles.replacen("-O2", "-O1", 1), last));
        assert!(!equal(whole, &compiles.replacen("-O2", "-O2 -x", 1), last));
        assert!(!equal(whole, compiles, &last.replace("/ x.a", "x.a /")));
        assert!(!equal(whole, compiles, &last.replace("/ x.a /./", "/./ x.a /")));
        assert!(!equal(whole, compiles, &last.replace("-o app", "-o apq")));
        assert!(!equal(whole, compiles, ""));
    }

    #[test]
    fn objects_are_named_as_drivers_do() {
        let gcc = object_name(Flavor::Gcc, b"/tmp", b"d/a.c");
        assert!(gcc.starts_with(b"/tmp/cc") && gcc.len() == b"/tmp/ccXXXXXX.o".len());
        let clang = object_name(Flavor::Clang, b"/tmp", b"d/a.b.c");
        assert!(clang.starts_with(b"/tmp/a.b-") && clang.ends_with(b".o"));
    }
}

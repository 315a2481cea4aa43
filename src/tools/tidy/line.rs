//! The compile that a tool looks at, out of the flags it was given.

use crate::files::{PathId, Seen};
use crate::inputs::dialect::Flavor;
use crate::inputs::search::Search;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::Role;
use crate::tools::caller::Caller;
use crate::tools::command::{Command, Parsed};
use crate::tools::find::absolute;
use crate::tools::gcc::{self, table};
use crate::tools::refusal::Refusal;

/// One compile, looked at and not done.
#[derive(Debug)]
pub(super) struct Translation {
    /// Where it would run, absolute.
    pub(super) folder: Arg,
    /// With one source, and all folders absolute.
    pub(super) command: Command,
    /// Its flags as they were given, response files expanded.
    pub(super) words: Vec<Arg>,
}

/// Which source is meant.
pub(super) enum Sources<'a> {
    /// This one, whatever the flags name.
    Given(&'a [u8]),
    /// The one that the flags name.
    Named,
}

/// Reads flags as clang would. `cxx`: as `clang++`. Response files are added to `depends`.
pub(super) fn read(
    caller: Caller<'_>,
    folder: &[u8],
    flags: &[Arg],
    cxx: bool,
    sources: &Sources<'_>,
    depends: &mut Vec<PathId>,
) -> Result<Translation, Refusal> {
    let mut words = gcc::response::expand(flags, &mut |path| {
        let id = caller.table.intern(&absolute(folder, path));
        depends.push(id);
        match caller.table.look(id, true) {
            Seen::File { hash: Some(hash), .. } => caller.table.text(id, &hash),
            _ => None,
        }
    })
    .map_err(|argument| Refusal { reason: Reason::ResponseFile, argument: Some(argument) })?;
    let all = words.clone();
    words = without_outputs(words);
    let cxx = driver_mode(&mut words)?.unwrap_or(cxx);
    words.insert(0, b"-c".to_vec());
    let parse = |words: &[Arg]| match gcc::parse(Flavor::Clang, cxx, words, &mut |_| None) {
        Parsed::Compile(command) => Ok(*command),
        Parsed::Link(_) => Err(Reason::NotACompile.into()),
        Parsed::Plain(reason, argument) => Err((reason, argument).into()),
    };
    let named = match parse(&words) {
        Ok(command) => command.sources,
        Err(Refusal { reason: Reason::NotACompile, .. }) => Vec::new(),
        Err(refusal) => return Err(refusal),
    };
    let mut at = 0;
    words.retain(|_| {
        at += 1;
        !named.iter().any(|source| source.position == at - 1)
    });
    let source = match (sources, &named[..]) {
        (Sources::Given(source), _) => source.to_vec(),
        (Sources::Named, [source]) => source.path.clone(),
        (Sources::Named, _) => return Err(Reason::NotACompile.into()),
    };
    let mut command = parse(&[&words[..], &[absolute(folder, &source)]].concat())?;
    // Nothing is generated, so these are not made; all others would be.
    let is_not_made = |role| {
        use Role::*;
        matches!(role, Main | SplitDwarf | CoverageNotes | StackUsage | CallGraph)
    };
    if !command.outputs[0].iter().all(|output| is_not_made(output.role)) {
        return Err(Reason::UnusualOutput.into());
    }
    make_absolute(&mut command.search, folder);
    Ok(Translation { folder: folder.to_vec(), command, words: all })
}

/// Takes out how the driver is to be called, as CMake says it; true: as for C++.
fn driver_mode(words: &mut Vec<Arg>) -> Result<Option<bool>, Refusal> {
    const OPTION: &[u8] = b"--driver-mode=";
    let given = words.iter().rev().find_map(|word| word.strip_prefix(OPTION));
    let mode = match given {
        None => None,
        Some(b"gcc") => Some(false),
        Some(b"g++") => Some(true),
        Some(mode) => {
            return Err(super::refused(Reason::UncacheableArgument, &[OPTION, mode].concat()));
        }
    };
    words.retain(|word| !word.starts_with(OPTION));
    Ok(mode)
}

/// Neither tool makes objects or dependency files, whatever the flags ask for.
fn without_outputs(words: Vec<Arg>) -> Vec<Arg> {
    let mut kept = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match &word[..] {
            b"-o" | b"-MF" | b"-MT" | b"-MQ" | b"-MJ" => drop(words.next()),
            b"-c" | b"-S" | b"-fsyntax-only" => {}
            // These have their value in the next argument, which may look like anything.
            name if table::takes_next(Flavor::Clang, name) => {
                kept.push(word);
                kept.extend(words.next());
            }
            name if name.starts_with(b"-o") || name.starts_with(b"-M") => {}
            _ => kept.push(word),
        }
    }
    kept
}

fn make_absolute(search: &mut Search, folder: &[u8]) {
    let lists = [&mut search.quote, &mut search.angle, &mut search.system, &mut search.after];
    for path in lists.into_iter().flatten() {
        *path = absolute(folder, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_left_out() {
        let words = |line: &str| -> Vec<Arg> {
            line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
        };
        let kept = without_outputs(words("-MD -MT x.o -MF x.d -o x.o -I -Minc -c -DM a.c"));
        assert_eq!(kept, words("-I -Minc -DM a.c"));
    }
}

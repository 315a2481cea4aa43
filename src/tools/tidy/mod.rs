//! Understanding clang-tidy and include-what-you-use: tools that compile a source to look at it,
//! and answer with text.
//!
//! - `options` reads clang-tidy's own options, `iwyu` those of include-what-you-use.
//! - `database` finds the compile of a source where it does not stand on the command line.
//! - `line` makes a compile out of the flags that a tool gets; from there on the gcc family's
//!   parser and the resolver of headers serve.
//! - `mapping` follows include-what-you-use's mapping files, `settings` says where `.clang-tidy`
//!   may lie.
//! - `tool` knows the tool by content and asks it where it looks for headers.
//! - `understand` makes the key, `inspection` runs a miss and finds its inputs.

mod database;
mod inspection;
mod iwyu;
mod line;
mod mapping;
mod options;
mod settings;
mod tool;
pub(super) mod understand;

use crate::terms::Arg;
use crate::tools::refusal::{Refusal, refused};

/// The tools of this family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    ClangTidy,
    Iwyu,
}

/// Whether a program of this name is one of this family.
pub fn is_tidy(called: &[u8]) -> bool {
    which(called).is_some()
}

/// The sources that `argv`, given to clang-tidy without its name, names and the flags behind `--`, or why it
/// runs plain.
pub fn sources_of(argv: &[Arg]) -> Result<(Vec<Arg>, Vec<Arg>), Refusal> {
    let options = options::parse(argv)?;
    Ok((options.sources, options.flags.unwrap_or_default()))
}

/// What clang is told by include-what-you-use's `argv`, given without its name, and the mapping files, or why it
/// runs plain.
pub fn mappings_of(argv: &[Arg]) -> Result<(Vec<Arg>, Vec<Arg>), Refusal> {
    let options = iwyu::parse(argv)?;
    Ok((options.flags, options.mappings))
}

/// How many compiles a database (`compile_commands.json`) lists. None: it can't be read.
pub fn compiles_in(database: &[u8]) -> Option<usize> {
    database::parse(database).map(|entries| entries.len())
}

/// The files that a mapping file of include-what-you-use names. None: it can't be read.
pub fn named_by_mapping(text: &[u8]) -> Option<Vec<Arg>> {
    mapping::references(text)
}

fn which(called: &[u8]) -> Option<Which> {
    let is_version = |rest: &[u8]| {
        rest.is_empty()
            || rest.len() > 1
                && rest[0] == b'-'
                && rest[1..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
    };
    let names: [(&[u8], Which); 3] = [
        (b"clang-tidy", Which::ClangTidy),
        (b"include-what-you-use", Which::Iwyu),
        (b"iwyu", Which::Iwyu),
    ];
    let found = names.iter().find(|(name, _)| called.strip_prefix(*name).is_some_and(is_version));
    found.map(|(_, which)| *which)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(which(b"clang-tidy"), Some(Which::ClangTidy));
        assert_eq!(which(b"clang-tidy-14"), Some(Which::ClangTidy));
        assert_eq!(which(b"iwyu"), Some(Which::Iwyu));
        for name in ["clang-tidy-diff", "run-clang-tidy", "iwyu_tool", "clang", "clang-tidy-", ""] {
            assert_eq!(which(name.as_bytes()), None, "{name}");
        }
    }
}

//! The options of include-what-you-use, each behind `-Xiwyu`; everything else is clang's.

use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::refusal::{Refusal, refused};

/// What an include-what-you-use command says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Options {
    /// For clang.
    pub(super) flags: Vec<Arg>,
    /// `--mapping_file`, in order.
    pub(super) mappings: Vec<Arg>,
    /// Exit statuses that say what was found.
    pub(super) answers: Vec<i32>,
}

const TEXT: [&[u8]; 10] = [
    b"check_also",
    b"keep",
    b"prefix_header_includes",
    b"max_line_length",
    b"verbose",
    b"comment_style",
    b"regex",
    b"debug",
    b"cxx17ns",
    b"no_default_mappings",
];
const SWITCHES: [&[u8]; 8] = [
    b"pch_in_code",
    b"transitive_includes_only",
    b"no_comments",
    b"update_comments",
    b"no_fwd_decls",
    b"quoted_includes_first",
    b"no_internal_mappings",
    b"howtodebug",
];

/// Reads the arguments behind the tool's name.
pub(super) fn parse(args: &[Arg]) -> Result<Options, Refusal> {
    // 0 since 0.18, 2 before that.
    let mut options = Options { answers: vec![0, 2], ..Options::default() };
    let mut own = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match &arg[..] {
            b"-Xiwyu" => own.extend(rest.next()),
            b"--version" | b"--help" => return Err(refused(Reason::NotACompile, arg)),
            _ => options.flags.push(arg.clone()),
        }
    }
    let mut own = own.into_iter();
    while let Some(word) = own.next() {
        let unknown = || refused(Reason::UnknownArgument, word);
        let name = word.strip_prefix(b"--").ok_or_else(unknown)?;
        let (name, glued) = match name.iter().position(|byte| *byte == b'=') {
            Some(at) => (&name[..at], Some(name[at + 1..].to_vec())),
            None => (name, None),
        };
        match name {
            b"error" | b"error_always" => {
                let status = match glued {
                    None => Some(1),
                    Some(text) => {
                        std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok())
                    }
                };
                options.answers.push(status.ok_or_else(unknown)?);
            }
            b"mapping_file" => {
                let value = glued.or_else(|| own.next().cloned()).ok_or_else(unknown)?;
                options.mappings.push(value);
            }
            _ if TEXT.contains(&name) && glued.is_some() || SWITCHES.contains(&name) => {}
            b"no_default_mappings" | b"cxx17ns" => {}
            _ if TEXT.contains(&name) => drop(own.next()),
            _ => return Err(unknown()),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, Refusal> {
        let args: Vec<Arg> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        parse(&args)
    }

    #[test]
    fn own_options_are_told_from_clangs() {
        let options = read(
            "-Xiwyu --mapping_file=a.imp -DX -Xiwyu --error=3 -Xiwyu --mapping_file -Xiwyu b.imp \
             -Xiwyu --no_comments -Xiwyu --verbose -Xiwyu 3 a.cc",
        );
        let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let expected = Options {
            flags: words("-DX a.cc"),
            mappings: words("a.imp b.imp"),
            answers: vec![0, 2, 3],
        };
        assert_eq!(options, Ok(expected));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for line in ["-Xiwyu --export_mappings=x a.cc", "-Xiwyu verbose a.cc", "-Xiwyu --map=x a.c"]
        {
            assert_eq!(read(line).unwrap_err().reason, Reason::UnknownArgument, "{line}");
        }
    }
}

//! The command lines of `ar` and `ranlib`.

use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::find::{base, plain_name};

/// What is done to the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// `r`: members are replaced or added.
    Replace,
    /// `q`: members are added at the end.
    Append,
    /// `s`, `ranlib`: nothing but the index is made.
    Index,
}

/// Times and owners in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamps {
    AsBuilt,
    /// `D`: zeros.
    Zero,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    pub(super) operation: Operation,
    pub(super) stamps: Stamps,
    pub(super) archive: Arg,
    pub(super) files: Vec<Arg>,
    /// Members are added beside this one, not at the end.
    pub(super) positioned: bool,
    /// `T`: the archive holds names only.
    pub(super) thin: bool,
    /// `u`: what is there and newer stays.
    pub(super) newer_only: bool,
    pub(super) plugins: Vec<Arg>,
}

/// Why a command runs plain, and the argument to blame.
pub(super) type Refusal = (Reason, Option<Arg>);

/// What reads the arguments of a program of this name.
pub(super) fn reader(called: &[u8]) -> fn(&[Arg]) -> Result<Command, Refusal> {
    let is_ranlib = plain_name(called) == b"ranlib" || base(called).starts_with(b"emranlib");
    if is_ranlib { ranlib } else { ar }
}

/// Reads the arguments of `ar`, in which nothing is left to expand.
pub(super) fn ar(args: &[Arg]) -> Result<Command, Refusal> {
    let mut letters: Option<Arg> = None;
    let mut thin = false;
    let mut plugins = Vec::new();
    let mut args = args.iter().peekable();
    while let Some(arg) = args.peek() {
        match &arg[..] {
            b"--plugin" => {
                args.next();
                plugins.extend(args.peek().map(|plugin| plugin.to_vec()));
            }
            b"--thin" => thin = true,
            b"--help" | b"--version" | b"-V" | b"-h" | b"-M" => return Err(not_ours(arg)),
            word if word.starts_with(b"--") => return Err(unknown(arg)),
            // Later ones stand behind a dash.
            word if letters.is_none() || word.starts_with(b"-") => {
                let word = word.strip_prefix(b"-").unwrap_or(word);
                letters.get_or_insert_default().extend_from_slice(word);
            }
            _ => break,
        }
        args.next();
    }
    let letters = letters.ok_or((Reason::NotACompile, None))?;
    let mut operation = None;
    let mut stamps = Stamps::AsBuilt;
    let (mut positioned, mut newer_only, mut index) = (false, false, false);
    for letter in &letters {
        match letter {
            b'r' | b'q' if operation.is_some() => return Err(unknown(&letters)),
            b'r' => operation = Some(Operation::Replace),
            b'q' => operation = Some(Operation::Append),
            b'd' | b'm' | b'p' | b't' | b'x' => return Err(not_ours(&letters)),
            b'a' | b'b' | b'i' => positioned = true,
            b's' => index = true,
            b'T' => thin = true,
            b'u' => newer_only = true,
            b'D' => stamps = Stamps::Zero,
            // Of times and owners no set of inputs tells.
            b'U' => return Err((Reason::UncacheableArgument, Some(letters.clone()))),
            b'c' | b'S' | b'v' | b'P' => {}
            _ => return Err(unknown(&letters)),
        }
    }
    let operation = match operation {
        Some(operation) => operation,
        None if index => Operation::Index,
        None => return Err(not_ours(&letters)),
    };
    let mut rest: Vec<Arg> = args.cloned().collect();
    if let Some(late) = rest.iter().find(|arg| arg.starts_with(b"-") || arg.is_empty()) {
        return Err(unknown(late));
    }
    let fixed = 1 + usize::from(positioned);
    if rest.len() < fixed || (operation == Operation::Index) != (rest.len() == fixed) {
        return Err((Reason::NotACompile, None));
    }
    let files = rest.split_off(fixed);
    let archive = rest.pop().ok_or((Reason::NotACompile, None))?;
    // The members of an archive become members of a thin one.
    if let Some(nested) = files.iter().find(|file| thin && file.ends_with(b".a")) {
        return Err(unknown(nested));
    }
    Ok(Command { operation, stamps, archive, files, positioned, thin, newer_only, plugins })
}

/// Reads the arguments of `ranlib`.
pub(super) fn ranlib(args: &[Arg]) -> Result<Command, Refusal> {
    let mut command = Command {
        operation: Operation::Index,
        stamps: Stamps::AsBuilt,
        archive: Arg::new(),
        files: Vec::new(),
        positioned: false,
        thin: false,
        newer_only: false,
        plugins: Vec::new(),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match &arg[..] {
            b"-D" => command.stamps = Stamps::Zero,
            b"--plugin" => command.plugins.extend(args.next().cloned()),
            b"-v" | b"-V" | b"--version" | b"-h" | b"-H" | b"--help" => return Err(not_ours(arg)),
            word if word.starts_with(b"-") || word.is_empty() => return Err(unknown(arg)),
            _ if !command.archive.is_empty() => {
                return Err((Reason::UnusualOutput, Some(arg.clone())));
            }
            _ => command.archive = arg.clone(),
        }
    }
    if command.archive.is_empty() {
        return Err((Reason::NotACompile, None));
    }
    Ok(command)
}

fn not_ours(arg: &[u8]) -> Refusal {
    (Reason::NotACompile, Some(arg.to_vec()))
}

fn unknown(arg: &[u8]) -> Refusal {
    (Reason::UncacheableArgument, Some(arg.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<Arg> {
        line.split_ascii_whitespace().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn what_builds_say() {
        use Operation::{Append, Index, Replace};
        for (line, operation, archive, files) in [
            ("cr l.a a.o b.o", Replace, "l.a", "a.o b.o"),
            ("-rcs l.a a.o", Replace, "l.a", "a.o"),
            ("qc l.a a.o", Append, "l.a", "a.o"),
            ("rcsD l.a a.o", Replace, "l.a", "a.o"),
            ("-c -r l.a a.o", Replace, "l.a", "a.o"),
            ("--plugin p.so rc l.a a.o", Replace, "l.a", "a.o"),
            ("s l.a", Index, "l.a", ""),
            ("rb x.o l.a a.o", Replace, "l.a", "a.o"),
            ("csrDT l.a a.o", Replace, "l.a", "a.o"),
        ] {
            let command = ar(&args(line)).unwrap();
            assert_eq!((command.operation, &command.archive[..]), (operation, archive.as_bytes()));
            assert_eq!(command.files, args(files), "{line}");
        }
        assert!(ar(&args("rb x.o l.a a.o")).unwrap().positioned);
        assert_eq!(ranlib(&args("-D l.a")).unwrap().stamps, Stamps::Zero);
    }

    #[test]
    fn what_runs_plain() {
        for line in [
            "t l.a",
            "x l.a",
            "p l.a a.o",
            "-M",
            "--version",
            "",
            "rc l.a",
            "d l.a a.o",
            "s l.a a.o",
        ] {
            assert_eq!(ar(&args(line)).unwrap_err().0, Reason::NotACompile, "{line}");
        }
        for line in ["rU l.a a.o", "rcN 2 l.a a.o", "rcT l.a b.a", "rc l.a a.o -x", "rq l.a a.o"] {
            assert_eq!(ar(&args(line)).unwrap_err().0, Reason::UncacheableArgument, "{line}");
        }
        assert_eq!(ranlib(&args("a.a b.a")).unwrap_err().0, Reason::UnusualOutput);
        assert_eq!(ranlib(&args("-U a.a")).unwrap_err().0, Reason::UncacheableArgument);
    }
}

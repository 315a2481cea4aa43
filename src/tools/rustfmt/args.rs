//! rustfmt's command line.

use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::refusal::{Refusal, refused};

/// What becomes of formatted text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Emit {
    /// Files that differ are written.
    #[default]
    Files,
    /// `--check`: differences are told.
    Check,
    /// Everything goes to standard output.
    Stdout,
}

/// What a rustfmt command says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Command {
    /// The leading `+TOOLCHAIN` of a proxy.
    pub(super) plus: Option<Arg>,
    pub(super) emit: Emit,
    /// As spelled.
    pub(super) files: Vec<Arg>,
    /// Where the files stand among the arguments.
    pub(super) positions: Vec<usize>,
    pub(super) config_path: Option<Arg>,
    /// The arguments that say how text is formatted, with separate values glued on.
    pub(super) style: Vec<Arg>,
}

/// Settings by which other files are written, or other ways of writing are chosen.
pub(super) fn changes_what_is_written(config: &[u8]) -> bool {
    [&b"emit_mode"[..], b"make_backup"]
        .iter()
        .any(|name| memchr::memmem::find(config, name).is_some())
}

/// Reads the arguments behind the tool's name.
pub(super) fn parse(args: &[Arg]) -> Result<Command, Refusal> {
    let mut command = Command::default();
    let mut checks = false;
    let mut rest = args.iter().enumerate();
    let mut only_files = false;
    while let Some((position, arg)) = rest.next() {
        if position == 0 && arg.starts_with(b"+") {
            command.plus = Some(arg.clone());
            continue;
        }
        if arg == b"--" && !only_files {
            only_files = true;
            continue;
        }
        if only_files || !arg.starts_with(b"-") || arg.len() == 1 {
            if arg.starts_with(b"@") || arg.len() == 1 && arg == b"-" {
                return Err(refused(Reason::UncacheableArgument, arg));
            }
            command.files.push(arg.clone());
            command.positions.push(position);
            continue;
        }
        let Some(long) = arg.strip_prefix(b"--") else {
            for letter in &arg[1..] {
                match letter {
                    b'l' | b'q' => {}
                    // Tells how long it took.
                    b'v' => return Err(refused(Reason::UncacheableArgument, arg)),
                    b'V' | b'h' => return Err(refused(Reason::NotACompile, arg)),
                    _ => return Err(refused(Reason::UnknownArgument, arg)),
                }
            }
            continue;
        };
        let (name, glued) = match long.iter().position(|byte| *byte == b'=') {
            Some(at) => (&long[..at], Some(long[at + 1..].to_vec())),
            None => (long, None),
        };
        match name {
            b"check" => checks = true,
            b"files-with-diff" | b"quiet" => {}
            b"unstable-features" | b"skip-children" | b"error-on-unformatted" => {
                command.style.push(arg.clone());
            }
            b"emit" | b"config-path" | b"edition" | b"style-edition" | b"color" | b"config" => {
                let value = glued.or_else(|| rest.next().map(|(_, value)| value.clone()));
                let value = value.ok_or_else(|| refused(Reason::UnknownArgument, arg))?;
                match name {
                    b"emit" if value == b"files" => command.emit = Emit::Files,
                    b"emit" => command.emit = Emit::Stdout,
                    b"config-path" => command.config_path = Some(value),
                    b"color" => {}
                    b"config" if changes_what_is_written(&value) => {
                        return Err(refused(Reason::UncacheableArgument, arg));
                    }
                    _ => command.style.push([b"--", name, b"=", &value].concat()),
                }
            }
            b"backup" | b"verbose" | b"file-lines" => {
                return Err(refused(Reason::UncacheableArgument, arg));
            }
            b"print-config" | b"version" | b"help" => {
                return Err(refused(Reason::NotACompile, arg));
            }
            _ => return Err(refused(Reason::UnknownArgument, arg)),
        }
    }
    if checks {
        command.emit = Emit::Check;
    }
    if command.files.is_empty() {
        return Err(Reason::SourceOnStdin.into());
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, Refusal> {
        let args: Vec<Arg> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        parse(&args)
    }

    #[test]
    fn files_and_style() {
        let command = read("+nightly --edition 2021 a.rs -l --config a=b --check b.rs").unwrap();
        assert_eq!(command.emit, Emit::Check);
        assert_eq!(command.files, [b"a.rs".to_vec(), b"b.rs".to_vec()]);
        assert_eq!(command.positions, [3, 8]);
        assert_eq!(command.style, [b"--edition=2021".to_vec(), b"--config=a=b".to_vec()]);
        assert_eq!(read("--emit=stdout a.rs").unwrap().emit, Emit::Stdout);
        assert_eq!(read("--emit files a.rs").unwrap().emit, Emit::Files);
    }

    #[test]
    fn what_is_run_as_it_is() {
        for (line, reason) in [
            ("--check", Reason::SourceOnStdin),
            ("-v a.rs", Reason::UncacheableArgument),
            ("--backup a.rs", Reason::UncacheableArgument),
            ("--config make_backup=true a.rs", Reason::UncacheableArgument),
            ("--version", Reason::NotACompile),
            ("--print-config default x", Reason::NotACompile),
            ("--new a.rs", Reason::UnknownArgument),
            ("-x a.rs", Reason::UnknownArgument),
        ] {
            assert_eq!(read(line).unwrap_err().reason, reason, "{line}");
        }
    }
}

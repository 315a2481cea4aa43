//! clang-tidy's own options, as LLVM reads them: one dash or two, a value glued on by `=` or in the
//! next argument.

use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::refusal::{Refusal, refused};

/// What a clang-tidy command says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Options {
    /// As spelled.
    pub(super) sources: Vec<Arg>,
    /// What stands behind `--`.
    pub(super) flags: Option<Vec<Arg>>,
    /// `-p`
    pub(super) build: Option<Arg>,
    /// `--extra-arg-before`, in order.
    pub(super) before: Vec<Arg>,
    /// `--extra-arg`, in order.
    pub(super) after: Vec<Arg>,
    /// `--config-file`
    pub(super) config_file: Option<Arg>,
    /// `--load`
    pub(super) plugins: Vec<Arg>,
    /// `--export-fixes`
    pub(super) fixes: Option<Arg>,
}

/// What an option does.
enum Class {
    /// Changes what is said, and nothing else.
    Text,
    /// The same, without a value.
    Switch,
    Build,
    Before,
    After,
    /// `--config`: it may add arguments to the compile.
    Config,
    ConfigFile,
    Plugin,
    Fixes,
    /// Not an inspection that leaves everything as it was.
    Plain(Reason),
}

fn class(name: &[u8]) -> Option<Class> {
    Some(match name {
        b"checks"
        | b"header-filter"
        | b"exclude-header-filter"
        | b"line-filter"
        | b"warnings-as-errors" => Class::Text,
        // Only used for fixes, which are not made here.
        b"format-style" => Class::Text,
        b"quiet"
        | b"system-headers"
        | b"use-color"
        | b"allow-no-checks"
        | b"allow-enabling-analyzer-alpha-checkers" => Class::Switch,
        b"p" => Class::Build,
        b"extra-arg-before" => Class::Before,
        b"extra-arg" => Class::After,
        b"config" => Class::Config,
        b"config-file" => Class::ConfigFile,
        b"load" => Class::Plugin,
        b"export-fixes" => Class::Fixes,
        b"fix"
        | b"fix-errors"
        | b"fix-notes"
        | b"vfsoverlay"
        | b"enable-check-profile"
        | b"store-check-profile" => Class::Plain(Reason::UncacheableArgument),
        b"dump-config" | b"list-checks" | b"verify-config" | b"explain-config" | b"help"
        | b"help-hidden" | b"help-list" | b"help-list-hidden" | b"version" | b"h" => {
            Class::Plain(Reason::NotACompile)
        }
        _ => return None,
    })
}

/// Settings by which a configuration adds arguments to the compile: what they would mean for where
/// headers are looked for is not followed.
pub(super) fn adds_arguments(config: &[u8]) -> bool {
    memchr::memmem::find(config, b"ExtraArgs").is_some()
}

/// Reads the arguments behind the tool's name.
pub(super) fn parse(args: &[Arg]) -> Result<Options, Refusal> {
    let mut options = Options::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == b"--" {
            options.flags = Some(rest.cloned().collect());
            break;
        }
        if arg.starts_with(b"@") {
            return Err(refused(Reason::ResponseFile, arg));
        }
        let Some(name) = arg.strip_prefix(b"-") else {
            options.sources.push(arg.clone());
            continue;
        };
        let name = name.strip_prefix(b"-").unwrap_or(name);
        if name.is_empty() {
            return Err(refused(Reason::SourceOnStdin, arg));
        }
        let (name, glued) = match name.iter().position(|byte| *byte == b'=') {
            Some(at) => (&name[..at], Some(name[at + 1..].to_vec())),
            None => (name, None),
        };
        let class = class(name).ok_or_else(|| refused(Reason::UnknownArgument, arg))?;
        if let Class::Plain(reason) = class {
            return Err(refused(reason, arg));
        }
        if matches!(class, Class::Switch) {
            continue;
        }
        let value = glued.or_else(|| rest.next().cloned());
        let value = value.ok_or_else(|| refused(Reason::UnknownArgument, arg))?;
        match class {
            Class::Text | Class::Switch | Class::Plain(_) => {}
            Class::Build => options.build = Some(value),
            Class::Before => options.before.push(value),
            Class::After => options.after.push(value),
            Class::Config if adds_arguments(&value) => {
                return Err(refused(Reason::UncacheableArgument, arg));
            }
            Class::Config => {}
            Class::ConfigFile => options.config_file = Some(value),
            // A bare name is looked for in the system's folders.
            Class::Plugin if !value.contains(&b'/') => {
                return Err(refused(Reason::UncacheableArgument, arg));
            }
            Class::Plugin => options.plugins.push(value),
            Class::Fixes => options.fixes = Some(value),
        }
    }
    if options.sources.is_empty() {
        return Err(Reason::NotACompile.into());
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
    fn options_are_read_as_llvm_reads_them() {
        let options =
            read("-checks=-*,a -p b --extra-arg -I. a.c --quiet -export-fixes f.yaml").unwrap();
        assert_eq!(options.sources, [b"a.c".to_vec()]);
        assert_eq!(options.build, Some(b"b".to_vec()));
        assert_eq!(options.after, [b"-I.".to_vec()]);
        assert_eq!(options.fixes, Some(b"f.yaml".to_vec()));
        assert_eq!(options.flags, None);
        let options = read("--use-color a.c b.c -- -fix -DX").unwrap();
        assert_eq!(options.sources.len(), 2);
        assert_eq!(options.flags, Some(vec![b"-fix".to_vec(), b"-DX".to_vec()]));
    }

    #[test]
    fn what_changes_files_or_is_not_known_is_refused() {
        for (line, reason) in [
            ("--fix a.c", Reason::UncacheableArgument),
            ("--vfsoverlay=x a.c", Reason::UncacheableArgument),
            ("--dump-config a.c", Reason::NotACompile),
            ("--new-option a.c", Reason::UnknownArgument),
            ("--load=plugin.so a.c", Reason::UncacheableArgument),
            ("--config={ExtraArgs:['-Ix']} a.c", Reason::UncacheableArgument),
            ("- a.c", Reason::SourceOnStdin),
            ("@args a.c", Reason::ResponseFile),
            ("--quiet", Reason::NotACompile),
            ("a.c --checks", Reason::UnknownArgument),
        ] {
            assert_eq!(read(line).unwrap_err().reason, reason, "{line}");
        }
    }
}

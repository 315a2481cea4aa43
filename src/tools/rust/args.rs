//! rustc's command line as a list of options: one form for `-C x`, `-Cx`, `--codegen=x`.

use crate::session::reason::Reason;
use crate::terms::Arg;

/// One option, or a free argument (the source).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Opt {
    /// The long name without dashes; empty for a free argument.
    pub(super) name: &'static str,
    pub(super) value: Arg,
}

/// Why a command is not followed, and the argument to blame.
pub(super) type Refused = (Reason, Option<Arg>);

/// `(long name, short letter, takes a value)`.
const OPTIONS: &[(&str, Option<u8>, bool)] = &[
    ("allow", Some(b'A'), true),
    ("cap-lints", None, true),
    ("cfg", None, true),
    ("check-cfg", None, true),
    ("codegen", Some(b'C'), true),
    ("color", None, true),
    ("crate-name", None, true),
    ("crate-type", None, true),
    ("debug", Some(b'g'), false),
    ("deny", Some(b'D'), true),
    ("diagnostic-width", None, true),
    ("edition", None, true),
    ("emit", None, true),
    ("error-format", None, true),
    ("explain", None, true),
    ("extern", None, true),
    ("forbid", Some(b'F'), true),
    ("force-warn", None, true),
    ("help", Some(b'h'), false),
    ("json", None, true),
    ("library", Some(b'l'), true),
    ("optimize", Some(b'O'), false),
    ("out-dir", None, true),
    ("output", Some(b'o'), true),
    ("print", None, true),
    ("remap-path-prefix", None, true),
    ("search", Some(b'L'), true),
    ("sysroot", None, true),
    ("target", None, true),
    ("test", None, false),
    ("unstable", Some(b'Z'), true),
    ("verbose", Some(b'v'), false),
    ("version", Some(b'V'), false),
    ("warn", Some(b'W'), true),
];

/// Names made up here for options that have only a short form.
const SHORT_ONLY: &[&str] = &["debug", "library", "optimize", "output", "search", "unstable"];

/// Expands `@FILE` (one argument a line) and reads the options.
pub(super) fn options(
    argv: &[Arg],
    read: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<Opt>, Refused> {
    let mut args = Vec::new();
    for arg in argv {
        match arg.strip_prefix(b"@") {
            None => args.push(arg.clone()),
            Some(path) => {
                let text = read(path).filter(|text| std::str::from_utf8(text).is_ok());
                let text = text.ok_or((Reason::ResponseFile, Some(arg.clone())))?;
                let text = text.strip_suffix(b"\n").unwrap_or(&text);
                // Each line is one argument as it stands; a file within a file is not followed.
                let lines = text.split(|byte| *byte == b'\n');
                args.extend(lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec()));
            }
        }
    }
    let mut found = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let unknown = || (Reason::UnknownArgument, Some(arg.clone()));
        // Bytes that mark places and names of outputs in what is stored.
        if arg.contains(&1) {
            return Err((Reason::UncacheableArgument, Some(arg)));
        }
        if let Some(long) = arg.strip_prefix(b"--") {
            let at = long.iter().position(|byte| *byte == b'=');
            let name = &long[..at.unwrap_or(long.len())];
            let known = OPTIONS
                .iter()
                .find(|(long, ..)| long.as_bytes() == name && !SHORT_ONLY.contains(long));
            let &(name, _, takes) = known.ok_or_else(unknown)?;
            let value = match (takes, at) {
                (true, Some(at)) => long[at + 1..].to_vec(),
                (true, None) => args.next().ok_or_else(unknown)?,
                (false, None) => Vec::new(),
                (false, Some(_)) => return Err(unknown()),
            };
            found.push(Opt { name, value });
        } else if arg.len() > 1 && arg[0] == b'-' {
            let mut rest = &arg[1..];
            while let Some((letter, tail)) = rest.split_first() {
                let known = OPTIONS.iter().find(|(_, short, _)| *short == Some(*letter));
                let &(name, _, takes) = known.ok_or_else(unknown)?;
                rest = tail;
                let mut value = Vec::new();
                if takes {
                    value = match tail {
                        [] => args.next().ok_or_else(unknown)?,
                        _ => tail.to_vec(),
                    };
                    rest = &[];
                }
                found.push(Opt { name, value });
            }
        } else {
            found.push(Opt { name: "", value: arg });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Vec<(&'static str, String)>, Refused> {
        let argv: Vec<Arg> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let mut file = |path: &[u8]| (path == b"f").then(|| b"-Cx=1\na b.rs\n".to_vec());
        let options = options(&argv, &mut file)?;
        let text = |opt: Opt| (opt.name, String::from_utf8_lossy(&opt.value).into_owned());
        Ok(options.into_iter().map(text).collect())
    }

    #[test]
    fn all_spellings_are_one() {
        let expected = Ok(vec![("codegen", "lto".to_owned())]);
        for words in ["-C lto", "-Clto", "--codegen lto", "--codegen=lto"] {
            assert_eq!(read(words), expected);
        }
        let both = read("-vV @f").unwrap();
        assert_eq!(both[..2], [("verbose", String::new()), ("version", String::new())]);
        assert_eq!(both[2..], [("codegen", "x=1".into()), ("", "a b.rs".into())]);
        assert_eq!(read("-").unwrap()[0].0, "");
    }

    #[test]
    fn unknown_is_refused() {
        for words in ["--nope", "-q", "--test=1", "-C", "--output=x", "-Oq"] {
            assert_eq!(read(words).unwrap_err().0, Reason::UnknownArgument, "{words}");
        }
        assert_eq!(read("@none").unwrap_err().0, Reason::ResponseFile);
    }
}

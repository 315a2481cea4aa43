//! Strict paths: before anything runs, include folders and files must be spelled in one way.
//! `#pragma once` and the like can take two spellings of one file for two files.

use super::response;
use super::table;
use crate::inputs::dialect::Flavor;
use crate::terms::Arg;

/// What `--strict-paths` and `ZCCACHE_STRICT_PATHS` ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StrictPaths {
    #[default]
    Off,
    /// One kind of separator, within a path and in the whole command.
    Consistent,
    /// Forward slashes, from the root on, without `.` and `..`.
    Absolute,
}

impl StrictPaths {
    /// The words understood.
    pub const ALLOWED: &str = "off, consistent, absolute or 1";

    /// None for a word that is not a mode.
    pub fn parse(text: &[u8]) -> Option<StrictPaths> {
        match text {
            b"" | b"0" | b"off" => Some(StrictPaths::Off),
            b"consistent" => Some(StrictPaths::Consistent),
            b"1" | b"absolute" => Some(StrictPaths::Absolute),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            StrictPaths::Off => "off",
            StrictPaths::Consistent => "consistent",
            StrictPaths::Absolute => "absolute",
        }
    }
}

/// The flags whose values are checked, beside `/I` of drivers that read it.
const CHECKED: [&str; 14] = [
    "-I",
    "-isystem",
    "-iquote",
    "-idirafter",
    "-include",
    "-include-pch",
    "-imacros",
    "-F",
    "-iframework",
    "-imsvc",
    "--include",
    "--imacros",
    "--include-directory",
    "--include-directory-after",
];

/// Checks a command of a gcc-like driver. `args` are what follows its name `tool`; `read`
/// reads a response file. What is wrong is told in one line, with the flag and the command.
pub fn check(
    mode: StrictPaths,
    tool: &[u8],
    args: &[Arg],
    read: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<(), String> {
    if mode == StrictPaths::Off {
        return Ok(());
    }
    let fault = |fault: Fault| {
        let mut command = tool.escape_ascii().to_string();
        for arg in args {
            command.push(' ');
            command.push_str(&arg.escape_ascii().to_string());
        }
        let flag = fault.flag.escape_ascii();
        format!("strict paths ({}): {flag}: {}; in: {command}", mode.name(), fault.words)
    };
    let mut was_read = false;
    let mut read = |path: &[u8]| {
        let text = read(path);
        was_read = text.is_some();
        text
    };
    let expanded = match response::expand(args, &mut read) {
        Ok(expanded) => expanded,
        Err(flag) if was_read => {
            let words = "the response file can't be checked";
            return Err(fault(Fault { flag, words }));
        }
        // What can't be read is no response file for the compiler either.
        Err(_) => args.to_vec(),
    };
    let name = tool.rsplit(|byte| *byte == b'/').next().unwrap_or(tool);
    let slash_i = name.split(|byte| b"-.".contains(byte)).any(|part| part == b"cl");
    check_paths(mode, &expanded, slash_i).map_err(fault)
}

struct Fault {
    /// As spelled, with its value.
    flag: Arg,
    words: &'static str,
}

fn check_paths(mode: StrictPaths, args: &[Arg], slash_i: bool) -> Result<(), Fault> {
    // The separator of the first path that has one.
    let mut separator = None;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let Some((name, glued)) = checked(arg, slash_i) else {
            if table::takes_next(Flavor::Clang, arg) {
                rest.next();
            }
            continue;
        };
        let (flag, path) = if glued.is_empty() {
            let Some(next) = rest.next() else { break };
            ([name, b" ", next].concat(), next.as_slice())
        } else {
            (arg.clone(), glued)
        };
        // `-I-` has no path; `=` and `$SYSROOT` stand for the root of the target's files.
        if path == b"-" {
            continue;
        }
        let path = [&b"="[..], b"$SYSROOT"]
            .iter()
            .find_map(|root| path.strip_prefix(*root))
            .unwrap_or(path);
        judge(mode, path, &mut separator).map_err(|words| Fault { flag, words })?;
    }
    Ok(())
}

fn judge(mode: StrictPaths, path: &[u8], separator: &mut Option<u8>) -> Result<(), &'static str> {
    if mode == StrictPaths::Absolute {
        if path.contains(&b'\\') {
            return Err("backslashes in a path that must have forward slashes");
        }
        // A drive, where there are any.
        let rooted = match path {
            [drive, b':', rest @ ..] if drive.is_ascii_alphabetic() => rest,
            _ => path,
        };
        if !rooted.starts_with(b"/") {
            return Err("not an absolute path");
        }
        if path.split(|byte| *byte == b'/').any(|part| part == b"." || part == b"..") {
            return Err("a path with . or .. in it");
        }
        return Ok(());
    }
    let used = path.iter().copied().find(|byte| matches!(byte, b'/' | b'\\'));
    let Some(used) = used else { return Ok(()) };
    let other = if used == b'/' { b'\\' } else { b'/' };
    if path.contains(&other) {
        return Err("both / and \\ in one path");
    }
    if separator.is_some_and(|earlier| earlier != used) {
        return Err("another separator than in the paths before it");
    }
    *separator = Some(used);
    Ok(())
}

/// The checked flag that an argument is, and the value that is glued to it.
fn checked(arg: &[u8], slash_i: bool) -> Option<(&[u8], &[u8])> {
    if slash_i && arg.starts_with(b"/I") {
        return Some(arg.split_at(2));
    }
    let fits = |name: &&str| arg.starts_with(name.as_bytes());
    let name = CHECKED.iter().copied().filter(|name| fits(name)).max_by_key(|name| name.len())?;
    // `-isystem-after` and the like are flags of their own.
    let other = table::find(Flavor::Clang, arg).is_some_and(|flag| flag.name.len() > name.len());
    (!other).then(|| arg.split_at(name.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(mode: StrictPaths, line: &str) -> Option<String> {
        let args: Vec<Arg> = line.split(' ').map(|arg| arg.as_bytes().to_vec()).collect();
        let mut read = |path: &[u8]| match path {
            b"args" => Some(b"-I rel/inc @more".to_vec()),
            b"more" => Some(b"-isystem /a/../b".to_vec()),
            b"odd" => Some(b"-I \"".to_vec()),
            _ => None,
        };
        let result = check(mode, &args[0], &args[1..], &mut read);
        result
            .err()
            .map(|line| line.split("): ").nth(1).unwrap().split(";").next().unwrap().to_owned())
    }

    #[test]
    fn absolute() {
        let fault = |line: &str| fault(StrictPaths::Absolute, line);
        for line in [
            "gcc -c a.c -I/x -I /y/z -isystem/q -include /h.h -include-pch /p.pch -o rel/a.o",
            "clang++ -IC:/work/include -c a.cc",
            "gcc -c a.c -D -Irel -MF -Irel -x c -isysroot rel -iprefix rel",
            "gcc -I- -I=/usr/include -c a.c",
            "gcc -c a.c @not-there",
            "gcc -c /Isource.c",
        ] {
            assert_eq!(fault(line), None, "{line}");
        }
        for (line, expected) in [
            ("gcc -Iinc -c a.c", "-Iinc: not an absolute path"),
            ("gcc -I inc -c a.c", "-I inc: not an absolute path"),
            ("gcc -isystem ./x", "-isystem ./x: not an absolute path"),
            ("gcc -iquote/x/./y", "-iquote/x/./y: a path with . or .. in it"),
            ("gcc -idirafter /x/..", "-idirafter /x/..: a path with . or .. in it"),
            ("gcc -includefoo.h", "-includefoo.h: not an absolute path"),
            ("clang -include-pch p.pch", "-include-pch p.pch: not an absolute path"),
            ("gcc -imacros m.h", "-imacros m.h: not an absolute path"),
            ("gcc --include=m.h", "--include=m.h: not an absolute path"),
            ("gcc --include-directory x", "--include-directory x: not an absolute path"),
            ("gcc -Fframes", "-Fframes: not an absolute path"),
            ("gcc -iframework f", "-iframework f: not an absolute path"),
            ("clang-cl -imsvc d", "-imsvc d: not an absolute path"),
            ("clang-cl /Id", "/Id: not an absolute path"),
            ("gcc -I/x\\y", "-I/x\\\\y: backslashes in a path that must have forward slashes"),
            ("gcc @args -c a.c", "-I rel/inc: not an absolute path"),
            ("gcc @more -c a.c", "-isystem /a/../b: a path with . or .. in it"),
            ("gcc @odd", "@odd: the response file can't be checked"),
        ] {
            assert_eq!(fault(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn consistent() {
        let fault = |line: &str| fault(StrictPaths::Consistent, line);
        for line in
            ["gcc -Iinc -I./x/../y -c a.c", "gcc -Ix\\y -I\\z -Iplain", "gcc -c a\\b/c.c -Ia/b"]
        {
            assert_eq!(fault(line), None, "{line}");
        }
        assert_eq!(fault("gcc -Ix\\y/z").unwrap(), "-Ix\\\\y/z: both / and \\ in one path");
        assert_eq!(
            fault("gcc -Ix/y -isystem a\\b").unwrap(),
            "-isystem a\\\\b: another separator than in the paths before it"
        );
    }

    #[test]
    fn off_and_the_whole_line() {
        assert_eq!(fault(StrictPaths::Off, "gcc -Ix\\y/z"), None);
        let args = [b"-c".to_vec(), b"a\nb.c".to_vec(), b"-Ix".to_vec()];
        let line = check(StrictPaths::Absolute, b"/bin/gcc", &args, &mut |_| None).unwrap_err();
        assert_eq!(
            line,
            "strict paths (absolute): -Ix: not an absolute path; in: /bin/gcc -c a\\nb.c -Ix"
        );
    }
}

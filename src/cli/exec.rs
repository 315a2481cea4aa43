//! `zccache exec --input GLOB --output PATH --env NAME -- COMMAND…`: any command, cached by what is
//! said of it here.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use super::given::{self, Asked, Given};
use super::{commands, unclear};
use crate::protocol::message::Declared;
use crate::tools::declared::globs::Glob;
use crate::wrapper;

/// Does what the command would do, or gives back what it did.
pub fn run(given: &Given) -> ExitCode {
    let declared = match declared(given) {
        Ok(declared) => declared,
        Err(why) => return unclear(&format!("exec: {why}")),
    };
    let status = wrapper::run_declared(&given.words, declared);
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}

/// The words behind `exec` as its own command line: what is declared, and the command.
pub fn read(words: &[OsString]) -> Result<(Declared, Vec<OsString>), String> {
    let exec = commands::find(b"exec").ok_or("no such command")?;
    match given::read(exec, words).map_err(|misuse| misuse.0)? {
        Asked::Run(given) => Ok((declared(&given)?, given.words)),
        Asked::Help(_) => Err("exec: see zccache exec --help".to_owned()),
    }
}

fn declared(given: &Given) -> Result<Declared, String> {
    let list = |flag| given.values(flag).map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let declared =
        Declared { inputs: list("input"), outputs: list("output"), variables: list("env") };
    let shown = |word: &[u8]| OsStr::from_bytes(word).display().to_string();
    for glob in &declared.inputs {
        Glob::parse(glob).map_err(|error| format!("--input {}: {error}", shown(glob)))?;
        if declared.outputs.contains(glob) {
            return Err(format!("{}: can't be both input and output", shown(glob)));
        }
    }
    for name in &declared.variables {
        if name.is_empty() || name.contains(&b'=') {
            return Err(format!("--env {}: the name of a variable is needed", shown(name)));
        }
    }
    Ok(declared)
}

#[cfg(test)]
mod tests {
    use super::super::given::from_line;
    use super::*;

    fn declared_by(line: &str) -> Result<Declared, String> {
        from_line(&format!("exec {line}")).and_then(|given| declared(&given))
    }

    #[test]
    fn declarations() {
        let given = from_line("exec --input *.c --input b --env CC -- make --input x").unwrap();
        assert_eq!(given.words, ["make", "--input", "x"]);
        let declared = declared(&given).unwrap();
        assert_eq!(declared.inputs, [b"*.c".to_vec(), b"b".to_vec()]);
        assert_eq!(declared.variables, [b"CC".to_vec()]);
        for line in
            ["--input a", "--input a[ x", "--env A=1 x", "--input a --output a x", "--output= x"]
        {
            assert!(declared_by(line).is_err(), "{line}");
        }
    }
}

//! `zccache ino`: an Arduino sketch as C++.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{USAGE, print, say, settings};
use crate::daemon::root::Root;
use crate::ino::{self, Error, Records};

const USAGE_LINE: &str = "usage: zccache ino --input SKETCH [--output FILE] [--clang-arg ARG]... \
     [--no-arduino-include]";

struct Options {
    input: PathBuf,
    /// None: standard output.
    output: Option<PathBuf>,
    how: ino::Options,
}

/// Runs the command with what follows its name.
pub(super) fn run(args: &[OsString]) -> ExitCode {
    let options = match parse(args) {
        Ok(options) => options,
        Err(error) => {
            say(&format!("ino: {error}; {USAGE_LINE}"));
            return ExitCode::from(USAGE);
        }
    };
    let settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    // Without a place for a cache it is converted each time.
    let root = if settings.disable { None } else { Root::of(&settings).ok() };
    let records = root.map(|root| Records::of(root.path()));
    let result = ino::convert(&options.input, &options.how, records.as_ref());
    let result = result.and_then(|text| match &options.output {
        None => {
            print(&text);
            Ok(())
        }
        Some(path) => {
            write(path, &text).map_err(|error| Error::Input(format!("{}: {error}", path.display())))
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("ino: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// A file that has this text already is left alone: builds go by its time.
fn write(path: &PathBuf, text: &str) -> std::io::Result<()> {
    if std::fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}

fn parse(args: &[OsString]) -> Result<Options, lexopt::Error> {
    use lexopt::Arg::Long;
    let (mut input, mut output) = (None, None);
    let mut how = ino::Options::default();
    let mut parser = lexopt::Parser::from_args(args.iter().cloned());
    while let Some(arg) = parser.next()? {
        match arg {
            Long("input") => input = Some(parser.value()?.into()),
            Long("output") => output = Some(parser.value()?.into()),
            Long("clang-arg") => how.clang_args.push(parser.value()?),
            Long("no-arduino-include") => how.no_arduino_include = true,
            _ => return Err(arg.unexpected()),
        }
    }
    let input = input.ok_or("--input is needed")?;
    Ok(Options { input, output, how })
}

//! `zccache ino`: an Arduino sketch as C++.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::given::Given;
use super::{USAGE, print, say, settings};
use crate::ino::{self, Error, Records};
use crate::server::root::Root;

/// Runs `zccache ino`.
pub fn run(given: &Given) -> ExitCode {
    let Some(input) = given.value("input").map(PathBuf::from) else {
        say("ino: --input is needed; see zccache ino --help");
        return ExitCode::from(USAGE);
    };
    let how = ino::Options {
        clang_args: given.values("clang-arg").map(Into::into).collect(),
        no_arduino_include: given.has("no-arduino-include"),
    };
    let settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    // Without a place for a cache it is converted each time.
    let root = if settings.disable { None } else { Root::of(&settings).ok() };
    let records = root.map(|root| Records::of(root.path()));
    let result = ino::convert(&input, &how, records.as_ref());
    let result = result.and_then(|text| match given.value("output").map(Path::new) {
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
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if std::fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}

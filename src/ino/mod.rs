//! Arduino sketches to C++: prototypes for the functions that a sketch uses before it defines
//! them, lines kept. What the functions are, clang says.
//!
//! * `sketch`: the text, of one file or of a sketch folder;
//! * `clang`: finding and asking it;
//! * `ast`: reading its syntax tree;
//! * `prototypes`: which ones are needed, and where they can stand;
//! * `records`: results kept by content.

mod ast;
mod clang;
mod prototypes;
pub mod records;
mod sketch;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;

pub use clang::Clang;
pub use records::Records;
pub use sketch::Sketch;

/// How to convert.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Further arguments for clang: `-I`, `-D`, `--target` and the like.
    pub clang_args: Vec<OsString>,
    /// Do not put `#include <Arduino.h>` first.
    pub no_arduino_include: bool,
}

/// Why there is no result.
#[derive(Debug)]
pub enum Error {
    /// What can't be read, and why.
    Input(String),
    NoClang,
    /// What clang said instead of a syntax tree.
    Clang(String),
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Input(why) => f.write_str(why),
            Error::NoClang => f.write_str(
                "no clang on PATH: install it (on Debian: apt-get install clang), it reads the sketch",
            ),
            Error::Clang(why) => write!(f, "clang can't read the sketch: {why}"),
            Error::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(error)
    }
}

/// The C++ text of a sketch file, or of a folder of them. Its `#line`s name the input as it is
/// given here. Results are kept in `records`, where there are any.
pub fn convert(
    input: &Path,
    options: &Options,
    records: Option<&Records>,
) -> Result<String, Error> {
    let sketch = Sketch::read(input)?;
    let clang = Clang::find().ok_or(Error::NoClang)?;
    let text = sketch.for_clang(!options.no_arduino_include);
    let key = || clang.preprocess(&sketch, &text, options).map(|all| sketch.key(options, &all));
    let Some(records) = records else { return translate(&sketch, &clang, &text, options) };
    let before = key()?;
    if let Some(result) = records.get(&before) {
        return Ok(result);
    }
    let result = translate(&sketch, &clang, &text, options)?;
    // A header edited between the two runs would give a result under a wrong key.
    if key()? == before {
        records.put(&before, &result);
    }
    Ok(result)
}

fn translate(
    sketch: &Sketch,
    clang: &Clang,
    text: &sketch::ClangText,
    options: &Options,
) -> Result<String, Error> {
    let tree = clang.syntax_tree(sketch, text, options)?;
    let insertions = prototypes::insertions(sketch.text(), &tree);
    Ok(sketch.render(&insertions, !options.no_arduino_include))
}

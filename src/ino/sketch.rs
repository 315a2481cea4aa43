//! The text of a sketch, and the text that becomes of it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{Error, Options};

/// One `.ino` file, or all of a folder, one after the other.
pub struct Sketch {
    /// Where quoted includes are looked for.
    pub(super) folder: PathBuf,
    text: String,
    /// Each file's name, and where it begins in the text.
    files: Vec<(String, usize)>,
}

/// What clang reads: some lines of ours, then the sketch.
pub struct ClangText {
    pub(super) bytes: String,
    /// Where the sketch begins.
    pub(super) shift: usize,
}

/// A prototype and where it goes.
#[derive(Debug, PartialEq)]
pub(super) struct Insertion {
    /// Into the sketch's text, at the beginning of a token.
    pub(super) at: usize,
    pub(super) prototype: String,
    /// Where the function is defined.
    pub(super) defined: usize,
    /// Its default arguments: the prototype has them, so the definition must not.
    pub(super) defaults: Vec<Range<usize>>,
}

/// Without the Arduino core at hand, what a sketch takes for granted. Only for reading it.
const STAND_INS: &str = "\
#if __has_include(<Arduino.h>)
#include <Arduino.h>
#else
typedef unsigned char byte; typedef bool boolean; typedef unsigned int word;
typedef signed char int8_t; typedef short int16_t; typedef int int32_t; typedef long long int64_t;
typedef unsigned char uint8_t; typedef unsigned short uint16_t; typedef unsigned int uint32_t;
typedef unsigned long long uint64_t; typedef __SIZE_TYPE__ size_t;
class String { public: String(...); };
#define PROGMEM
#define IRAM_ATTR
#define ICACHE_RAM_ATTR
#define F(text) text
#define ISR(vector, ...) extern \"C\" void vector()
#endif
";

impl Sketch {
    /// A folder's main file is the one named like it; the others follow by name.
    pub fn read(input: &Path) -> Result<Sketch, Error> {
        let failed = |path: &Path, why: &dyn std::fmt::Display| {
            Error::Input(format!("{}: {why}", path.display()))
        };
        let (folder, paths) = if input.is_dir() {
            (input.to_owned(), files_of(input).map_err(|error| failed(input, &error))?)
        } else {
            let folder = input.parent().filter(|folder| !folder.as_os_str().is_empty());
            (folder.unwrap_or(Path::new(".")).to_owned(), vec![input.to_owned()])
        };
        if paths.is_empty() {
            return Err(failed(input, &"no .ino file in it"));
        }
        let mut sketch = Sketch { folder, text: String::new(), files: Vec::new() };
        for path in paths {
            let bytes = std::fs::read(&path).map_err(|error| failed(&path, &error))?;
            let text = String::from_utf8(bytes).map_err(|_| failed(&path, &"not UTF-8"))?;
            sketch.files.push((path.to_string_lossy().into_owned(), sketch.text.len()));
            sketch.text.push_str(text.strip_prefix('\u{feff}').unwrap_or(&text));
            if !sketch.text.ends_with('\n') {
                sketch.text.push('\n');
            }
        }
        Ok(sketch)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The text for clang to read.
    pub(super) fn for_clang(&self, with_arduino: bool) -> ClangText {
        let before = if with_arduino { STAND_INS } else { "" };
        ClangText { bytes: [before, &self.text].concat(), shift: before.len() }
    }

    /// Names the result, given all that clang would read and who it is.
    pub(super) fn key(&self, options: &Options, preprocessed: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        add(concat!("ino ", env!("ZCCACHE_BUILD_ID")).as_bytes());
        add(self.text.as_bytes());
        for (name, start) in &self.files {
            add(name.as_bytes());
            add(&start.to_le_bytes());
        }
        add(&[u8::from(options.no_arduino_include)]);
        for arg in &options.clang_args {
            add(arg.as_encoded_bytes());
        }
        add(preprocessed);
        *hasher.finalize().as_bytes()
    }

    /// The C++ text.
    pub(super) fn render(&self, insertions: &[Insertion], with_arduino: bool) -> String {
        let mut text = self.text.clone();
        for range in insertions.iter().flat_map(|one| &one.defaults) {
            text.replace_range(range.clone(), &blank(&self.text[range.clone()]));
        }
        let mut out = String::with_capacity(text.len() + 1024);
        if with_arduino {
            out.push_str("#include <Arduino.h>\n");
        }
        let starts = self.files.iter().map(|(_, start)| *start);
        let mut stops: Vec<usize> = starts.chain(insertions.iter().map(|one| one.at)).collect();
        stops.sort_unstable();
        stops.dedup();
        for (n, &from) in stops.iter().enumerate() {
            let mut here = insertions.iter().filter(|one| one.at == from).peekable();
            if here.peek().is_some() && !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            for one in here {
                out.push_str(&self.line_directive(one.defined));
                out.push_str(&one.prototype);
                out.push('\n');
            }
            out.push_str(&self.line_directive(from));
            // A token in the middle of its line keeps its column.
            let line_start = text[..from].rfind('\n').map_or(0, |at| at + 1);
            out.push_str(&blank(&text[line_start..from]));
            let to = stops.get(n + 1).copied().unwrap_or(text.len());
            out.push_str(&text[from..to]);
        }
        out
    }

    fn line_directive(&self, at: usize) -> String {
        let file = self.files.iter().rev().find(|(_, start)| *start <= at);
        let (name, start) = file.unwrap_or(&self.files[0]);
        let line = self.text[*start..at].matches('\n').count() + 1;
        let name = name.replace('\\', "\\\\").replace('"', "\\\"");
        format!("#line {line} \"{name}\"\n")
    }
}

/// White space of the same length, with the same lines.
fn blank(text: &str) -> String {
    let blank = |byte: u8| if byte.is_ascii_whitespace() { char::from(byte) } else { ' ' };
    text.bytes().map(blank).collect()
}

fn files_of(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let real = std::fs::canonicalize(folder)?;
    let main = real.file_name().unwrap_or_default().to_owned();
    let mut paths = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "ino") {
            paths.push(path);
        }
    }
    paths.sort_by_key(|path| (path.file_stem() != Some(&main), path.clone()));
    Ok(paths)
}

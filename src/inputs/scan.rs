//! What a source text may make a compiler look for: one fast pass, no `#if` is evaluated.
//!
//! The aim is a superset. Directives in false branches count, and where a text can be read in two
//! ways (trigraphs on or off) both readings count. Comments, literals and raw strings are
//! understood only well enough not to be fooled by them.

mod assembler;
mod directive;
mod lexer;
mod pieces;
#[cfg(test)]
mod tests;
mod text;

pub use pieces::Pieces;

/// A name in a source text: any bytes.
pub type Name = Box<[u8]>;

/// How a header is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum How {
    Quote,
    Angle,
}

/// What asks for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Include,
    Next,
    Import,
    HasInclude,
    HasIncludeNext,
    Embed,
    HasEmbed,
}

/// A directive with a literal name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Include {
    pub how: How,
    pub kind: Kind,
    pub name: Box<[u8]>,
}

/// What an object-like macro may stand for in `#include MACRO`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MacroBody {
    Quote(Box<[u8]>),
    Angle(Box<[u8]>),
    /// Another identifier.
    Alias(Box<[u8]>),
    /// Something that may become a header name, and can't be read from this text.
    Opaque,
}

/// What one text holds. Names may repeat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scan {
    /// Tells the texts that scans are of apart.
    pub text: u64,
    /// In the order of the text.
    pub includes: Vec<Include>,
    /// Some include's argument is a macro.
    pub computed: bool,
    /// The macros used so alone: `#include NAME`.
    pub computed_names: Vec<(Kind, Box<[u8]>)>,
    /// Some include's argument is more than one plain macro name.
    pub computed_opaque: bool,
    /// The macros used in `__has_include(NAME)`.
    pub has_names: Vec<(Kind, Box<[u8]>)>,
    /// Some `__has_include` has an argument that is more than one plain macro name.
    pub has_opaque: bool,
    /// `F(NAME)` in `#if` lines: matters where `F` is in `has_wrappers` of any file.
    pub has_calls: Vec<(Name, Name)>,
    /// Function-like macros that hand a parameter to `__has_include`.
    pub has_wrappers: Vec<Box<[u8]>>,
    /// `#define NAME <x>`, `#define NAME "x"`, `#define NAME OTHER`, and those that might be.
    pub header_macros: Vec<(Box<[u8]>, MacroBody)>,
    /// `__TIME__`
    pub time: bool,
    /// `__DATE__`
    pub date: bool,
    /// `__TIMESTAMP__`
    pub timestamp: bool,
    /// What pasting may make one of these three of.
    pub pieces: Pieces,
    /// `#pragma GCC dependency`: reads a file's mtime.
    pub dependency_pragma: bool,
    /// Module syntax of C++20, or of clang.
    pub modules: bool,
    /// A precompiled header of clang's, not a text.
    pub precompiled: bool,
    /// `#pragma once`.
    pub once: bool,
    /// `#import`, or a `_Pragma` that some other file's text may make: files may be read once.
    pub reads_once: bool,
    /// An `asm` statement or declaration.
    pub uses_asm: bool,
    /// Files that `#line`, a linemarker or the assembler's `.file` names. gcc quotes them in messages, its assembler in
    /// listings.
    pub line_files: Vec<Name>,
    /// Some `#line` names its file by a macro, or with an escape.
    pub line_opaque: bool,
    /// LLVM's bitcode: its text can't be searched.
    pub bitcode: bool,
    /// There is an `asm` of some kind, and a backslash that may hide what it says.
    pub escaped_asm: bool,
    /// Files of literal `.incbin` and `.include`; the second kind is assembly text itself.
    pub assembler_files: Vec<AssemblerFile>,
    /// String literals define macros of the assembler.
    pub assembler_macros: bool,
    /// String literals hold words of directives that such a macro would complete.
    pub assembler_pastes: bool,
    /// The assembler may be told to read files this scan can't name. Only means something where
    /// any file of the compile has `uses_asm`, or is assembly.
    pub assembler_opaque: bool,
}

/// A file the assembler is told to read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssemblerFile {
    pub name: Box<[u8]>,
    /// `.include`: its text is assembled.
    pub text: bool,
}

/// Scans C, C++ or Objective-C.
pub fn scan(text: &[u8]) -> Scan {
    scan_as(text, false)
}

/// Scans assembly, with or without a preprocessor in front. `#` may begin a comment or a directive
/// there; both readings count.
pub fn scan_assembly(text: &[u8]) -> Scan {
    scan_as(text, true)
}

fn scan_as(text: &[u8], assembly: bool) -> Scan {
    let mut out = Scan {
        text: xxhash_rust::xxh3::xxh3_64(text),
        precompiled: text.starts_with(b"CPCH"),
        ..Scan::default()
    };
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    lexer::pass(text, assembly, &mut out);
    if let Some(plain) = without_trigraphs(text) {
        lexer::pass(&plain, assembly, &mut out);
    }
    out.bitcode = BITCODE.iter().any(|magic| text.starts_with(magic));
    out.line_files.sort_unstable();
    out.line_files.dedup();
    out
}

/// How bitcode begins, bare and in its wrapper.
const BITCODE: [&[u8]; 2] = [b"BC\xc0\xde", b"\xde\xc0\x17\x0b"];

/// The text as `-trigraphs` and the strict standards read it, where that differs in what matters.
fn without_trigraphs(text: &[u8]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    let mut done = 0;
    for at in memchr::memmem::find_iter(text, b"??") {
        // `???=` is `?` and `#`; matches do not overlap, so look one further too.
        for at in [at, at + 1] {
            let replaced = match text.get(at..at + 3) {
                Some(b"??=") => b'#',
                Some(b"??/") => b'\\',
                Some(b"??'") => b'^',
                _ => continue,
            };
            if at < done {
                continue;
            }
            let out = out.get_or_insert_with(|| Vec::with_capacity(text.len()));
            out.extend_from_slice(&text[done..at]);
            out.push(replaced);
            done = at + 3;
        }
    }
    let mut out = out?;
    out.extend_from_slice(&text[done..]);
    Some(out)
}

fn is_identifier(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Blanks of a line: everything but the newline.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

//! Which kind of command a tool's name stands for.

use super::archive::is_archiver;
use super::emscripten::is_emscripten;
use super::link::is_linker;
use crate::inputs::dialect::Flavor;
use crate::session::kind::{Kind, Language, Tool};

/// As far as a tool's name tells, without its folder.
pub fn of_name(name: &[u8]) -> Kind {
    let has = |part: &[u8]| name.windows(part.len()).any(|piece| piece == part);
    let tool = if is_linker(name) {
        Tool::Linker
    } else if is_archiver(name) {
        Tool::Archiver
    } else if is_emscripten(name) {
        Tool::Emscripten
    } else if has(b"clang-tidy") {
        Tool::ClangTidy
    } else if has(b"include-what-you-use") || name == b"iwyu" {
        Tool::Iwyu
    } else if has(b"rustfmt") {
        Tool::Rustfmt
    } else if has(b"clippy") {
        Tool::Clippy
    } else if has(b"rustc") {
        Tool::Rustc
    } else if has(b"clang") {
        Tool::Clang
    } else if has(b"gcc") || has(b"g++") {
        Tool::Gcc
    } else {
        Tool::Other
    };
    let language = match tool {
        Tool::Rustc | Tool::Clippy | Tool::Rustfmt => Language::Rust,
        Tool::Linker => Language::Link,
        Tool::Archiver => Language::Archive,
        _ => Language::Other,
    };
    Kind { tool, language }
}

/// A driver's.
impl From<Flavor> for Tool {
    fn from(flavor: Flavor) -> Tool {
        match flavor {
            Flavor::Gcc => Tool::Gcc,
            Flavor::Clang => Tool::Clang,
        }
    }
}

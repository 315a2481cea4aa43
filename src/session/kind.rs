//! What kind of command it was, as statistics and journal tell it.

use serde::{Deserialize, Serialize};

/// The family of the tool that was called.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    Gcc,
    Clang,
    Rustc,
    Clippy,
    ClangTidy,
    /// include-what-you-use
    Iwyu,
    Rustfmt,
    /// A command of `zccache exec`.
    Exec,
    /// Not found out: the command was refused before anybody was asked.
    #[default]
    Other,
}

/// What was compiled. Headers (precompiled) and preprocessed text count as their language.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Language {
    #[serde(rename = "c")]
    C,
    #[serde(rename = "c++")]
    Cxx,
    #[serde(rename = "objective-c")]
    ObjC,
    #[serde(rename = "objective-c++")]
    ObjCxx,
    #[serde(rename = "assembler")]
    Assembler,
    #[serde(rename = "llvm-ir")]
    Ir,
    #[serde(rename = "rust")]
    Rust,
    /// Not found out, or several in one command.
    #[default]
    #[serde(rename = "other")]
    Other,
}

/// Which tool, on which language.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Kind {
    pub tool: Tool,
    pub language: Language,
}

impl Kind {
    /// As far as a tool's name tells, without its folder.
    pub fn of_name(name: &[u8]) -> Kind {
        let has = |part: &[u8]| name.windows(part.len()).any(|piece| piece == part);
        let tool = if has(b"clang-tidy") {
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
        let is_rust = matches!(tool, Tool::Rustc | Tool::Clippy | Tool::Rustfmt);
        Kind { tool, language: if is_rust { Language::Rust } else { Language::Other } }
    }
}

impl Tool {
    /// As `status` and the journal write it.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Gcc => "gcc",
            Tool::Clang => "clang",
            Tool::Rustc => "rustc",
            Tool::Clippy => "clippy",
            Tool::ClangTidy => "clang-tidy",
            Tool::Iwyu => "iwyu",
            Tool::Rustfmt => "rustfmt",
            Tool::Exec => "exec",
            Tool::Other => "other",
        }
    }
}

impl Language {
    /// As `status` and the journal write it.
    pub fn name(self) -> &'static str {
        match self {
            Language::C => "c",
            Language::Cxx => "c++",
            Language::ObjC => "objective-c",
            Language::ObjCxx => "objective-c++",
            Language::Assembler => "assembler",
            Language::Ir => "llvm-ir",
            Language::Rust => "rust",
            Language::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_is_written() {
        use Tool::{Clang, ClangTidy, Clippy, Exec, Gcc, Iwyu, Rustc, Rustfmt};
        for tool in [Gcc, Clang, Rustc, Clippy, ClangTidy, Iwyu, Rustfmt, Exec, Tool::Other] {
            assert_eq!(serde_json::json!(tool), tool.name());
        }
        use Language::{Assembler, C, Cxx, Ir, ObjC, ObjCxx, Rust};
        for language in [C, Cxx, ObjC, ObjCxx, Assembler, Ir, Rust, Language::Other] {
            assert_eq!(serde_json::json!(language), language.name());
        }
    }
}

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
    /// emcc and em++
    Emscripten,
    Rustc,
    Clippy,
    /// A linker called by its own name.
    Linker,
    /// `ar` and `ranlib`, whoever's.
    Archiver,
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
    /// Nothing was compiled, or not only: a link.
    #[serde(rename = "link")]
    Link,
    /// An archive was made or changed.
    #[serde(rename = "archive")]
    Archive,
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

impl Tool {
    /// As `status` and the journal write it.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Gcc => "gcc",
            Tool::Clang => "clang",
            Tool::Emscripten => "emscripten",
            Tool::Rustc => "rustc",
            Tool::Clippy => "clippy",
            Tool::Linker => "linker",
            Tool::Archiver => "archiver",
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
            Language::Link => "link",
            Language::Archive => "archive",
            Language::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_is_written() {
        use Tool::*;
        for tool in [
            Gcc,
            Clang,
            Emscripten,
            Rustc,
            Clippy,
            Linker,
            Archiver,
            ClangTidy,
            Iwyu,
            Rustfmt,
            Exec,
            Tool::Other,
        ] {
            assert_eq!(serde_json::json!(tool), tool.name());
        }
        use Language::{Archive, Assembler, C, Cxx, Ir, Link, ObjC, ObjCxx, Rust};
        let languages = [C, Cxx, ObjC, ObjCxx, Assembler, Ir, Rust, Link, Archive];
        for language in languages.into_iter().chain([Language::Other]) {
            assert_eq!(serde_json::json!(language), language.name());
        }
    }
}

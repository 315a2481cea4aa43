//! Whose rules a text is read by, and what language it is in.

/// Which family of drivers a tool belongs to, as its own `-v` says.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum Flavor {
    Gcc,
    Clang,
}

/// The language of one source, after `-x` and file endings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    C,
    Cxx,
    ObjC,
    ObjCxx,
    /// `.i`: C that is already preprocessed.
    PreprocessedC,
    /// `.ii`: C++ that is already preprocessed.
    PreprocessedCxx,
    /// `.s`: assembly that no preprocessor sees.
    Assembler,
    /// `.S`, `.sx`: assembly with a preprocessor in front.
    AssemblerWithCpp,
    CHeader,
    CxxHeader,
    /// LLVM IR or bitcode.
    Ir,
}

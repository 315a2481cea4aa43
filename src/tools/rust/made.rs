//! What rustc can be asked to make.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CrateType {
    Rlib,
    Bin,
    Dylib,
    Cdylib,
    Staticlib,
    ProcMacro,
}

impl CrateType {
    pub(super) fn from_name(name: &[u8]) -> Option<CrateType> {
        Some(match name {
            b"lib" | b"rlib" => CrateType::Rlib,
            b"bin" => CrateType::Bin,
            b"dylib" => CrateType::Dylib,
            b"cdylib" => CrateType::Cdylib,
            b"staticlib" => CrateType::Staticlib,
            b"proc-macro" => CrateType::ProcMacro,
            _ => return None,
        })
    }

    /// A linker makes it.
    pub(super) fn is_linked(self) -> bool {
        !matches!(self, CrateType::Rlib | CrateType::Staticlib)
    }

    /// rustc leaves it out, with a warning, where the target has no such thing: one that is linked statically
    /// (`+crt-static`, and by default for musl) loads nothing at run time (measured: 1.95).
    pub(super) fn may_be_dropped(self) -> bool {
        matches!(self, CrateType::Dylib | CrateType::Cdylib | CrateType::ProcMacro)
    }

    /// What stands before and after the crate's name, on systems with ELF files.
    pub(super) fn affixes(self) -> (&'static str, &'static str) {
        match self {
            CrateType::Rlib => ("lib", ".rlib"),
            CrateType::Bin => ("", ""),
            CrateType::Staticlib => ("lib", ".a"),
            CrateType::Dylib | CrateType::Cdylib | CrateType::ProcMacro => ("lib", ".so"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Emit {
    Asm,
    Bitcode,
    DepInfo,
    Ir,
    Link,
    Metadata,
    Mir,
    Obj,
}

impl Emit {
    pub(super) fn from_name(name: &[u8]) -> Option<Emit> {
        Some(match name {
            b"asm" => Emit::Asm,
            b"llvm-bc" => Emit::Bitcode,
            b"dep-info" => Emit::DepInfo,
            b"llvm-ir" => Emit::Ir,
            b"link" => Emit::Link,
            b"metadata" => Emit::Metadata,
            b"mir" => Emit::Mir,
            b"obj" => Emit::Obj,
            _ => return None,
        })
    }

    pub(super) fn ending(self) -> &'static str {
        match self {
            Emit::Asm => ".s",
            Emit::Bitcode => ".bc",
            Emit::DepInfo => ".d",
            Emit::Ir => ".ll",
            Emit::Link => "",
            Emit::Metadata => ".rmeta",
            Emit::Mir => ".mir",
            Emit::Obj => ".o",
        }
    }

    /// One file for each codegen unit.
    pub(super) fn is_per_unit(self) -> bool {
        matches!(self, Emit::Asm | Emit::Bitcode | Emit::Ir | Emit::Obj)
    }
}

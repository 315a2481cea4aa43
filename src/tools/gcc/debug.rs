//! `-g…`: which debug information there will be, as far as it matters to a cache.

use crate::inputs::dialect::Flavor;

/// What one `-g…` does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Debug {
    /// There is debug information, and it names the working folder.
    On,
    /// `-g0`
    Off,
    /// Changes how it looks, not whether it is there.
    Detail,
    /// A `.dwo` beside the object.
    Split,
    /// The skeleton names a `.dwo` but all stays in the object.
    SplitInside,
    NoSplit,
    /// The whole command line goes into it.
    RecordsCommand,
}

/// What `arg`, which starts with `-g`, does; none if it is unknown.
pub fn classify(flavor: Flavor, arg: &[u8]) -> Option<Debug> {
    let name = std::str::from_utf8(arg.strip_prefix(b"-g")?).ok()?;
    Some(match name {
        "0" => Debug::Off,
        ""
        | "1"
        | "2"
        | "3"
        | "full"
        | "used"
        | "toggle"
        | "mlt"
        | "line-tables-only"
        | "line-directives-only"
        | "vms"
        | "xcoff"
        | "xcoff+"
        | "coff"
        | "stabs"
        | "stabs+"
        | "btf"
        | "dwarf"
        | "dwarf32"
        | "dwarf64"
        | "gdb"
        | "lldb"
        | "sce"
        | "dbx"
        | "codeview"
        | "codeview-ghash"
        | "embed-source" => Debug::On,
        "split-dwarf" => Debug::Split,
        "split-dwarf=split" if flavor == Flavor::Clang => Debug::Split,
        "split-dwarf=single" if flavor == Flavor::Clang => Debug::SplitInside,
        "no-split-dwarf" => Debug::NoSplit,
        "record-command-line" => Debug::RecordsCommand,
        // gcc's own default, which leaves out what names files; clang takes it for the other.
        "record-gcc-switches" if flavor == Flavor::Gcc => Debug::Detail,
        "record-gcc-switches" => Debug::RecordsCommand,
        "z"
        | "column-info"
        | "strict-dwarf"
        | "pubnames"
        | "gnu-pubnames"
        | "inline-points"
        | "inline-line-tables"
        | "statement-frontiers"
        | "as-loc-support"
        | "as-locview-support"
        | "describe-dies"
        | "internal-reset-location-views"
        | "variable-location-views"
        | "simple-template-names"
        | "template-alias"
        | "key-instructions"
        | "dwarf-aranges"
        | "omit-unreferenced-methods"
        | "call-site-info"
        | "structor-decl-linkage-names" => Debug::Detail,
        _ => prefixed(name)?,
    })
}

fn prefixed(name: &str) -> Option<Debug> {
    let details = ["z=", "simple-template-names=", "src-hash=", "variable-location-views="];
    if details.iter().any(|prefix| name.starts_with(prefix)) {
        return Some(Debug::Detail);
    }
    if let Some(switch) = name.strip_prefix("no-") {
        let harmless = switch != "modules"
            && classify(Flavor::Clang, format!("-g{switch}").as_bytes()).is_some();
        return harmless.then_some(Debug::Detail);
    }
    let level = ["dwarf-", "gdb", "stabs", "stabs+", "vms", "xcoff", "ctf", "coff"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))?;
    match level {
        "" | "1" | "2" | "3" | "4" | "5" => Some(Debug::On),
        // `-ggdb0`: whether it takes an earlier `-g` back differs; it adds nothing.
        "0" => Some(Debug::Detail),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifies() {
        let gcc = |arg: &str| classify(Flavor::Gcc, arg.as_bytes());
        let clang = |arg: &str| classify(Flavor::Clang, arg.as_bytes());
        for arg in ["-g", "-g1", "-g3", "-ggdb", "-ggdb3", "-gdwarf-5", "-gdwarf", "-gstabs+"] {
            assert_eq!((gcc(arg), clang(arg)), (Some(Debug::On), Some(Debug::On)), "{arg}");
        }
        for arg in ["-gz", "-gz=zlib", "-gno-column-info", "-ggdb0", "-gno-pubnames"] {
            assert_eq!((gcc(arg), clang(arg)), (Some(Debug::Detail), Some(Debug::Detail)), "{arg}");
        }
        assert_eq!(gcc("-g0"), Some(Debug::Off));
        assert_eq!(gcc("-grecord-gcc-switches"), Some(Debug::Detail));
        assert_eq!(clang("-grecord-gcc-switches"), Some(Debug::RecordsCommand));
        assert_eq!(clang("-gsplit-dwarf=single"), Some(Debug::SplitInside));
        for arg in ["-gmodules", "-gnonsense", "-gdwarf-9", "-g\u{ff}", "-gno-modules"] {
            assert_eq!(clang(arg), None, "{arg}");
        }
    }
}

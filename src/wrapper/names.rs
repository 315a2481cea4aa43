//! Which tools are worth asking the daemon about, by name alone.

use crate::tools::archive::is_archiver;
use crate::tools::emscripten::is_emscripten;
use crate::tools::find::base;
use crate::tools::link::is_linker;
use crate::tools::rust::is_rust;
use crate::tools::{rustfmt, tidy};

/// The compilers we know, as a part of a tool's name.
const COMPILERS: [&[u8]; 6] = [b"gcc", b"g++", b"clang", b"clang++", b"cc", b"c++"];

/// Parts that make another tool out of a compiler's name (`gcc-ar`, `clang-format`).
const NOT_COMPILERS: [&[u8]; 17] = [
    b"ar", b"nm", b"ranlib", b"format", b"tidy", b"check", b"cpp", b"cl", b"scan", b"query",
    b"apply", b"rename", b"doc", b"include", b"repl", b"extdef", b"offload",
];

/// Whether a tool of this name may be gcc or clang: `gcc`, `/usr/bin/clang++-14`,
/// `x86_64-linux-gnu-g++-12`, `my_gcc.sh`. A wrong yes costs one question to the daemon, a
/// wrong no leaves a compiler uncached.
pub fn is_compiler(tool: &[u8]) -> bool {
    let parts = || base(tool).split(|byte| b"-_.".contains(byte));
    parts().any(|part| COMPILERS.contains(&without_version(part)))
        && !parts().any(|part| NOT_COMPILERS.contains(&part))
}

/// Whether a tool of this name may be one whose results are cached.
pub fn is_known(tool: &[u8]) -> bool {
    let name = base(tool);
    is_compiler(tool)
        || is_emscripten(tool)
        || is_rust(name)
        || is_linker(tool)
        || is_archiver(tool)
        || minds_stdout(tool)
}

/// Whether a tool of this name says on standard output what it found, and in colours where that
/// is a terminal.
pub fn minds_stdout(tool: &[u8]) -> bool {
    tidy::is_tidy(base(tool)) || rustfmt::is_rustfmt(base(tool))
}

/// Whether strict paths are about this tool: a gcc-like one, or one that reads `cl`'s flags.
pub fn takes_include_paths(tool: &[u8]) -> bool {
    let name = base(tool);
    let reads_cl = name.split(|byte| b"-.".contains(byte)).any(|part| part == b"cl");
    is_compiler(tool) || is_emscripten(tool) || reads_cl
}

/// `clang14` is how some systems name it; `cc1` is a part of gcc, not a version of `cc`.
fn without_version(part: &[u8]) -> &[u8] {
    if part == b"cc1" {
        return part;
    }
    let end = part.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |last| last + 1);
    &part[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers() {
        for name in [
            "gcc",
            "g++",
            "cc",
            "c++",
            "clang",
            "clang++",
            "/usr/bin/gcc",
            "./gcc",
            "gcc-12",
            "clang++-14",
            "clang14",
            "gcc-12.2.0",
            "x86_64-linux-gnu-gcc-12",
            "arm-none-eabi-g++",
            "gcc.exe",
            "my_clang.py",
            "wrap-gcc.sh",
            "c89-gcc",
        ] {
            assert!(is_compiler(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn tools_that_are_cached() {
        for name in [
            "rustc",
            "clippy-driver",
            "gcc",
            "ld",
            "gcc-ar-12",
            "/usr/bin/wasm-ld-14",
            "em++",
            "emar",
        ] {
            assert!(is_known(name.as_bytes()), "{name}");
        }
        for name in ["", "make", "gcc-nm", "ld.so", "tar", "ldd", "strip"] {
            assert!(!is_known(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn other_tools() {
        for name in [
            "",
            "/",
            "echo",
            "make",
            "sh",
            "ld",
            "rustdoc",
            "cc1",
            "cc1plus",
            "c++filt",
            "gcc-ar-12",
            "gcc-nm",
            "clang-format",
            "clang-tidy-14",
            "ccache",
            "12",
            "gcc/",
            "/opt/gcc/bin/ld",
        ] {
            assert!(!is_compiler(name.as_bytes()), "{name}");
        }
        assert!(is_known(b"/x/clang-tidy-14") && is_known(b"rustfmt") && is_known(b"iwyu"));
        assert!(
            !is_known(b"clang-format") && !is_known(b"rustdoc") && !is_known(b"run-clang-tidy")
        );
        assert!(!is_compiler(b"\xff\xfe"));
        assert!(is_compiler(b"\xff-gcc"));
    }
}

//! Arguments that the driver hands on: `-Wp,`, `-Wa,`, `-Xpreprocessor`, `-Xassembler`,
//! `-Xclang`, `-mllvm`.

use super::switches;
use crate::inputs::dialect::Flavor;

/// What `-Wp,…` asks for.
#[derive(Debug, PartialEq)]
pub enum Preprocessor<'a> {
    /// `-Wp,-MD,FILE` or `-Wp,-MMD,FILE`.
    Deps { system_headers: bool, file: &'a [u8] },
    /// Only `-D`, `-U` and `-I` with glued values, or `-f` switches.
    Settings(Vec<Setting<'a>>),
}

/// One setting for the preprocessor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Setting<'a> {
    Define(&'a [u8]),
    Angle(&'a [u8]),
    /// Decides the result and needs no further reading.
    Other,
}

/// Reads the text after `-Wp,`.
pub fn preprocessor(text: &[u8]) -> Option<Preprocessor<'_>> {
    let parts: Vec<&[u8]> = text.split(|&byte| byte == b',').collect();
    // gcc would read more parts beside these two, and clang would drop the file's name.
    match parts[..] {
        [b"-MD", file] => return Some(Preprocessor::Deps { system_headers: true, file }),
        [b"-MMD", file] => return Some(Preprocessor::Deps { system_headers: false, file }),
        _ => {}
    }
    let settings: Option<Vec<_>> = parts.into_iter().map(preprocessor_setting).collect();
    settings.map(Preprocessor::Settings)
}

/// One argument for the preprocessor.
pub fn preprocessor_setting(arg: &[u8]) -> Option<Setting<'_>> {
    let (name, value) = arg.split_at_checked(2)?;
    match name {
        _ if value.is_empty() => None,
        b"-D" => Some(Setting::Define(value)),
        b"-U" => Some(Setting::Other),
        // `-I-` splits the search, `=` and `$SYSROOT` stand for another folder.
        b"-I" => (value[0] != b'-' && !names_sysroot(value)).then_some(Setting::Angle(value)),
        b"-f" => switches::is_known(value).then_some(Setting::Other),
        _ => None,
    }
}

/// Whether the compiler puts the sysroot in front of this folder.
pub fn names_sysroot(folder: &[u8]) -> bool {
    folder.starts_with(b"=") || folder.starts_with(b"$SYSROOT")
}

/// What arguments of the assembler lead to.
#[derive(Debug, Default, PartialEq)]
pub struct Assembler {
    pub listings: Vec<Vec<u8>>,
    /// One of them, or what is printed in place of one, shows lines of sources.
    pub quotes: bool,
    pub debug: bool,
    /// `-I`: where it looks for files that are included.
    pub folders: Vec<Vec<u8>>,
}

/// Reads the arguments of the assembler that stand in one `-Wa,` (or all `-Xassembler`).
pub fn assembler(flavor: Flavor, parts: &[&[u8]]) -> Option<Assembler> {
    let mut seen = Assembler::default();
    let mut parts = parts.iter();
    while let Some(&part) = parts.next() {
        match part {
            // gas takes the next argument for the value.
            b"-I" | b"--defsym" | b"-defsym" => {
                let value = parts.next().filter(|value| !value.is_empty())?;
                if part == b"-I" {
                    seen.folders.push(value.to_vec());
                }
            }
            _ if part.starts_with(b"-I") => seen.folders.push(part[2..].to_vec()),
            b"-g" | b"--gen-debug" | b"--gdwarf-2" | b"--gdwarf-3" | b"--gdwarf-4"
            | b"--gdwarf-5" | b"-gdwarf-2" | b"-gdwarf-3" | b"-gdwarf-4" | b"-gdwarf-5"
            | b"--gstabs" | b"--gstabs+" => seen.debug = true,
            _ if part.starts_with(b"-a") && flavor == Flavor::Gcc && part != b"-alternate" => {
                let equals = part.iter().position(|&byte| byte == b'=').unwrap_or(part.len());
                // `g` prints the time of day.
                if !part[2..equals].iter().all(|byte| b"cdhlmns".contains(byte)) {
                    return None;
                }
                // Alone it stands for `-ahls`.
                seen.quotes |= equals == 2 || part[2..equals].contains(&b'h');
                match part.get(equals + 1..) {
                    Some(b"") => return None,
                    Some(file) => seen.listings.push(file.to_vec()),
                    None => {}
                }
            }
            _ if is_assembler_setting(part) => {}
            _ => return None,
        }
    }
    Some(seen)
}

fn is_assembler_setting(part: &[u8]) -> bool {
    const EXACT: &[&[u8]] = &[
        b"--noexecstack",
        b"--execstack",
        b"--fatal-warnings",
        b"--no-warn",
        b"-W",
        b"--warn",
        b"--32",
        b"--64",
        b"--x32",
        b"--divide",
        b"-L",
        b"--keep-locals",
        b"--alternate",
        b"--compress-debug-sections",
        b"--nocompress-debug-sections",
        b"--sectname-subst",
        b"--strip-local-absolute",
        b"--reduce-memory-overheads",
        b"--traditional-format",
        b"-EB",
        b"-EL",
        b"--no-pad-sections",
        b"-f",
        b"-J",
        b"-R",
        b"-k",
        b"-O",
        b"-O0",
        b"-O1",
        b"-O2",
        b"-many",
        b"-alternate",
        b"--gdwarf-sections",
        b"--no-fatal-warnings",
        b"--relax",
        b"--no-relax",
        b"-x",
    ];
    const PREFIXES: &[&[u8]] = &[
        b"--compress-debug-sections=",
        b"--elf-stt-common=",
        b"--size-check=",
        b"--hash-size=",
        b"--generate-missing-build-notes=",
        b"--multibyte-handling=",
        b"--gdwarf-cie-version=",
        b"--defsym=",
        b"--debug-prefix-map=",
        b"--isa=",
        b"--abi=",
    ];
    // `-m…` chooses the machine and its dialect; `-msomething=FILE` does not exist.
    let glued = |prefix: &[u8]| part.len() > prefix.len() && part.starts_with(prefix);
    EXACT.contains(&part) || PREFIXES.iter().any(|prefix| glued(prefix)) || glued(b"-m")
}

/// What one `-Xclang` argument is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Inner {
    Setting,
    /// Adds debug information.
    Debug,
    /// The next `-Xclang` argument is its value, a number or a name.
    TakesSetting,
    /// The next `-Xclang` argument is one of LLVM's.
    TakesLlvm,
    /// The next `-Xclang` argument is a file that is included.
    TakesForced,
    /// Makes a precompiled header.
    EmitPch,
}

/// Reads the argument of an `-Xclang`.
pub fn inner(arg: &[u8]) -> Option<Inner> {
    Some(match arg {
        b"-include" | b"-include-pch" | b"-imacros" => Inner::TakesForced,
        b"-emit-pch" => Inner::EmitPch,
        b"-target-feature" | b"-target-cpu" | b"-tune-cpu" | b"-target-abi" => Inner::TakesSetting,
        b"-mllvm" => Inner::TakesLlvm,
        b"-disable-llvm-passes"
        | b"-disable-O0-optnone"
        | b"-disable-llvm-verifier"
        | b"-disable-lifetime-markers"
        | b"-disable-free"
        | b"-clear-ast-before-backend"
        | b"-no-opaque-pointers"
        | b"-opaque-pointers"
        | b"-no-enable-noundef-analysis"
        | b"-mno-enable-noundef-analysis"
        | b"-enable-noundef-analysis"
        | b"-mrelax-all"
        | b"-msave-temp-labels"
        | b"-no-round-trip-args"
        | b"-round-trip-args"
        | b"-fno-pch-timestamp"
        | b"-fno-validate-pch"
        | b"-fuse-ctor-homing"
        | b"-fmerge-functions"
        | b"-fcolor-diagnostics"
        | b"-fno-color-diagnostics"
        | b"-fno-cxx-modules"
        | b"-fallow-half-arguments-and-returns"
        | b"-fnative-half-type"
        | b"-fdenormal-fp-math"
        | b"-fno-verify-intermediate-code"
        | b"-ffake-address-space-map"
        | b"-fexperimental-assignment-tracking"
        | b"-fno-merge-functions" => Inner::Setting,
        _ if arg.starts_with(b"-debug-info-kind=") || arg.starts_with(b"-dwarf-version=") => {
            Inner::Debug
        }
        _ if arg.starts_with(b"-fexperimental-assignment-tracking=")
            || arg.starts_with(b"-mllvm=") && llvm(&arg[7..]) =>
        {
            Inner::Setting
        }
        _ if arg.starts_with(b"-W") && arg.get(3) != Some(&b',') => Inner::Setting,
        _ if switches::is_known(arg.strip_prefix(b"-f")?) => Inner::Setting,
        _ => return None,
    })
}

/// Words in the names of LLVM's options that print, that read or write files, or that load code.
const SUSPECT: [&str; 30] = [
    "file", "print", "dump", "debug", "stat", "time", "output", "view", "dot", "path", "load",
    "dir", "profile", "remark", "report", "trace", "record", "help", "version", "list", "log",
    "save", "write", "/", "yaml", "replay", "summary", "plugin", "config", "mapping",
];

/// Options of LLVM whose value is one of a few words, or a symbol's name.
const WORDED: [&str; 22] = [
    "asan-memory-access-callback-prefix",
    "break-anti-dependencies",
    "exception-model",
    "force-attribute",
    "fp-contract",
    "frame-pointer",
    "hwasan-memory-access-callback-prefix",
    "matrix-default-layout",
    "memprof-memory-access-callback-prefix",
    "misched",
    "polly-optimizer",
    "polly-position",
    "polly-vectorizer",
    "pre-RA-sched",
    "prefer-predicate-over-epilogue",
    "regalloc",
    "scalable-vectorization",
    "tail-predication",
    "target-abi",
    "trap-func",
    "x86-align-branch",
    "x86-asm-syntax",
];

/// Whether an option handed to LLVM only steers the code. What names a file may look like any word, so words
/// are only taken by options that are known.
pub fn llvm(option: &[u8]) -> bool {
    let Ok(option) = std::str::from_utf8(option) else { return false };
    let lower = option.to_ascii_lowercase();
    let name = option.trim_start_matches('-');
    // Without a dash it is the value of the option before it.
    if name.is_empty() || name == option || SUSPECT.iter().any(|word| lower.contains(word)) {
        return false;
    }
    let Some((name, value)) = name.split_once('=') else { return true };
    let is_number =
        !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit() || b"-.".contains(&b));
    let is_switch = matches!(value, "true" | "false" | "TRUE" | "FALSE" | "True" | "False");
    is_number || is_switch || WORDED.contains(&name)
}

/// Whether the value of an inner option is a number or a name, as those of targets and features are.
pub fn is_name(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|b| b.is_ascii_alphanumeric() || b"+-_.,=".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preprocessor_arguments() {
        assert_eq!(
            preprocessor(b"-MMD,d/.x.d"),
            Some(Preprocessor::Deps { system_headers: false, file: b"d/.x.d" })
        );
        assert_eq!(
            preprocessor(b"-U_FORTIFY_SOURCE,-D_FORTIFY_SOURCE=2"),
            Some(Preprocessor::Settings(vec![
                Setting::Other,
                Setting::Define(b"_FORTIFY_SOURCE=2")
            ]))
        );
        for text in ["", "-MD", "-MD,a,-MT,b", "-MF,x", "-D", "-I-", "-I=x", "-fplugin=x", "-C"] {
            assert_eq!(preprocessor(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn assembler_arguments() {
        let read = |flavor, text: &str| {
            assembler(flavor, &text.split(',').map(str::as_bytes).collect::<Vec<_>>())
        };
        let none = Assembler::default();
        for text in ["--noexecstack", "-mrelax-relocations=no,--32", "--defsym,a=1"] {
            assert_eq!(read(Flavor::Gcc, text).as_ref(), Some(&none), "{text}");
        }
        for text in ["-I,dir", "-Idir"] {
            assert_eq!(read(Flavor::Clang, text).unwrap().folders, [b"dir"], "{text}");
        }
        assert_eq!(read(Flavor::Gcc, "-ahlms=x.lst").unwrap().listings, [b"x.lst"]);
        assert_eq!(read(Flavor::Gcc, "-al"), Some(none));
        assert!(
            read(Flavor::Gcc, "-ahl").unwrap().quotes && read(Flavor::Gcc, "-a").unwrap().quotes
        );
        assert!(read(Flavor::Gcc, "-gdwarf-4").unwrap().debug);
        for text in ["", "--MD", "--MD,f", "-MD", "@f", "-I", "-o,x", "-ag", "-a=", "--nonsense"] {
            assert_eq!(read(Flavor::Gcc, text), None, "{text}");
        }
        assert_eq!(read(Flavor::Clang, "-a=x"), None);
    }

    #[test]
    fn inner_and_llvm_arguments() {
        assert_eq!(inner(b"-include-pch"), Some(Inner::TakesForced));
        assert_eq!(inner(b"-fno-pch-timestamp"), Some(Inner::Setting));
        for arg in ["-load", "-plugin", "-add-plugin", "-ast-dump", "-", "", "-Wp,-MD", "-o"] {
            assert_eq!(inner(arg.as_bytes()), None, "{arg}");
        }
        for value in [
            "-inline-threshold=200",
            "-jump-threading-threshold=0",
            "-enable-x=false",
            "-x86-asm-syntax=intel",
            "-foo",
        ] {
            assert!(llvm(value.as_bytes()), "{value}");
        }
        for value in [
            "",
            "-",
            "r.txt",
            "-print-after-all",
            "-info-output-file=x",
            "-x=/tmp/y",
            "-cgscc-inline-replay=r.txt",
            "-lowertypetests-read-summary=1",
            "-x86-lvi-load-opt-plugin=x.so",
            "-new-option=word",
        ] {
            assert!(!llvm(value.as_bytes()), "{value}");
        }
    }
}

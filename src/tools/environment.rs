//! A caller's environment, as the block it came in.

use std::collections::HashSet;

use crate::protocol::message::{StdoutIs, Terminal};

/// `NAME=VALUE` strings, each ended by NUL, looked up without being copied.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    block: &'a [u8],
}

impl<'a> Environment<'a> {
    pub fn new(block: &'a [u8]) -> Environment<'a> {
        Environment { block }
    }

    fn entries(self) -> impl Iterator<Item = &'a [u8]> {
        // A block is gone through some hundred times for a miss, and once for a hit.
        let mut rest = self.block;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let end = memchr::memchr(0, rest).unwrap_or(rest.len());
            let (entry, tail) = rest.split_at(end);
            rest = tail.get(1..).unwrap_or_default();
            Some(entry)
        })
    }

    /// All variables in order; strings without `=` are left out.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.entries().filter_map(|entry| {
            let at = memchr::memchr(b'=', entry)?;
            Some((&entry[..at], &entry[at + 1..]))
        })
    }

    /// The first variable of this name, which is what `getenv` gives.
    pub fn get(self, name: &[u8]) -> Option<&'a [u8]> {
        self.entries().find_map(|entry| entry.strip_prefix(name)?.strip_prefix(b"="))
    }

    /// True when one of the variables is there.
    pub fn has_any(self, names: &[&str]) -> bool {
        names.iter().any(|name| self.get(name.as_bytes()).is_some())
    }

    /// True when the variable is there and not empty.
    pub fn is_set(self, name: &[u8]) -> bool {
        self.get(name).is_some_and(|value| !value.is_empty())
    }
}

/// Variables that decide what gcc or clang make of a command, beside those in
/// `TOOLCHAIN_VARIABLES`. Taken into every action key.
pub const RESULT_VARIABLES: &[&str] = &[
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "OBJC_INCLUDE_PATH",
    "OBJCPLUS_INCLUDE_PATH",
    "SOURCE_DATE_EPOCH",
    "TZ",
    "GCC_EXTRA_DIAGNOSTIC_OUTPUT",
    "CCC_OVERRIDE_OPTIONS",
    "CCC_ADD_ARGS",
    "QA_OVERRIDE_GCC3_OPTIONS",
    "CLANG_NO_DEFAULT_CONFIG",
    "FORCE_CLANG_DIAGNOSTICS_CRASH",
    "MACOSX_DEPLOYMENT_TARGET",
    "IPHONEOS_DEPLOYMENT_TARGET",
    "SDKROOT",
    "TERM_PROGRAM_FORCE_COLOR",
];

/// Variables that decide which programs and libraries do the work.
pub const TOOLCHAIN_VARIABLES: &[&str] = &[
    "PATH",
    "COMPILER_PATH",
    // gcc reads a file `specs` there, whether it links or not.
    "LIBRARY_PATH",
    "GCC_EXEC_PREFIX",
    "GCC_ROOT",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "CCC_OVERRIDE_OPTIONS",
    "CLANG_CONFIG_FILE_SYSTEM_DIR",
    "CLANG_CONFIG_FILE_USER_DIR",
    "XDG_CONFIG_HOME",
    "HOME",
];

/// Variables that make a compiler write files nobody named on the command line, or behave in
/// ways that are not worth following: with one of them set, the call runs plain.
pub const REFUSED_VARIABLES: &[&str] = &[
    "DEPENDENCIES_OUTPUT",
    "SUNPRO_DEPENDENCIES",
    "GCC_COMPARE_DEBUG",
    "CC_PRINT_OPTIONS",
    "CC_PRINT_HEADERS",
    "CC_LOG_DIAGNOSTICS",
    "CC_PRINT_PROC_STAT",
    "CLANG_CRASH_SAVE_TEMPS",
    "CCC_PRINT_OPTIONS",
];

/// Variables that change how messages look, and nothing else.
pub const TEXT_VARIABLES: &[&str] = &[
    "GCC_COLORS",
    "GCC_URLS",
    "TERM",
    // gcc: whether there are hyperlinks.
    "COLORTERM",
    "TERM_URLS",
    "COLUMNS",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
];

/// Variables that decide what rustc, clippy or the linkers behind them make of a command,
/// beside those that dependency output names.
pub const RUST_VARIABLES: &[&str] = &[
    "RUSTC_BOOTSTRAP",
    "RUSTC_LOG",
    "RUSTC_FORCE_RUSTC_VERSION",
    "RUSTC_OVERRIDE_VERSION_STRING",
    "RUST_TARGET_PATH",
    "RUST_MIN_STACK",
    "RUSTUP_TOOLCHAIN",
    "RUSTUP_HOME",
    "CARGO_HOME",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "CLIPPY_DISABLE_DOCS_LINKS",
    "CARGO_MANIFEST_DIR",
    "CARGO_CRATE_NAME",
    "CARGO_PKG_RUST_VERSION",
    "CARGO_PRIMARY_PACKAGE",
    "COLORTERM",
    "ZCCACHE_EXTRA_INPUTS",
    "ZCCACHE_EXCLUDE_CRATES",
];

/// Variables that a linker, its driver or its plugins look at, beside those in
/// `TOOLCHAIN_VARIABLES`.
pub const LINK_VARIABLES: &[&str] = &[
    "LIBRARY_PATH",
    "COMPILER_PATH",
    "GCC_EXEC_PREFIX",
    "LD_RUN_PATH",
    "LDEMULATION",
    "GNUTARGET",
    "COLLECT_NO_DEMANGLE",
    "LLD_VERSION",
    "MOLD_PRINT_MAP",
];

/// Variables that make a linker write files nobody named, or its own command line into the
/// program, where what we add to it would be found: with one of them set, a link runs plain.
pub const LINK_REFUSED: &[&str] = &["LLD_REPRODUCE", "MOLD_DEBUG", "MOLD_REPRO"];

/// Variables that decide what rustfmt does, the terminal's description included.
pub const RUSTFMT_VARIABLES: &[&str] = &[
    "HOME",
    "XDG_CONFIG_HOME",
    "TERM",
    "TERMINFO",
    "TERMINFO_DIRS",
    "NO_COLOR",
    "COLORTERM",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "RUSTFMT_LOG",
    "RUST_LOG",
];

/// Variables that decide what emcc makes of a command, beside those in `TOOLCHAIN_VARIABLES`: its
/// own, and those of the python and node that it runs in.
pub const EMSCRIPTEN_VARIABLES: &[&str] = &[
    "BASENAME",
    "EMSDK",
    "EMSDK_NODE",
    "EMSDK_PYTHON",
    "EM_BINARYEN_ROOT",
    "EM_CACHE",
    "EM_CLANG_ADD_VERSION",
    "EM_CLOSURE_COMPILER",
    "EM_COMPILER_WRAPPER",
    "EM_CONFIG",
    "EM_EXCLUSIVE_CACHE_ACCESS",
    "EM_FORCE_RESPONSE_FILES",
    "EM_FROZEN_CACHE",
    "EM_HAVE_TEMP_DIR_LOCK",
    "EM_IGNORE_SANITY",
    "EM_JAVA",
    "EM_JS_ENGINE",
    "EM_JS_ENGINES",
    "EM_LLVM_ADD_VERSION",
    "EM_LLVM_ROOT",
    "EM_NODE_JS",
    "EM_PORTS",
    "EM_PYTHON_MULTIPROCESSING",
    "EM_SPIDERMONKEY_ENGINE",
    "EM_V8_ENGINE",
    "EM_WASMER",
    "EM_WASMTIME",
    "EM_WASM_ENGINES",
    "_EMCC_CCACHE",
    "EMCC_AUTODEBUG",
    "EMCC_CFLAGS",
    "EMCC_CLOSURE_ARGS",
    "EMCC_CORES",
    "EMCC_DEBUG",
    "EMCC_DEBUG_SAVE",
    "EMCC_FORCE_STDLIBS",
    "EMCC_JSOPT_MAX_CHUNK_SIZE",
    "EMCC_JSOPT_MIN_CHUNK_SIZE",
    "EMCC_LOCAL_PORTS",
    "EMCC_NO_OPT_SORT",
    "EMCC_ONLY_FORCED_STDLIBS",
    "EMCC_READ_METADATA",
    "EMCC_SAVE_OPT_TEMP",
    "EMCC_SKIP_SANITY_CHECK",
    "EMCC_STDERR_FILE",
    "EMCC_STRICT",
    "EMCC_TEMP_DIR",
    "EMCC_VERBOSE",
    "EMMAKEN_CFLAGS",
    "EMMAKEN_COMPILER",
    "EMMAKEN_JUST_CONFIGURE",
    "EMMAKEN_NO_SDK",
    "EMPROFILE",
    "CLANG_ADD_VERSION",
    "LLVM_ADD_VERSION",
    "BINARYEN_PASS_DEBUG",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PYENV_VERSION",
    "PYTHONHASHSEED",
    "PYTHONHOME",
    "PYTHONOPTIMIZE",
    "PYTHONPATH",
    "PYTHONSAFEPATH",
    "PYTHONUTF8",
];

/// Variables that make emcc write files nobody named, that it sets for itself when it calls itself,
/// or that change it beyond what is followed: with one of them set (and not `0`), the call runs plain.
pub const EMSCRIPTEN_REFUSED: &[&str] = &[
    "EMCC_AUTODEBUG",
    "EMCC_DEBUG",
    "EMCC_DEBUG_SAVE",
    "EMCC_LOCAL_PORTS",
    "EMCC_SAVE_OPT_TEMP",
    "EMCC_STDERR_FILE",
    "EMCC_VERBOSE",
    "EMMAKEN_CFLAGS",
    "EMMAKEN_COMPILER",
    "EMMAKEN_JUST_CONFIGURE",
    "EMMAKEN_NO_SDK",
    "EMPROFILE",
    "EM_EXCLUSIVE_CACHE_ACCESS",
    "EM_HAVE_TEMP_DIR_LOCK",
];

/// All variables that may decide what becomes of a command, but for those that a tool turns
/// out to read. Requests are remembered by them, and the journal shows them.
pub fn names_that_matter() -> HashSet<&'static [u8]> {
    let lists = [
        RESULT_VARIABLES,
        TOOLCHAIN_VARIABLES,
        REFUSED_VARIABLES,
        TEXT_VARIABLES,
        RUST_VARIABLES,
        LINK_VARIABLES,
        LINK_REFUSED,
        RUSTFMT_VARIABLES,
        EMSCRIPTEN_VARIABLES,
        // Settings of compiles: a hit under one value says nothing of a call under another.
        &[
            "PWD",
            "ZCCACHE_RECACHE",
            "ZCCACHE_READONLY",
            "ZCCACHE_STRICT_PATHS",
            "ZCCACHE_DISABLE",
            "ZCCACHE_PATH_REMAP",
            "ZCCACHE_WORKTREE_ROOT",
        ],
    ];
    lists.iter().flat_map(|list| list.iter().map(|name| name.as_bytes())).collect()
}

/// Names the situation that a compiler's messages are made for. What they look like depends on the
/// terminal (None: not one) and a few variables; 0 stands for the plain situation.
pub fn text_context(
    terminal: Option<Terminal>,
    colour_is_automatic: bool,
    env: Environment<'_>,
) -> u64 {
    if terminal.is_none() && colour_is_automatic && !env.is_set(b"CLICOLOR_FORCE") {
        return 0;
    }
    situation(&format!("{terminal:?}"), env)
}

/// The same for a tool that minds both its streams: the order of what it says is up to where they go,
/// too.
pub fn streams_context(stderr: Option<Terminal>, stdout: StdoutIs, env: Environment<'_>) -> u64 {
    if stderr.is_none() && stdout == StdoutIs::Apart {
        return 0;
    }
    situation(&format!("{stderr:?} {stdout:?}"), env)
}

fn situation(streams: &str, env: Environment<'_>) -> u64 {
    let mut text = streams.as_bytes().to_vec();
    for name in TEXT_VARIABLES {
        text.extend_from_slice(env.get(name.as_bytes()).unwrap_or(b"\0"));
        text.push(0);
    }
    // 0 stands for the plain situation.
    xxhash_rust::xxh3::xxh3_64(&text).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_whole_names() {
        let env = Environment::new(b"AB=1\0A=2\0A=3\0EMPTY=\0junk\0");
        assert_eq!(env.get(b"A"), Some(&b"2"[..]));
        assert_eq!(env.get(b"AB"), Some(&b"1"[..]));
        assert_eq!(env.get(b"B"), None);
        assert!(!env.is_set(b"EMPTY") && env.get(b"EMPTY").is_some());
        assert_eq!(env.iter().count(), 4);
    }
}

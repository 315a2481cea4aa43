//! The table of all settings: their names, values, defaults and meanings.

use crate::terms::priority::Priority;
use crate::tools::gcc::strict_paths::StrictPaths;

/// One setting.
#[derive(Debug, PartialEq)]
pub struct Setting {
    /// The variable's name.
    pub variable: &'static str,
    pub reach: Reach,
    /// What is understood, in words.
    pub allowed: &'static str,
    /// What holds when it is not set, in words.
    pub default: &'static str,
    pub meaning: &'static str,
}

/// Where a setting may stand, and who acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Says where things are, before any file is read: a variable only.
    Place,
    /// Belongs to one command or build: a variable only.
    Call,
    /// The daemon's own.
    Daemon,
    /// One compile's; the daemon adds what the file says to what the caller's environment says.
    Compile,
}

impl Setting {
    /// Its name in the file; None for one that can't stand there.
    pub fn key(&self) -> Option<String> {
        let in_file = matches!(self.reach, Reach::Daemon | Reach::Compile);
        in_file.then(|| self.variable.trim_start_matches("ZCCACHE_").to_ascii_lowercase())
    }
}

/// The setting of this variable.
pub fn find(variable: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.variable == variable)
}

pub const LINK_MODES: &str = "auto, reflink, hardlink or copy";
const SWITCH: &str = "1 or 0";

pub static SETTINGS: &[Setting] = &[
    Setting {
        variable: "ZCCACHE_CACHE_DIR",
        reach: Reach::Place,
        allowed: "a folder",
        default: "~/.zccache",
        meaning: "the cache root; separate roots have separate daemons",
    },
    Setting {
        variable: "ZCCACHE_ENDPOINT",
        reach: Reach::Place,
        allowed: "a socket's name",
        default: "daemon.sock in the root",
        meaning: "another socket",
    },
    Setting {
        variable: "ZCCACHE_DOWNLOAD_ENDPOINT",
        reach: Reach::Place,
        allowed: "a socket's name",
        default: "download.sock in the root",
        meaning: "another socket for the daemon that downloads",
    },
    Setting {
        variable: "ZCCACHE_SESSION_ID",
        reach: Reach::Call,
        allowed: "a UUID",
        default: "none",
        meaning: "the session that compiles belong to",
    },
    Setting {
        variable: "ZCCACHE_CACHE_SIZE",
        reach: Reach::Daemon,
        allowed: "a number of bytes above 0, or one with K, M, G or T (20G, 500M, 1GiB)",
        default: "a tenth of the disk, 5 to 40 GiB",
        meaning: "how large the store may grow",
    },
    Setting {
        variable: "ZCCACHE_IDLE_TIMEOUT",
        reach: Reach::Daemon,
        allowed: "a number of seconds",
        default: "3600",
        meaning: "seconds after which an idle daemon leaves",
    },
    Setting {
        variable: "ZCCACHE_LOG",
        reach: Reach::Daemon,
        allowed: "off, error, warn, info, debug or trace",
        default: "info",
        meaning: "how much the daemon writes to logs/daemon.log",
    },
    Setting {
        variable: "ZCCACHE_DISABLE",
        reach: Reach::Compile,
        allowed: SWITCH,
        default: "0",
        meaning: "run the compiler, touch nothing else",
    },
    Setting {
        variable: "ZCCACHE_NO_SPAWN",
        reach: Reach::Compile,
        allowed: SWITCH,
        default: "0",
        meaning: "never start a daemon",
    },
    Setting {
        variable: "ZCCACHE_RECACHE",
        reach: Reach::Compile,
        allowed: SWITCH,
        default: "0",
        meaning: "compile again and store the result",
    },
    Setting {
        variable: "ZCCACHE_READONLY",
        reach: Reach::Compile,
        allowed: SWITCH,
        default: "0",
        meaning: "use what is stored, store nothing",
    },
    Setting {
        variable: "ZCCACHE_LINK_MODE",
        reach: Reach::Compile,
        allowed: LINK_MODES,
        default: "auto",
        meaning: "how files of the store are shared with a build tree",
    },
    Setting {
        variable: "ZCCACHE_STRICT_PATHS",
        reach: Reach::Compile,
        allowed: StrictPaths::ALLOWED,
        default: "off",
        meaning: "refuse commands whose include paths are spelled otherwise",
    },
    Setting {
        variable: "ZCCACHE_PATH_REMAP",
        reach: Reach::Compile,
        allowed: "off or auto",
        default: "off",
        meaning: "auto: all checkouts of a repository share their results",
    },
    Setting {
        variable: "ZCCACHE_WORKTREE_ROOT",
        reach: Reach::Call,
        allowed: "an absolute path",
        default: "the folder of .git",
        meaning: "the checkout's root, for PATH_REMAP",
    },
    Setting {
        variable: "ZCCACHE_COMPILE_PRIORITY",
        reach: Reach::Compile,
        allowed: Priority::ALLOWED,
        default: "auto",
        meaning: "the priority that compilers run at",
    },
    Setting {
        variable: "ZCCACHE_EXTRA_INPUTS",
        reach: Reach::Compile,
        allowed: "FILE:FILE...",
        default: "none",
        meaning: "every rustc result depends on these files, or on their absence",
    },
    Setting {
        variable: "ZCCACHE_EXCLUDE_CRATES",
        reach: Reach::Compile,
        allowed: "NAME,NAME...",
        default: "none",
        meaning: "these crates are compiled plainly",
    },
];

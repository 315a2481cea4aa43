//! Why a call was not served from the cache: a closed list, documented in README.md.

use serde::{Deserialize, Serialize};

/// Why a command runs plain, misses, or is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    // The command is not one we cache.
    /// Nothing is compiled (`--version`, `-print-…`, no source).
    NotACompile,
    /// `-E`, `-M`, `-MM`, `-fsyntax-only`: only text for the caller.
    PreprocessOnly,
    /// The command links.
    Link,
    /// An argument nobody has classified.
    UnknownArgument,
    /// An argument that is known and whose effects can't be cached.
    UncacheableArgument,
    /// The source comes from standard input.
    SourceOnStdin,
    /// The output is `-`, or several sources share one output.
    UnusualOutput,
    /// A source whose language is not understood.
    UnknownLanguage,
    /// A response file could not be read or nests too deep.
    ResponseFile,
    /// An environment variable asks for side effects (`DEPENDENCIES_OUTPUT`, …).
    Environment,
    /// The tool is not there, can't be executed, or did not answer our questions.
    UnknownCompiler,
    /// Language modules.
    Modules,
    /// `-C incremental`: the compiler keeps a cache of its own.
    Incremental,
    /// The crate is named in `ZCCACHE_EXCLUDE_CRATES`.
    Excluded,
    /// `ZCCACHE_STRICT_PATHS` forbids the command: nothing was run.
    StrictPaths,

    // The cache can't be used right now.
    /// The client sees other files than the daemon (container, chroot).
    ForeignNamespace,
    /// The variable `ZCCACHE_DISABLE` is set.
    Disabled,
    /// A fault inside the cache.
    InternalFault,

    // A compile that could be cached and was not found.
    /// Nothing is known of this command.
    NewAction,
    /// The command is known; an input has other content, or something absent appeared.
    InputChanged,
    /// The stored result was damaged or evicted.
    ResultGone,
    /// `ZCCACHE_RECACHE` is set.
    Recache,

    // A compile whose result was not stored.
    /// The compiler failed.
    CompilerFailed,
    /// An input changed while the compiler ran, or may have.
    ChangedDuringCompile,
    /// `__TIME__`, or `__DATE__` near midnight.
    TimeMacro,
    /// An include, or `__has_include`, whose name can't be known from the text.
    ComputedInclude,
    /// The assembler reads files that can't be known.
    AssemblerInput,
    /// An expected output was not there, or could not be taken in.
    OutputMissing,
    /// Several sources in one run wrote messages that can't be told apart.
    MixedDiagnostics,
    /// The dependency output could not be read.
    DependencyOutput,
    /// `ZCCACHE_READONLY` is set.
    ReadOnly,
}

//! Why a call was not served from the cache: a closed list, documented in README.md.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a command runs plain, misses, or is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    // The command is not one we cache.
    /// Nothing is compiled (`--version`, `-print-…`, no source).
    NotACompile,
    /// `-E`, `-M`, `-MM`, `-fsyntax-only`: only text for the caller.
    PreprocessOnly,
    /// A link by a linker that is not known, or does not tell what it reads.
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
    /// Nothing is known of this source, nor of this output.
    NewAction,
    /// The source or the output is known, under other arguments, folders or names.
    CommandChanged,
    /// The command is known, with other values of variables.
    VariableChanged,
    /// The command is known, with another compiler, or another state of it.
    ToolChanged,
    /// The command is known; an input has other content.
    InputChanged,
    /// The command is known; a path that was looked for in vain is there now.
    InputAppeared,
    /// The command is known; an input, or a path that was found, is not there any more.
    InputGone,
    /// The same state is known; its messages were made for another kind of terminal.
    MessageStyle,
    /// The same state is known; its result held for its date only.
    DateChanged,
    /// The same state is known; its result holds the mtime of an input, which has another one by now.
    InputTouched,
    /// The same state was stored, and removed to stay below the size limit.
    Evicted,
    /// The same state was stored, and the result is damaged or lost.
    ResultGone,
    /// `ZCCACHE_RECACHE` is set.
    Recache,
    /// The command is known from another checkout, where its inputs have other contents.
    ContentHashMismatch,
    /// The command is known from another checkout, with another compiler.
    ToolchainMismatch,

    // Why a result was not shared with other checkouts (`ZCCACHE_PATH_REMAP`), beside one of those above.
    /// No `.git` above the working folder, or `ZCCACHE_WORKTREE_ROOT` can't be used.
    GitRootUnavailable,
    /// The working folder lies outside `ZCCACHE_WORKTREE_ROOT`.
    PathOutsideRoot,
    /// An argument, a variable or the result itself names the checkout's folder.
    PathSensitiveArg,
    /// A language, or a compiler too old, whose paths can't be mapped.
    UnsupportedLanguage,

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
    /// The tool made files under names that nobody gave.
    SideFiles,
    /// The file that the tool changes was changed by someone else just then, or may have been.
    ChangedBefore,
    /// Several sources in one run wrote messages that can't be told apart.
    MixedDiagnostics,
    /// The dependency output could not be read.
    DependencyOutput,
    /// `ZCCACHE_READONLY` is set.
    ReadOnly,
    /// The wrapper ended without a report: it was killed, or there was too much text to keep.
    Unreported,

    // The bare compiler ran after all.
    /// The client left before it was answered.
    Unanswered,
    /// No daemon could be reached or started, or it did not answer in time.
    NoDaemon,
    /// The running daemon is of a newer build.
    DaemonNewer,
    /// A hit's files could not be put in place, or a run could not be started as planned.
    NotDelivered,
}

/// As it is written everywhere: `new_action`.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        f.pad(&name)
    }
}

/// What a reason tells about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The command ran as it was.
    Refused,
    /// It was looked up in vain.
    Missed,
    /// It ran, and its result was not kept.
    NotStored,
    /// The cache could not help with this call.
    FellBack,
}

impl Reason {
    pub fn stage(self) -> Stage {
        use Reason::*;
        match self {
            NotACompile | PreprocessOnly | Link | UnknownArgument | UncacheableArgument
            | SourceOnStdin | UnusualOutput | UnknownLanguage | ResponseFile | Environment
            | UnknownCompiler | Modules | Incremental | Excluded | StrictPaths => Stage::Refused,
            NewAction | CommandChanged | VariableChanged | ToolChanged | InputChanged
            | InputAppeared | InputGone | MessageStyle | DateChanged | InputTouched | Evicted
            | ResultGone | Recache | ContentHashMismatch | ToolchainMismatch
            | GitRootUnavailable | PathOutsideRoot | PathSensitiveArg | UnsupportedLanguage => {
                Stage::Missed
            }
            CompilerFailed | ChangedDuringCompile | TimeMacro | ComputedInclude
            | AssemblerInput | OutputMissing | SideFiles | ChangedBefore | MixedDiagnostics
            | DependencyOutput | ReadOnly | Unreported => Stage::NotStored,
            ForeignNamespace | Disabled | InternalFault | Unanswered | NoDaemon | DaemonNewer
            | NotDelivered => Stage::FellBack,
        }
    }

    /// In words: what is so, and where something can be done, what.
    pub fn words(self) -> &'static str {
        use Reason::*;
        match self {
            NotACompile => "nothing is compiled",
            PreprocessOnly => "only preprocessed or checked, which is not cached",
            Link => "a link by a linker that is not known, or does not tell what it reads",
            UnknownArgument => "an argument that nobody has classified: please report it",
            UncacheableArgument => "an argument whose effects can't be cached",
            SourceOnStdin => "the source comes from standard input",
            UnusualOutput => "the output is standard output, or shared by several sources",
            UnknownLanguage => "a source in a language that is not understood",
            ResponseFile => "a response file that can't be read",
            Environment => "a variable that asks the compiler for side effects",
            UnknownCompiler => "the compiler is not there, or did not answer as one",
            Modules => "language modules, which are not cached",
            Incremental => "an incremental compile: CARGO_INCREMENTAL=0 makes it cacheable",
            Excluded => "the crate is named in ZCCACHE_EXCLUDE_CRATES",
            StrictPaths => "ZCCACHE_STRICT_PATHS forbids the command: nothing was run",
            ForeignNamespace => "the client sees other files than the daemon (container, chroot)",
            Disabled => "ZCCACHE_DISABLE is set",
            InternalFault => "a fault inside the cache: see `zccache crashes`",
            NewAction => "compiled for the first time",
            CommandChanged => "the command is another one",
            VariableChanged => "a variable has another value",
            ToolChanged => "the compiler is another one",
            InputChanged => "an input has other content",
            InputAppeared => "a file appeared that would be found now",
            InputGone => "a file that was used is gone",
            MessageStyle => "its messages were made for another kind of terminal",
            DateChanged => "the result uses __DATE__, and holds for its date only",
            InputTouched => "the result holds a modification time, which is another one by now",
            Evicted => "removed to stay below the size limit: raise ZCCACHE_CACHE_SIZE",
            ResultGone => "the stored result was damaged or lost",
            Recache => "ZCCACHE_RECACHE is set",
            ContentHashMismatch => "an input differs from the one in the other checkout",
            ToolchainMismatch => "another checkout has it from another compiler",
            GitRootUnavailable => "not shared: no .git above, and no usable ZCCACHE_WORKTREE_ROOT",
            PathOutsideRoot => "not shared: the working folder is outside ZCCACHE_WORKTREE_ROOT",
            PathSensitiveArg => {
                "not shared: an argument, a variable or the result names the folder"
            }
            UnsupportedLanguage => "not shared: a language or compiler whose paths can't be mapped",
            CompilerFailed => "the compiler failed",
            ChangedDuringCompile => "an input changed while it was compiled",
            TimeMacro => "the text uses __TIME__ or the like: set SOURCE_DATE_EPOCH",
            ComputedInclude => "an #include whose name the text does not tell",
            AssemblerInput => "the assembler reads files that can't be known",
            OutputMissing => "an expected output was not there, or could not be taken in",
            SideFiles => "files were made besides, under names that nobody gave",
            ChangedBefore => "the file that was to be changed was not the one looked at",
            MixedDiagnostics => "messages of several sources that can't be told apart",
            DependencyOutput => "the dependency output could not be read",
            ReadOnly => "ZCCACHE_READONLY is set",
            Unreported => "the command was ended, or wrote too much to be kept",
            Unanswered => "the client left before it was answered",
            NoDaemon => "no daemon could be reached or started in time",
            DaemonNewer => "the running daemon is of a newer build: stop it, or update",
            NotDelivered => "a hit could not be put in place",
        }
    }
}

//! What a gcc- or clang-style command line says, as plain data.
//!
//! Filled by `tools::gcc` from argv alone: nothing here has looked at a file (response
//! files are read through a callback). The rest of the daemon works from this, and never
//! from argv again.

use crate::inputs::dialect::{Flavor, Language};
use crate::inputs::search::Search;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::Output;
use crate::tools::gcc::profile::ProfileUse;

/// The outcome of parsing.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    /// A compile whose result may be cached.
    Compile(Box<Command>),
    /// A link, perhaps with compiles before it.
    Link(Box<LinkLine>),
    /// To be run as it is; the reason names the argument where one is to blame.
    Plain(Reason, Option<Arg>),
}

/// What is made of each source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// `-c`: an object.
    Object,
    /// `-S`: assembly text (or LLVM IR).
    Assembly,
    /// A header was compiled: a precompiled header.
    Precompile,
}

/// One source named on the command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// As spelled by the user.
    pub path: Arg,
    pub language: Language,
    /// Where it stands in `Command::args`.
    pub position: usize,
}

/// What an argument of a driver that links is for; a value is for the same as its flag.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ArgPart {
    /// The compiles as well as the link.
    Both,
    /// The link alone: its files, its flags, `-o`.
    Link,
    /// `-x`: the sources behind it.
    Language,
    /// One source's compile. They stand in the order of `Command::sources`.
    Source,
}

/// Everything the command line of a driver that links says.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkLine {
    /// The arguments after the driver's name with response files expanded.
    pub args: Vec<Arg>,
    /// What each of them is for.
    pub parts: Vec<ArgPart>,
    /// What is said to the linker, as it would be said to it alone: files, folders, libraries,
    /// `-o`, and all that is passed through.
    pub words: Vec<Arg>,
    /// The arguments that choose programs, targets and folders.
    pub choosing: Vec<Arg>,
    /// The compiles before the link; None: there is nothing to compile.
    pub compiles: Option<Command>,
    /// Files that options name and the driver or the compiler reads.
    pub option_inputs: Vec<Arg>,
    /// Files are made whose names nobody gave, if objects turn out to hold what is compiled now.
    pub side_files: Option<Arg>,
    pub colour_is_automatic: bool,
}

/// Which dependency file the user asked for (`-MD`, `-MMD`, `-Wp,-MD,FILE`, …).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserDeps {
    None,
    /// Lists system headers too, so it can serve as our own list.
    All,
    /// `-MMD`: leaves system headers out.
    UserHeaders,
}

/// Everything a compile's command line says.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    pub flavor: Flavor,
    pub mode: Mode,
    /// The arguments after the compiler's name with response files expanded: what a run is built from.
    pub args: Vec<Arg>,
    /// What each of them is for. Empty where the command also links.
    pub parts: Vec<ArgPart>,
    /// At least one; more than one only with `-c` or `-S` and no `-o`.
    pub sources: Vec<Source>,
    /// For each source its outputs, `Role::Main` first.
    pub outputs: Vec<Vec<Output>>,
    /// The arguments that decide the result, in order, spelled as given but with separate and glued
    /// values brought to one form. Without sources, output names and neutral flags.
    pub key_args: Vec<Arg>,
    /// The arguments the compiler's own queries (`-E -v`, `-###`) must see: those that choose
    /// programs, targets, search folders or default settings (`-m*`, `-B`, `-specs=`, `--sysroot`, `-std=`, …).
    pub query_args: Vec<Arg>,
    pub search: Search,
    /// Bodies of `-D NAME=VALUE`, whole, as given (they may name headers or `__TIME__`).
    pub defines: Vec<Arg>,
    pub user_deps: UserDeps,
    /// Files that options name and the compiler reads, and that no dependency output lists
    /// (`-specs=`, plugins, sanitizer lists, profile data, …).
    pub option_inputs: Vec<Arg>,
    /// gcc's profile data is used, whose name follows from the object's.
    pub profile: Option<ProfileUse>,
    /// The result records the working folder (debug info, coverage, …).
    pub records_cwd: bool,
    /// The result records output names (depfile targets, split DWARF, coverage).
    pub records_output: bool,
    /// The result names folders where no prefix map reaches, or where they are needed as they
    /// are (coverage and profiles).
    pub records_paths: bool,
    /// The result records the command line itself: no argument may be added to a run.
    pub records_command: bool,
    /// A file beside the result records it, but for what asks for dependency files (`-MJ`).
    pub lists_command: bool,
    /// The assembler's argument that makes it list lines of sources.
    pub quotes_sources: Option<Arg>,
    /// The folders that `-Wa,-I` and `-Xassembler -I` name.
    pub assembler_folders: Vec<Arg>,
    /// The assembler runs as a program of its own and takes `-Wa,` flags.
    pub separate_assembler: bool,
    /// Diagnostics can depend on whether stderr is a terminal (no explicit colour choice).
    pub colour_is_automatic: bool,
}

impl Command {
    /// True where a flag makes clang look for includes as Microsoft's compiler does; a target may, too (see
    /// `Toolchain::searches_includers`).
    pub fn asks_for_microsoft_rules(&self) -> bool {
        self.key_args.iter().any(|arg| arg == b"-fms-compatibility")
    }
}

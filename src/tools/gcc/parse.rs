//! The walk over the arguments; `conclude` says what they come to.

mod conclude;

use super::debug::{self, Debug};
use super::language::{self, Ending};
use super::outputs;
use super::passed::{self, Inner, Preprocessor, Setting};
use super::profile::ProfileUse;
use super::switches;
use super::table::{self, Class, Flag, Takes};
use crate::inputs::dialect::{Flavor, Language};
use crate::inputs::search::{ForcedHeader, Search};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::Role;
use crate::tools::command::{ArgPart, Parsed, Source};

/// Why a call runs plain, and the argument to blame.
type Refusal = (Reason, Option<Arg>);

/// Reads `args`, in which nothing is left to expand.
pub fn command(flavor: Flavor, cxx_driver: bool, args: Vec<Arg>) -> Result<Parsed, Refusal> {
    let mut walk = Walk::new(flavor, cxx_driver);
    let mut position = 0;
    while let Some(arg) = args.get(position) {
        let next = args.get(position + 1);
        walk.part = ArgPart::Both;
        let used = walk.argument(position, arg, next);
        let count = 1 + usize::from(used == Used::Next);
        walk.parts.extend(std::iter::repeat_n(walk.part, count));
        position += count;
    }
    walk.finish(args)
}

/// Whether an argument took the next one as its value.
#[derive(Clone, Copy, PartialEq)]
enum Used {
    Alone,
    Next,
}

/// Everything said so far.
struct Walk {
    flavor: Flavor,
    cxx_driver: bool,
    /// `-E` and the like: they decide, wherever they stand.
    stop: Option<Refusal>,
    /// The first thing that can't be cached.
    refusal: Option<Refusal>,

    compile: bool,
    assemble: bool,
    emit_llvm: bool,
    emit_pch: Option<Arg>,
    output: Option<Arg>,
    language: Option<Language>,
    sources: Vec<Source>,
    /// The first file that is in no language we know: something to link.
    object: Option<Arg>,
    /// What the linker is told.
    words: Vec<Arg>,

    key: Vec<Arg>,
    query: Vec<Arg>,
    search: Search,
    /// `-Wp,-I…`: both compilers look there after every plain `-I`.
    late_angle: Vec<Arg>,
    defines: Vec<Arg>,
    option_inputs: Vec<Arg>,
    /// The first argument that has gcc use profile data, and where that lies.
    uses_profile: Option<Arg>,
    profile: ProfileUse,

    /// `-MD`, `-MMD`: whether system headers are listed. `-MMD` wins in any order.
    deps: Option<bool>,
    /// `-Wp,-MD,FILE`, `-Wp,-MMD,FILE`, with the argument itself.
    passed_deps: Option<(bool, Arg, Arg)>,
    deps_file: Option<Arg>,
    deps_target: bool,
    /// A flag that is an error, or unused, where no dependency file is asked for.
    deps_detail: Option<Arg>,

    explicit: Vec<(Role, Arg)>,
    derived: Vec<Role>,
    /// The arguments of `-Xassembler`, which only together make sense.
    assembler_args: Vec<Arg>,
    /// An `-Xclang` that waits for the value in the next `-Xclang`.
    inner: Option<Inner>,

    /// The assembler's argument that makes it list lines of sources.
    quotes_sources: Option<Arg>,
    /// The assembler's folders, each with the argument that names it.
    assembler_folders: Vec<(Arg, Arg)>,

    debug: bool,
    split: Option<Arg>,
    records_cwd: bool,
    records_output: bool,
    records_paths: bool,
    records_command: bool,
    integrated_assembler: bool,
    colour_is_automatic: bool,
    /// What the argument at hand is for, and what each before it was.
    part: ArgPart,
    parts: Vec<ArgPart>,
}

impl Walk {
    fn new(flavor: Flavor, cxx_driver: bool) -> Walk {
        Walk {
            flavor,
            cxx_driver,
            stop: None,
            refusal: None,
            compile: false,
            assemble: false,
            emit_llvm: false,
            emit_pch: None,
            output: None,
            language: None,
            sources: Vec::new(),
            object: None,
            words: Vec::new(),
            key: Vec::new(),
            query: Vec::new(),
            search: Search::default(),
            late_angle: Vec::new(),
            defines: Vec::new(),
            option_inputs: Vec::new(),
            uses_profile: None,
            profile: ProfileUse::default(),
            deps: None,
            passed_deps: None,
            deps_file: None,
            deps_target: false,
            deps_detail: None,
            explicit: Vec::new(),
            derived: Vec::new(),
            assembler_args: Vec::new(),
            inner: None,
            quotes_sources: None,
            assembler_folders: Vec::new(),
            debug: false,
            split: None,
            records_cwd: false,
            records_output: false,
            records_paths: false,
            records_command: false,
            integrated_assembler: flavor == Flavor::Clang,
            colour_is_automatic: true,
            part: ArgPart::Both,
            parts: Vec::new(),
        }
    }

    fn refuse(&mut self, reason: Reason, arg: &[u8]) {
        self.refusal.get_or_insert_with(|| (reason, Some(arg.to_vec())));
    }

    fn argument(&mut self, position: usize, arg: &Arg, next: Option<&Arg>) -> Used {
        if arg.first() != Some(&b'-') || arg.len() == 1 {
            self.source(position, arg);
            return Used::Alone;
        }
        let Some(flag) = table::find(self.flavor, arg) else {
            self.family(arg);
            return Used::Alone;
        };
        let rest = &arg[flag.name.len()..];
        let (value, used): (&[u8], Used) = match flag.takes {
            Takes::Alone | Takes::Rest => (rest, Used::Alone),
            Takes::Equals if !rest.is_empty() => (&rest[1..], Used::Alone),
            Takes::Either if !rest.is_empty() => (rest, Used::Alone),
            Takes::Separate | Takes::Either | Takes::Equals => match next {
                Some(value) => (value, Used::Next),
                None => {
                    self.refuse(Reason::UncacheableArgument, arg);
                    return Used::Alone;
                }
            },
        };
        self.flag(flag, arg, value);
        used
    }

    fn source(&mut self, position: usize, path: &Arg) {
        let is_stdin = path == b"-"
            || path == b"/dev/stdin"
            || path.starts_with(b"/dev/fd/")
            || path.starts_with(b"/proc/self/fd/");
        let language = match self.language {
            Some(language) => Some(language),
            None => match language::by_ending(self.flavor, self.cxx_driver, path) {
                Ending::Is(language) => Some(language),
                Ending::Module => {
                    self.refuse(Reason::Modules, path);
                    None
                }
                Ending::Unknown => None,
            },
        };
        if is_stdin {
            self.refuse(Reason::SourceOnStdin, path);
        } else if path.is_empty() {
            self.refuse(Reason::UnknownLanguage, path);
        }
        match language {
            Some(language) => {
                self.part = ArgPart::Source;
                self.sources.push(Source { path: path.clone(), language, position });
            }
            None => {
                self.part = ArgPart::Link;
                self.object.get_or_insert_with(|| path.clone());
                self.words.push(path.clone());
            }
        }
    }

    /// Flags that have a rule instead of a row.
    fn family(&mut self, arg: &Arg) {
        let rest = &arg[2..];
        let known = match arg[1] {
            b'f' => {
                if switches::decides_for_machine(rest) {
                    self.query.push(arg.clone());
                }
                switches::is_known(rest)
            }
            b'g' => return self.debug(arg),
            b'O' => {
                rest.iter().all(u8::is_ascii_digit) || matches!(rest, b"s" | b"z" | b"g" | b"fast")
            }
            // `-WX,…` hands something on; every other is a warning.
            b'W' => rest.get(1) != Some(&b','),
            b'm' if !rest.is_empty() => {
                if rest.ends_with(b"=help") || rest.ends_with(b"=?") {
                    return self.refuse(Reason::UncacheableArgument, arg);
                }
                self.query.push(arg.clone());
                true
            }
            _ => false,
        };
        // gcc's compiler is told of it as well.
        if self.flavor == Flavor::Clang && arg.starts_with(b"-fuse-ld") {
            self.part = ArgPart::Link;
        }
        if known {
            self.key.push(arg.clone());
        } else {
            self.refuse(Reason::UnknownArgument, arg);
        }
    }

    fn debug(&mut self, arg: &Arg) {
        self.key.push(arg.clone());
        match debug::classify(self.flavor, arg) {
            Some(Debug::On) => self.debug = true,
            Some(Debug::Off) => self.debug = false,
            Some(Debug::Detail) => {}
            Some(Debug::Split) => {
                self.split = Some(arg.clone());
                self.query.push(arg.clone());
                self.records_cwd = true;
                self.records_output = true;
            }
            Some(Debug::SplitInside) => {
                self.split = None;
                self.records_cwd = true;
                self.records_output = true;
            }
            Some(Debug::NoSplit) => self.split = None,
            Some(Debug::RecordsCommand) => self.records_everything(),
            None => self.refuse(Reason::UnknownArgument, arg),
        }
    }

    fn records_everything(&mut self) {
        self.records_cwd = true;
        self.records_output = true;
        self.records_command = true;
    }

    /// Keeps what goes to the linker.
    fn for_linker(&mut self, flag: Flag, value: &[u8]) {
        match flag.name {
            "-Wl," => {
                self.words.extend(value.split(|byte| *byte == b',').map(<[u8]>::to_vec));
            }
            "-Xlinker" => self.words.push(value.to_vec()),
            "-L" | "-l" | "-T" | "-u" | "-h" | "-z" | "-e" | "-r" | "-s" | "-o" => {
                self.words.push([flag.name.as_bytes(), value].concat());
            }
            _ => {}
        }
    }

    fn flag(&mut self, flag: Flag, arg: &Arg, value: &[u8]) {
        let refused = Reason::UncacheableArgument;
        self.for_linker(flag, value);
        match flag.class {
            Class::Key => self.push_key(flag, value),
            Class::Linking => {
                self.part = ArgPart::Link;
                self.push_key(flag, value);
            }
            Class::Query => {
                self.push_key(flag, value);
                self.query.extend(one_form(flag, value));
            }
            Class::Quote | Class::Angle | Class::System | Class::After => {
                if value.is_empty() || passed::names_sysroot(value) {
                    return self.refuse(refused, arg);
                }
                self.push_key(flag, value);
                let folders = match flag.class {
                    Class::Quote => &mut self.search.quote,
                    Class::Angle => &mut self.search.angle,
                    Class::System => &mut self.search.system,
                    _ => &mut self.search.after,
                };
                folders.push(value.to_vec());
            }
            Class::Forced | Class::Define if value.is_empty() => self.refuse(refused, arg),
            Class::Forced => {
                self.push_key(flag, value);
                self.search.forced.push(ForcedHeader { name: value.to_vec(), or_compiled: true });
            }
            Class::Define => {
                self.push_key(flag, value);
                self.defines.push(value.to_vec());
            }
            Class::Output => {
                self.part = ArgPart::Link;
                self.output = Some(value.to_vec());
            }
            Class::Language if value == b"none" => {
                self.part = ArgPart::Language;
                self.language = None;
            }
            Class::Language => {
                self.part = ArgPart::Language;
                self.language = language::by_name(self.flavor, value);
                if self.language.is_none() {
                    self.refuse(Reason::UnknownLanguage, value);
                }
            }
            Class::Compile => self.compile = true,
            Class::Assemble => {
                self.assemble = true;
                self.push_key(flag, value);
            }
            Class::Deps { system_headers } => {
                self.deps = Some(system_headers && self.deps.unwrap_or(true));
                self.push_key(flag, value);
            }
            Class::DepsFile => {
                self.deps_file = Some(value.to_vec());
                self.deps_detail.get_or_insert_with(|| arg.clone());
            }
            Class::DepsTarget | Class::DepsPhony => {
                self.deps_target |= flag.class == Class::DepsTarget;
                self.deps_detail.get_or_insert_with(|| arg.clone());
                self.push_key(flag, value);
            }
            Class::Explicit(role) => self.explicit(flag, role, arg, value),
            Class::Derived(role) => {
                self.push_key(flag, value);
                self.derive(role);
                // Both name sources and headers, at times in full.
                let names_all = matches!(role, Role::TimeTrace | Role::OptimisationRecord);
                self.records_cwd |= names_all;
                self.records_paths |= names_all;
            }
            Class::Coverage | Class::Instrumented => {
                self.push_key(flag, value);
                self.records_cwd = true;
                self.records_output = true;
                self.records_paths = true;
                if flag.class == Class::Coverage {
                    self.derive(Role::CoverageNotes);
                }
            }
            Class::RecordsCwd => {
                self.push_key(flag, value);
                self.records_cwd = true;
            }
            Class::RecordsCommand => {
                self.push_key(flag, value);
                self.records_everything();
            }
            Class::ReadsFile if value.is_empty() => self.refuse(refused, arg),
            Class::ReadsFile => {
                self.push_key(flag, value);
                self.option_inputs.push(value.to_vec());
            }
            Class::ReadsProfile => {
                self.push_key(flag, value);
                let folder: &[u8] = if value.is_empty() { b"." } else { value };
                self.option_inputs.push([folder, b"/default.profdata"].concat());
                if !value.is_empty() {
                    self.option_inputs.push(value.to_vec());
                }
            }
            Class::UsesProfile | Class::ProfileFolder => {
                self.push_key(flag, value);
                if !value.is_empty() {
                    self.profile.folders.push(value.to_vec());
                }
                if flag.class == Class::UsesProfile {
                    self.uses_profile.get_or_insert_with(|| arg.clone());
                    // The name of the data is made of theirs.
                    self.records_cwd = true;
                    self.records_output = true;
                    self.records_paths = true;
                }
            }
            Class::Specs => {
                // A bare name is looked for in gcc's own folders. And what it holds may be `-g`.
                if !value.contains(&b'/') {
                    return self.refuse(refused, arg);
                }
                self.push_key(flag, value);
                self.query.extend(one_form(flag, value));
                self.option_inputs.push(value.to_vec());
                self.records_everything();
            }
            Class::EmitLlvm => {
                self.push_key(flag, value);
                self.emit_llvm = true;
            }
            Class::IntegratedAs(integrated) => {
                self.push_key(flag, value);
                self.query.extend(one_form(flag, value));
                self.integrated_assembler = integrated;
            }
            Class::Colour { automatic } => {
                self.push_key(flag, value);
                self.colour_is_automatic = automatic;
            }
            Class::ColourWhen => {
                self.push_key(flag, value);
                self.colour_is_automatic = value == b"auto";
            }
            Class::ToPreprocessor => self.for_preprocessor(flag, arg, value),
            Class::ToAssembler => {
                self.push_key(flag, value);
                let parts: Vec<&[u8]> = value.split(|&byte| byte == b',').collect();
                self.for_assembler(&parts, arg);
            }
            Class::XPreprocessor => {
                self.push_key(flag, value);
                match passed::preprocessor_setting(value) {
                    Some(setting) => self.setting(setting),
                    None => self.refuse(refused, value),
                }
            }
            Class::XAssembler => {
                self.push_key(flag, value);
                self.assembler_args.push(value.to_vec());
            }
            Class::XClang => {
                self.push_key(flag, value);
                self.for_inner(value);
            }
            Class::Llvm if passed::llvm(value) => self.push_key(flag, value),
            Class::Llvm => self.refuse(refused, arg),
            Class::BlockSections if !value.starts_with(b"list=") => self.push_key(flag, value),
            Class::MessageFormat if !value.ends_with(b"-file") && !value.contains(&b'=') => {
                self.push_key(flag, value);
            }
            Class::BlockSections | Class::MessageFormat => self.refuse(refused, arg),
            Class::Stop(reason) => {
                self.stop.get_or_insert_with(|| (reason, Some(arg.clone())));
            }
            Class::Refuse(reason) => self.refuse(reason, arg),
        }
    }

    fn push_key(&mut self, flag: Flag, value: &[u8]) {
        self.key.extend(one_form(flag, value));
    }

    fn derive(&mut self, role: Role) {
        if !self.derived.contains(&role) {
            self.derived.push(role);
        }
    }

    fn explicit(&mut self, flag: Flag, role: Role, arg: &Arg, value: &[u8]) {
        // Given twice, which one is written differs from flag to flag.
        let again = self.explicit.iter().any(|(other, _)| *other == role);
        if again || !outputs::is_ordinary(value) {
            return self.refuse(Reason::UncacheableArgument, arg);
        }
        // Debug information may hold the flag as it was given, so its value stays in the key.
        self.push_key(flag, value);
        self.explicit.push((role, value.to_vec()));
        self.records_cwd |= role == Role::OptimisationRecord;
        self.records_paths |= role == Role::OptimisationRecord;
        if role == Role::DatabaseEntry {
            self.records_cwd = true;
            self.records_output = true;
        }
    }

    fn for_preprocessor(&mut self, flag: Flag, arg: &Arg, value: &[u8]) {
        match passed::preprocessor(value) {
            Some(Preprocessor::Deps { system_headers, file }) => {
                if self.passed_deps.is_some() {
                    return self.refuse(Reason::UncacheableArgument, arg);
                }
                let style: &[u8] = if system_headers { b"-Wp,-MD" } else { b"-Wp,-MMD" };
                self.key.push(style.to_vec());
                self.passed_deps = Some((system_headers, file.to_vec(), arg.clone()));
            }
            Some(Preprocessor::Settings(settings)) => {
                self.push_key(flag, value);
                settings.into_iter().for_each(|setting| self.setting(setting));
            }
            None => self.refuse(Reason::UncacheableArgument, arg),
        }
    }

    fn setting(&mut self, setting: Setting<'_>) {
        match setting {
            Setting::Define(body) => self.defines.push(body.to_vec()),
            Setting::Angle(folder) => self.late_angle.push(folder.to_vec()),
            Setting::Other => {}
        }
    }

    fn for_assembler(&mut self, parts: &[&[u8]], arg: &[u8]) {
        let Some(seen) = passed::assembler(self.flavor, parts) else {
            return self.refuse(Reason::UncacheableArgument, arg);
        };
        self.records_cwd |= seen.debug || seen.quotes;
        if seen.quotes {
            self.quotes_sources.get_or_insert_with(|| arg.to_vec());
        }
        let folders = seen.folders.into_iter().map(|folder| (folder, arg.to_vec()));
        self.assembler_folders.extend(folders);
        for file in seen.listings {
            let again = self.explicit.iter().any(|(role, _)| *role == Role::Listing);
            if again || !outputs::is_ordinary(&file) {
                return self.refuse(Reason::UncacheableArgument, arg);
            }
            self.explicit.push((Role::Listing, file));
        }
    }

    fn for_inner(&mut self, value: &[u8]) {
        match self.inner.take() {
            Some(Inner::TakesForced) if !value.is_empty() => {
                let header = ForcedHeader { name: value.to_vec(), or_compiled: false };
                return self.search.forced.push(header);
            }
            Some(Inner::TakesSetting) if passed::is_name(value) => return,
            Some(Inner::TakesLlvm) if passed::llvm(value) => return,
            Some(_) => return self.refuse(Reason::UncacheableArgument, value),
            None => {}
        }
        match passed::inner(value) {
            Some(Inner::Setting) => {}
            Some(Inner::Debug) => self.records_cwd = true,
            Some(Inner::EmitPch) => self.emit_pch = Some(value.to_vec()),
            waiting @ Some(Inner::TakesSetting | Inner::TakesLlvm | Inner::TakesForced) => {
                self.inner = waiting
            }
            None => self.refuse(Reason::UncacheableArgument, value),
        }
    }
}

/// One spelling for each way of giving a value.
fn one_form(flag: Flag, value: &[u8]) -> Vec<Arg> {
    let name = flag.name.as_bytes();
    match flag.takes {
        Takes::Alone => vec![name.to_vec()],
        Takes::Rest => vec![[name, value].concat()],
        Takes::Equals => vec![[name, b"=", value].concat()],
        Takes::Either if name.len() == 2 && !value.is_empty() => vec![[name, value].concat()],
        Takes::Either | Takes::Separate => vec![name.to_vec(), value.to_vec()],
    }
}

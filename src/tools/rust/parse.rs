//! What rustc's options mean together, as plain data.

use super::args::{Opt, Refused, options};
use super::made::{CrateType, Emit};
use super::outputs::{Made, Naming, outputs};
use super::text;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::{Output, Role};

/// A folder to search, `-L [KIND=]PATH`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Folder {
    /// Empty for all kinds.
    pub(super) kind: Arg,
    pub(super) path: Arg,
}

impl Folder {
    pub(super) fn has_native(&self) -> bool {
        matches!(&self.kind[..], b"" | b"all" | b"native")
    }

    /// `extern crate` finds crates here that no `--extern` names.
    pub(super) fn has_crates(&self) -> bool {
        matches!(&self.kind[..], b"" | b"all" | b"crate")
    }

    pub(super) fn has_dependencies(&self) -> bool {
        self.has_crates() || self.kind == b"dependency"
    }
}

/// `--extern [OPTIONS:]NAME[=PATH]`
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Extern {
    /// Options and name.
    pub(super) name: Arg,
    pub(super) path: Option<Arg>,
}

impl Extern {
    /// It is for the crate of this name.
    pub(super) fn is(&self, name: &[u8]) -> bool {
        self.name.rsplit(|byte| *byte == b':').next() == Some(name)
    }
}

/// A library to link, `-l [KIND[:MODIFIERS]=]NAME[:RENAME]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Library {
    pub(super) name: Arg,
    /// The name is a whole file name.
    pub(super) verbatim: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    /// With `@FILE` as given: what a run is made of.
    pub(super) args: Vec<Arg>,
    pub(super) options: Vec<Opt>,
    pub(super) source: Arg,
    pub(super) crate_name: Arg,
    pub(super) crate_types: Vec<CrateType>,
    pub(super) out_dir: Option<Arg>,
    pub(super) outputs: Vec<Output>,
    pub(super) emits_dep_info: bool,
    /// What a linker makes.
    pub(super) linked: Option<Role>,
    /// Crates behind the crates named are read with their code (a linker runs, or an archive is
    /// made).
    pub(super) reads_all_crates: bool,
    pub(super) folders: Vec<Folder>,
    pub(super) externs: Vec<Extern>,
    pub(super) libraries: Vec<Library>,
    pub(super) target: Option<Arg>,
    /// `-C linker`
    pub(super) linker: Option<Arg>,
    pub(super) link_args: Vec<Arg>,
    /// Files that options name.
    pub(super) option_inputs: Vec<Arg>,
    /// The result may record where things were found.
    pub(super) records_places: bool,
    pub(super) native_cpu: bool,
    /// Messages are the same on any terminal.
    pub(super) plain_messages: bool,
}

/// `-C` options that choose what code is made and name no file.
const CODEGEN: &[&str] = &[
    "code-model",
    "codegen-units",
    "collapse-macro-debuginfo",
    "control-flow-guard",
    "debug-assertions",
    "debuginfo",
    "default-linker-libraries",
    "dwarf-version",
    "embed-bitcode",
    "extra-filename",
    "force-frame-pointers",
    "force-unwind-tables",
    "inline-threshold",
    "instrument-coverage",
    "jump-tables",
    "link-arg",
    "link-args",
    "link-dead-code",
    "link-self-contained",
    "linker",
    "linker-features",
    "linker-flavor",
    "linker-plugin-lto",
    "lto",
    "metadata",
    "no-prepopulate-passes",
    "no-redzone",
    "no-vectorize-loops",
    "no-vectorize-slp",
    "opt-level",
    "overflow-checks",
    "panic",
    "prefer-dynamic",
    "profile-generate",
    "profile-use",
    "relocation-model",
    "relro-level",
    "rpath",
    "soft-float",
    "split-debuginfo",
    "strip",
    "symbol-mangling-version",
    "target-cpu",
    "target-feature",
];

/// What `argv`, given without the compiler's name, means.
pub(super) fn parse(
    argv: &[Arg],
    read: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<Command, Refused> {
    let options = options(argv, read)?;
    let has = |names: &[&str]| options.iter().any(|opt| names.contains(&opt.name));
    if has(&["help", "version", "print", "explain"]) {
        return Err((Reason::NotACompile, None));
    }
    let mut reader = Reader::default();
    for opt in &options {
        reader.option(opt)?;
    }
    reader.conclude(argv.to_vec(), options, read)
}

#[derive(Default)]
struct Reader {
    sources: Vec<Arg>,
    crate_name: Option<Arg>,
    crate_types: Vec<CrateType>,
    test: bool,
    emit: Vec<(Emit, Option<Arg>)>,
    out_dir: Option<Arg>,
    output: Option<Arg>,
    extra: Arg,
    single_unit: bool,
    folders: Vec<Folder>,
    externs: Vec<Extern>,
    libraries: Vec<Library>,
    target: Option<Arg>,
    linker: Option<Arg>,
    link_args: Vec<Arg>,
    option_inputs: Vec<Arg>,
    records_places: bool,
    native_cpu: bool,
    plain_messages: bool,
}

fn cut(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == at) {
        Some(place) => (&text[..place], Some(&text[place + 1..])),
        None => (text, None),
    }
}

impl Reader {
    fn option(&mut self, opt: &Opt) -> Result<(), Refused> {
        let value = &opt.value;
        let refuse = |reason: Reason| {
            let shown = [b"--", opt.name.as_bytes(), b"=", value].concat();
            Err((reason, Some(shown)))
        };
        match opt.name {
            "" if value == b"-" => return Err((Reason::SourceOnStdin, None)),
            "" => self.sources.push(value.clone()),
            "crate-name" => self.crate_name = Some(value.clone()),
            "crate-type" => {
                for name in value.split(|byte| *byte == b',') {
                    let Some(kind) = CrateType::from_name(name) else {
                        return refuse(Reason::UnknownArgument);
                    };
                    if !self.crate_types.contains(&kind) {
                        self.crate_types.push(kind);
                    }
                }
            }
            "test" => self.test = true,
            "emit" => {
                for one in value.split(|byte| *byte == b',') {
                    let (name, path) = cut(one, b'=');
                    let Some(emit) = Emit::from_name(name) else {
                        return refuse(Reason::UnknownArgument);
                    };
                    // Standard output, and kinds given twice.
                    if path == Some(b"-") || self.emit.iter().any(|(known, _)| *known == emit) {
                        return refuse(Reason::UnusualOutput);
                    }
                    self.emit.push((emit, path.map(<[u8]>::to_vec)));
                }
            }
            "out-dir" => self.out_dir = Some(value.clone()),
            "output" if value == b"-" => return refuse(Reason::UnusualOutput),
            "output" => self.output = Some(value.clone()),
            "search" => self.folders.push(folder(value)),
            "library" => match libraries(value) {
                none if none.is_empty() => return refuse(Reason::UncacheableArgument),
                some => self.libraries.extend(some),
            },
            "extern" => {
                let (name, path) = cut(value, b'=');
                self.externs.push(Extern { name: name.to_vec(), path: path.map(<[u8]>::to_vec) });
            }
            "target" => {
                if value.ends_with(b".json") {
                    self.option_inputs.push(value.clone());
                }
                self.target = Some(value.clone());
            }
            "codegen" => return self.codegen(opt),
            "sysroot" | "unstable" => return refuse(Reason::UncacheableArgument),
            "error-format" => self.plain_messages |= value == b"json",
            "color" => self.plain_messages |= value != b"auto",
            _ => {}
        }
        Ok(())
    }

    fn codegen(&mut self, opt: &Opt) -> Result<(), Refused> {
        let (name, value) = cut(&opt.value, b'=');
        let refuse = |reason: Reason| Err((reason, Some([b"-C", &opt.value[..]].concat())));
        let name: Vec<u8> =
            name.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect();
        let given = value.unwrap_or_default().to_vec();
        match &name[..] {
            b"incremental" => return refuse(Reason::Incremental),
            // These write files of their own, or to the terminal.
            b"save-temps" | b"remark" | b"llvm-args" | b"passes" | b"dlltool" | b"ar" => {
                return refuse(Reason::UncacheableArgument);
            }
            b"split-debuginfo" if given != b"off" => return refuse(Reason::UncacheableArgument),
            // Its value may name a plugin.
            b"linker-plugin-lto" if given.contains(&b'/') => {
                return refuse(Reason::UncacheableArgument);
            }
            b"codegen-units" => self.single_unit = given == b"1",
            b"extra-filename" => self.extra = given,
            b"linker" => self.linker = Some(given),
            b"link-arg" => self.link_args.push(given),
            b"link-args" => {
                let words = given.split(|byte| byte.is_ascii_whitespace());
                self.link_args.extend(words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec));
            }
            b"profile-use" => self.option_inputs.push(given),
            b"rpath" => self.records_places = true,
            b"target-cpu" => self.native_cpu |= given == b"native",
            other if CODEGEN.iter().any(|known| known.as_bytes() == other) => {}
            _ => return refuse(Reason::UnknownArgument),
        }
        Ok(())
    }

    fn conclude(
        mut self,
        args: Vec<Arg>,
        options: Vec<Opt>,
        read: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Command, Refused> {
        let source = match &self.sources[..] {
            [] => return Err((Reason::NotACompile, None)),
            [source] => source.clone(),
            [_, second, ..] => return Err((Reason::UnusualOutput, Some(second.clone()))),
        };
        if self.test {
            self.crate_types = vec![CrateType::Bin];
        }
        let given = self.crate_name.take();
        if given.is_none() || self.crate_types.is_empty() {
            // The source's own attributes decide, if it has some.
            let text = read(&source).ok_or((Reason::UnusualOutput, None))?;
            if text::names_crate(&text) {
                return Err((Reason::UnusualOutput, None));
            }
            if self.crate_types.is_empty() {
                self.crate_types.push(CrateType::Bin);
            }
        }
        let named = given.or_else(|| name_of_source(&source));
        let crate_name = named.ok_or((Reason::UnusualOutput, None))?;
        if self.emit.is_empty() {
            self.emit.push((Emit::Link, None));
        }
        if !self.single_unit && self.emit.iter().any(|(emit, _)| emit.is_per_unit()) {
            return Err((Reason::UnusualOutput, None));
        }
        let naming = Naming {
            crate_name: &crate_name,
            extra: &self.extra,
            out_dir: self.out_dir.as_deref().filter(|_| self.output.is_none()),
            output: self.output.as_deref(),
            crate_types: &self.crate_types,
            emit: &self.emit,
        };
        let Made { outputs, linked } = outputs(&naming).ok_or((Reason::UnusualOutput, None))?;
        let emits = |kind: Emit| self.emit.iter().any(|(emit, _)| *emit == kind);
        let is_foreign = |target: &Arg| !target.windows(6).any(|part| part == b"-linux");
        if self.target.as_ref().is_some_and(is_foreign) && !linked.is_empty() {
            return Err((Reason::Link, self.target));
        }
        // The linker's list would be that of the last of them.
        let linked = match linked[..] {
            [] => None,
            [role] => Some(role),
            [_, _, ..] => return Err((Reason::Link, None)),
        };
        let archives = emits(Emit::Link) && self.crate_types.contains(&CrateType::Staticlib);
        Ok(Command {
            args,
            options,
            source,
            crate_name,
            crate_types: self.crate_types,
            out_dir: self.out_dir,
            outputs,
            emits_dep_info: self.emit.iter().any(|(emit, _)| *emit == Emit::DepInfo),
            linked,
            reads_all_crates: linked.is_some() || archives,
            folders: self.folders,
            externs: self.externs,
            libraries: self.libraries,
            target: self.target,
            linker: self.linker,
            link_args: self.link_args,
            option_inputs: self.option_inputs,
            records_places: self.records_places,
            native_cpu: self.native_cpu,
            plain_messages: self.plain_messages,
        })
    }
}

/// What a crate is called by its source's name. None where rustc would complain about it, and for one with a dash,
/// which stays in the names of some outputs and not of others.
fn name_of_source(source: &[u8]) -> Option<Arg> {
    let file = source.rsplit(|byte| *byte == b'/').next()?;
    let end = file.iter().rposition(|byte| *byte == b'.').unwrap_or(file.len());
    let name = &file[..end];
    let is_plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    (is_plain && name.first().is_some_and(|first| !first.is_ascii_digit())).then(|| name.to_vec())
}

fn folder(value: &[u8]) -> Folder {
    const KINDS: &[&[u8]] = &[b"all", b"crate", b"dependency", b"framework", b"native"];
    match cut(value, b'=') {
        (kind, Some(path)) if KINDS.contains(&kind) => {
            Folder { kind: kind.to_vec(), path: path.to_vec() }
        }
        _ => Folder { kind: Vec::new(), path: value.to_vec() },
    }
}

/// Under its own name and, where it is to be another one, that. Empty for what can't be followed.
fn libraries(value: &[u8]) -> Vec<Library> {
    let (kind, name) = match cut(value, b'=') {
        (kind, Some(name)) => (kind, name),
        (name, None) => (&b""[..], name),
    };
    let verbatim = kind.windows(9).any(|part| part == b"+verbatim");
    let (name, renamed) = cut(name, b':');
    let names = [Some(name), renamed].into_iter().flatten().filter(|name| !name.is_empty());
    names.map(|name| Library { name: name.to_vec(), verbatim }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Command, Refused> {
        let argv: Vec<Arg> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        parse(&argv, &mut |_| None)
    }

    fn reason(words: &str) -> Reason {
        read(words).unwrap_err().0
    }

    fn names(words: &str) -> Vec<String> {
        let outputs = read(words).unwrap().outputs;
        outputs.iter().map(|output| String::from_utf8_lossy(&output.path).into_owned()).collect()
    }

    #[test]
    fn outputs_are_named() {
        let cargo = "--crate-name a src/lib.rs --crate-type lib --emit=dep-info,metadata,link -C extra-filename=-1 --out-dir /t";
        assert_eq!(names(cargo), ["/t/a-1.d", "/t/liba-1.rmeta", "/t/liba-1.rlib"]);
        assert_eq!(names("--crate-name a a.rs --crate-type bin --out-dir t"), ["t/a"]);
        assert_eq!(names("--crate-name a a.rs --test -C extra-filename=-1"), ["a-1"]);
        assert_eq!(names("--crate-name a a.rs --crate-type lib -o x"), ["x"]);
        let both = "--crate-name a a.rs --crate-type cdylib --crate-type staticlib,rlib";
        assert_eq!(names(both), ["liba.so", "liba.a", "liba.rlib"]);
        let named = "--crate-name a a.rs --crate-type lib --emit=link=x.rlib,dep-info=x.d";
        assert_eq!(names(named), ["x.rlib", "x.d"]);
        let asm = "--crate-name a a.rs --crate-type lib --emit asm -C codegen-units=1";
        assert_eq!(names(asm), ["a.s"]);
    }

    #[test]
    fn not_everything_is_followed() {
        assert_eq!(reason("-vV"), Reason::NotACompile);
        assert_eq!(reason("- --crate-name x --print=cfg"), Reason::NotACompile);
        assert_eq!(reason("- --crate-name x --crate-type lib"), Reason::SourceOnStdin);
        let base = "--crate-name a a.rs --crate-type lib";
        assert_eq!(reason(&format!("{base} -C incremental=x")), Reason::Incremental);
        assert_eq!(reason(&format!("{base} -C nope")), Reason::UnknownArgument);
        assert_eq!(reason(&format!("{base} -Z x")), Reason::UncacheableArgument);
        assert_eq!(reason(&format!("{base} -C save-temps")), Reason::UncacheableArgument);
        assert_eq!(reason(&format!("{base} --emit obj")), Reason::UnusualOutput);
        assert_eq!(reason(&format!("{base} b.rs")), Reason::UnusualOutput);
        assert_eq!(reason("a.rs"), Reason::UnusualOutput, "not to be read");
    }

    #[test]
    fn a_source_may_name_its_crate() {
        let read = |words: &str, text: &str| {
            let argv: Vec<Arg> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            let outputs = parse(&argv, &mut |_| Some(text.as_bytes().to_vec()))?.outputs;
            Ok::<_, Refused>(String::from_utf8_lossy(&outputs[0].path).into_owned())
        };
        assert_eq!(read("src/my_tool.rs", "").unwrap(), "my_tool");
        assert_eq!(read("a.rs -o x", "").unwrap(), "x");
        assert_eq!(read("a.rs --crate-type lib", "").unwrap(), "liba.rlib");
        assert_eq!(read("a.rs --crate-name b", "").unwrap(), "b");
        for bad in [read("a.rs", "#![crate_type = \"lib\"]"), read("1.rs", ""), read("a-b.rs", "")]
        {
            assert_eq!(bad.unwrap_err().0, Reason::UnusualOutput);
        }
    }

    #[test]
    fn folders_and_libraries() {
        let command = read("--crate-name a a.rs --crate-type lib -L native=n -Ldependency=d -L x -l static:+whole-archive=z:y --extern priv:q=p.rmeta").unwrap();
        assert!(command.folders[0].has_native() && !command.folders[0].has_crates());
        assert!(!command.folders[1].has_native() && command.folders[1].has_dependencies());
        assert!(command.folders[2].has_native() && command.folders[2].has_crates());
        let library = |name: &[u8]| Library { name: name.to_vec(), verbatim: false };
        assert_eq!(command.libraries, [library(b"z"), library(b"y")]);
        assert_eq!(command.externs[0].path.as_deref(), Some(&b"p.rmeta"[..]));
        assert!(command.linked.is_none());
    }
}

//! The flags, each spelled once: how it takes its value, what it does, and who knows it.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::inputs::dialect::Flavor;
use crate::session::reason::Reason;
use crate::terms::output::Role;

/// How a flag takes its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Takes {
    /// No value.
    Alone,
    /// The next argument.
    Separate,
    /// The rest of this argument or, where nothing is left of it, the next one.
    Either,
    /// The rest of this argument, which may be empty: names that end in `=` or `,`.
    Rest,
    /// `NAME=VALUE` or `NAME VALUE`.
    Equals,
}

/// What a flag does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Class {
    /// Decides the result or the messages, and nothing else.
    Key,
    /// `Key`, and the compiler's own queries must see it.
    Query,
    Quote,
    Angle,
    System,
    After,
    /// A file included before the source.
    Forced,
    Define,
    Output,
    Language,
    Compile,
    Assemble,
    /// `-MD`, `-MMD`
    Deps {
        system_headers: bool,
    },
    DepsFile,
    DepsTarget,
    DepsPhony,
    /// Another output under a name of its own choice.
    Explicit(Role),
    /// Another output whose name follows from the object's.
    Derived(Role),
    /// `Derived(CoverageNotes)`, with the recording of `Instrumented`.
    Coverage,
    /// Records folder and output names for a later run of the program.
    Instrumented,
    /// Records the folder.
    RecordsCwd,
    /// Records the whole command line.
    RecordsCommand,
    /// Its value is a file the compiler reads.
    ReadsFile,
    /// clang's profile data: its value is the file, or a folder that holds `default.profdata`.
    ReadsProfile,
    /// gcc's profile data: see `profile`.
    UsesProfile,
    /// `-fprofile-dir=`: where profile data is written and read.
    ProfileFolder,
    /// gcc's `-specs=`: a file that may change anything.
    Specs,
    EmitLlvm,
    IntegratedAs(bool),
    Colour {
        automatic: bool,
    },
    /// `-fdiagnostics-color=WHEN`
    ColourWhen,
    /// `-Wp,…`
    ToPreprocessor,
    /// `-Wa,…`
    ToAssembler,
    /// `-Xpreprocessor`, `-Xassembler`, `-Xclang`
    XPreprocessor,
    XAssembler,
    XClang,
    /// `-mllvm`
    Llvm,
    /// For the link alone: does nothing beside `-c`, but clang warns of each by name.
    Linking,
    /// `-fbasic-block-sections=`: reads a file after `list=`.
    BlockSections,
    /// `-fdiagnostics-format=`: some formats write files.
    MessageFormat,
    /// Never a compile to cache, whatever else is said.
    Stop(Reason),
    /// Known, and its effects can't be cached.
    Refuse(Reason),
}

/// One flag.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    pub name: &'static str,
    pub takes: Takes,
    pub class: Class,
    known_to: Option<Flavor>,
}

type Row = (&'static str, Takes, Class, Option<Flavor>);

const GCC: Option<Flavor> = Some(Flavor::Gcc);
const CLANG: Option<Flavor> = Some(Flavor::Clang);
const BOTH: Option<Flavor> = None;
const NO: Class = Class::Refuse(Reason::UncacheableArgument);
const MODULES: Class = Class::Refuse(Reason::Modules);
const INFO: Class = Class::Stop(Reason::NotACompile);
const TEXT: Class = Class::Stop(Reason::PreprocessOnly);

use Class::*;
use Takes::*;

/// Families that share everything but their names stand on one row. `-f` switches with no
/// effect of their own are in `switches`; `-g…`, `-O…`, `-W…` and `-m…` have rules in `parse`.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    // What is made.
    ("-c", Alone, Compile, BOTH),
    ("-S", Alone, Assemble, BOTH),
    ("-o", Either, Output, BOTH),
    ("-x", Either, Language, BOTH),
    ("-E -M -MM -fsyntax-only", Alone, TEXT, BOTH),
    ("--version -dumpversion -dumpfullversion -dumpmachine -dumpspecs -### --help --help-hidden \
      -help --target-help -ftarget-help -fhelp -fversion \
      --print-supported-cpus --print-enabled-extensions", Alone, INFO, BOTH),
    ("--help= -fhelp= -print- --print- -cc1", Rest, INFO, BOTH),
    ("--analyze -emit-ast -rewrite-objc -rewrite-legacy-objc -verify-pch -emit-interface-stubs \
      -extract-api --emit-static-lib -emit-merged-ifs --migrate", Alone, NO, CLANG),
    ("--precompile -module-file-info", Alone, MODULES, CLANG),
    ("-emit-llvm", Alone, EmitLlvm, CLANG),

    // Where includes are looked for.
    ("-iquote", Either, Quote, BOTH),
    ("-I", Either, Angle, BOTH),
    ("-isystem", Either, System, BOTH),
    ("-cxx-isystem", Either, System, CLANG),
    ("-idirafter", Either, After, BOTH),
    ("--include-directory", Equals, Angle, BOTH),
    ("--include-directory-after", Equals, After, BOTH),
    ("-include -imacros", Either, Forced, BOTH),
    ("--include --imacros", Equals, Forced, BOTH),
    ("-include-pch", Separate, Forced, CLANG),
    ("-D", Either, Define, BOTH),
    ("--define-macro", Equals, Define, BOTH),
    ("-U", Either, Key, BOTH),
    ("--undefine-macro", Equals, Key, BOTH),
    ("-A", Either, Key, GCC),
    ("-nostdinc -nostdinc++", Alone, Query, BOTH),
    ("-nostdlibinc -nobuiltininc -ibuiltininc -nogpuinc -nogpulib", Alone, Query, CLANG),
    ("--sysroot", Equals, Query, BOTH),
    ("-isysroot", Either, Query, BOTH),
    ("-I- -remap -index-header-map", Alone, NO, BOTH),
    ("-F -iframework -iprefix -iwithprefix -iwithprefixbefore", Either, NO, BOTH),
    ("-imultilib -imultiarch", Separate, NO, GCC),
    ("-isystem-after -iwithsysroot -iframeworkwithsysroot -stdlib++-isystem -ivfsoverlay \
      -working-directory -objc-isystem -objcxx-isystem -c-isystem", Either, NO, CLANG),
    ("-iplugindir= -working-directory= -ivfsoverlay=", Rest, NO, BOTH),
    ("--embed-dir=", Rest, NO, BOTH),

    // Programs, targets, defaults.
    ("-B", Either, Query, BOTH),
    ("-std=", Rest, Query, BOTH),
    ("--std=", Rest, Query, BOTH),
    ("-ansi -traditional -traditional-cpp -no-canonical-prefixes -canonical-prefixes", Alone, Query, BOTH),
    ("--target= -stdlib= -rtlib= -unwindlib= --unwindlib= --rtlib= --stdlib= --gcc-toolchain= \
      --gcc-install-dir= --gcc-triple= -fc++-abi= --overlay-platform-toolchain=",
      Rest, Query, CLANG),
    ("-target -gcc-toolchain --gcc-toolchain", Separate, Query, CLANG),
    ("-resource-dir", Equals, Query, CLANG),
    ("-fintegrated-as -integrated-as", Alone, IntegratedAs(true), CLANG),
    ("-fno-integrated-as -no-integrated-as", Alone, IntegratedAs(false), CLANG),
    ("-specs --specs", Equals, Specs, GCC),
    ("-specs= --specs=", Rest, NO, CLANG),
    ("-b -V -wrapper", Separate, NO, GCC),
    ("-arch", Separate, NO, CLANG),
    ("--config --config-system-dir --config-user-dir --driver-mode --rsp-quoting", Equals, NO, CLANG),
    ("--no-default-config", Alone, Query, CLANG),
    ("-ccc- -Xarch_ -Xcuda- -Xopenmp-target -Xoffload- -arcmt- -objcmt- --cuda- --hip- --offload \
      --rocm- -Xthinlto-distributor=", Rest, NO, CLANG),
    ("-Xanalyzer", Separate, NO, CLANG),

    // Dependency files.
    ("-MD", Alone, Deps { system_headers: true }, BOTH),
    ("-MMD", Alone, Deps { system_headers: false }, BOTH),
    ("-MF", Either, DepsFile, BOTH),
    ("-MT -MQ", Either, DepsTarget, BOTH),
    ("-MP", Alone, DepsPhony, BOTH),
    ("-MV", Alone, Key, CLANG),
    ("-MG", Alone, NO, BOTH),
    ("-MJ", Either, Explicit(Role::DatabaseEntry), CLANG),
    ("-Mmodules -Mno-modules", Alone, MODULES, GCC),
    ("-gen-cdb-fragment-path -dependency-file -dependency-dot -module-dependency-dir", Separate, NO, CLANG),
    ("-fdeps-format= -fdeps-file= -fdeps-target=", Rest, MODULES, BOTH),

    // Other outputs.
    ("-aux-info", Separate, Explicit(Role::AuxInfo), GCC),
    ("-aux-info=", Rest, NO, GCC),
    ("--serialize-diagnostics -serialize-diagnostics", Separate, Explicit(Role::Diagnostics), CLANG),
    ("-fstack-usage", Alone, Derived(Role::StackUsage), BOTH),
    ("-fcallgraph-info", Alone, Derived(Role::CallGraph), GCC),
    ("-fcallgraph-info=", Rest, Derived(Role::CallGraph), GCC),
    ("-ftime-trace", Alone, Derived(Role::TimeTrace), CLANG),
    ("-ftime-trace-granularity=", Rest, Key, CLANG),
    ("-ftime-trace=", Rest, NO, CLANG),
    ("-fsave-optimization-record -fsave-optimization-record=yaml", Alone, Derived(Role::OptimisationRecord), CLANG),
    ("-fsave-optimization-record", Alone, NO, GCC),
    ("-fsave-optimization-record=", Rest, NO, CLANG),
    ("-foptimization-record-file=", Rest, Explicit(Role::OptimisationRecord), CLANG),
    ("-foptimization-record-passes=", Rest, Key, CLANG),
    // gcc opens the file for appending, so the result depends on what was there.
    ("-fopt-info", Alone, Key, GCC),
    ("-fopt-info-", Rest, MessageFormat, GCC),
    ("-fopt-info=", Rest, NO, GCC),
    ("-fdump- -fdbg-cnt", Rest, NO, GCC),
    ("-fdump-noaddr", Alone, Key, GCC),
    ("-save-temps -save-stats", Alone, NO, BOTH),
    ("-save-temps= -save-stats=", Rest, NO, BOTH),
    ("--save-temps", Alone, NO, BOTH),
    ("-dumpdir -dumpbase -dumpbase-ext -auxbase -auxbase-strip", Separate, NO, BOTH),
    ("-dA -dp -dP", Alone, Key, BOTH),
    ("-d", Rest, NO, BOTH),
    ("-fdiagnostics-format=", Rest, MessageFormat, BOTH),
    ("-fdiagnostics-add-output= -fdiagnostics-set-output=", Rest, NO, BOTH),
    ("-fproc-stat-report", Rest, NO, CLANG),
    ("-fthin-link-bitcode= -fthinlto-index=", Rest, NO, CLANG),
    ("-gen-reproducer -via-file-asm -relocatable-pch", Alone, NO, CLANG),
    ("-gen-reproducer=", Rest, NO, CLANG),
    ("-fcompare-debug -fcompare-debug-second -fself-test", Alone, NO, GCC),
    ("-fcompare-debug= -fself-test=", Rest, NO, GCC),
    ("-fvtable-verify= -fvtv-", Rest, NO, GCC),

    // What a program records about its build.
    ("--coverage -coverage -ftest-coverage", Alone, Coverage, BOTH),
    ("-fprofile-arcs -fprofile-generate -fprofile-instr-generate -fcs-profile-generate \
      -fcoverage-mapping", Alone, Instrumented, BOTH),
    ("-fprofile-generate= -fprofile-instr-generate= -fcs-profile-generate=", Rest, Instrumented, BOTH),
    ("-fdiagnostics-absolute-paths", Alone, RecordsCwd, BOTH),
    ("-frecord-gcc-switches -frecord-command-line -fverbose-asm -fembed-bitcode \
      -fembed-bitcode-marker", Alone, RecordsCommand, BOTH),
    ("-fembed-bitcode=", Rest, RecordsCommand, CLANG),
    ("-fprofile-use -fbranch-probabilities", Alone, UsesProfile, GCC),
    ("-fprofile-use=", Rest, UsesProfile, GCC),
    ("-fprofile-dir=", Rest, ProfileFolder, GCC),
    ("-fprofile-use -fprofile-instr-use", Alone, ReadsProfile, CLANG),
    ("-fprofile-use= -fprofile-instr-use=", Rest, ReadsProfile, CLANG),
    ("-fprofile-instr-use", Alone, NO, GCC),
    ("-fbranch-probabilities", Alone, NO, CLANG),
    ("-fauto-profile -fprofile-sample-use -fprofile-report", Alone, NO, BOTH),
    ("-fprofile-note=", Rest, NO, BOTH),
    ("-fprofile-dir=", Rest, NO, CLANG),

    // Files that options name.
    ("-fauto-profile= -fprofile-sample-use= -fprofile-remapping-file= -fprofile-list= \
      -fmemory-profile-use= -fsanitize-blacklist= -fsanitize-ignorelist= \
      -fsanitize-system-blacklist= -fsanitize-system-ignorelist= -fsanitize-coverage-allowlist= \
      -fsanitize-coverage-whitelist= -fsanitize-coverage-ignorelist= \
      -fsanitize-coverage-blacklist= -fxray-always-instrument= -fxray-never-instrument= \
      -fxray-attr-list= -frandomize-layout-seed-file= --warning-suppression-mappings= \
      -fwarning-suppression-mappings=", Rest, ReadsFile, CLANG),
    ("-fauto-profile=", Rest, ReadsFile, GCC),
    ("-fplugin= -fplugin-arg- -fpass-plugin=", Rest, NO, BOTH),
    ("-fbasic-block-sections=", Rest, BlockSections, CLANG),
    ("-fbuild-session-file= -fembed-offload-object= -fopenmp-targets= -fapinotes", Rest, NO, CLANG),
    ("-fpre-include=", Rest, NO, GCC),

    // Modules.
    ("-fmodules -fmodules-ts -fcxx-modules -fmodule-header -fmodule-only -fimplicit-modules \
      -fimplicit-module-maps -fmodule-maps -fsystem-module -fbuiltin-module-map -gmodules",
      Alone, MODULES, BOTH),
    ("-fmodule- -fmodules- -fprebuilt-", Rest, MODULES, BOTH),
    ("-flang-info-", Rest, MODULES, GCC),

    // Messages.
    ("-fdiagnostics-color -fcolor-diagnostics -fno-diagnostics-color -fno-color-diagnostics \
      -fdiagnostics-plain-output", Alone, Colour { automatic: false }, BOTH),
    ("-fdiagnostics-color=", Rest, ColourWhen, BOTH),
    ("-pedantic -pedantic-errors -w", Alone, Key, BOTH),
    ("--start-no-unused-arguments --end-no-unused-arguments -Qunused-arguments", Alone, Key, CLANG),
    ("-R", Rest, Key, CLANG),
    ("--system-header-prefix= --no-system-header-prefix=", Rest, Key, CLANG),
    ("-v --verbose -H -Q -time -ftime-report -ftime-report-details -fmem-report -fmem-report-wpa \
      -fpre-ipa-mem-report -fpost-ipa-mem-report -fstats -flto-report -flto-report-wpa",
      Alone, NO, BOTH),
    ("-time= -ftime-report=", Rest, NO, BOTH),

    // Handed on to the parts.
    ("-Wp,", Rest, ToPreprocessor, BOTH),
    ("-Wa,", Rest, ToAssembler, BOTH),
    ("-Wl,", Rest, Linking, BOTH),
    ("-Xpreprocessor", Separate, XPreprocessor, BOTH),
    ("-Xassembler", Separate, XAssembler, BOTH),
    ("-Xlinker", Separate, Linking, BOTH),
    ("-Xclang", Separate, XClang, CLANG),
    ("-Xclang=", Rest, NO, CLANG),
    ("-mllvm", Separate, Llvm, CLANG),
    ("-mllvm=", Rest, Llvm, CLANG),
    ("-mmlir", Separate, NO, BOTH),
    ("-meabi -mthread-model", Separate, Query, CLANG),

    // The rest of what makes code or messages differ.
    // `-pipe` shows where the assembler says or records what it reads from.
    ("-pipe -pthread -pthreads -p -pg -P -C -CC -trigraphs -undef -pass-exit-codes -Qn -Qy", Alone, Key, BOTH),
    ("-static", Alone, Linking, GCC),
    // clang compiles otherwise for it.
    ("-static", Alone, Key, CLANG),
    ("-s -r -n -N -static-pie -static-libgcc -static-libstdc++ -static-libasan -static-libtsan \
      -static-libubsan -static-liblsan -static-libhwasan -static-libsan -static-openmp \
      -shared -shared-libgcc -shared-libasan -shared-libsan -symbolic -pie -no-pie -nopie -rdynamic \
      -nostdlib -nodefaultlibs -nostartfiles -nolibc -nostdlib++ -noprebind -fuse-linker-plugin \
      -fno-use-linker-plugin", Alone, Linking, BOTH),
    ("-L -l -u -T -e", Either, Linking, BOTH),
    ("-h -z", Either, Linking, GCC),
    ("-z", Separate, Linking, CLANG),
    ("-G", Either, Key, BOTH),
    ("--param", Equals, Key, GCC),
    // It complains of those that it does not use, as they are spelled.
    ("--param", Separate, Key, CLANG),
    ("--param=", Rest, Key, CLANG),
    ("-cuid= -fuse-cuid=", Rest, Key, CLANG),
    ("--ld-path=", Rest, Linking, CLANG),
    ("-enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang", Alone, Key, CLANG),
];

static FLAGS: LazyLock<HashMap<&[u8], Vec<Flag>>> = LazyLock::new(|| {
    let mut flags: HashMap<&[u8], Vec<Flag>> = HashMap::new();
    for &(names, takes, class, known_to) in ROWS {
        for name in names.split_ascii_whitespace() {
            let flag = Flag { name, takes, class, known_to };
            flags.entry(name.as_bytes()).or_default().push(flag);
        }
    }
    flags
});

/// No name is longer than this many bytes.
const LONGEST: usize = 80;

/// The flag that `arg` is, as the named compiler reads it: the longest name that fits.
pub fn find(flavor: Flavor, arg: &[u8]) -> Option<Flag> {
    (1..=arg.len().min(LONGEST)).rev().find_map(|length| {
        let (name, rest) = arg.split_at(length);
        let fits = |flag: &&Flag| {
            flag.known_to.is_none_or(|only| only == flavor)
                && match flag.takes {
                    Alone | Separate => rest.is_empty(),
                    Either | Rest => true,
                    Equals => rest.is_empty() || rest[0] == b'=',
                }
        };
        FLAGS.get(name)?.iter().find(fits).copied()
    })
}

/// Whether the next argument is this one's value, and no flag.
pub fn takes_next(flavor: Flavor, arg: &[u8]) -> bool {
    find(flavor, arg).is_some_and(|flag| match flag.takes {
        Separate => true,
        Either | Equals => arg.len() == flag.name.len(),
        Alone | Rest => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_name_wins() {
        let name = |flavor, arg: &str| find(flavor, arg.as_bytes()).map(|flag| flag.name);
        assert_eq!(name(Flavor::Clang, "-include-pch"), Some("-include-pch"));
        assert_eq!(name(Flavor::Gcc, "-include-pch"), Some("-include"));
        assert_eq!(name(Flavor::Gcc, "-I-"), Some("-I-"));
        assert_eq!(name(Flavor::Gcc, "-Ix"), Some("-I"));
        assert_eq!(name(Flavor::Gcc, "--sysroot=/x"), Some("--sysroot"));
        assert_eq!(name(Flavor::Gcc, "--sysroots"), None);
        assert_eq!(name(Flavor::Gcc, "-emit-llvm"), Some("-e"));
    }

    #[test]
    fn every_name_stands_once_for_each_compiler() {
        for flags in FLAGS.values() {
            assert!(flags[0].name.len() <= LONGEST);
            for flavor in [Flavor::Gcc, Flavor::Clang] {
                let knowing =
                    flags.iter().filter(|flag| flag.known_to.is_none_or(|only| only == flavor));
                assert!(knowing.count() <= 1, "{}", flags[0].name);
            }
        }
    }
}

//! What whole command lines come to.

use super::parse;
use crate::inputs::dialect::{Flavor, Language};
use crate::inputs::search::ForcedHeader;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::Role;
use crate::tools::command::{Command, Mode, Parsed, UserDeps};

fn split(line: &str) -> Vec<Arg> {
    line.split_whitespace().map(|arg| arg.as_bytes().to_vec()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn joined(args: &[Arg]) -> String {
    args.iter().map(|arg| text(arg)).collect::<Vec<_>>().join(" ")
}

fn forced(command: &Command) -> String {
    let compiled = |header: &ForcedHeader| if header.or_compiled { " or compiled" } else { "" };
    let named = |header: &ForcedHeader| text(&header.name) + compiled(header);
    command.search.forced.iter().map(named).collect::<Vec<_>>().join(", ")
}

fn run(flavor: Flavor, cxx: bool, line: &str) -> Parsed {
    parse(flavor, cxx, &split(line), &mut |_| None)
}

/// The command behind a line that both compilers take for a compile, as gcc and as clang.
fn both(line: &str) -> [Command; 2] {
    [Flavor::Gcc, Flavor::Clang].map(|flavor| compile(flavor, line))
}

fn compile(flavor: Flavor, line: &str) -> Command {
    match run(flavor, false, line) {
        Parsed::Compile(command) => *command,
        plain => panic!("{flavor:?} {line}: {plain:?}"),
    }
}

fn plain(flavor: Flavor, line: &str) -> (Reason, String) {
    match run(flavor, false, line) {
        Parsed::Plain(reason, arg) => (reason, text(&arg.unwrap_or_default())),
        other => panic!("{flavor:?} {line}: {other:?}"),
    }
}

fn check_plain(flavors: &[Flavor], rows: &[(&str, Reason, &str)]) {
    for &flavor in flavors {
        for &(line, reason, arg) in rows {
            assert_eq!(plain(flavor, line), (reason, arg.to_owned()), "{flavor:?} {line}");
        }
    }
}

const BOTH: &[Flavor] = &[Flavor::Gcc, Flavor::Clang];

#[test]
fn a_plain_compile() {
    for command in both("-O2 -Wall -I inc -DX=1 -D Y -c s/a.c -o out/a.o -pipe") {
        assert_eq!(command.mode, Mode::Object);
        assert_eq!(joined(&command.key_args), "-O2 -Wall -Iinc -DX=1 -DY -pipe");
        assert_eq!(joined(&command.args), "-O2 -Wall -I inc -DX=1 -D Y -c s/a.c -o out/a.o -pipe");
        assert_eq!(joined(&command.search.angle), "inc");
        assert_eq!(joined(&command.defines), "X=1 Y");
        assert_eq!(command.sources.len(), 1);
        assert_eq!((command.sources[0].position, command.sources[0].language), (8, Language::C));
        assert_eq!(joined(&[command.outputs[0][0].path.clone()]), "out/a.o");
        assert_eq!(command.user_deps, UserDeps::None);
        assert!(!command.records_cwd && !command.records_output && !command.records_command);
        assert!(command.colour_is_automatic && command.query_args.is_empty());
        assert_eq!(command.separate_assembler, command.flavor == Flavor::Gcc);
    }
}

#[test]
fn long_spellings() {
    let line = "--include=a.h --imacros b.h --include-directory=i --include-directory-after j --define-macro=X=1 --undefine-macro Y -c a.c";
    for command in both(line) {
        let forced: Vec<Arg> =
            command.search.forced.iter().map(|header| header.name.clone()).collect();
        assert_eq!(joined(&forced), "a.h b.h");
        assert_eq!(joined(&command.search.angle), "i");
        assert_eq!(joined(&command.search.after), "j");
        assert_eq!(joined(&command.defines), "X=1");
        assert_eq!(
            joined(&command.key_args),
            "--include=a.h --imacros=b.h --include-directory=i --include-directory-after=j --define-macro=X=1 --undefine-macro=Y"
        );
    }
}

#[test]
fn links() {
    let link = |line: &str| match run(Flavor::Gcc, false, line) {
        Parsed::Link(line) => *line,
        other => panic!("{line}: {other:?}"),
    };
    let line = link(
        "-O2 a.o -Lx -L y -lm -Wl,-Map,m -Xlinker -z -Xlinker now b.a -fuse-ld=gold -Bq -o app",
    );
    assert_eq!(joined(&line.words), "a.o -Lx -Ly -lm -Map m -z now b.a -oapp");
    assert_eq!(joined(&line.choosing), "-Bq -fuse-ld=gold");
    assert_eq!((line.compiles, line.side_files), (None, None));
    let line = link("-MD a.c b.o -o d/app.x");
    let command = line.compiles.unwrap();
    assert_eq!((command.sources.len(), joined(&line.words)), (1, "b.o -od/app.x".to_owned()));
    assert_eq!(command.outputs[0][0].path, b"d/app.d");
    assert_eq!(link("-gsplit-dwarf a.o").side_files, Some(b"-gsplit-dwarf".to_vec()));
    assert_eq!(link("-shared -lm").words, [b"-lm".to_vec()]);
    check_plain(
        BOTH,
        &[
            ("a.c b.c -MD -o a", Reason::UnusualOutput, "-MD"),
            ("-gsplit-dwarf a.c -o a", Reason::UnusualOutput, "-gsplit-dwarf"),
            ("--coverage a.c -o a", Reason::Link, ""),
            ("a.o -o a --frobnicate", Reason::UnknownArgument, "--frobnicate"),
            ("-x c - -o a", Reason::SourceOnStdin, "-"),
            ("h.h a.c -o a", Reason::UnusualOutput, ""),
        ],
    );
}

#[test]
fn what_is_no_compile_to_cache() {
    use Reason::*;
    check_plain(
        BOTH,
        &[
            ("", NotACompile, ""),
            ("-c", NotACompile, ""),
            ("--version", NotACompile, "--version"),
            ("-v", NotACompile, ""),
            ("-print-search-dirs", NotACompile, "-print-search-dirs"),
            ("-dumpmachine", NotACompile, "-dumpmachine"),
            ("-### -c a.c", NotACompile, "-###"),
            ("-c -E a.c", PreprocessOnly, "-E"),
            ("-fsyntax-only -c a.c", PreprocessOnly, "-fsyntax-only"),
            ("-M a.c", PreprocessOnly, "-M"),
            ("-MM -MD a.c", PreprocessOnly, "-MM"),
            ("-c a.c --frobnicate", UnknownArgument, "--frobnicate"),
            ("-c a.c -fnever-heard-of", UnknownArgument, "-fnever-heard-of"),
            ("-c a.c -gnonsense", UnknownArgument, "-gnonsense"),
            ("-c a.c -Ox", UnknownArgument, "-Ox"),
            ("-c a.c -WX,y", UnknownArgument, "-WX,y"),
            ("-c -x c -", SourceOnStdin, "-"),
            ("-c -x c /dev/stdin", SourceOnStdin, "/dev/stdin"),
            ("-c a.c -o -", UnusualOutput, "-"),
            ("-c a.c -o /dev/null", UnusualOutput, "/dev/null"),
            ("-c a.c b.c -o x.o", UnusualOutput, "x.o"),
            ("-c s/b.c t/b.c", UnusualOutput, "b.o"),
            ("-c a.c -MD -o x.d", UnusualOutput, "x.d"),
            ("-c a.c -MD -MF -", UnusualOutput, "-"),
            ("-c a.c -MD -o dir/.o", UnusualOutput, "dir/.o"),
            ("-c h.h a.c", UnusualOutput, ""),
            ("-c a.s -S", UnusualOutput, ""),
            ("-c a.c b.o", UnknownLanguage, "b.o"),
            ("-c -x fortran a.c", UnknownLanguage, "fortran"),
            ("-c @gone", ResponseFile, "@gone"),
            ("-c a.cppm", Modules, "a.cppm"),
            ("-c a.cc -fmodules-ts", Modules, "-fmodules-ts"),
            ("-c a.cc -fmodules", Modules, "-fmodules"),
            ("-c a.cc -fmodule-mapper=x", Modules, "-fmodule-mapper=x"),
            ("-S h.h", UncacheableArgument, "-S"),
        ],
    );
}

#[test]
fn what_is_known_and_refused() {
    let refused = |flavors: &[Flavor], rows: &[(&str, &str)]| {
        for (args, blamed) in rows {
            check_plain(
                flavors,
                &[(&format!("-c a.c {args}"), Reason::UncacheableArgument, blamed)],
            );
        }
    };
    refused(
        BOTH,
        &[
            ("-v", "-v"),
            ("-H", "-H"),
            ("-save-temps", "-save-temps"),
            ("-save-temps=obj", "-save-temps=obj"),
            ("-MD -MG", "-MG"),
            ("-MF x.d", "-MF"),
            ("-MP", "-MP"),
            ("-Wp,-MD,x.d -MD", "-Wp,-MD,x.d"),
            ("-Wp,-MD", "-Wp,-MD"),
            ("-Wp,-MF,x", "-Wp,-MF,x"),
            ("-Wa,--MD,x", "-Wa,--MD,x"),
            ("-Xassembler --MD -Xassembler x", "x"),
            ("-I- -Ix", "-I-"),
            ("-I=inc", "-I=inc"),
            ("-isystem =inc", "-isystem"),
            ("-iprefix x", "-iprefix"),
            ("-fplugin=x.so", "-fplugin=x.so"),
            ("-dumpdir x", "-dumpdir"),
            ("-dx", "-dx"),
            ("-fdiagnostics-format=sarif-file", "-fdiagnostics-format=sarif-file"),
            ("-ftime-report", "-ftime-report"),
            ("-I", "-I"),
            ("-o", "-o"),
            ("-march=help", "-march=help"),
        ],
    );
    refused(
        &[Flavor::Gcc],
        &[
            ("-fdump-tree-all", "-fdump-tree-all"),
            ("-fopt-info-vec=x", "-fopt-info-vec=x"),
            ("-specs=nano.specs", "-specs=nano.specs"),
            ("-wrapper x", "-wrapper"),
            ("-fprofile-use=p -fprofile-prefix-path=/x", "-fprofile-use=p"),
            ("-Wa,-ag", "-Wa,-ag"),
        ],
    );
    refused(
        &[Flavor::Clang],
        &[
            ("-MJ x.json -fno-integrated-as", "-MJ"),
            ("-MJ -", "-MJ"),
            ("-Wa,-a=x", "-Wa,-a=x"),
            ("-Xclang -load -Xclang x.so", "-load"),
            ("-Xclang -include", "-Xclang"),
            ("-Xclang -emit-pch", "-emit-pch"),
            ("-mllvm -print-after-all", "-mllvm"),
            ("-arch x86_64", "-arch"),
            ("--driver-mode=cl", "--driver-mode=cl"),
            ("-ftime-trace=x", "-ftime-trace=x"),
            ("-S -gsplit-dwarf", "-gsplit-dwarf"),
            ("--config=x.cfg", "--config=x.cfg"),
        ],
    );
}

#[test]
fn dependency_files() {
    for (args, deps, path, key, records_output) in [
        ("-MD", UserDeps::All, "d/x.d", "-MD", true),
        ("-MMD", UserDeps::UserHeaders, "d/x.d", "-MMD", true),
        ("-MD -MMD", UserDeps::UserHeaders, "d/x.d", "-MD -MMD", true),
        ("-MMD -MD", UserDeps::UserHeaders, "d/x.d", "-MMD -MD", true),
        ("-MD -MF q.d", UserDeps::All, "q.d", "-MD", true),
        ("-MD -MFq.d -MF r.d", UserDeps::All, "r.d", "-MD", true),
        ("-MD -MT t -MP -MF q.d", UserDeps::All, "q.d", "-MD -MT t -MP", false),
        ("-MQt -MD -MF q.d", UserDeps::All, "q.d", "-MQ t -MD", false),
        ("-Wp,-MD,q.d", UserDeps::All, "q.d", "-Wp,-MD", true),
        ("-Wp,-MMD,q.d -MT t", UserDeps::UserHeaders, "q.d", "-Wp,-MMD -MT t", false),
    ] {
        for command in both(&format!("-c a.c -o d/x.o {args}")) {
            assert_eq!(command.user_deps, deps, "{args}");
            let output = &command.outputs[0][1];
            assert_eq!(
                (output.role, text(&output.path)),
                (Role::Dependencies, path.into()),
                "{args}"
            );
            assert_eq!(joined(&command.key_args), key, "{args}");
            assert_eq!(command.records_output, records_output, "{args}");
        }
    }
    for command in both("-c a.s -MD -MF q.d") {
        assert_eq!((command.outputs[0].len(), command.user_deps), (1, UserDeps::None));
    }
    for command in both("-c a.c b.c -MD") {
        assert_eq!(text(&command.outputs[1][1].path), "b.d");
    }
}

#[test]
fn what_the_result_records() {
    for (args, cwd, output, whole) in [
        ("", false, false, false),
        ("-g", true, false, false),
        ("-ggdb3", true, false, false),
        ("-gdwarf-5 -O2", true, false, false),
        ("-g -g0", false, false, false),
        ("-g0 -g1", true, false, false),
        ("-gz", false, false, false),
        ("-g -gsplit-dwarf", true, true, false),
        ("--coverage", true, true, false),
        ("-fprofile-arcs -ftest-coverage", true, true, false),
        ("-fprofile-generate", true, true, false),
        ("-frecord-gcc-switches", true, true, true),
        ("-fdiagnostics-absolute-paths", true, false, false),
        ("-fdebug-prefix-map=/a=/b", false, false, false),
        ("-Wa,-g", true, false, false),
    ] {
        for command in both(&format!("-c a.c {args}")) {
            let recorded = (command.records_cwd, command.records_output, command.records_command);
            assert_eq!(recorded, (cwd, output, whole), "{:?} {args}", command.flavor);
        }
    }
    assert!(!compile(Flavor::Gcc, "-c a.c -g -grecord-gcc-switches").records_command);
    assert!(compile(Flavor::Clang, "-c a.c -g -grecord-gcc-switches").records_command);
}

#[test]
fn files_beside_the_object() {
    let others = |flavor, line: &str| {
        let named = |output: &crate::terms::output::Output| (output.role, text(&output.path));
        compile(flavor, line).outputs[0][1..].iter().map(named).collect::<Vec<_>>()
    };
    for (flavor, args, role, path) in [
        (Flavor::Gcc, "-fstack-usage", Role::StackUsage, "d/x.su"),
        (Flavor::Gcc, "-fcallgraph-info=su", Role::CallGraph, "d/x.ci"),
        (Flavor::Gcc, "-aux-info f", Role::AuxInfo, "f"),
        (Flavor::Gcc, "-Wa,-ahl=f", Role::Listing, "f"),
        (Flavor::Gcc, "-Xassembler -a=f", Role::Listing, "f"),
        (Flavor::Gcc, "--coverage", Role::CoverageNotes, "d/x.gcno"),
        (Flavor::Gcc, "-gsplit-dwarf", Role::SplitDwarf, "d/x.dwo"),
        (Flavor::Clang, "-g -gsplit-dwarf", Role::SplitDwarf, "d/x.dwo"),
        (Flavor::Clang, "-ftime-trace", Role::TimeTrace, "d/x.json"),
        (Flavor::Clang, "--serialize-diagnostics f.dia", Role::Diagnostics, "f.dia"),
        (Flavor::Clang, "-MJ f.json", Role::DatabaseEntry, "f.json"),
        (Flavor::Clang, "-fsave-optimization-record", Role::OptimisationRecord, "d/x.opt.yaml"),
        (Flavor::Clang, "-foptimization-record-file=f", Role::OptimisationRecord, "f"),
    ] {
        let line = format!("-c a.c -o d/x.o {args}");
        assert_eq!(others(flavor, &line), [(role, path.to_owned())], "{args}");
    }
    assert_eq!(others(Flavor::Gcc, "-c a.c -g -gsplit-dwarf -gno-split-dwarf"), []);
    assert_eq!(others(Flavor::Gcc, "-S a.c -Wa,-a=f"), []);
    assert_eq!(others(Flavor::Clang, "-c a.c -g -gsplit-dwarf=single"), []);
}

#[test]
fn modes_and_languages() {
    let main = |command: &Command| text(&command.outputs[0][0].path);
    for command in both("-S -c s/a.c") {
        assert_eq!((command.mode, main(&command)), (Mode::Assembly, "a.s".into()));
        assert!(!command.separate_assembler);
    }
    for command in both("s/h.h") {
        assert_eq!((command.mode, main(&command)), (Mode::Precompile, "s/h.h.gch".into()));
        assert!(command.records_cwd && command.records_output);
    }
    for command in both("-x c++ -c a.c -x none b.c") {
        let languages = command.sources.iter().map(|source| source.language).collect::<Vec<_>>();
        assert_eq!(languages, [Language::Cxx, Language::C]);
        assert!(command.key_args.is_empty());
    }
    let llvm = compile(Flavor::Clang, "-c a.c -emit-llvm");
    assert_eq!(main(&llvm), "a.bc");
    assert_eq!(main(&compile(Flavor::Clang, "-S a.c -emit-llvm")), "a.ll");
    assert!(compile(Flavor::Clang, "-c a.c -fno-integrated-as").separate_assembler);
    match run(Flavor::Gcc, true, "-c a.c") {
        Parsed::Compile(command) => assert_eq!(command.sources[0].language, Language::Cxx),
        other => panic!("{other:?}"),
    }
}

#[test]
fn search_and_query() {
    let line = "-c a.c -Wp,-Id9 -iquote q -Ia -isystem s -isystems2 -idirafter z -include f.h \
                -imacrosm.h --sysroot /r -B tools -std=c11 -march=native -nostdinc -I b";
    for command in both(line) {
        assert_eq!(joined(&command.search.quote), "q");
        assert_eq!(joined(&command.search.angle), "a b d9");
        assert_eq!(joined(&command.search.system), "s s2");
        assert_eq!(joined(&command.search.after), "z");
        assert_eq!(forced(&command), "f.h or compiled, m.h or compiled");
        let query = "--sysroot=/r -Btools -std=c11 -march=native -nostdinc";
        assert_eq!(joined(&command.query_args), query);
    }
    let kernel = compile(Flavor::Gcc, "-c a.c -mcmodel=kernel -O2 -fno-PIE -fcf-protection=none");
    assert_eq!(joined(&kernel.query_args), "-mcmodel=kernel -fno-PIE -fcf-protection=none");
    let line = "-Winvalid-pch -Xclang -emit-pch -Xclang -include -Xclang p.hxx -x c++-header \
                -o p.hxx.pch -c p.hxx.cxx";
    let command = compile(Flavor::Clang, line);
    assert_eq!((command.mode, forced(&command)), (Mode::Precompile, "p.hxx".into()));
    let line = "-Xclang -include-pch -Xclang p.pch -Xclang -include -Xclang p.hxx -c a.cc";
    assert_eq!(forced(&compile(Flavor::Clang, line)), "p.pch, p.hxx");
}

#[test]
fn option_inputs() {
    let inputs =
        |flavor, args: &str| joined(&compile(flavor, &format!("-c a.c {args}")).option_inputs);
    assert_eq!(inputs(Flavor::Clang, "-fprofile-use=x"), "x/default.profdata x");
    assert_eq!(inputs(Flavor::Clang, "-fprofile-instr-use"), "./default.profdata");
    assert_eq!(inputs(Flavor::Clang, "-fsanitize-ignorelist=l -fxray-attr-list=m"), "l m");
    assert_eq!(inputs(Flavor::Gcc, "-fauto-profile=x.afdo"), "x.afdo");
    assert_eq!(inputs(Flavor::Gcc, "-specs=/d/x"), "/d/x");
}

#[test]
fn colour() {
    for (args, automatic) in [
        ("", true),
        ("-fdiagnostics-color=always", false),
        ("-fdiagnostics-color", false),
        ("-fno-diagnostics-color", false),
        ("-fdiagnostics-color=never -fdiagnostics-color=auto", true),
    ] {
        for command in both(&format!("-c a.c {args}")) {
            assert_eq!(command.colour_is_automatic, automatic, "{args}");
        }
    }
}

#[test]
fn response_files_stand_in_args() {
    let mut read = |path: &[u8]| (path == b"r").then(|| b"-c 'a b.c' -DX".to_vec());
    match parse(Flavor::Gcc, false, &split("-O2 @r"), &mut read) {
        Parsed::Compile(command) => {
            assert_eq!(command.args.len(), 4);
            assert_eq!(text(&command.sources[0].path), "a b.c");
            assert_eq!(command.sources[0].position, 2);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn builds_of_real_projects() {
    for line in [
        // git, curl, zstd, autotools
        "-DHAVE_CONFIG_H -I. -I../lib -g -O2 -Wall -pthread -fvisibility=hidden -MT a.lo -MD -MP -MF .deps/a.Tpo -c a.c -fPIC -DPIC -o .libs/a.o",
        "-O3 -Wall -Wextra -Wcast-qual -Wstrict-aliasing=1 -Wa,--noexecstack -DXXH_NAMESPACE=Z -MT o/a.o -MMD -MP -MF o/a.d -c -o o/a.o a.c",
        // CPython
        "-fno-strict-overflow -Wsign-compare -DNDEBUG -g -O3 -Wall -std=c11 -fno-semantic-interposition -flto -fuse-linker-plugin -ffat-lto-objects -flto-partition=none -fvisibility=hidden -I./Include -DPy_BUILD_CORE -c -o a.o a.c",
        // Linux
        "-Wp,-MMD,kernel/.fork.o.d -nostdinc -I./arch/x86/include -include ./include/linux/kconfig.h -D__KERNEL__ -fmacro-prefix-map=./= -std=gnu11 -fshort-wchar -funsigned-char -fno-common -fno-PIE -fno-strict-aliasing -mno-sse -m64 -falign-jumps=1 -falign-loops=1 -mno-80387 -mpreferred-stack-boundary=3 -mskip-rax-setup -mtune=generic -mno-red-zone -mcmodel=kernel -mindirect-branch=thunk-extern -mindirect-branch-register -mharden-sls=all -fno-jump-tables -fno-asynchronous-unwind-tables -fno-delete-null-pointer-checks -O2 -fno-allow-store-data-races -fstack-protector-strong -fomit-frame-pointer -ftrivial-auto-var-init=zero -fno-stack-clash-protection -fzero-call-used-regs=used-gpr -pg -mrecord-mcount -mfentry -fpatchable-function-entry=16,16 -fstrict-flex-arrays=3 -fno-strict-overflow -fno-stack-check -fconserve-stack -Wframe-larger-than=2048 -Werror=date-time -fcf-protection=none -g -gdwarf-5 -DKBUILD_MODFILE=x -c -o kernel/fork.o kernel/fork.c",
        // cmake with LLVM, abseil, RocksDB, Qt
        "-D_GNU_SOURCE -I/b/lib -isystem /x -fPIC -fno-semantic-interposition -fvisibility-inlines-hidden -Werror=date-time -Wno-class-memaccess -fdiagnostics-color -ffunction-sections -fdata-sections -O3 -DNDEBUG -std=c++17 -fno-exceptions -funwind-tables -fno-rtti -MD -MT a.o -MF a.o.d -o a.o -c a.cpp",
        "-fno-omit-frame-pointer -momit-leaf-frame-pointer -march=native -faligned-new -fno-builtin-memcmp -Wnon-virtual-dtor -O2 -std=gnu++20 -fsanitize=address,undefined -fno-sanitize-recover=all -c a.cc -o a.o",
        // bazel, meson
        "-U_FORTIFY_SOURCE -fstack-protector -Wall -Wunused-but-set-parameter -fno-omit-frame-pointer -g0 -O2 -D_FORTIFY_SOURCE=1 -DNDEBUG -ffunction-sections -std=c++17 -MD -MF o/a.d -frandom-seed=o/a.o -iquote . -iquote bazel-out/x -isystem third -fno-canonical-system-headers -no-canonical-prefixes -Wno-builtin-macro-redefined -D__DATE__=redacted -c a.cc -o o/a.o",
        "-Isub -I.. -fdiagnostics-color=always -D_FILE_OFFSET_BITS=64 -Wall -Winvalid-pch -std=gnu99 -O0 -g -pthread -MD -MQ sub/a.c.o -MF sub/a.c.o.d -o sub/a.c.o -c ../a.c",
        "-c a.c -lm -L. -Wl,-rpath,x -shared -pie -static -s -rdynamic -fuse-ld=lld -z now -u f",
        "-Wp,-U_FORTIFY_SOURCE -Wp,-D_FORTIFY_SOURCE=3 -fstack-clash-protection -fcf-protection -ffile-prefix-map=/b=. -flto=auto -Werror=format-security -c a.c",
    ] {
        both(line);
    }
    let chromium = "-fno-delete-null-pointer-checks -fcrash-diagnostics-dir=../t -mllvm -instcombine-lower-dbg-declare=0 -mllvm -split-threshold-for-reg-with-hint=0 -ffp-contract=off -fcomplete-member-pointers --target=x86_64-unknown-linux-gnu -ftrivial-auto-var-init=pattern -fsplit-lto-unit -gsimple-template-names -gdwarf-4 -g2 -Xclang -fuse-ctor-homing -fdebug-compilation-dir=. -Qunused-arguments -Wno-unknown-warning-option -c a.cc -o a.o";
    compile(Flavor::Clang, chromium);
}

#[test]
fn any_bytes_are_survived() {
    let odd: [&[u8]; 16] = [
        b"",
        b"-",
        b"--",
        b"-f",
        b"-g",
        b"-m",
        b"-W",
        b"-O",
        b"\xff\xfe",
        b"-\xff",
        b"-D",
        b"-x",
        b"-Wa,",
        b"-Wp,",
        b"-Xclang",
        b"@",
    ];
    for flavor in [Flavor::Gcc, Flavor::Clang] {
        for first in odd {
            for second in odd {
                let argv = [first.to_vec(), b"-c".to_vec(), b"a.c".to_vec(), second.to_vec()];
                parse(flavor, true, &argv, &mut |_| None);
            }
        }
    }
}

//! What is beside the plain compile of a source: outputs that are no files or can't be written, messages and the
//! terminal they are for, and files that nobody names on the command line.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Winsize};

use crate::kit::{HELLO, Sandbox, ZCCACHE, eventually, finish, have};

#[test]
fn a_dependency_file_that_is_a_pipe() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.bare("mkfifo pipe").ok();
    for compiler in ["gcc", "clang"].into_iter().filter(|compiler| have(compiler)) {
        for _ in 0..3 {
            let reader = s.command("cat pipe").spawn().unwrap();
            s.z(&format!("{compiler} -MD -MF pipe -c a.c -o a.o")).ok();
            assert!(finish(reader).ok().out().starts_with("a.o: a.c"));
            assert!(fs::symlink_metadata(s.path("pipe")).unwrap().file_type().is_fifo());
            s.remove("a.o");
        }
    }
    // Known from a file before.
    s.warm("gcc -MD -MF a.d -c a.c -o a.o");
    s.remove("a.d");
    s.link("pipe", "a.d");
    let reader = s.command("cat pipe").spawn().unwrap();
    s.z("gcc -MD -MF a.d -c a.c -o a.o").ok();
    assert!(finish(reader).ok().out().starts_with("a.o: a.c"));
}

#[test]
fn a_signal_ends_who_waits_for_a_reader() {
    let s = Sandbox::new();
    let script = "head -c 300000 /dev/zero >&2; sleep 60";
    let words = ["exec", "--output", "x", "--", "sh", "-c", script];
    let mut child = s.z_command(&words).stderr(Stdio::piped()).spawn().unwrap();
    // As far as the pipes take it, nobody reads on.
    let mut first = [0; 1];
    child.stderr.as_mut().unwrap().read_exact(&mut first).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(eventually(Duration::from_secs(10), || child.try_wait().unwrap().is_some()));
}

#[test]
fn a_signal_to_us_alone_is_meant_for_the_tool() {
    let s = Sandbox::new();
    for (name, signal) in
        [("INT", Signal::INT), ("QUIT", Signal::QUIT), ("TERM", Signal::TERM), ("HUP", Signal::HUP)]
    {
        // Whoever runs the tests in the background has some of them ignored.
        let script = "echo begun >&2; exec sleep 60";
        let default = format!("--default-signal={name}");
        let words = ["env", &default, ZCCACHE, "exec", "--output", "x", "--", "sh", "-c", script];
        let mut child = s.command(&words).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 1];
        child.stderr.as_mut().unwrap().read_exact(&mut first).unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ends = || child.try_wait().unwrap().is_some();
        assert!(eventually(Duration::from_secs(10), ends), "{name}");
        assert_eq!(finish(child).status.signal(), Some(signal.as_raw()), "{name}");
    }
}

#[test]
fn nothing_is_delivered_where_the_dependency_file_can_not_be() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    fs::create_dir(s.path("deps")).unwrap();
    let line = "gcc -MD -MF deps/a.d -c a.c -o a.o";
    s.warm(line);
    s.hit(line);
    s.remove("a.o");
    s.remove("deps");
    let (output, _) = s.same(line);
    assert!(output.code(1).err().contains("deps/a.d") && !s.exists("a.o"));
    // Nor is what an earlier compile made replaced.
    s.write("a.o", "old");
    s.same(line);
    fs::create_dir_all(s.path("deps/a.d")).unwrap();
    s.same(line);
}

#[test]
fn a_named_side_output_takes_the_place_of_the_derived_one() {
    if !have("clang") {
        return;
    }
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    let (derived, named) = ("-fsave-optimization-record", "-foptimization-record-file=l.y");
    for flags in [format!("{derived} {named}"), format!("{named} {derived}"), named.to_owned()] {
        let line = format!("clang -O2 {flags} -c a.c -o a.o");
        s.miss(&line);
        s.remove("a.o");
        s.remove("l.y");
        s.hit(&line);
        assert!(!s.exists("a.opt.yaml") && s.exists("l.y"));
        s.z("clear").ok();
    }
}

/// Standard input of a command at a terminal.
enum Input {
    Nothing,
    Terminal(u16),
}

/// A terminal of so many columns that nobody sees: our end and the command's.
fn terminal(columns: u16) -> (fs::File, std::os::fd::OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::openpt(flags).unwrap();
    rustix::pty::grantpt(&ours).unwrap();
    rustix::pty::unlockpt(&ours).unwrap();
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags).unwrap();
    let mut modes = rustix::termios::tcgetattr(theirs.as_fd()).unwrap();
    modes.make_raw();
    rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &modes).unwrap();
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&theirs, size).unwrap();
    (fs::File::from(ours), theirs)
}

/// What a command writes to a terminal of 60 columns.
fn at_terminal(s: &Sandbox, words: &str, cached: bool, input: &Input) -> String {
    let (mut ours, theirs) = terminal(60);
    let mut command = if cached { s.z_command(words) } else { s.command(words) };
    let kept = match input {
        Input::Nothing => None,
        Input::Terminal(columns) => {
            let (ours, theirs) = terminal(*columns);
            command.stdin(theirs);
            Some(ours)
        }
    };
    command.stderr(theirs);
    let mut child = command.spawn().unwrap();
    // The last holder of the command's end.
    drop(command);
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = ours.read(&mut piece) {
        text.extend_from_slice(&piece[..count]);
    }
    child.wait().unwrap();
    drop(kept);
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn messages_fit_what_the_compiler_reads_from() {
    let mut s = Sandbox::new();
    s.set("TERM", "xterm");
    let sum: Vec<String> = (1..40).map(|n| n.to_string()).collect();
    s.write("a.c", format!("int f(void) {{ int unused = {}; return 0; }}\n", sum.join(" + ")));
    for compiler in ["gcc", "clang"].into_iter().filter(|compiler| have(compiler)) {
        let line = format!("{compiler} -Wall -c a.c -o a.o");
        let inputs =
            [Input::Nothing, Input::Terminal(60), Input::Terminal(30), Input::Terminal(90)];
        for input in inputs.iter().chain(&inputs) {
            let truth = at_terminal(&s, &line, false, input);
            assert!(truth.contains("unused"), "{truth}");
            assert_eq!(at_terminal(&s, &line, true, input), truth);
        }
        let before = s.calls();
        for input in &inputs {
            at_terminal(&s, &line, true, input);
        }
        assert_eq!(s.calls(), before);
    }
}

#[test]
fn messages_have_the_links_that_the_terminal_knows() {
    let mut s = Sandbox::new();
    s.set("TERM", "xterm");
    s.write("a.c", "int f(void) { int unused; return 0; }\n");
    let line = "gcc -Wall -c a.c -o a.o";
    for value in ["", "truecolor", "xfce4-terminal", "gnome-terminal", ""] {
        match value {
            "" => s.unset("COLORTERM"),
            value => s.set("COLORTERM", value),
        }
        for _ in 0..2 {
            let truth = at_terminal(&s, line, false, &Input::Nothing);
            assert_eq!(at_terminal(&s, line, true, &Input::Nothing), truth, "{value}");
        }
    }
}

#[test]
fn what_a_driver_says_once() {
    let s = Sandbox::new();
    s.write("a.c", "int x;\n");
    s.write("b.cc", "int y;\n");
    s.write("c.c", "int z;\n");
    let several = "gcc -c -x c a.c -x c++ b.cc";
    s.warm(several);
    s.write("a.c", "int x2;\n");
    assert_eq!(s.miss(several).err(), "");
    s.hit(several);
    // Its own last one has none, and that it says.
    for line in ["gcc -c -x c a.c c.c -x c++", "gcc -c -x c a.c -x c++"] {
        for text in ["int x3;\n", "int x4;\n"] {
            s.write("a.c", text);
            for _ in 0..3 {
                let (output, _) = s.same(line);
                assert_eq!(output.err().matches("last input file").count(), 1, "{}", output.err());
            }
        }
    }
    if have("clang") {
        for line in ["clang -lm -c a.c", "clang -lm -c a.c c.c"] {
            for text in ["int x5;\n", "int x6;\n"] {
                s.write("a.c", text);
                for _ in 0..3 {
                    let (output, _) = s.same(line);
                    assert_eq!(output.err().matches("-lm").count(), 1, "{}", output.err());
                }
            }
        }
        s.hit("clang -lm -c a.c");
    }
}

#[test]
fn a_pipe_to_the_assembler_shows() {
    let s = Sandbox::new();
    s.write("a.c", "__asm__(\".warning \\\"hi\\\"\");\n");
    s.warm("gcc -pipe -c a.c -o a.o");
    let (output, cost) = s.counted("gcc -c a.c -o a.o");
    assert!(cost > 0 && !output.err().contains("standard input"), "{}", output.err());
    s.warm("gcc -pipe -Wa,-g -c a.c -o a.o");
}

#[test]
fn a_list_of_a_sanitizer_that_appears() {
    if !have("clang") {
        return;
    }
    let s = Sandbox::new();
    s.write("a.c", "int f(int *p) { return *p; }\n");
    let own = s.bare("clang -print-resource-dir").ok().out();
    s.bare(&["cp", "-aL", &format!("{}/include", own.trim()), "headers"]).ok();
    fs::create_dir_all(s.path("res/share")).unwrap();
    s.bare("mv headers res/include").ok();
    for (sanitizer, list) in [("address", "asan"), ("memory", "msan"), ("thread", "tsan")] {
        for more in ["", " -nostdinc"] {
            let line =
                format!("clang -resource-dir res -fsanitize={sanitizer}{more} -c a.c -o a.o");
            let file = format!("res/share/{list}_ignorelist.txt");
            s.warm(&line);
            s.write(&file, "fun:f\n");
            s.warm(&line);
            s.write(&file, "fun:g\n");
            s.warm(&line);
            s.remove(&file);
        }
    }
}

#[test]
fn lines_of_files_that_a_line_directive_names() {
    let s = Sandbox::new();
    s.write("a.c", "int f() {\n#line 2 \"g.y\"\nint u;\nreturn 0; }\n");
    s.write("b.i", "int f() {\n# 2 \"g.y\" 1\nint u;\nreturn 0; }\n");
    s.write("c.c", "#define F \"g.y\"\nint f() {\n#line 2 F\nint u;\nreturn 0; }\n");
    for source in ["a.c", "b.i", "c.c"] {
        let line = format!("gcc -Wall -c {source} -o a.o");
        s.same(&line);
        s.same(&line);
        for text in ["x\nint u; // OLD\n", "x\nint u; // NEW\n"] {
            s.write("g.y", text);
            assert!(s.same(&line).0.err().contains(&text[2..15]));
            s.same(&line);
        }
        s.remove("g.y");
        s.same(&line);
    }
    s.write("x/g.y", "");
    s.hit("gcc -Wall -c a.c -o a.o");
}

#[test]
fn lines_in_listings_of_the_assembler() {
    let s = Sandbox::new();
    s.write("a.c", "#line 2 \"g.y\"\nint f(void) { return 0; }\n");
    s.write(
        "b.s",
        " .file \"b.c\"\n .text\n .file 1 \"g.y\"\n .loc 1 2 0\nf: ret\n .loc 1 3 0\n nop\n",
    );
    for line in [
        "gcc -g -Wa,-ahlnd=l.lst -c a.c -o a.o",
        "gcc -pipe -g -Wa,-ahlnd -c a.c -o a.o",
        "gcc -Wa,-ahln=l.lst -c b.s -o a.o",
        "gcc -Xassembler -ahln=l.lst -c b.s -o a.o",
    ] {
        s.same(line);
        s.same(line);
        for text in ["x\nOLD\nOLD\n", "x\nNEW\nNEW\n"] {
            s.write("g.y", text);
            s.same(line);
            s.same(line);
        }
        s.remove("g.y");
        s.same(line);
    }
}

#[test]
fn directives_made_of_parts() {
    let s = Sandbox::new();
    s.write("a.s", ".macro inc a f\n.\\a \"\\f\"\n.endm\ninc incbin d.bin\n");
    s.write("b.s", ".macro inc a b f\n\\a\\b \"\\f\"\n.endm\ninc .inc bin d.bin\n");
    s.write("c.S", "#define WORD incbin\n.WORD \"d.bin\"\n");
    s.write(
        "d.c",
        "__asm__(\".macro inc a f\\n.\\\\a \\\"\\\\f\\\"\\n.endm\\ninc incb\" \"in d.bin\\n\");\n",
    );
    for compiler in
        ["gcc", "gcc -flto -frandom-seed=1", "clang"].into_iter().filter(|line| have(&line[..3]))
    {
        if compiler == "clang" && !have("clang") {
            continue;
        }
        for source in ["a.s", "b.s", "c.S", "d.c"] {
            let line = format!("{compiler} -c {source} -o a.o");
            for text in ["AAAA", "BBBB"] {
                s.write("d.bin", text);
                s.same(&line);
                s.same(&line);
            }
        }
    }
    s.write("e.s", ".macro add a\n addl \\a, %eax\n.endm\nadd %ebx\n");
    s.warm("gcc -flto -c e.s -o a.o");
}

#[test]
fn assembler_in_the_text_of_llvm() {
    if !have("clang") {
        return;
    }
    let s = Sandbox::new();
    s.write("a.ll", "module asm \".incbin \\22d.bin\\22\"\n");
    s.write("b.ll", "module asm \".\\69ncbin \\22d.bin\\22\"\n");
    s.write("d.bin", "AAAA");
    s.bare("clang -w -c -emit-llvm a.ll -o c.bc").ok();
    for source in ["a.ll", "b.ll", "c.bc"] {
        let line = format!("clang -w -c {source} -o a.o");
        for text in ["AAAA", "BBBB"] {
            s.write("d.bin", text);
            s.same(&line);
            s.same(&line);
        }
    }
    s.write("plain.ll", "@x = global [3 x i8] c\"a\\0Ab\"\n");
    s.warm("clang -w -c plain.ll -o a.o");
}

#[test]
fn what_specs_files_do() {
    let mut s = Sandbox::new();
    s.write("a.c", "#ifndef X\n#define X 0\n#endif\nint x = X; int f(void) { return 1; }\n");
    let line = "gcc -specs=./s.specs -c a.c -o a.o";
    s.write("s.specs", "*cpp:\n+ -DX=%:getenv(MYX 1)\n\n");
    for value in ["1", "1", "2"] {
        s.set("MYX", value);
        s.same(line);
    }
    for text in [
        "*cpp:\n+ %:if-exists-else(mark -DX=5) \n\n",
        "*cc1:\n+ -fstack-usage\n\n",
        "*cc1:\n+ -fdump-tree-optimized\n\n",
    ] {
        s.write("s.specs", text);
        for _ in 0..3 {
            for made in ["a.o", "a.su"] {
                let _ = fs::remove_file(s.path(made));
            }
            let (_, cost) = s.same(line);
            assert!(cost > 0, "{text}");
        }
    }
    s.write("s.specs", "*cpp:\n+ -DX=1\n\n");
    s.warm(line);
}

#[test]
fn options_of_llvm_that_name_files() {
    if !have("clang") {
        return;
    }
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.write("r.txt", "");
    let line = "clang -O2 -mllvm -cgscc-inline-replay=r.txt -c a.c -o a.o";
    s.same(line);
    s.same(line);
    s.write("r.txt", "xx\n");
    s.same(line);
    s.warm("clang -O2 -mllvm -inline-threshold=3 -c a.c -o a.o");
}

#[test]
fn outputs_that_may_not_be_written_to() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.write("l.rs", "pub fn f() -> i32 { 3 }\n");
    fs::create_dir(s.path("out")).unwrap();
    // Modes mean nothing to root, but to rustc.
    let is_root = rustix::process::geteuid().is_root();
    let front = if is_root { "setpriv --bounding-set=-dac_override,-fowner " } else { "" };
    let rustc = "rustc --crate-name l --crate-type rlib --out-dir out l.rs --emit";
    for (line, output) in [
        ("gcc -c a.c -o a.o", "a.o"),
        ("gcc -S a.c -o a.s", "a.s"),
        ("gcc -MD -MF a.d -c a.c -o a.o", "a.d"),
        ("clang -c a.c -o a.o", "a.o"),
        ("clang -S a.c -o a.s", "a.s"),
        ("clang -fno-integrated-as -c a.c -o a.o", "a.o"),
        ("clang -MD -MF a.d -c a.c -o a.o", "a.d"),
        (&format!("{rustc} metadata"), "out/libl.rmeta"),
        (&format!("{rustc} link"), "out/libl.rlib"),
        (&format!("{rustc} obj"), "out/l.o"),
        (&format!("{rustc} dep-info,metadata"), "out/l.d"),
        (&format!("{rustc} dep-info,metadata"), "out/libl.rmeta"),
    ] {
        if !have(line.split(' ').next().unwrap()) {
            continue;
        }
        s.same(line);
        s.hit(line);
        for link in [false, true] {
            let run = |way: &str| {
                let path = s.path(output);
                let target = if link { s.path("target") } else { path.clone() };
                let _ = fs::remove_file(&path);
                let _ = fs::remove_file(&target);
                fs::write(&target, "old").unwrap();
                fs::set_permissions(&target, fs::Permissions::from_mode(0o444)).unwrap();
                if link {
                    s.link(&target, output);
                }
                let said = finish(s.command(&format!("{front}{way}{line}")).spawn().unwrap());
                let is_link = fs::symlink_metadata(&path).map(|about| about.is_symlink()).ok();
                let is_kept = |path| fs::read(path).map(|text| text == b"old").ok();
                (said.status, said.err(), is_link, is_kept(&path), is_kept(&target))
            };
            assert_eq!(run(&format!("{ZCCACHE} ")), run(""), "{line}, {output}, a link: {link}");
        }
    }
}

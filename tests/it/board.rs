//! Hits from the board: with the daemon stopped nobody else can be asked, so what is a hit then is the board's.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::kit::{Sandbox, ZCCACHE, eventually, have, may_mount, rustc};

const COMPILE: &str = "gcc -Ii1 -Ii2 -c a.c -o a.o";
/// With an object that is handed out as a link.
const LARGE: &str = "gcc -Ii1 -Ii2 -DLARGE -c a.c -o a.o";

/// A source and a header that is found in the second of two folders.
fn sandbox() -> Sandbox {
    let s = Sandbox::new();
    let text = "#include <x.h>\n#ifdef LARGE\nchar data[400000] = {1, X};\n#endif\nint v() { return X; }\n";
    s.write("a.c", text);
    s.write("i2/x.h", "#define X 1\n");
    fs::create_dir(s.path("i1")).unwrap();
    s
}

impl Sandbox {
    /// A compile, and hits until the board has it.
    #[track_caller]
    fn on_board(&self, line: &str) {
        self.warm(line);
        self.on_board_again(line);
    }

    #[track_caller]
    fn on_board_again(&self, line: &str) {
        let found = eventually(Duration::from_secs(30), || {
            (0..3).for_each(|_| drop(self.z(line).ok()));
            std::thread::sleep(Duration::from_millis(20));
            self.is_hit_alone(line)
        });
        assert!(found, "not on the board: {line}");
    }

    /// Whether it is a hit while the daemon does not answer.
    #[track_caller]
    fn is_hit_alone(&self, line: &str) -> bool {
        self.remove("a.o");
        let is_hit = self.are_hits_alone(line, 1);
        assert!(self.exists("a.o"));
        is_hit
    }

    /// The same for so many in a row.
    #[track_caller]
    fn are_hits_alone(&self, line: &str, count: usize) -> bool {
        let (daemon, before) = (self.daemon(), self.calls());
        self.signal(daemon, Signal::STOP);
        let start = Instant::now();
        let outputs: Vec<_> = (0..count).map(|_| self.z(line)).collect();
        // Who asks waits for four seconds.
        let waited = start.elapsed() > Duration::from_secs(3);
        self.signal(daemon, Signal::CONT);
        outputs.into_iter().for_each(|output| drop(output.ok()));
        self.calls() == before && !waited
    }

    /// Those that the daemon has been told of as well.
    fn hits(&self) -> u64 {
        self.status()["hits"].as_u64().unwrap()
    }
}

#[test]
fn nobody_is_asked_and_all_is_told() {
    let mut s = sandbox();
    let told = s.aside("told").join("told.jsonl");
    let output = s.z(&["session-start", "--journal", told.to_str().unwrap()]).ok();
    let session: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    s.set("ZCCACHE_SESSION_ID", session["session_id"].as_str().unwrap());
    s.on_board(COMPILE);
    s.on_board(LARGE);
    let before = s.hits();
    for line in [COMPILE, LARGE, COMPILE, LARGE] {
        assert!(s.is_hit_alone(line));
        // And right.
        s.hit(line);
    }
    assert_eq!(s.hits(), before + 8);
    s.z(&["session-end", &s.get("ZCCACHE_SESSION_ID")]).ok();
    let journal = fs::read_to_string(told).unwrap();
    let last = journal.lines().next_back().unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["outcome"], "hit");
    assert!(last["latency_ns"].as_u64() > Some(1000), "{last}");
    assert!(last["args"].as_array().unwrap().iter().any(|arg| arg == "-DLARGE"));
}

/// The board holds so many until the daemon has heard of them; it is woken before.
#[test]
fn every_hit_is_told_of() {
    let s = sandbox();
    s.on_board(COMPILE);
    let before = s.hits();
    (0..400).for_each(|_| drop(s.z(COMPILE).ok()));
    assert_eq!(s.hits(), before + 400);
    assert!(s.are_hits_alone(COMPILE, 60));
    assert_eq!(s.hits(), before + 460);
}

/// What is longer than its room on the stack goes elsewhere.
#[test]
fn answers_and_queues_of_any_length() {
    let s = sandbox();
    let warnings: String = (0..80).map(|n| format!("#warning \"{n} {:060}\"\n", 0)).collect();
    s.write("talks.c", format!("{warnings}int v() {{ return 1; }}\n"));
    let talks = "gcc -c talks.c -o a.o";
    s.on_board(talks);
    assert!(s.same(talks).1 == 0 && s.is_hit_alone(talks));
    s.on_board(COMPILE);
    let come_and_go = |count: usize| {
        for n in 0..count {
            s.write(format!("made-{n}.o"), "");
            s.remove(format!("made-{n}.o"));
        }
    };
    // The first piece of the queue, the next ones, and more than one reader takes.
    for count in [5, 50, 500] {
        come_and_go(count);
        assert!(s.is_hit_alone(COMPILE), "{count}");
    }
    come_and_go(3000);
    s.hit(COMPILE);
    s.on_board_again(COMPILE);
    // A change behind them all is seen.
    for (count, value) in [(5, 21), (50, 22), (500, 23), (3000, 24)] {
        come_and_go(count);
        s.write("i2/x.h", format!("#define X {value}\n"));
        assert!(s.same(COMPILE).1 > 0, "{count}: an old hit");
        s.on_board_again(COMPILE);
    }
    // A folder whose name has no room there is the ordinary way's.
    let deep = vec!["d".repeat(240); 13].join("/");
    s.write(format!("{deep}/a.c"), "int v() { return 1; }\n");
    let script =
        format!("cd {deep} && {ZCCACHE} gcc -c a.c -o a.o && cmp a.o {}", s.path("b.o").display());
    s.bare(&format!("gcc -c {deep}/a.c -o b.o")[..]).ok();
    (0..5).for_each(|_| drop(s.bare(&["sh", "-c", &script]).ok()));
}

/// Each way in which an input, or what leads to it, can become another.
#[test]
fn every_change_is_seen() {
    type Change = fn(&Sandbox);
    let changes: [(&str, Change); 11] = [
        ("written in place", |s| drop(s.write("i2/x.h", "#define X 2\n"))),
        ("written at an offset, without a new size", |s| {
            let file = fs::File::options().write(true).open(s.path("i2/x.h")).unwrap();
            file.write_all_at(b"3", 10).unwrap();
        }),
        ("replaced by renaming", |s| {
            s.write("new.h", "#define X 4\n");
            fs::rename(s.path("new.h"), s.path("i2/x.h")).unwrap();
        }),
        ("written by another name", |s| {
            let other = s.cache.join("other.h");
            fs::hard_link(s.path("i2/x.h"), &other).unwrap();
            fs::write(&other, "#define X 5\n").unwrap();
        }),
        ("written through a mapping", |s| {
            let script = "import mmap;f=open('i2/x.h','r+b');m=mmap.mmap(f.fileno(),0);m[10:11]=b'6';m.close();f.close()";
            s.bare(&["python3", "-c", script]).ok();
        }),
        ("found earlier", |s| drop(s.write("i1/x.h", "#define X 7\n"))),
        ("moved there", |s| {
            s.write("i3/x.h", "#define X 8\n");
            fs::rename(s.path("i1"), s.path("i4")).unwrap();
            fs::rename(s.path("i3"), s.path("i1")).unwrap();
        }),
        ("a link instead", |s| {
            s.write("i5/x.h", "#define X 9\n");
            s.remove("i1");
            s.link("i5", "i1");
        }),
        ("a link that leads elsewhere", |s| {
            s.write("i6/x.h", "#define X 10\n");
            s.remove("i1");
            s.link("i6", "i1");
        }),
        ("behind the link", |s| drop(s.write("i6/x.h", "#define X 11\n"))),
        ("the source", |s| drop(s.write("a.c", "#include <x.h>\nint v() { return 2 * X; }\n"))),
    ];
    for line in [COMPILE, LARGE] {
        let s = sandbox();
        s.on_board(line);
        for (what, change) in changes {
            change(&s);
            let (_, cost) = s.same(line);
            assert!(cost > 0, "{what}: an old hit of {line}");
            s.on_board_again(line);
            // What does not matter takes nothing down.
            s.write("i2/unread.h", what);
            s.remove("i2/unread.h");
            s.write("b.o", what);
            assert!(s.is_hit_alone(line), "{what}: {line}");
        }
    }
}

#[test]
fn the_environment_and_the_folder_count() {
    let mut s = sandbox();
    s.on_board(COMPILE);
    s.set("MAKEFLAGS", "-j --jobserver-auth=3,4");
    s.set("SHLVL", "7");
    // Make's own variables may be there or not, but are then part of what was asked for again.
    s.on_board_again(COMPILE);
    s.set("MAKEFLAGS", "-j --jobserver-auth=fifo:/nowhere");
    s.set("SHLVL", "8");
    assert!(s.is_hit_alone(COMPILE));
    s.write("i7/x.h", "#define X 12\n");
    s.set("CPATH", "i7");
    s.write("i8/x.h", "#define X 13\n");
    s.set("C_INCLUDE_PATH", "i8");
    s.same(COMPILE);
    s.same("gcc -c a.c -o a.o");
    s.on_board_again("gcc -c a.c -o a.o");
    s.set("CPATH", "i8");
    s.miss("gcc -c a.c -o a.o");
}

#[test]
fn blobs_and_settings_are_minded() {
    let s = sandbox();
    s.on_board(LARGE);
    // A blob that was written to through a link in a build tree.
    let (_, cost) = s.same(LARGE);
    assert_eq!(cost, 0);
    let blobs = s.blobs();
    let large: Vec<&PathBuf> =
        blobs.iter().filter(|blob| fs::metadata(blob).unwrap().len() > 300_000).collect();
    assert_eq!(large.len(), 1);
    fs::set_permissions(large[0], std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let file = fs::File::options().write(true).open(large[0]).unwrap();
    file.write_all_at(b"damage", 200_000).unwrap();
    drop(file);
    s.remove("a.o");
    s.same(LARGE);
    s.on_board_again(LARGE);
    // A blob that is gone.
    s.blobs().iter().for_each(|blob| fs::remove_file(blob).unwrap());
    s.same(LARGE);
    // The umask is the caller's.
    s.on_board_again(LARGE);
    let script = format!("umask 077; rm -f a.o; exec {ZCCACHE} {LARGE}");
    s.bare(&["sh", "-c", &script]).ok();
    let mode = fs::metadata(s.path("a.o")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o777, 0o600);
    // Settings hold from the next command on.
    s.on_board_again(COMPILE);
    fs::write(s.cache.join("config.toml"), "[compile]\ndisable = true\n").unwrap();
    s.z(COMPILE).ok();
    assert!(s.z("clear").status.success());
}

#[test]
fn a_board_whose_daemon_is_gone() {
    let s = sandbox();
    s.on_board(COMPILE);
    let link = s.cache.join("daemon.board");
    let text = fs::read_link(&link).unwrap();
    s.signal(s.daemon(), Signal::KILL);
    assert!(eventually(Duration::from_secs(10), || s.daemons().is_empty()));
    assert!(link.is_symlink());
    s.same(COMPILE);
    s.on_board_again(COMPILE);
    assert_ne!(fs::read_link(&link).unwrap(), text);
    // One that ends in peace takes it along.
    s.z("stop").ok();
    assert!(!link.is_symlink());
    // Whatever else is there is nobody's board, and in nobody's way.
    for wrong in ["nonsense", &"f".repeat(48), &text.display().to_string()] {
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(wrong, &link).unwrap();
        s.hit(COMPILE);
    }
    s.z("stop").ok();
    let _ = fs::remove_file(&link);
    fs::write(&link, "mine").unwrap();
    (0..4).for_each(|_| drop(s.hit(COMPILE)));
    assert_eq!(fs::read(&link).unwrap(), b"mine");
}

#[test]
fn cleared_is_cleared() {
    let s = sandbox();
    s.on_board(COMPILE);
    s.z("clear").ok();
    s.miss(COMPILE);
}

#[test]
fn another_view_asks() {
    let s = sandbox();
    s.on_board(COMPILE);
    // Another header is mounted over ours: there the notice is not true.
    s.write("other.h", "#define X 99\n");
    let script =
        format!("mount --bind other.h i2/x.h; rm -f a.o; {ZCCACHE} {COMPILE}; cp a.o theirs.o");
    let Some(output) = s.unshared(&script) else { return };
    output.ok();
    s.write("i9/x.h", "#define X 99\n");
    s.bare("gcc -Ii1 -Ii9 -c a.c -o truth.o").ok();
    assert!(s.read("theirs.o") == s.read("truth.o"));
    assert!(s.is_hit_alone(COMPILE));
}

/// Every notice is gone then, for any path may mean another file.
#[test]
fn what_is_mounted_here_is_seen() {
    if !may_mount("board::what_is_mounted_here_is_seen") {
        return;
    }
    let s = sandbox();
    s.on_board(COMPILE);
    s.write("other.h", "#define X 99\n");
    s.write("i9/x.h", "#define X 99\n");
    s.bare("gcc -Ii1 -Ii9 -c a.c -o truth.o").ok();
    if s.bare("mount --bind other.h i2/x.h").status.success() {
        s.remove("a.o");
        let output = s.z(COMPILE);
        s.bare("umount i2/x.h").ok();
        output.ok();
        assert!(s.read("a.o") == s.read("truth.o"));
    }
}

#[test]
fn crates_and_clang() {
    let s = Sandbox::new();
    if have("clang") {
        s.write("a.c", "int v() { return 1; }\n");
        s.on_board("clang -c a.c -o a.o");
        s.write("a.c", "int v() { return 2; }\n");
        s.miss("clang -c a.c -o a.o");
    }
    let Some(rustc) = rustc() else { return };
    s.write("lib.rs", "pub fn f() -> &'static str { include_str!(\"text\") }\n");
    s.write("text", "one");
    let line = format!("{rustc} --crate-name a --crate-type lib --emit=link=a.o lib.rs");
    s.same(&line);
    s.on_board_again(&line);
    s.write("text", "two");
    s.same(&line);
}

//! Any command, by what is said of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::kit::{Output, Sandbox};

/// A command that writes down each run, reads inputs and makes outputs.
const TOOL: &str = "#!/bin/sh\necho run >> \"$RUNS\"\nmkdir -p out/deep\ncat in/*.txt > out/all\n\
    echo \"$MODE\" > out/deep/mode\nchmod 600 out/deep/mode\nln -sf all out/link\n\
    printf '#!/bin/sh\\n' > tool-out; chmod +x tool-out\necho said; echo told >&2\n";

fn sandbox() -> Sandbox {
    let mut s = Sandbox::new();
    s.set("RUNS", s.aside("runs").join("log"));
    s.script("tool", TOOL);
    s.write("in/a.txt", "a\n");
    s.write("in/b.txt", "b\n");
    s
}

const LINE: &str = "exec --input in/*.txt --output out --output tool-out --env MODE -- ./tool x";

fn runs(s: &Sandbox) -> usize {
    let log = fs::read_to_string(s.aside("runs").join("log")).unwrap_or_default();
    log.lines().count()
}

/// Runs it through the cache in a clean folder; gives what was said and how often it really ran.
#[track_caller]
fn exec(s: &Sandbox, line: &str) -> (Output, usize) {
    for made in ["out", "tool-out"] {
        if s.exists(made) {
            s.remove(made);
        }
    }
    let before = runs(s);
    let output = s.z(line).ok();
    let ran = runs(s) - before;
    assert_eq!((output.out().as_str(), output.err().as_str()), ("said\n", "told\n"));
    let mode = |name: &str| fs::metadata(s.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("out/deep/mode"), mode("out/all"), mode("tool-out")), (0o600, 0o644, 0o755));
    assert_eq!(fs::read_link(s.path("out/link")).unwrap(), Path::new("all"));
    (output, ran)
}

#[track_caller]
fn warm(s: &Sandbox, line: &str) {
    assert_eq!(exec(s, line).1, 1, "a run was due");
    assert_eq!(exec(s, line).1, 0, "not a hit: {}", s.reasons());
}

#[test]
fn outputs_and_words_come_back() {
    let mut s = sandbox();
    warm(&s, LINE);
    assert_eq!(s.read("out/all"), b"a\nb\n");
    s.write("in/a.txt", "changed\n");
    warm(&s, LINE);
    assert_eq!(s.read("out/all"), b"changed\nb\n");
    // A new file that the glob means, one that it does not mean, and one that goes.
    s.write("in/c.txt", "c\n");
    warm(&s, LINE);
    s.write("in/c.other", "c\n");
    assert_eq!(exec(&s, LINE).1, 0);
    s.remove("in/c.txt");
    assert_eq!(exec(&s, LINE).1, 0);
    assert_eq!(s.read("out/all"), b"changed\nb\n");
    // Named variables, and others.
    s.set("MODE", "fast");
    warm(&s, LINE);
    assert_eq!(s.read("out/deep/mode"), b"fast\n");
    s.set("OTHER", "x");
    assert_eq!(exec(&s, LINE).1, 0);
    // Another word; the program itself.
    warm(&s, &LINE.replace(" x", " y"));
    s.script("tool", TOOL.replace("cat in", "echo new > new; cat in"));
    warm(&s, LINE);
}

#[test]
fn folders_of_a_folder_are_inputs() {
    let s = sandbox();
    let line = "exec --input in --output in/made/x -- sh -c";
    let script = "echo >> $RUNS; find in -type d | sort > in/made/x";
    fs::create_dir_all(s.path("in/made")).unwrap();
    let words: Vec<&str> = line.split(' ').chain([script]).collect();
    for expected in ["in\nin/made\n", "in\nin/empty\nin/made\n"] {
        let before = runs(&s);
        for _ in 0..2 {
            s.z(&words[..]).ok();
            assert_eq!(s.read("in/made/x"), expected.as_bytes());
            assert_eq!(runs(&s), before + 1);
        }
        fs::create_dir_all(s.path("in/empty")).unwrap();
    }
}

#[test]
fn another_folder_is_another_command() {
    let mut s = sandbox();
    warm(&s, LINE);
    fs::create_dir(s.path("sub")).unwrap();
    s.cwd = s.path("sub");
    let line = "exec --input ../in/*.txt --output x -- sh -c";
    let words: Vec<&str> = line.split(' ').chain(["cat ../in/a.txt > x; echo >> $RUNS"]).collect();
    for expected in [1, 1] {
        let before = runs(&s);
        s.z(&words[..]).ok();
        assert_eq!(s.read("sub/x"), b"a\n");
        let _ = (before, expected);
    }
    let log = runs(&s);
    s.z(&words[..]).ok();
    assert_eq!(runs(&s), log, "a hit");
    s.write("in/a.txt", "other\n");
    s.z(&words[..]).ok();
    assert_eq!(s.read("sub/x"), b"other\n");
}

#[test]
fn a_missing_output_is_an_error() {
    let mut s = sandbox();
    let line = "exec --input in/*.txt --output none -- ./tool";
    for _ in 0..2 {
        let output = s.z(line).code(125);
        assert_eq!(output.out(), "said\n");
        let expected = "told\nzccache: exec: the command succeeded, but there is no none, which \
                        --output names\n";
        assert_eq!(output.err(), expected);
    }
    assert_eq!(runs(&s), 2);
    // Without a daemon the same is said.
    s.set("ZCCACHE_DISABLE", "1");
    assert!(s.z(line).code(125).err().contains("there is no none"));
    let output = s.z(LINE).ok();
    assert_eq!((output.out().as_str(), output.err().as_str()), ("said\n", "told\n"));
}

#[test]
fn failures_are_not_kept() {
    let s = sandbox();
    s.script("fails", "#!/bin/sh\necho run >> \"$RUNS\"\necho bad >&2\nexit 7\n");
    for _ in 0..2 {
        assert_eq!(s.z("exec --output x -- ./fails").code(7).err(), "bad\n");
    }
    assert_eq!(runs(&s), 2);
    assert!(s.z("exec -- ./nowhere").code(127).err().contains("nowhere"));
    s.script("dies", "#!/bin/sh\nkill -9 $$\n");
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(s.z("exec -- ./dies").status.signal(), Some(9));
    assert!(s.z("exec --input a[ -- ./tool").code(2).err().contains("a["));
    s.z("exec --input a").code(2);
}

#[test]
fn files_of_the_folder_that_are_not_its_own_stay() {
    let s = sandbox();
    warm(&s, LINE);
    s.remove("out/deep");
    s.write("out/mine", "mine");
    s.write("out/all", "edited");
    let before = runs(&s);
    s.z(LINE).ok();
    assert_eq!(runs(&s), before);
    assert_eq!(s.read("out/all"), b"a\nb\n");
    assert_eq!(s.read("out/mine"), b"mine");
}

#[test]
fn an_input_that_changes_meanwhile() {
    let s = sandbox();
    s.script(
        "slow",
        "#!/bin/sh\necho run >> \"$RUNS\"\ncat in/a.txt > x\necho late > in/late.txt\n",
    );
    let line = "exec --input in/*.txt --output x -- ./slow";
    s.z(line).ok();
    s.remove("in/late.txt");
    s.z(line).ok();
    assert_eq!(runs(&s), 2, "what came while it ran may have been read");
}

#[test]
fn explained_without_being_run() {
    let mut s = sandbox();
    let explained = |s: &Sandbox| -> serde_json::Value {
        let before = runs(s);
        let text = s.z(&format!("explain --json -- {LINE}")).ok().out();
        assert_eq!(runs(s), before);
        serde_json::from_str(&text).unwrap()
    };
    let new = explained(&s);
    assert_eq!((&new["outcome"], &new["tool"]), (&"miss".into(), &"exec".into()));
    warm(&s, LINE);
    let known = explained(&s);
    assert_eq!(known["outcome"], "hit", "{known}");
    assert_eq!(known["units"][0]["action"], new["units"][0]["action"]);
    let parts = known["units"][0]["parts"].to_string();
    assert!(parts.contains("in/*.txt") && parts.contains("MODE"), "{parts}");
    s.write("in/a.txt", "other\n");
    let changed = explained(&s);
    assert_eq!(changed["outcome"], "miss");
    assert!(changed["causes"].to_string().contains("in/a.txt"), "{changed}");
    s.set("MODE", "x");
    assert_eq!(explained(&s)["outcome"], "miss");
    let words = s.z("explain exec --input in/*.txt -- ./tool x").ok().out();
    assert!(words.contains("miss"), "{words}");
    let bad = s.z("explain exec --input in/*.txt --env A=1 -- ./tool").code(2).err();
    assert!(bad.contains("--env A=1") && bad.lines().count() == 1, "{bad}");
}

#[test]
fn made_anew_takes_the_place_of_what_was_known() {
    let mut s = Sandbox::new();
    // Nobody is told of `mood`: what was made under another one is bad, and known to be right.
    s.script("tool", "#!/bin/sh\ncat mood > x\nif grep -q loud mood; then echo told >&2; fi\n");
    let line = "exec --input tool --output x -- ./tool";
    let run = |s: &Sandbox, mood: &str| {
        s.write("mood", mood);
        let _ = fs::remove_file(s.path("x"));
        let told = s.z(line).ok().err();
        (String::from_utf8(s.read("x")).unwrap(), told)
    };
    let of = |mood: &str, told: &str| (mood.to_owned(), told.to_owned());
    assert_eq!(run(&s, "bad"), of("bad", ""));
    assert_eq!(run(&s, "good"), of("bad", ""), "not a hit");
    s.set("ZCCACHE_RECACHE", "1");
    assert_eq!(run(&s, "good"), of("good", ""));
    s.unset("ZCCACHE_RECACHE");
    assert_eq!(run(&s, "bad"), of("good", ""), "the first one came back");
    // Also where the new one says something, and the one before was silent.
    s.set("ZCCACHE_RECACHE", "1");
    assert_eq!(run(&s, "loud"), of("loud", "told\n"));
    s.unset("ZCCACHE_RECACHE");
    assert_eq!(run(&s, "bad"), of("loud", "told\n"), "the silent one came back");
    s.z("stop").ok();
    assert_eq!(run(&s, "bad"), of("loud", "told\n"), "the silent one came back later");
}

#[test]
fn folders_that_a_glob_finds_are_inputs() {
    let s = sandbox();
    s.script("tool", TOOL.replace("in/*.txt", "in/*.txt in/deep/*"));
    s.write("in/deep/c.txt", "c\n");
    for line in ["i*", "*/deep/", "i*/./deep"].map(|glob| LINE.replace("in/*.txt", glob)) {
        for text in ["one\n", "two\n"] {
            s.write("in/deep/c.txt", text);
            warm(&s, &line);
        }
    }
    let output = s.z(&LINE.replace("in/*.txt", "*/../a.txt"));
    assert!(output.err().contains("behind a sign"), "{}", output.err());
}

#[test]
fn an_output_behind_a_link_to_nothing() {
    let s = Sandbox::new();
    s.write("in.txt", "text\n");
    let words =
        ["exec", "--input", "in.txt", "--output", "out", "--", "sh", "-c", "cat in.txt > out"];
    std::os::unix::fs::symlink("target", s.path("out")).unwrap();
    for _ in 0..3 {
        s.z(&words).ok();
        assert_eq!(s.read("target"), b"text\n");
        assert!(s.path("out").is_symlink());
        s.remove("target");
    }
}

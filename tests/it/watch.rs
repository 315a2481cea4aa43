//! `zccache watch`: the stream of changes, by events and by looking.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::kit::Sandbox;

struct Stream {
    child: Child,
    lines: Receiver<String>,
}

const PATIENCE: Duration = Duration::from_secs(60);

impl Stream {
    /// Starts it, and waits until it watches.
    fn start(s: &Sandbox, words: &str) -> Stream {
        let mut child = s.z_command(&format!("watch {words}")).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut ready = String::new();
        errors.read_line(&mut ready).unwrap();
        assert!(ready.contains("ready"), "{ready}");
        let out = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Stream { child, lines }
    }

    /// Collects lines until all of these were seen, and nothing but these.
    #[track_caller]
    fn expect(&self, wanted: &[&str]) {
        let mut missing: Vec<&str> = wanted.to_vec();
        let end = Instant::now() + PATIENCE;
        while !missing.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("not told: {missing:?}"));
            assert!(wanted.contains(&line.as_str()), "told as well: {line}; wanted {wanted:?}");
            missing.retain(|other| *other != line);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn both_ways(words: &str, case: impl Fn(&Sandbox, &Stream)) {
    for way in ["", "--poll 50ms"] {
        let s = Sandbox::new();
        s.write("t/a.c", "a");
        s.write("t/d/b.c", "b");
        s.write("u/c.c", "c");
        let stream = Stream::start(&s, &format!("--debounce 20ms {way} {words}"));
        case(&s, &stream);
    }
}

#[test]
fn files_are_created_changed_and_removed() {
    both_ways("--root t", |s, stream| {
        s.write("t/new.c", "new");
        stream.expect(&["created t/new.c"]);
        s.write("t/d/b.c", "longer");
        stream.expect(&["changed t/d/b.c"]);
        s.remove("t/a.c");
        stream.expect(&["removed t/a.c"]);
        fs::rename(s.path("t/new.c"), s.path("t/other.c")).unwrap();
        stream.expect(&["created t/other.c", "removed t/new.c"]);
        fs::rename(s.path("t/d"), s.path("t/e")).unwrap();
        stream.expect(&["created t/e/b.c", "removed t/d/b.c"]);
        // The moved folder is still heard.
        s.write("t/e/b.c", "edited again");
        stream.expect(&["changed t/e/b.c"]);
        s.write("t/x/y/z/deep.c", "deep");
        stream.expect(&["created t/x/y/z/deep.c"]);
        s.write("t/x/y/z/deeper.c", "deep");
        stream.expect(&["created t/x/y/z/deeper.c"]);
        s.remove("t/x");
        stream.expect(&["removed t/x/y/z/deep.c", "removed t/x/y/z/deeper.c"]);
        // Under the same name, another folder.
        s.write("t/x/y/z/deep.c", "deep");
        stream.expect(&["created t/x/y/z/deep.c"]);
    });
}

#[test]
fn several_roots_and_globs() {
    both_ways("--root t --root u --include *.c --exclude d", |s, stream| {
        s.write("t/d/b.c", "left out");
        s.write("t/note.txt", "left out");
        s.write("u/more.c", "more");
        s.write("t/more.c", "more");
        stream.expect(&["created t/more.c", "created u/more.c"]);
        s.remove("u");
        stream.expect(&["removed u/c.c", "removed u/more.c"]);
        // A root may come back.
        s.write("u/c.c", "again");
        stream.expect(&["created u/c.c"]);
    });
}

#[test]
fn json_is_one_object_a_batch() {
    both_ways("--root . --json", |s, stream| {
        s.write("t/new.c", "new");
        let line = stream.lines.recv_timeout(PATIENCE).unwrap();
        let batch: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(batch["created"], serde_json::json!(["./t/new.c"]));
        assert_eq!(batch["changed"], serde_json::json!([]));
        assert_eq!(batch["removed"], serde_json::json!([]));
        assert_eq!(batch["overflow"], false);
    });
}

/// Nothing may be lost in folders that are made while others are being looked at.
#[test]
fn many_new_folders_at_once() {
    both_ways("--root t", |s, stream| {
        let names: Vec<String> =
            (0..300).map(|n| format!("t/m{}/n{}/f{n}", n % 10, n % 30)).collect();
        for name in &names {
            s.write(name, "x");
        }
        let created: Vec<String> = names.iter().map(|name| format!("created {name}")).collect();
        let mut missing: std::collections::HashSet<&str> =
            created.iter().map(String::as_str).collect();
        let end = Instant::now() + PATIENCE;
        while !missing.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            let line = stream.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("{} not told", missing.len()));
            // Looked at between its creation and its first byte, a file may change once more.
            if !line.starts_with("changed ") {
                assert!(missing.remove(line.as_str()), "{line}");
            }
        }
        for name in &names {
            s.write(name, "longer");
        }
        let mut missing: std::collections::HashSet<String> =
            names.iter().map(|name| format!("changed {name}")).collect();
        while !missing.is_empty() {
            let line = stream.lines.recv_timeout(PATIENCE).expect("a change is not told");
            missing.remove(&line);
        }
    });
}

#[test]
fn bad_words_are_one_line_and_exit_2() {
    let s = Sandbox::new();
    for words in ["watch --root none", "watch --include a{b", "watch --debounce x", "watch more"] {
        let output = s.z(words).code(2);
        assert_eq!(output.err().lines().count(), 1, "{words}: {}", output.err());
    }
}

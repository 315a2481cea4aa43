//! `zccache fp`: every case with the daemon (asked until it watches the files) and without one;
//! the answers must be the same.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::kit::{Output, Sandbox, ZCCACHE, eventually, finish, have};

/// A tree, a cache file beside it, and a way to look.
struct Step {
    s: Sandbox,
    /// The program's words before the verb.
    words: Vec<String>,
    daemon: bool,
}

impl Step {
    fn words(&self, verb: &str, more: &str) -> Vec<String> {
        let own = self.words.iter().cloned();
        let more = more.split_whitespace().map(str::to_owned);
        own.chain([verb.to_owned()]).chain(more).collect()
    }

    fn check_with(&self, more: &str) -> Output {
        self.s.bare(&self.words("check", more)[..])
    }

    /// The answer, which must be what the status says, too.
    #[track_caller]
    fn says(&self, more: &str) -> String {
        let output = self.check_with(more);
        let err = output.err();
        let line = err.lines().last().unwrap_or_default().to_owned();
        let status = if line.starts_with("run (") { 0 } else { 1 };
        output.code(status);
        assert!(status == 0 || line == "skip (no changes)", "{err}");
        line
    }

    #[track_caller]
    fn expect(&self, more: &str, wanted: &str) {
        assert_eq!(self.says(more), wanted, "daemon: {}", self.daemon);
    }

    #[track_caller]
    fn mark(&self, verb: &str) {
        let output = self.s.bare(&self.words(verb, "")[..]).ok();
        assert_eq!(output.err(), "");
    }

    /// Succeeds on the files as they are.
    #[track_caller]
    fn succeed(&self, more: &str) {
        let said = self.says(more);
        assert!(said.starts_with("run ("), "{said}");
        self.mark("mark-success");
        self.expect(more, "skip (no changes)");
        self.watched();
    }

    /// With a daemon: waits until it watches the files, so that what follows is asked of it.
    #[track_caller]
    fn watched(&self) {
        let watches = || self.s.status()["watched_trees"].as_u64() >= Some(1);
        assert!(!self.daemon || eventually(Duration::from_secs(60), watches), "nothing is watched");
    }
}

/// Runs a case with the daemon and without one, by stat and by content only.
fn each_way(case: impl Fn(&Step)) {
    for (daemon, cache_type) in
        [(true, "two-layer"), (true, "hash"), (false, "two-layer"), (false, "hash")]
    {
        let s = Sandbox::new();
        let alone = s.aside("bin").join("zccache-fp");
        symlink(ZCCACHE, &alone).unwrap();
        let mut words = if daemon {
            vec![ZCCACHE.to_owned(), "fp".to_owned()]
        } else {
            vec![alone.display().to_string()]
        };
        let file = s.aside("state").join("step.fp");
        words.extend(["--cache-file".to_owned(), file.display().to_string()]);
        words.extend(["--cache-type".to_owned(), cache_type.to_owned()]);
        case(&Step { s, words, daemon });
    }
}

fn changed(count: usize) -> String {
    format!("run (content changed, {count} file(s) changed)")
}

const SKIP: &str = "skip (no changes)";

#[test]
fn a_step_from_the_first_run_on() {
    each_way(|step| {
        let s = &step.s;
        s.write("src/a.c", "a");
        s.write("src/b.c", "b");
        step.expect("", "run (no cache file)");
        step.expect("", "run (pending)");
        step.mark("mark-success");
        step.expect("", SKIP);
        step.watched();
        step.expect("", SKIP);
        s.write("src/a.c", "A");
        step.expect("", &changed(1));
        step.expect("", "run (pending)");
        // Back to what succeeded, but the step was begun on something else.
        s.write("src/a.c", "a");
        step.expect("", "run (pending)");
        step.mark("mark-failure");
        step.expect("", "run (previous failure)");
        step.mark("mark-success");
        step.expect("", SKIP);
        step.mark("invalidate");
        step.expect("", "run (no cache file)");
        step.mark("invalidate");
        step.mark("invalidate");
    });
}

#[test]
fn files_come_go_and_move() {
    each_way(|step| {
        let s = &step.s;
        for name in ["a", "d/b", "d/e/c"] {
            s.write(name, name);
        }
        step.succeed("");
        s.write("d/new", "new");
        step.expect("", &changed(1));
        s.remove("d/new");
        step.mark("mark-failure");
        step.succeed("");
        fs::rename(s.path("d/e"), s.path("d/f")).unwrap();
        step.expect("", &changed(2));
        step.mark("mark-success");
        step.expect("", SKIP);
        s.write("d/f/c", "edited");
        step.expect("", &changed(1));
        step.mark("mark-success");
        step.expect("", SKIP);
        // A folder replaced by another of the same name, and new ones inside at once.
        fs::rename(s.path("d"), s.path("../gone")).unwrap();
        s.write("d/x/y/z/deep", "deep");
        step.expect("", &changed(3));
        step.mark("mark-success");
        step.expect("", SKIP);
        s.write("d/x/y/z/deep", "deeper");
        step.expect("", &changed(1));
        step.mark("mark-success");
        s.remove("d");
        s.remove("a");
        step.expect("", &changed(2));
        step.mark("mark-success");
        // Nothing at all is a set, too.
        step.expect("", SKIP);
        s.write("first", "");
        step.expect("", &changed(1));
        step.mark("mark-success");
        s.chmod("first", 0o755);
        step.expect("", &changed(1));
        step.mark("mark-success");
        s.chmod("first", 0o744);
        step.expect("", SKIP);
    });
}

#[test]
fn same_size_and_time() {
    each_way(|step| {
        let s = &step.s;
        s.write("a", "one");
        s.touch("a", 1_000_000_000);
        step.succeed("");
        for text in ["two", "six", "ten"] {
            // In place, within one tick of the clock, with the old time put back.
            s.write("a", text);
            s.touch("a", 1_000_000_000);
            step.expect("", &changed(1));
            step.mark("mark-success");
            step.expect("", SKIP);
        }
        // Another file under the name, of the same size and time.
        s.write("b", "new");
        s.touch("b", 1_000_000_000);
        fs::rename(s.path("b"), s.path("a")).unwrap();
        step.expect("", &changed(1));
        step.mark("mark-success");
        // Other times for the same bytes: the past, the future.
        for seconds in [1, 4_000_000_000] {
            s.touch("a", seconds);
            step.expect("", SKIP);
        }
    });
}

#[test]
fn what_is_edited_while_the_step_runs_is_not_marked() {
    each_way(|step| {
        let s = &step.s;
        s.write("a", "one");
        s.write("b", "one");
        assert_eq!(step.says(""), "run (no cache file)");
        s.write("a", "two");
        step.mark("mark-success");
        step.expect("", &changed(1));
        step.mark("mark-success");
        step.expect("", SKIP);
        step.watched();
        s.write("b", "two");
        step.expect("", &changed(1));
        s.write("b", "six");
        step.mark("mark-success");
        step.expect("", &changed(1));
    });
}

#[test]
fn globs_choose() {
    each_way(|step| {
        let s = &step.s;
        for name in
            ["src/a.cpp", "src/a.h", "src/old/b.cpp", "build/x.cpp", "sub/build/y.cpp", "README"]
        {
            s.write(name, name);
        }
        let globs = "--include **/*.cpp --include **/*.h --exclude build --exclude /src/old";
        step.succeed(globs);
        for name in ["README", "build/x.cpp", "sub/build/z.cpp", "src/old/b.cpp", "src/note"] {
            s.write(name, "edited");
            step.expect(globs, SKIP);
        }
        s.write("sub/new.h", "");
        s.write("src/a.h", "edited");
        step.expect(globs, &changed(2));
        step.mark("mark-success");
        step.expect("--ext cpp,.h", "run (cache file for other globs)");
        step.mark("mark-success");
        step.expect("--ext .h --ext cpp", SKIP);
        s.write("src/none.c", "");
        step.expect("--ext .h --ext cpp", SKIP);
        s.write("src/old/b.cpp", "again");
        step.expect("--ext .h --ext cpp", &changed(1));
        step.mark("mark-success");
        step.expect("--ext cpp --ext h --root src", "run (cache file for another root)");
    });
}

#[test]
fn symlinks_are_followed_and_loops_end() {
    each_way(|step| {
        let s = &step.s;
        let outside = s.aside("outside");
        fs::create_dir_all(outside.join("lib")).unwrap();
        fs::write(outside.join("lib/x"), "x").unwrap();
        fs::write(outside.join("single"), "single").unwrap();
        s.write("d/a", "a");
        s.link("..", "d/up");
        s.link("self", "self");
        s.link("/nowhere", "dangling");
        s.link(outside.join("single"), "single");
        s.link(outside.join("lib"), "lib");
        symlink("../lib", outside.join("lib/again")).unwrap();
        step.succeed("");
        fs::write(outside.join("single"), "SINGLE").unwrap();
        step.expect("", &changed(1));
        step.mark("mark-success");
        fs::write(outside.join("lib/x"), "y").unwrap();
        step.expect("", &changed(1));
        step.mark("mark-success");
        fs::write(outside.join("lib/new"), "y").unwrap();
        step.expect("", &changed(1));
        step.mark("mark-success");
        step.expect("", SKIP);
        // The same content under another text is another link.
        s.remove("single");
        fs::write(outside.join("other"), "SINGLE").unwrap();
        s.link(outside.join("other"), "single");
        step.expect("", &changed(1));
        step.mark("mark-success");
        step.expect("", SKIP);
        // A link that led nowhere leads somewhere.
        s.remove("dangling");
        s.link("later", "dangling");
        step.expect("", &changed(1));
        step.mark("mark-success");
        s.write("later", "");
        step.expect("", &changed(2));
    });
}

#[test]
fn hard_links_written_to_elsewhere() {
    each_way(|step| {
        let s = &step.s;
        s.write("a", "one");
        let elsewhere = s.aside("elsewhere").join("a");
        step.succeed("");
        // Made after the file was watched.
        fs::hard_link(s.path("a"), &elsewhere).unwrap();
        step.expect("", SKIP);
        fs::write(&elsewhere, "two").unwrap();
        step.expect("", &changed(1));
    });
}

#[test]
fn what_can_not_be_read_says_run() {
    each_way(|step| {
        let s = &step.s;
        let user = "setpriv --reuid=65534 --regid=65534 --clear-groups";
        if !s.bare(&format!("{user} true")).status.success() || step.daemon {
            return;
        }
        s.write("a", "a");
        s.write("d/b", "b");
        for (name, what) in [("a", "a"), ("d", "d")] {
            // Others must get in, and write beside the cache file.
            for path in [s.dir.parent().unwrap(), &s.dir, &s.aside("state"), &s.path("d")] {
                fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777))
                    .unwrap();
            }
            s.chmod("a", 0o666);
            s.chmod(name, 0);
            let mut words: Vec<String> = user.split(' ').map(str::to_owned).collect();
            words.extend(step.words("check", ""));
            for reason in ["no cache file", "cannot read"] {
                let output = s.bare(&words[..]).code(0);
                let wanted = if reason == "cannot read" {
                    format!("run (cannot read {what}: Permission denied (os error 13))\n")
                } else {
                    format!("run ({reason})\n")
                };
                assert_eq!(output.err(), wanted);
                let mut mark: Vec<String> = user.split(' ').map(str::to_owned).collect();
                mark.extend(step.words("mark-success", ""));
                s.bare(&mark[..]).ok();
            }
            // Left out, it does not matter.
            words.extend(["--exclude".to_owned(), name.to_owned()]);
            assert_eq!(s.bare(&words[..]).err(), "run (cache file for other globs)\n");
            let _ = fs::remove_file(s.aside("state").join("step.fp"));
        }
        s.chmod("d", 0o755);
    });
}

#[test]
fn special_files_are_not_opened() {
    each_way(|step| {
        let s = &step.s;
        s.write("a", "a");
        s.bare("mkfifo pipe").ok();
        step.succeed("");
        s.remove("pipe");
        step.expect("", &changed(1));
    });
}

#[test]
fn bad_cache_files_say_run() {
    each_way(|step| {
        let s = &step.s;
        s.write("a", "a");
        let file = s.aside("state").join("step.fp");
        step.succeed("");
        let good = fs::read(&file).unwrap();
        let mut other_version = good.clone();
        other_version[12] = 99;
        let mut bit = good.clone();
        *bit.last_mut().unwrap() ^= 1;
        let cases: [(&[u8], &str); 5] = [
            (b"", "run (damaged cache file)"),
            (b"{\"version\": 1}", "run (damaged cache file)"),
            (&good[..good.len() / 2], "run (damaged cache file)"),
            (&other_version, "run (cache file of another version)"),
            (&good[..40], "run (damaged cache file)"),
        ];
        for (bytes, wanted) in cases {
            fs::write(&file, bytes).unwrap();
            let output = s.bare(&step.words("mark-success", "")[..]).ok();
            assert!(output.err().contains("no check is waiting for a mark"), "{}", output.err());
            step.expect("", wanted);
            step.mark("mark-success");
            step.expect("", SKIP);
        }
        // In the part that only a change needs.
        fs::write(&file, &bit).unwrap();
        s.write("a", "b");
        step.expect("", "run (damaged cache file)");
        // Somewhere else the same tree is another root.
        let moved = s.aside("elsewhere/deeper").join("step.fp");
        fs::write(&moved, &good).unwrap();
        let words = step.words("check", "");
        let words: Vec<String> = words
            .into_iter()
            .map(|word| if word.ends_with("step.fp") { moved.display().to_string() } else { word })
            .collect();
        let output = s.bare(&words[..]).code(0);
        assert_eq!(output.err(), "run (cache file for another root)\n");
    });
}

#[test]
fn a_cache_file_that_can_not_be_written_says_run() {
    let s = Sandbox::new();
    s.write("a", "a");
    s.write("in-the-way", "");
    let output = s.z("fp --cache-file in-the-way/f check").code(0);
    assert!(output.err().starts_with("run (cannot read the cache file: "), "{}", output.err());
    fs::create_dir(s.path("folder")).unwrap();
    let output = s.z("fp --cache-file folder check").code(0);
    assert!(output.err().contains("run (cannot read the cache file: "), "{}", output.err());
}

/// A tree and its cache file, carried to another machine: all stats differ.
#[test]
fn carried_elsewhere_content_decides() {
    each_way(|step| {
        let s = &step.s;
        s.write("proj/a", "a");
        s.write("proj/d/b", "b");
        let mut words = step.words.clone();
        let at = words.iter().position(|word| word.ends_with("step.fp")).unwrap();
        words[at] = ".cache/step.fp".to_owned();
        let run = |folder: &str, verb: &str| {
            let mut all = words.clone();
            all.push(verb.to_owned());
            let mut command = s.command(&all[..]);
            finish(command.current_dir(s.path(folder)).spawn().unwrap())
        };
        run("proj", "check").code(0);
        run("proj", "mark-success").code(0);
        run("proj", "check").code(1);
        s.bare("cp -r proj copy").ok();
        assert_eq!(run("copy", "check").err(), format!("{SKIP}\n"));
        s.write("copy/d/b", "c");
        assert_eq!(run("copy", "check").err(), format!("{}\n", changed(1)));
        // Files of the cache are no part of any set.
        run("copy", "mark-success").code(0);
        let mut second = words.clone();
        second[at] = ".cache/second".to_owned();
        for verb in ["check", "mark-success"] {
            second.push(verb.to_owned());
            s.command(&second[..]).current_dir(s.path("copy")).output().unwrap();
            second.pop();
        }
        assert_eq!(run("copy", "check").err(), format!("{SKIP}\n"));
    });
}

#[test]
fn two_scripts_at_once() {
    each_way(|step| {
        let s = &step.s;
        s.write("tree/a", "one");
        let line = |verb: &str, more: &str| {
            let words: Vec<String> =
                step.words(verb, more).iter().map(|word| format!("'{word}'")).collect();
            words.join(" ")
        };
        // Each is a shell that checks, waits, and marks.
        let script = format!(
            "{} 2>said-$1; : >ready-$1; until [ -e go-$1 ]; do sleep 0.01; done; {}",
            line("check", "--root tree"),
            line("mark-success", ""),
        );
        let start = |name: &str| {
            let child = s.command(&["sh", "-c", &script, "sh", name]).spawn().unwrap();
            assert!(eventually(Duration::from_secs(60), || s.exists(format!("ready-{name}"))));
            child
        };
        let first = start("1");
        // The second one sees another set; the first one's mark must not stand for it.
        s.write("tree/a", "two");
        let second = start("2");
        s.write("go-1", "");
        finish(first).ok();
        assert_eq!(s.read("said-1"), b"run (no cache file)\n");
        step.expect("--root tree", "run (pending)");
        s.write("go-2", "");
        finish(second).ok();
        // What we have begun ourselves just now.
        step.expect("--root tree", "run (pending)");
        step.mark("mark-success");
        step.expect("--root tree", SKIP);
    });
}

#[test]
fn many_at_once_keep_the_file_whole() {
    each_way(|step| {
        let s = &step.s;
        s.write("a", "one");
        step.says("");
        let children: Vec<_> = (0..12)
            .map(|n| {
                let verb = ["check", "mark-success", "mark-failure", "check"][n % 4];
                s.command(&step.words(verb, "")[..]).spawn().unwrap()
            })
            .collect();
        for child in children {
            let output = finish(child);
            assert!(!output.err().contains("damaged"), "{}", output.err());
        }
        // Whichever was the last, a whole round leads to a clean state.
        if step.says("") != SKIP {
            step.mark("mark-success");
        }
        step.expect("", SKIP);
    });
}

#[test]
fn the_daemon_may_die_between_check_and_mark() {
    let s = Sandbox::new();
    s.write("src/a", "one");
    let fp = |verb: &str| s.z(&format!("fp --cache-file f {verb} --root src"));
    let mark = || s.z("fp --cache-file f mark-success").ok();
    let kill = || {
        for pid in s.daemons() {
            s.signal(pid, rustix::process::Signal::KILL);
        }
        assert!(eventually(Duration::from_secs(20), || s.daemons().is_empty()));
    };
    assert_eq!(fp("check").err(), "run (no cache file)\n");
    kill();
    mark();
    assert_eq!(fp("check").err(), "skip (no changes)\n");
    kill();
    s.write("src/a", "two");
    assert_eq!(fp("check").err(), format!("{}\n", changed(1)));
    kill();
    s.write("src/a", "six");
    mark();
    assert_eq!(fp("check").err(), format!("{}\n", changed(1)));
    // One that is stopped, not dead, is not waited for without end.
    mark();
    s.z("start").ok();
    s.signal(s.daemon(), rustix::process::Signal::STOP);
    assert_eq!(fp("check").err(), "skip (no changes)\n");
}

#[test]
fn no_daemon_where_none_is_wanted() {
    let mut s = Sandbox::new();
    s.write("a", "one");
    s.set("ZCCACHE_NO_SPAWN", "1");
    s.z("fp --cache-file ../f check").code(0);
    s.unset("ZCCACHE_NO_SPAWN");
    s.set("ZCCACHE_DISABLE", "1");
    s.z("fp --cache-file ../f mark-success").code(0);
    s.z("fp --cache-file ../f check").code(1);
    assert!(s.daemons().is_empty());
}

#[test]
fn json_names_the_files() {
    each_way(|step| {
        let s = &step.s;
        s.write("a", "a");
        s.write("b", "b");
        let json = |more: &str| -> serde_json::Value {
            serde_json::from_slice(&step.check_with(&format!("--json {more}")).stdout).unwrap()
        };
        let first = json("");
        assert_eq!(first["run"], true);
        assert_eq!(first["reason"], "no cache file");
        assert_eq!(first["changed"], serde_json::json!(["a", "b"]));
        step.mark("mark-success");
        step.expect("", SKIP);
        step.watched();
        assert_eq!(json("")["run"], false);
        s.write("c", "c");
        s.write("a", "A");
        s.remove("b");
        let last = json("");
        assert_eq!(last["reason"], "content changed, 3 file(s) changed");
        assert_eq!(last["changed"], serde_json::json!(["a", "b", "c"]));
        assert_eq!(last["created"], serde_json::json!(["c"]));
        assert_eq!(last["modified"], serde_json::json!(["a"]));
        assert_eq!(last["removed"], serde_json::json!(["b"]));
    });
}

#[test]
fn bad_words_are_one_line_and_exit_2() {
    let s = Sandbox::new();
    for words in [
        "fp",
        "fp check",
        "fp --cache-file f",
        "fp --cache-file f look",
        "fp --cache-file f check --root none",
        "fp --cache-file f check --include a{b",
        "fp --cache-file f check --include [",
        "fp --cache-file f --cache-type size check",
        "fp --cache-file f mark-success --ext c",
    ] {
        let output = s.z(words).code(2);
        assert_eq!(output.err().lines().count(), 1, "{words}: {}", output.err());
    }
    assert!(!s.exists("f"));
}

#[test]
fn git_checkouts() {
    if !have("git") {
        return;
    }
    each_way(|step| {
        let s = &step.s;
        let git = |words: &str| {
            s.bare(&format!(
                "git -c user.name=n -c user.email=e -c init.defaultBranch=main {words}"
            ))
            .ok();
        };
        let globs = "--exclude .git";
        for n in 0..60 {
            s.write(format!("d{}/f{n}.c", n % 7), format!("{n}"));
        }
        git("init -q");
        git("add .");
        git("commit -qm one");
        step.succeed(globs);
        git("checkout -qb other");
        step.expect(globs, SKIP);
        for n in 0..30 {
            s.write(format!("d{}/f{n}.c", n % 7), format!("other {n}"));
        }
        s.bare("git mv d6 e6").ok();
        git("add .");
        git("commit -qm two");
        let moved = (0..60).filter(|n| n % 7 == 6).count();
        let edited = (0..30).filter(|n| n % 7 != 6).count();
        step.expect(globs, &changed(2 * moved + edited));
        // There and back again: nothing happened.
        git("checkout -q main");
        step.mark("mark-failure");
        step.succeed(globs);
        git("checkout -q other");
        git("checkout -q main");
        step.expect(globs, SKIP);
        git("checkout -q other");
        step.expect(globs, &changed(2 * moved + edited));
    });
}

/// More events than the kernel keeps, more folders than may be watched: the same answers.
#[test]
fn lost_events_and_used_up_watches() {
    each_way(|step| {
        let s = &step.s;
        for n in 0..40 {
            s.write(format!("d{n}/a"), "a");
        }
        step.succeed("");
        // The queue holds 16,384 by default; equal events in a row count once.
        let names: Vec<_> = (0..40).map(|n| s.path(format!("d{n}/a"))).collect();
        for round in 0..250 {
            for name in &names {
                fs::write(name, format!("{round}")).unwrap();
            }
        }
        for name in &names {
            fs::write(name, "a").unwrap();
        }
        step.expect("", SKIP);
        fs::write(&names[7], "b").unwrap();
        step.expect("", &changed(1));
    });
}

#[test]
fn without_watches_the_answers_are_the_same() {
    let s = Sandbox::new();
    // A user namespace has limits of its own.
    let own = |script: &str| s.bare(&["unshare", "--user", "--map-root-user", "sh", "-ec", script]);
    let limit = "echo 30 > /proc/sys/user/max_inotify_watches";
    if !own(limit).status.success() {
        eprintln!("skipped: no user namespaces");
        return;
    }
    for n in 0..60 {
        s.write(format!("t/d{n}/a"), "a");
    }
    let script = format!(
        "{limit}; fp() {{ {ZCCACHE} fp --cache-file f \"$@\"; }}
        check() {{ fp check --root t 2>said || true; tail -n 1 said; }}
        check; fp mark-success; check; sleep 1; check
        echo b > t/d3/a; check; fp mark-success; check
        echo c > t/d59/a; check; fp mark-success; sleep 1; check
        rm -r t/d40; check
        {ZCCACHE} stop >/dev/null"
    );
    let output = own(&script).ok();
    let one = changed(1);
    assert_eq!(
        output.out().lines().collect::<Vec<_>>(),
        ["run (no cache file)", SKIP, SKIP, &one, SKIP, &one, SKIP, &one],
        "{}",
        output.err()
    );
}

#[test]
fn a_mount_in_the_tree_is_seen() {
    let s = Sandbox::new();
    s.write("t/d/a", "a");
    s.write("other/a", "b");
    let script = format!(
        "fp() {{ {ZCCACHE} fp --cache-file f \"$@\"; }}
        check() {{ fp check --root t 2>said || true; tail -n 1 said; }}
        check; fp mark-success; check; sleep 1; check
        mount --bind other t/d; check; check
        umount t/d; fp mark-failure; check; fp mark-success; check; sleep 1; check
        {ZCCACHE} stop >/dev/null"
    );
    let Some(output) = s.unshared(&script) else { return };
    let output = output.ok();
    let wanted = [
        "run (no cache file)",
        SKIP,
        SKIP,
        &changed(1),
        "run (pending)",
        "run (previous failure)",
        SKIP,
        SKIP,
    ];
    assert_eq!(output.out().lines().collect::<Vec<_>>(), wanted, "{}", output.err());
}

#[test]
fn the_root_may_be_replaced() {
    each_way(|step| {
        let s = &step.s;
        s.write("t/a", "a");
        s.write("other/a", "b");
        step.succeed("--root t");
        fs::rename(s.path("t"), s.path("old")).unwrap();
        fs::rename(s.path("other"), s.path("t")).unwrap();
        step.expect("--root t", &changed(1));
        step.mark("mark-success");
        s.remove("t");
        let output = step.check_with("--root t").code(2);
        assert!(output.err().contains("no such folder"));
        s.link("old", "t");
        step.expect("--root t", "run (cache file for another root)");
        step.mark("mark-success");
        step.expect("--root t", SKIP);
    });
}

/// 100,000 files: right, through a daemon that watches them, and without one.
#[test]
fn a_hundred_thousand_files() {
    let s = Sandbox::new();
    make_files(&s.path("t"), 100_000);
    let check = |program: &str| {
        let output = s.bare(&format!("{program} --cache-file f check --root t"));
        output.err().lines().last().unwrap_or_default().to_owned()
    };
    let daemon = format!("{ZCCACHE} fp");
    let alone = s.path("zccache-fp");
    symlink(ZCCACHE, &alone).unwrap();
    let alone = alone.display().to_string();
    assert_eq!(check(&daemon), "run (no cache file)");
    s.z("fp --cache-file f mark-success").ok();
    assert_eq!(check(&alone), SKIP);
    assert_eq!(check(&daemon), SKIP);
    let edit = |n: usize, text: &str| {
        fs::write(s.path(format!("t/d{}/f{n}", n / 100)), text).unwrap();
    };
    for (n, program) in [(1, &daemon), (50_000, &alone), (99_999, &daemon)] {
        edit(n, "edited");
        assert_eq!(check(program), changed(1));
        s.z("fp --cache-file f mark-success").ok();
        assert_eq!(check(&daemon), SKIP);
        assert_eq!(check(&alone), SKIP);
    }
}

fn make_files(folder: &Path, count: usize) {
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    for n in 0..count {
        let path = folder.join(format!("d{}/f{n}", n / 100));
        if n % 100 == 0 {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(&path, format!("{n}")).unwrap();
        fs::File::open(&path).unwrap().set_modified(old).unwrap();
    }
}

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::kit::{HELLO, Sandbox, ZCCACHE, eventually, have};
use crate::project::{build, lua};

const COMPILE: &str = "gcc -c a.c -o a.o";

/// Starts a session with these flags and joins it; gives what it said.
fn join(s: &mut Sandbox, flags: &str) -> Value {
    let said = s.z(&format!("session-start {flags} --format json")).ok();
    let said: Value = serde_json::from_str(&said.out()).unwrap();
    s.set("ZCCACHE_SESSION_ID", said["session_id"].as_str().unwrap());
    said
}

fn stats(s: &Sandbox, command: &str) -> Value {
    let id = s.get("ZCCACHE_SESSION_ID");
    let said = s.z(&format!("{command} {id} --json")).ok();
    serde_json::from_str(&said.out()).unwrap()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn global(s: &Sandbox) -> Vec<Value> {
    // Asking for it has everything written.
    s.z("why --last 1").ok();
    lines(&s.cache.join("logs/compile_journal.jsonl"))
}

/// With the program on PATH, as users have it.
fn on_path(s: &mut Sandbox) {
    let bin = s.aside("bin");
    symlink(ZCCACHE, bin.join("zccache")).unwrap();
    s.path_first(&bin);
}

#[test]
fn the_eval_recipe() {
    let mut s = Sandbox::new();
    on_path(&mut s);
    s.write("a.c", HELLO);
    let script = "eval \"$(zccache session-start --stats)\"\n\
                  zccache gcc -c a.c -o a.o && zccache gcc -c a.c -o b.o && zccache gcc --version >/dev/null\n\
                  zccache session-stats $ZCCACHE_SESSION_ID >stats\n\
                  zccache session-end \"$ZCCACHE_SESSION_ID\"";
    let said = s.bare(&["sh", "-ec", script]).ok();
    assert_eq!(said.err(), "");
    for text in [said.out(), String::from_utf8(s.read("stats")).unwrap()] {
        for row in ["compilations      3\n", "hits              1\n", "misses            1\n"] {
            assert!(text.contains(row), "{row} in {text}");
        }
        assert!(text.contains("non-cacheable     1\n") && text.contains("50.0%"), "{text}");
    }
}

#[test]
fn the_journal_recipe() {
    if !have("jq") {
        return;
    }
    let mut s = Sandbox::new();
    on_path(&mut s);
    s.write("a.c", HELLO);
    let script = "result=$(zccache session-start --journal build.jsonl)\n\
                  session_id=$(echo \"$result\" | jq -r .session_id)\n\
                  export ZCCACHE_SESSION_ID=$session_id\n\
                  zccache gcc -c a.c -o a.o\n\
                  zccache session-end $session_id >/dev/null\n\
                  jq -r .outcome build.jsonl";
    assert_eq!(s.bare(&["sh", "-ec", script]).ok().out(), "miss\n");
    let mode = fs::metadata(s.path("build.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_session_has_its_own_commands_and_no_others() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.z("gcc -c a.c -o before.o").ok();
    let said = join(&mut s, "--journal one.jsonl --log one.log --stats");
    let one = s.path("one.jsonl");
    assert_eq!(said["journal_path"], one.to_str().unwrap());
    s.z(COMPILE).ok();
    let first = s.get("ZCCACHE_SESSION_ID");
    join(&mut s, "--journal two.jsonl");
    s.z("gcc -c a.c -o two.o").ok();
    s.z("gcc -O2 -c a.c -o two.o").ok();
    s.z("gcc -c none.c").code(1);
    assert_eq!(stats(&s, "session-stats")["compilations"], 3);
    assert_eq!(stats(&s, "session-stats")["errors"], 1);
    s.set("ZCCACHE_SESSION_ID", &first);
    let ended = stats(&s, "session-end");
    assert_eq!((&ended["compilations"], &ended["hits"]), (&1.into(), &1.into()));
    assert!(ended["time_saved_ns"].as_u64() > Some(0) && ended["bytes"].as_u64() > Some(0));
    assert_eq!(ended["by_language"]["c"]["hits"], 1);
    // Its time is over: no more lines.
    s.z("gcc -c a.c -o later.o").ok();
    s.unset("ZCCACHE_SESSION_ID");
    let outcomes = |path: &Path| -> Vec<String> {
        lines(path).iter().map(|line| line["outcome"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(outcomes(&one), ["hit"]);
    assert_eq!(outcomes(&s.path("two.jsonl")), ["hit", "miss", "error"]);
    let all = global(&s);
    assert_eq!(all.len(), 6);
    assert_eq!(all[0]["session_id"], Value::Null);
    assert_eq!(all[1]["session_id"], first.as_str());
    let log = String::from_utf8(s.read("one.log")).unwrap();
    assert!(log.lines().count() == 1 && log.contains("hit") && log.contains("/a.c -> "), "{log}");
    let again = s.z(&format!("session-end {first} --json")).ok().out();
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap()["ended_at"], ended["ended_at"]);
}

#[test]
fn a_line_says_what_was_done_and_keeps_secrets() {
    let mut s = Sandbox::new();
    s.set("AWS_SECRET_ACCESS_KEY", "do not tell");
    s.set("LANG", "C");
    s.write("a.c", HELLO);
    s.warm(COMPILE);
    s.z("gcc -c a.c -fno-such-thing").code(1);
    let path = s.cache.join("logs/compile_journal.jsonl");
    let all = global(&s);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("do not tell") && !text.contains("AWS_SECRET"), "{text}");
    let (miss, hit) = (&all[0], &all[1]);
    assert_eq!(miss["outcome"], "miss");
    assert_eq!(hit["outcome"], "hit");
    let at = |name: &str| s.path(name).to_str().unwrap().to_owned();
    for line in [miss, hit] {
        assert!(line["compiler"].as_str().unwrap().ends_with("/gcc"), "{line}");
        assert_eq!(line["args"], serde_json::json!(["-c", "a.c", "-o", "a.o"]));
        assert_eq!(line["cwd"], at("").trim_end_matches('/'));
        assert_eq!(line["exit_code"], 0);
        assert_eq!(line["tool"], "gcc");
        assert_eq!(line["language"], "c");
        assert_eq!(line["sources"], serde_json::json!([at("a.c")]));
        assert_eq!(line["outputs"], serde_json::json!([at("a.o")]));
        assert!(line["latency_ns"].as_u64() > Some(0));
        assert_eq!(line["key"], miss["key"]);
        assert_eq!(line["key"].as_str().unwrap().len(), 64);
        assert!(line["env"].as_array().unwrap().contains(&serde_json::json!(["LANG", "C"])));
        let start_us = line["start_us"].as_u64().unwrap();
        assert!(line["ts"].as_str().unwrap().ends_with('Z') && start_us > 1_700_000_000_000_000);
    }
    assert_eq!(miss["bytes"], hit["bytes"]);
    assert_eq!(miss["compile_ns"], hit["saved_ns"]);
    assert_eq!((&miss["reason"], &hit["reason"]), (&"new_action".into(), &Value::Null));
    let refused = all.last().unwrap();
    assert_eq!(refused["outcome"], "uncacheable");
    assert_eq!(refused["reason"], "unknown_argument");
    assert_eq!(refused["causes"][0]["differences"][0]["argument"], "-fno-such-thing");
    assert_eq!(refused["exit_code"], Value::Null);
}

#[test]
fn sessions_and_counters_survive_the_daemon() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    join(&mut s, "--journal build.jsonl");
    s.z(COMPILE).ok();
    s.z("stop").ok();
    s.z(COMPILE).ok();
    assert_eq!(stats(&s, "session-stats")["hits"], 1);
    s.z("stop").ok();
    // Without a daemon it is read from the disk, and can end.
    s.set("ZCCACHE_NO_SPAWN", "1");
    let ended = stats(&s, "session-end");
    assert_eq!((&ended["hits"], &ended["misses"]), (&1.into(), &1.into()));
    assert_eq!(lines(&s.path("build.jsonl")).len(), 2);
    s.unset("ZCCACHE_NO_SPAWN");
    s.z("start").ok();
    let status = s.status();
    assert_eq!((&status["hits"], &status["misses"]), (&1.into(), &1.into()));
    assert_eq!(status["by_tool"]["gcc"]["hits"], 1);
    assert_eq!(status["by_language"]["c"]["misses"], 1);
    assert_eq!(status["sessions"], 0);
}

#[test]
fn bad_input_gets_one_line_and_a_status() {
    let mut s = Sandbox::new();
    let unknown = "8d8ac610-566d-4ef0-9c22-186b2a5ed793";
    for (words, code, says) in [
        ("session-start --journal build.json", 1, "must end in .jsonl"),
        ("session-start --journal /none/x.jsonl", 1, "/none/x.jsonl"),
        ("session-start --log /none/build.log", 1, "/none/build.log"),
        ("session-start --cwd /none", 1, "no such folder"),
        ("session-start --format xml", 2, "json or shell"),
        ("session-start --what", 2, "--what"),
        ("session-stats", 2, "ID is needed"),
        ("session-stats nonsense", 1, "not a session id"),
        ("session-end ../../etc/passwd", 1, "not a session id"),
        ("session-stats one two", 2, "two"),
        ("why --last many", 2, "many"),
        ("why --session nonsense", 2, "not a session id"),
        ("why a.c b.c", 2, "b.c: unexpected argument"),
        ("why a.c --last 2", 2, "at a time"),
        ("why nothing.c", 1, "nothing is known"),
        ("explain", 2, "COMPILER ARGS... is needed"),
        ("explain --what", 2, "--what"),
        ("inspect", 2, "KEY is needed"),
        ("inspect 12", 1, "not a key"),
        ("inspect 1234567890", 1, "no such result"),
        ("crashes now", 2, "now"),
    ] {
        let said = s.z(words).code(code);
        assert_eq!(said.out(), "", "{words}");
        assert_eq!(said.err().lines().count(), 1, "{words}: {}", said.err());
        assert!(said.err().contains(says), "{words}: {}", said.err());
    }
    for command in ["session-stats", "session-end"] {
        let said = s.z(&format!("{command} {unknown}")).code(0);
        assert!(said.out().is_empty() && said.err().contains("no such session"), "{}", said.err());
    }
    let said = s.z(&format!("why --session {unknown}")).code(1);
    assert!(said.err().contains("no such session"), "{}", said.err());
    s.write("a.c", HELLO);
    for id in ["nonsense", unknown, "", "../../x"] {
        s.set("ZCCACHE_SESSION_ID", id);
        s.same(COMPILE);
    }
}

#[test]
fn a_full_disk_loses_lines_and_no_build() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    fs::create_dir_all(s.cache.join("logs")).unwrap();
    symlink("/dev/full", s.cache.join("logs/compile_journal.jsonl")).unwrap();
    join(&mut s, "--stats");
    s.warm_once(COMPILE);
    assert_eq!(stats(&s, "session-stats")["hits"], 1);
    assert_eq!(s.status()["journal_lines_lost"], 2);
}

#[test]
fn a_fallback_is_told_as_well() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.z("start").ok();
    s.z("stop").ok();
    s.set("ZCCACHE_NO_SPAWN", "1");
    let id = "8d8ac610-566d-4ef0-9c22-186b2a5ed793";
    s.set("ZCCACHE_SESSION_ID", id);
    s.same(COMPILE);
    s.unset("ZCCACHE_SESSION_ID");
    let all = lines(&s.cache.join("logs/compile_journal.jsonl"));
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["outcome"], "uncacheable");
    assert_eq!(all[0]["reason"], "no_daemon");
    assert_eq!(all[0]["session_id"], id);
    let told = s.z("why").ok().out();
    assert!(told.contains("no daemon could be reached"), "{told}");
}

#[test]
fn a_hit_that_can_not_be_delivered_is_told_once() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.warm_once("gcc -g3 -c a.c -o a.o");
    for blob in s.blobs() {
        fs::write(blob, "damaged").unwrap();
    }
    s.same("gcc -g3 -c a.c -o a.o");
    let all = global(&s);
    let counted: Vec<_> = all.iter().filter(|line| line["again"] == true).collect();
    // The short form of the hit failed, then the long one: each later line stands for those before it.
    assert_eq!(counted.len(), 2, "{all:?}");
    assert_eq!(counted[1]["outcome"], "miss");
    assert_eq!(counted[1]["reason"], "result_gone");
    let status = s.status();
    assert_eq!((&status["hits"], &status["misses"]), (&1.into(), &2.into()));
    assert_eq!(status["by_tool"]["gcc"]["hits"], 1);
}

#[test]
fn a_session_at_another_socket() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let socket = s.aside("run").join("other.sock");
    let flags = format!("session-start --stats --endpoint {}", socket.display());
    let said = s.z(&flags).ok().out();
    let mut values = said.lines().map(|line| line.split_once('=').unwrap().1.trim_matches('\''));
    s.set("ZCCACHE_SESSION_ID", values.next().unwrap());
    s.set("ZCCACHE_ENDPOINT", values.next().unwrap());
    assert!(socket.exists());
    s.z(COMPILE).ok();
    assert_eq!(stats(&s, "session-end")["misses"], 1);
}

#[test]
fn a_journal_can_be_replayed() {
    let mut s = Sandbox::new();
    lua(&s);
    join(&mut s, "--journal build.jsonl");
    let built = build(&s, &format!("{ZCCACHE} gcc"), "-O0");
    // Some of it once more, so that there are hits to replay, too.
    s.z("gcc -O0 -DLUA_USE_POSIX -Wall -MD -MP -c src/lapi.c -o out/lapi.o").ok();
    stats(&s, "session-end");
    s.unset("ZCCACHE_SESSION_ID");
    fs::remove_dir_all(s.path("out")).unwrap();
    fs::create_dir(s.path("out")).unwrap();
    let mut journal = fs::read_to_string(s.path("build.jsonl")).unwrap();
    journal.push_str("{\"cut off\n");
    s.write("build.jsonl", journal);
    let replay = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/replay");
    let said = s.bare(&[Path::new("python3"), &replay, &s.path("build.jsonl")]).ok();
    let count = built.len() / 2 + 1;
    let expected = format!("replayed {count} commands, 0 ended otherwise, 1 lines left out\n");
    assert_eq!(said.out(), expected, "{}", said.err());
    for (name, bytes) in built {
        assert!(s.read(Path::new("out").join(&name)) == bytes, "{} differs", name.display());
    }
}

#[test]
fn a_vanished_daemon_is_reported_by_the_next() {
    let s = Sandbox::new();
    s.z("start").ok();
    assert_eq!(s.z("crashes").ok().err(), "zccache: no crash reports\n");
    let pid = s.daemon();
    s.signal(pid, rustix::process::Signal::KILL);
    assert!(eventually(Duration::from_secs(20), || s.daemons().is_empty()));
    s.z("start").ok();
    let said = s.z("crashes").ok().out();
    assert!(said.contains(&format!("daemon {pid} ended without a word")), "{said}");
    assert!(said.contains(&format!("version: {}", env!("CARGO_PKG_VERSION"))), "{said}");
    let json: Value = serde_json::from_str(&s.z("crashes --json").ok().out()).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 1);
    assert_eq!(s.z("crashes --clear").ok().out(), "crash reports removed: 1\n");
    assert_eq!(s.z("crashes").ok().out(), "");
    // One that ends in order leaves nothing.
    s.z("stop").ok();
    s.z("start").ok();
    assert_eq!(s.z("crashes").ok().out(), "");
}

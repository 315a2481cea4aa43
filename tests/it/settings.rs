use std::fs;
use std::time::Duration;

use crate::kit::{HELLO, Output, Sandbox, eventually, have, real};
use crate::look::{is_as_documented, json_of};

/// A refusal: one line with all of these in it, and nothing was made.
#[track_caller]
fn refused(s: &Sandbox, output: Output, parts: &[&str]) {
    let err = output.code(2).err();
    assert_eq!(err.lines().count(), 1, "{err}");
    for part in parts {
        assert!(err.contains(part), "{part} in {err}");
    }
    assert!(!s.path("a.o").exists());
}

const ABSOLUTE: &[&str] = &["strict paths (absolute)", "-Iinc: not an absolute path"];

#[test]
fn strict_paths_refuse_before_anything_runs() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.write("inc/x.h", "");
    s.write("args", "-Iinc");
    s.set("ZCCACHE_STRICT_PATHS", "absolute");
    let with_command = [ABSOLUTE, &["in: gcc -Iinc -c a.c"]].concat();
    refused(&s, s.z("gcc -Iinc -c a.c"), &with_command);
    refused(&s, s.z("gcc @args -c a.c"), ABSOLUTE);
    assert_eq!(s.calls(), 0);
    // A command that would not be cached anyway.
    refused(&s, s.z("gcc -Iinc a.c -o a.o"), ABSOLUTE);
    // Without a daemon.
    s.z("stop").ok();
    s.set("ZCCACHE_NO_SPAWN", "1");
    refused(&s, s.z("gcc -Iinc -c a.c"), ABSOLUTE);
    refused(&s, s.z("gcc @args -c a.c"), ABSOLUTE);
    s.script("clang-cl", "#!/bin/sh\ntouch ran\n");
    refused(&s, s.z("./clang-cl /Iinc -c a.c"), &["/Iinc: not an absolute path"]);
    assert_eq!(s.calls(), 0);
    assert!(!s.path("ran").exists());
    s.set("ZCCACHE_STRICT_PATHS", "consistent");
    refused(&s, s.z("gcc -Iinc/a\\b -c a.c"), &["strict paths (consistent): -Iinc/a\\\\b: both"]);
    // Its own command line wins, in both directions.
    refused(&s, s.z("--strict-paths gcc -Iinc -c a.c"), ABSOLUTE);
    s.z("--strict-paths=off gcc -Iinc/a\\b -c a.c").ok();
}

#[test]
fn a_hit_is_no_way_around_strict_paths() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.write("inc/x.h", "");
    let line = "gcc -Iinc -c a.c";
    s.warm(line);
    fs::remove_file(s.path("a.o")).unwrap();
    refused(&s, s.z("--strict-paths gcc -Iinc -c a.c"), ABSOLUTE);
    s.set("ZCCACHE_STRICT_PATHS", "1");
    refused(&s, s.z(line), ABSOLUTE);
    s.set("ZCCACHE_STRICT_PATHS", "consistent");
    s.hit(line);
    // And those that are spelled right are served.
    s.set("ZCCACHE_STRICT_PATHS", "absolute");
    let right = format!("gcc -I{} -c a.c", s.path("inc").display());
    s.warm(&right);
    // A response file that changes under a remembered hit.
    s.write("args", format!("-I{}", s.path("inc").display()));
    s.hit("gcc @args -c a.c");
    fs::remove_file(s.path("a.o")).unwrap();
    s.write("args", "-Iinc");
    refused(&s, s.z("gcc @args -c a.c"), ABSOLUTE);
}

#[test]
fn bad_strict_paths_stop_the_call() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.set("ZCCACHE_STRICT_PATHS", "often");
    refused(&s, s.z("gcc -c a.c"), &["ZCCACHE_STRICT_PATHS=\"often\"", "off, consistent"]);
    s.unset("ZCCACHE_STRICT_PATHS");
    refused(&s, s.z("--strict-paths=often gcc -c a.c"), &["--strict-paths=often"]);
    assert_eq!(s.calls(), 0);
}

#[test]
fn strict_paths_are_not_about_rustc() {
    let mut s = Sandbox::new();
    if !have("rustc") && std::env::var_os("RUSTUP_HOME").is_none() {
        return;
    }
    // `-F` forbids a lint there.
    s.script("rustc", "#!/bin/sh\necho \"$@\" > ran\n");
    s.set("ZCCACHE_STRICT_PATHS", "absolute");
    s.z("./rustc -Funsafe-code a.rs").ok();
    assert!(s.path("ran").exists());
}

/// A compiler that writes down its niceness.
fn recording(s: &Sandbox) {
    let gcc = real("gcc");
    let text = format!(
        "#!/bin/sh\ncase \" $* \" in *' -E '*|*-print*|*'-###'*) ;; *' -c '*|*' -o '*) nice > niceness ;; esac\n\
         exec {} \"$@\"\n",
        gcc.display()
    );
    s.script("nice-gcc", text);
}

/// The niceness that the compiler of a command ran at.
#[track_caller]
fn niceness(s: &Sandbox, line: &str) -> i32 {
    let _ = fs::remove_file(s.path("niceness"));
    s.z(line).ok();
    fs::read_to_string(s.path("niceness")).unwrap().trim().parse().unwrap()
}

#[test]
fn compilers_run_at_the_priority_asked_for() {
    let mut s = Sandbox::new();
    recording(&s);
    s.write("a.c", HELLO);
    s.write("main.c", "int main(void) { return 0; }\n");
    let inherited = s.bare("nice").out().trim().parse::<i32>().unwrap();
    for (value, expected) in [
        ("normal", inherited),
        ("low", inherited.max(10)),
        ("idle", 19),
        ("hihg", inherited.max(10)),
    ] {
        s.set("ZCCACHE_COMPILE_PRIORITY", value);
        assert_eq!(niceness(&s, &format!("./nice-gcc -D{value} -c a.c")), expected, "{value}");
        // A command that is not cached.
        assert_eq!(niceness(&s, "./nice-gcc -S main.c -o -"), expected, "{value}");
    }
    let daemon_log = s.cache.join("logs/daemon.log");
    let log = || fs::read_to_string(&daemon_log).unwrap();
    assert!(log().contains("ZCCACHE_COMPILE_PRIORITY=\"hihg\" is not understood"), "{}", log());
    // Where it is not allowed it stays as it was, and the compile succeeds.
    s.set("ZCCACHE_COMPILE_PRIORITY", "high");
    let high = niceness(&s, "./nice-gcc -Dhigh -c a.c");
    if high == inherited {
        let told = || log().contains("priority stays as it was");
        assert!(eventually(Duration::from_secs(20), told), "{}", log());
    } else {
        assert_eq!(high, -5);
    }
    // Without a daemon.
    s.z("stop").ok();
    s.set("ZCCACHE_NO_SPAWN", "1");
    s.set("ZCCACHE_COMPILE_PRIORITY", "low");
    assert_eq!(niceness(&s, "./nice-gcc -c a.c"), inherited.max(10));
    // From the file, too.
    s.unset("ZCCACHE_COMPILE_PRIORITY");
    fs::write(s.cache.join("config.toml"), "compile_priority = \"idle\"\n").unwrap();
    assert_eq!(niceness(&s, "./nice-gcc -c a.c"), 19);
    // Only ever more modest than what the caller chose.
    s.set("ZCCACHE_COMPILE_PRIORITY", "low");
    let _ = fs::remove_file(s.path("niceness"));
    s.bare(&["nice", "-n", "15", crate::kit::ZCCACHE, "./nice-gcc", "-c", "a.c"]).ok();
    let noted = fs::read_to_string(s.path("niceness")).unwrap();
    assert_eq!(noted.trim(), (inherited + 15).min(19).to_string());
}

#[test]
fn auto_gives_way_when_the_processors_are_full() {
    let mut s = Sandbox::new();
    recording(&s);
    s.write("a.c", HELLO);
    s.unset("ZCCACHE_COMPILE_PRIORITY");
    s.z("start").ok();
    let inherited = s.bare("nice").out().trim().parse::<i32>().unwrap();
    // More busy processes than there are processors.
    let count = std::thread::available_parallelism().unwrap().get() + 2;
    let mut busy: Vec<_> = (0..count)
        .map(|_| s.command(&["sh", "-c", "while :; do :; done"]).spawn().unwrap())
        .collect();
    let mut number = 0;
    let low = eventually(Duration::from_secs(60), || {
        std::thread::sleep(Duration::from_millis(250));
        number += 1;
        niceness(&s, &format!("./nice-gcc -DN={number} -c a.c")) == inherited.max(10)
    });
    for process in &mut busy {
        process.kill().unwrap();
        process.wait().unwrap();
    }
    assert!(low, "still at {inherited} with {count} busy processes");
}

#[test]
fn config_tells_values_and_where_they_come_from() {
    let mut s = Sandbox::new();
    fs::create_dir_all(&s.cache).unwrap();
    let file = s.cache.join("config.toml");
    fs::write(&file, "# ours\ncache_size = \"3G\"\nreadonly = false\nidle_timeout = 50\n").unwrap();
    s.set("ZCCACHE_LINK_MODE", "copy");
    let output = s.z("config --json").code(0);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    is_as_documented(json_of("config"), &value);
    let settings = &value["settings"];
    for (name, value, origin, line) in [
        ("ZCCACHE_CACHE_SIZE", "3G", "file", Some(2)),
        ("ZCCACHE_READONLY", "0", "file", Some(3)),
        // The sandbox sets it.
        ("ZCCACHE_IDLE_TIMEOUT", "120", "environment", None),
        ("ZCCACHE_LINK_MODE", "copy", "environment", None),
        ("ZCCACHE_RECACHE", "0", "default", None),
        ("ZCCACHE_CACHE_DIR", s.cache.to_str().unwrap(), "environment", None),
    ] {
        let found = &settings[name];
        let line = line.map_or(serde_json::Value::Null, serde_json::Value::from);
        assert_eq!(
            (&found["value"], &found["origin"], &found["line"]),
            (&value.into(), &origin.into(), &line),
            "{name}"
        );
    }
    let table = s.z("config").code(0).out();
    assert!(table.contains("cache_size") && table.contains("config.toml:2"), "{table}");
    assert!(!table.contains('\x1b'), "{table}");

    // What is wrong is one line each, and fails no build.
    fs::write(&file, "cache_size = \"big\"\nsped = 1\nlog = \"debug\"\n").unwrap();
    let output = s.z("config").code(1);
    assert!(output.err().contains("config.toml:1: cache_size = \"big\""), "{}", output.err());
    assert!(output.err().contains("config.toml:2: sped: no such setting"), "{}", output.err());
    s.write("a.c", HELLO);
    s.warm("gcc -c a.c");
    let log = fs::read_to_string(s.cache.join("logs/daemon.log")).unwrap();
    assert!(log.contains("config.toml:2: sped"), "{log}");
    assert!(s.z("status").ok().err().contains("config.toml:2: sped"));
}

#[test]
fn the_daemon_follows_the_file() {
    let mut s = Sandbox::new();
    s.unset("ZCCACHE_IDLE_TIMEOUT");
    s.write("a.c", HELLO);
    s.write("inc/x.h", "");
    let line = "gcc -Iinc -c a.c";
    s.warm(line);
    let file = s.cache.join("config.toml");
    let limit = |s: &Sandbox| s.status()["artifact_limit"].as_u64().unwrap();
    let default = limit(&s);

    fs::write(&file, "cache_size = \"7M\"\n").unwrap();
    s.hit(line);
    assert_eq!(limit(&s), 7 << 20);

    // What changes a hit: the very next call knows.
    fs::write(&file, "strict_paths = \"absolute\"\n").unwrap();
    fs::remove_file(s.path("a.o")).unwrap();
    refused(&s, s.z(line), ABSOLUTE);
    // The environment wins, and so does the command line.
    s.set("ZCCACHE_STRICT_PATHS", "off");
    s.hit(line);
    s.unset("ZCCACHE_STRICT_PATHS");
    s.z(&format!("--strict-paths=off {line}")).ok();
    assert_eq!(limit(&s), default);

    fs::write(&file, "recache = true\n").unwrap();
    s.miss(line);
    s.set("ZCCACHE_RECACHE", "0");
    s.hit(line);
    s.unset("ZCCACHE_RECACHE");

    fs::write(&file, "disable = true\n").unwrap();
    s.miss(line);
    assert!(s.reasons().contains("disabled"), "{}", s.reasons());
    s.set("ZCCACHE_DISABLE", "0");
    s.hit(line);
    s.unset("ZCCACHE_DISABLE");

    // No hard link of a large object where the file says copy.
    fs::write(&file, "link_mode = \"copy\"\n").unwrap();
    s.write("big.c", format!("{HELLO}char big[3000000] = {{1}};\n"));
    s.warm("gcc -c big.c");
    s.hit("gcc -c big.c");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(s.path("big.o")).unwrap().nlink(), 1);

    // Nonsense changes nothing.
    fs::write(&file, "strict_paths = [[[").unwrap();
    s.hit(line);
    fs::remove_file(&file).unwrap();
    s.hit(line);

    // And where no daemon runs, none is started against the file's will.
    s.z("stop").ok();
    fs::write(&file, "no_spawn = true\n").unwrap();
    s.miss(line);
    assert!(s.daemons().is_empty());
    fs::write(&file, "disable = true\n").unwrap();
    s.miss(line);
    assert!(s.daemons().is_empty());
}

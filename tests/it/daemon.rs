use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use zccache::session::reason::Reason;

use crate::kit::{HELLO, SYSTEM_PATH, Sandbox, ZCCACHE, each_file, eventually, finish, real};

const COMPILE: &str = "gcc -c a.c -o a.o";

fn socket(s: &Sandbox) -> PathBuf {
    s.cache.join("daemon.sock")
}

fn connect(s: &Sandbox) -> UnixStream {
    let stream = UnixStream::connect(socket(s)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

#[test]
fn many_cold_clients_start_one_daemon() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    let line = |number: usize| format!("gcc -c a.c -o o{number}.o");
    let children: Vec<_> =
        (0..50).map(|number| s.z_command(&line(number)).spawn().unwrap()).collect();
    for child in children {
        let output = finish(child).ok();
        assert_eq!(output.err(), "");
    }
    assert!(eventually(Duration::from_secs(10), || s.daemons().len() == 1), "{:?}", s.daemons());
    s.bare("gcc -c a.c -o truth.o").ok();
    for number in 0..50 {
        assert_eq!(s.read(format!("o{number}.o")), s.read("truth.o"));
    }
    assert_eq!(s.status()["compilations"], 50);
}

#[test]
fn a_daemon_that_dies_of_a_question_is_none() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    for line in ["stop", "doctor --repair", "clear"] {
        // The first reply is what `start` waits for.
        s.set("ZCCACHE_FAULT", "daemon.reply:kill:2");
        s.z("start").code(0);
        s.unset("ZCCACHE_FAULT");
        s.z(line).code(0);
        assert!(s.daemons().is_empty(), "after {line}");
        s.same(COMPILE);
        s.hit(COMPILE);
        s.z("stop").code(0);
    }
}

#[test]
fn a_daemon_whose_starter_was_killed_is_waited_for() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.set("ZCCACHE_FAULT", "start.indexed:sleep=1000");
    let mut starter = s.z_command(COMPILE).spawn().unwrap();
    let has_lock = || fs::read(s.cache.join("daemon.lock")).is_ok_and(|pid| !pid.is_empty());
    assert!(eventually(Duration::from_secs(10), has_lock));
    starter.kill().unwrap();
    starter.wait().unwrap();
    s.unset("ZCCACHE_FAULT");
    s.warm(COMPILE);
}

/// A daemon whose index, which knows of a compile, takes longer to open than anybody waits.
fn with_late_index() -> Sandbox {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.miss(COMPILE);
    s.z("stop").code(0);
    s.set("ZCCACHE_FAULT", "start.opening:sleep=8000");
    s.z("start").code(0);
    s.unset("ZCCACHE_FAULT");
    s
}

fn is_with_index(s: &Sandbox) -> bool {
    let log = fs::read_to_string(s.cache.join("logs/daemon.log")).unwrap_or_default();
    log.contains("with its index")
}

#[test]
fn an_index_that_opens_late_is_taken_up() {
    let s = with_late_index();
    let daemon = s.daemon();
    // Nobody knows of it yet, and compiles go on; so they do while the daemon begins anew.
    s.miss(COMPILE);
    let mut number = 0;
    let with_index = || {
        number += 1;
        s.same(&format!("gcc -DNUMBER={number} -c a.c -o b.o"));
        is_with_index(&s)
    };
    assert!(eventually(Duration::from_secs(30), with_index));
    s.write("c.c", HELLO);
    s.hit(COMPILE);
    s.warm("gcc -c c.c -o c.o");
    assert_eq!(s.daemon(), daemon);
    s.z("stop").code(0);
    s.hit(COMPILE);
    s.hit("gcc -c c.c -o c.o");
}

#[test]
fn what_was_cleared_does_not_come_back_with_a_late_index() {
    for stops in [false, true] {
        let s = with_late_index();
        s.miss(COMPILE);
        s.z("clear").code(0);
        if stops {
            s.z("stop").code(0);
        } else {
            assert!(eventually(Duration::from_secs(30), || is_with_index(&s)));
        }
        s.miss(COMPILE);
    }
}

#[test]
fn a_daemon_that_ends_before_its_index_opens_says_nothing_against_it() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.miss(COMPILE);
    s.z("stop").code(0);
    s.set("ZCCACHE_FAULT", "start.opening:sleep=3600000");
    for _ in 0..3 {
        s.z("start").code(0);
        s.z("stop").code(0);
    }
    s.unset("ZCCACHE_FAULT");
    s.hit(COMPILE);
}

#[test]
fn start_and_stop() {
    let s = Sandbox::new();
    let running = format!("daemon running at {}\n", socket(&s).display());
    let not_running = format!("daemon not running at {}\n", socket(&s).display());
    for _ in 0..2 {
        assert_eq!(s.z("stop").code(0).out(), not_running);
    }
    assert!(!s.cache.exists());
    let mut daemons = Vec::new();
    for _ in 0..2 {
        assert_eq!(s.z("start").code(0).out(), running);
        daemons.push(s.daemon());
    }
    assert_eq!(daemons[0], daemons[1]);
    assert_eq!(s.z("stop").code(0).out(), "daemon stopped\n");
    assert!(s.daemons().is_empty());
    assert_eq!(s.z("stop").code(0).out(), not_running);
    s.z("start").code(0);
    assert_eq!(s.z("kill").code(0).out(), "daemon stopped\n");
    assert_eq!(s.z("kill").code(0).out(), not_running);
}

#[test]
fn stop_does_not_wait_for_the_daemon_that_a_build_starts_next() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.warm(COMPILE);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                s.z(COMPILE).ok();
            }
        });
        let stopped: Vec<_> = (0..10).map(|_| s.z("stop")).collect();
        over.store(true, Ordering::Relaxed);
        for stop in stopped {
            assert!(stop.code(0).out().starts_with("daemon "));
        }
    });
}

#[test]
fn status_with_and_without_a_daemon() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    let output = s.z("status").code(1);
    assert!(output.out().contains("not running"), "{}", output.out());
    assert!(s.daemons().is_empty());
    s.warm_once(COMPILE);
    let output = s.z("status").code(0);
    assert_eq!(output.err(), "");
    for word in ["version", "socket", "uptime", "cache dir", "compilations", "hit rate", "50.0%"] {
        assert!(output.out().contains(word), "{word} in {}", output.out());
    }
    assert_eq!(s.z("--show-stats").code(0).out().lines().count(), output.out().lines().count());
    let status = s.status();
    assert_eq!(status["running"], true);
    assert_eq!(status["pid"], s.daemon());
    assert_eq!(status["cache_dir"], s.cache.to_str().unwrap());
    s.z("stop").code(0);
    s.z("status").code(1);
    let status = s.status();
    assert_eq!((&status["running"], &status["hits"]), (&false.into(), &1.into()));
    s.z("status --what").code(2);
    s.z("status more").code(2);
}

#[test]
fn clear_with_and_without_a_daemon() {
    let s = Sandbox::new();
    s.write("a.c", format!("{HELLO}const char data[50000] = {{1}};\n"));
    s.z("clear").code(0);
    assert!(s.daemons().is_empty());
    for word in ["clear", "--clear"] {
        s.warm(COMPILE);
        assert!(!s.blobs().is_empty());
        let output = s.z(word).code(0);
        assert!(output.out().contains("artifacts removed: 1"), "{}", output.out());
        assert!(s.blobs().is_empty());
        s.warm(COMPILE);
        s.z("stop").code(0);
        let output = s.z(&format!("{word} --json")).code(0);
        let cleared: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(cleared["artifacts"], 1);
        assert!(cleared["bytes"].as_u64() > Some(50_000), "{cleared}");
        assert!(s.blobs().is_empty() && s.daemons().is_empty());
        s.z(word).code(0);
    }
    s.z("clear --what").code(2);
}

#[test]
fn no_daemon_is_started_when_that_is_forbidden() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.set("ZCCACHE_NO_SPAWN", "1");
    for _ in 0..2 {
        let output = s.miss(COMPILE);
        assert_eq!(output.err(), "");
    }
    assert!(s.daemons().is_empty());
    s.unset("ZCCACHE_NO_SPAWN");
    s.z("start").code(0);
    s.set("ZCCACHE_NO_SPAWN", "1");
    s.warm(COMPILE);
}

#[test]
fn an_idle_daemon_leaves() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.z("daemon --idle-timeout 1").code(0);
    s.warm(COMPILE);
    assert!(eventually(Duration::from_secs(10), || s.daemons().is_empty()));
    assert!(!socket(&s).exists());
    s.hit(COMPILE);
}

#[test]
fn a_killed_daemon() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.write("b.c", HELLO);
    s.warm(COMPILE);
    s.warm("gcc -g -c b.c");
    // What was learnt is written down every five seconds, and a busy machine takes a while for that.
    std::thread::sleep(Duration::from_secs(12));
    for _ in 0..2 {
        s.signal(s.daemon(), Signal::KILL);
        assert!(eventually(Duration::from_secs(5), || s.daemons().is_empty()));
        assert!(socket(&s).exists());
        s.hit(COMPILE);
        s.hit("gcc -g -c b.c");
    }
}

#[test]
fn a_daemon_killed_in_the_middle() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.z("start").code(0);
    let child = s.start_slow(COMPILE, 500);
    s.signal(s.daemon(), Signal::KILL);
    assert_eq!(finish(child).ok().err(), "");
    s.same(COMPILE);
    s.hit(COMPILE);
}

#[test]
fn a_daemon_asked_to_end_in_the_middle() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.z("start").code(0);
    for how in ["stop", "TERM"] {
        s.write("a.c", format!("{HELLO}int x_{how};\n"));
        let child = s.start_slow(COMPILE, 300);
        if how == "TERM" {
            s.signal(s.daemon(), Signal::TERM);
        } else {
            s.z("stop").code(0);
        }
        assert_eq!(finish(child).ok().err(), "");
        s.same(COMPILE);
        s.hit(COMPILE);
    }
}

#[test]
fn a_frozen_daemon_is_not_waited_for() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.warm(COMPILE);
    s.signal(s.daemon(), Signal::STOP);
    s.remove("a.o");
    let start = Instant::now();
    let output = s.z(COMPILE).ok();
    assert!(start.elapsed() < Duration::from_secs(7), "{:?}", start.elapsed());
    assert_eq!(output.err(), "");
    assert!(s.exists("a.o"));
    s.signal(s.daemon(), Signal::CONT);
    s.hit(COMPILE);
}

fn header(length: u32, build: u64) -> Vec<u8> {
    let mut bytes = b"ZCC\x01".to_vec();
    bytes.extend(0u32.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    bytes.extend(build.to_le_bytes());
    bytes.extend(build.to_le_bytes());
    bytes
}

#[test]
fn strange_clients_hurt_nobody() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.warm(COMPILE);
    let daemon = s.daemon();
    let mut kept = Vec::new();
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        vec![0; 4096],
        vec![0xff; 100_000],
        header(u32::MAX, 7),
        header(64 << 20, 7),
        header(100, 7),
        header(1000, 7)[..11].to_vec(),
        [header(4, 7), b"abcd".to_vec()].concat(),
        vec![],
    ] {
        let mut stream = connect(&s);
        let _ = stream.write_all(&bytes);
        s.hit(COMPILE);
        kept.push(stream);
        let mut stream = connect(&s);
        let _ = stream.write_all(&bytes);
        drop(stream);
        s.hit(COMPILE);
    }
    assert_eq!(s.daemon(), daemon);
    // Another build is told who answers, and not left waiting.
    let mut stream = connect(&s);
    stream.write_all(&[header(4, 7), b"abcd".to_vec()].concat()).unwrap();
    let mut answer = [0; 32];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[..8], b"ZCC\x01\x02\0\0\0");
    drop(kept);
    s.z("stop").code(0);
}

/// Who takes a hit in the short form has all it came for; and who does not say what it sees
/// is told to help itself.
#[test]
fn hits_end_connections_and_strangers_get_none() {
    use zccache::protocol::frame::{self, HEADER_BYTES, Header, Verb};
    use zccache::protocol::message::{Answer, Invocation, Reply, Request};

    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.miss(COMPILE);
    let compile = s.command(COMPILE);
    let variables = compile.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let variables =
        variables.map(|(name, value)| format!("{}={}\0", name.display(), value.display()));
    let invocation = Invocation {
        argv: b"gcc\0-c\0a.c\0-o\0a.o\0".to_vec(),
        env: variables.collect::<String>().into_bytes(),
        cwd: compile.get_current_dir().unwrap().to_str().unwrap().as_bytes().to_vec(),
        ..Invocation::default()
    };
    let other =
        Invocation { argv: b"gcc\0-DOTHER\0-c\0a.c\0-o\0a.o\0".to_vec(), ..invocation.clone() };
    let asked = |mut question: Vec<u8>, quick: bool| {
        let header = Header::decode(question.first_chunk().unwrap()).unwrap();
        question[..HEADER_BYTES].copy_from_slice(&Header { quick, ..header }.encode());
        let mut stream = connect(&s);
        stream.write_all(&question).unwrap();
        (frame::read(&mut stream).unwrap(), stream)
    };
    let request = Request::Compile(invocation);
    let question = frame::question(&request).unwrap();
    let other = frame::question(&Request::Compile(other)).unwrap();
    // After a miss the next is most likely one, too: whoever asks before its C library has started may start that
    // while a worker finds out, and then reads the ordinary form.
    let ((header, _), mut stream) = asked(other, true);
    assert_eq!(header.verb, Verb::Wait);
    let (header, payload) = frame::read(&mut stream).unwrap();
    assert_eq!(header.verb, Verb::Message);
    let reply = postcard::from_bytes(&payload).unwrap();
    assert!(matches!(reply, Reply::Answer(Answer::Work(_))), "{reply:?}");
    drop(stream);
    let ((header, _), mut stream) = asked(question.clone(), true);
    assert_eq!(header.verb, Verb::QuickHit);
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "the daemon waits for no goodbye");
    // The ordinary way goes on: what follows on this connection is answered as well.
    let ((header, payload), mut stream) = asked(question.clone(), false);
    assert_eq!(header.verb, Verb::Message);
    let reply = postcard::from_bytes(&payload).unwrap();
    assert!(matches!(reply, Reply::Answer(Answer::Work(_))), "{reply:?}");
    stream.write_all(&question).unwrap();
    assert_eq!(frame::read(&mut stream).unwrap().0.verb, Verb::Message);

    let ((_, payload), _) = asked(frame::message(&request).unwrap(), true);
    let reply = postcard::from_bytes(&payload).unwrap();
    assert!(
        matches!(reply, Reply::Answer(Answer::Plain(Reason::ForeignNamespace, ..))),
        "{reply:?}"
    );
}

#[test]
fn many_silent_clients() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.warm(COMPILE);
    let silent: Vec<_> = (0..300).map(|_| connect(&s)).collect();
    s.hit(COMPILE);
    drop(silent);
    s.hit(COMPILE);
    let silent: Vec<_> = (0..20).map(|_| connect(&s)).collect();
    s.z("stop").code(0);
    drop(silent);
}

#[test]
fn the_cache_folder_deleted_under_a_daemon() {
    let s = Sandbox::new();
    s.write("a.c", format!("{HELLO}const char data[50000] = {{1}};\n"));
    s.warm(COMPILE);
    for _ in 0..2 {
        fs::remove_dir_all(&s.cache).unwrap();
        for _ in 0..3 {
            let (output, _) = s.same(COMPILE);
            assert_eq!(output.err(), "");
        }
    }
    s.hit(COMPILE);
}

#[test]
fn a_daemon_that_nobody_can_find_any_more_leaves_at_once() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.warm(COMPILE);
    let lost = |lose: &dyn Fn()| {
        let daemons = s.daemons();
        lose();
        // Silent clients and lost sockets are looked for twice a minute; this is told.
        let gone = || !s.daemons().contains(&daemons[0]);
        assert!(eventually(Duration::from_secs(10), gone), "{daemons:?}");
        s.same(COMPILE);
    };
    lost(&|| fs::remove_file(socket(&s)).unwrap());
    lost(&|| fs::rename(socket(&s), s.cache.join("elsewhere")).unwrap());
    lost(&|| fs::remove_dir_all(&s.cache).unwrap());
    s.hit(COMPILE);
}

#[test]
fn only_the_artifacts_deleted_under_a_daemon() {
    let s = Sandbox::new();
    s.write("a.c", format!("{HELLO}const char data[50000] = {{1}};\n"));
    s.warm(COMPILE);
    fs::remove_dir_all(s.cache.join("artifacts")).unwrap();
    s.miss(COMPILE);
    s.same(COMPILE);
    s.same(COMPILE);
}

#[test]
fn only_the_folder_of_temporary_files_deleted_under_a_daemon() {
    let s = Sandbox::new();
    // Its object lies in the index, not in a blob.
    s.write("a.c", HELLO);
    s.warm(COMPILE);
    fs::remove_dir_all(s.cache.join("tmp")).unwrap();
    s.write("a.c", format!("{HELLO}int other;\n"));
    s.same(COMPILE);
    s.same(COMPILE);
    s.hit(COMPILE);
}

#[test]
fn a_cache_folder_that_can_not_be() {
    let mut s = Sandbox::new();
    s.write("a.c", "int v() { int unused; return 0; }\n");
    let file = s.aside("other").join("file");
    fs::write(&file, "in the way").unwrap();
    for place in
        [file.clone(), file.join("below"), "/proc/nowhere/cache".into(), "/dev/null".into()]
    {
        s.set("ZCCACHE_CACHE_DIR", &place);
        s.miss("gcc -Wall -c a.c -o a.o");
        s.miss("gcc -Wall -c a.c -o a.o");
        s.z("start").code(1);
        s.z("status").code(1);
    }
    assert_eq!(fs::read(&file).unwrap(), b"in the way");
    // Nowhere at all.
    s.unset("ZCCACHE_CACHE_DIR");
    s.unset("HOME");
    s.miss("gcc -Wall -c a.c -o a.o");
    s.z("start").code(1);
}

#[test]
fn a_cache_folder_of_a_file_in_each_place() {
    for name in
        ["artifacts", "index.sled", "tmp", "logs", "daemon.sock", "daemon.lock", "start.lock"]
    {
        for folder in [false, true] {
            let s = Sandbox::new();
            s.write("a.c", format!("{HELLO}const char data[50000] = {{1}};\n"));
            fs::create_dir(&s.cache).unwrap();
            let path = s.cache.join(name);
            if folder {
                fs::create_dir_all(path.join("sub")).unwrap();
            } else {
                fs::write(path, "in the way").unwrap();
            }
            let start = Instant::now();
            for _ in 0..2 {
                let (output, _) = s.same(COMPILE);
                assert_eq!(output.err(), "", "{name}");
            }
            assert!(start.elapsed() < Duration::from_secs(12), "{name}: {:?}", start.elapsed());
        }
    }
}

#[test]
fn a_very_long_cache_path() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let cache = s.aside("other").join("x".repeat(100)).join("y".repeat(200));
    s.set("ZCCACHE_CACHE_DIR", &cache);
    s.warm(COMPILE);
    assert_eq!(s.daemons().len(), 1);
    s.z("status").code(0);
    assert_eq!(s.z("stop").code(0).out(), "daemon stopped\n");
}

#[test]
fn a_relative_cache_path() {
    let mut s = Sandbox::new();
    s.write("p/a.c", HELLO);
    s.cwd = s.path("p");
    s.set("ZCCACHE_CACHE_DIR", "../../relative");
    s.z(COMPILE).ok();
    let (_, cost) = s.counted(COMPILE);
    assert_eq!(cost, 0);
    assert!(s.aside("relative").join("artifacts").is_dir());
    s.z("stop").code(0);
}

#[test]
fn an_endpoint_of_ones_own() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let endpoint = s.aside("other").join("my.sock");
    s.set("ZCCACHE_ENDPOINT", &endpoint);
    s.warm(COMPILE);
    assert!(endpoint.exists() && !socket(&s).exists());
    let words = format!("daemon running at {}\n", endpoint.display());
    assert_eq!(s.z("start").code(0).out(), words);
    s.z("stop").code(0);
}

fn each_index_file(s: &Sandbox, then: impl Fn(&std::path::Path)) {
    let mut found = 0;
    each_file(&s.cache, &mut |path, _| {
        if path.to_string_lossy().contains("/index") {
            then(path);
            found += 1;
        }
    });
    assert!(found > 0);
}

#[test]
fn a_damaged_index() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.write("b.c", format!("{HELLO}int b;\n"));
    s.warm(COMPILE);
    for way in 0..5 {
        s.z("stop").code(0);
        each_index_file(&s, |path| {
            let mut bytes = fs::read(path).unwrap();
            match way {
                0 => bytes = vec![0xa5; bytes.len().max(100)],
                1 => bytes.truncate(bytes.len() / 2),
                2 => bytes.clear(),
                3 => bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x55),
                _ => bytes.extend(vec![0x17; 10_000]),
            }
            fs::write(path, bytes).unwrap();
        });
        let (output, _) = s.same(COMPILE);
        assert_eq!(output.err(), "");
        s.same("gcc -c b.c");
        s.hit(COMPILE);
        s.hit("gcc -c b.c");
    }
}

#[test]
fn a_stale_socket_and_locks() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    fs::create_dir(&s.cache).unwrap();
    drop(std::os::unix::net::UnixListener::bind(socket(&s)).unwrap());
    for name in ["daemon.lock", "start.lock"] {
        fs::write(s.cache.join(name), "99999999\nnonsense").unwrap();
    }
    s.warm(COMPILE);
    s.z("stop").code(0);
    // What is no socket is never removed.
    fs::write(socket(&s), "mine").unwrap();
    s.miss(COMPILE);
    let said = s.z("start").code(1).err();
    assert!(said.contains("is a file and no socket") && said.lines().count() == 1, "{said}");
    let (out, said) = (s.z("doctor").code(1).out(), socket(&s).display().to_string());
    assert!(out.contains(&said), "{out}");
    s.z("doctor --repair").code(1);
    assert_eq!(fs::read(socket(&s)).unwrap(), b"mine");
    fs::remove_file(socket(&s)).unwrap();
    s.hit(COMPILE);
}

#[test]
fn an_endpoint_that_is_a_file_of_the_user() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let file = s.write("letter", "dear");
    for name in ["ZCCACHE_ENDPOINT", "ZCCACHE_DOWNLOAD_ENDPOINT"] {
        s.set(name, &file);
        let start = Instant::now();
        s.same(COMPILE);
        let starter = if name == "ZCCACHE_ENDPOINT" { "zccache" } else { "zccache-download" };
        let words = if starter == "zccache" { "start" } else { "daemon start" };
        let mut command = s.z_command(words);
        let output = finish(command.arg0(starter).spawn().unwrap());
        assert!(!output.status.success());
        assert!(output.err().contains("letter is a file and no socket"), "{}", output.err());
        assert_eq!(output.err().lines().count(), 1, "{}", output.err());
        s.z("stop");
        s.z("status");
        s.same(COMPILE);
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert_eq!(s.read("letter"), b"dear");
        s.unset(name);
    }
}

/// A daemon that was started with another socket serves this root all the same.
#[test]
fn a_daemon_of_this_root_that_listens_elsewhere() {
    for elsewhere_first in [true, false] {
        let mut s = Sandbox::new();
        s.write("a.c", HELLO);
        let endpoint = s.aside("other").join("my.sock");
        if elsewhere_first {
            s.set("ZCCACHE_ENDPOINT", &endpoint);
        }
        s.warm(COMPILE);
        let (daemon, first) = (s.daemon(), s.status()["socket"].clone());
        if elsewhere_first {
            s.unset("ZCCACHE_ENDPOINT");
        } else {
            s.set("ZCCACHE_ENDPOINT", &endpoint);
        }
        let start = Instant::now();
        s.hit(COMPILE);
        s.warm("gcc -O1 -c a.c -o b.o");
        let said = s.z("start").code(0).out();
        assert_eq!(said, format!("daemon running at {}\n", first.as_str().unwrap()));
        assert_eq!(s.z("daemon").code(0).out(), said);
        assert_eq!(s.z("session-start").code(0).err(), "");
        assert_eq!(s.status()["socket"], first);
        assert!(s.z("clear").code(0).out().contains("artifacts removed: 2"));
        assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
        assert_eq!(s.daemon(), daemon);
        assert_eq!(s.z("stop").code(0).out(), "daemon stopped\n");
        assert!(s.daemons().is_empty());
    }
}

#[test]
fn a_second_daemon_says_at_once_that_there_is_one() {
    let s = Sandbox::new();
    let running = s.z("daemon").code(0).out();
    assert_eq!(running, format!("daemon running at {}\n", socket(&s).display()));
    let start = Instant::now();
    assert_eq!(s.z("daemon").code(0).out(), running);
    let said = s.z("daemon --foreground").code(1).err();
    assert!(said.contains(&format!("daemon {} serves", s.daemon())), "{said}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn commands_do_not_wait_long_for_a_frozen_daemon() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.warm(COMPILE);
    let daemon = s.daemon();
    s.signal(daemon, Signal::STOP);
    let silent = format!("daemon {daemon} does not answer");
    for line in ["status", "clear", "doctor", "inspect 00000000", "stop"] {
        let start = Instant::now();
        let output = s.z(line);
        assert!(start.elapsed() < Duration::from_secs(7), "{line}: {:?}", start.elapsed());
        assert_eq!(output.status.code(), Some(1), "{line}");
        let said = output.out() + &output.err();
        assert!(said.contains(&silent), "{line}: {said}");
        assert!(said.contains(&format!("kill -CONT {daemon}")), "{line}: {said}");
    }
    s.signal(daemon, Signal::CONT);
    s.z("status").code(0);
}

/// What could not be done, where: one line of `start`, and a plain compile.
#[test]
fn why_there_is_no_daemon() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let nowhere = s.path("dangling");
    s.link("nothing", "dangling");
    let file = s.write("file", "mine");
    let cases = [
        ("ZCCACHE_CACHE_DIR", nowhere, "dangling is a symlink to nothing"),
        ("ZCCACHE_CACHE_DIR", file.clone(), "file is not our own folder"),
        ("ZCCACHE_CACHE_DIR", file.join("below"), "file: "),
        ("ZCCACHE_ENDPOINT", s.path("no/folder/sock"), "no/folder/sock: No such file"),
    ];
    let before = s.get("ZCCACHE_CACHE_DIR");
    for (name, value, words) in cases {
        s.set(name, &value);
        let said = s.z("start").code(1).err();
        assert!(said.contains(words) && said.lines().count() == 1, "{said}");
        assert!(s.z("stop").code(0).out().starts_with("daemon not running at "));
        s.same(COMPILE);
        s.set("ZCCACHE_CACHE_DIR", &before);
    }
    assert_eq!(s.read("file"), b"mine");
}

#[test]
fn looking_makes_nothing() {
    let s = Sandbox::new();
    fs::create_dir(&s.cache).unwrap();
    s.z("status").code(1);
    s.z("inspect 00000000");
    assert_eq!(fs::read_dir(&s.cache).unwrap().count(), 0);
}

/// A folder of the user's as root: it keeps its mode, and what is in it stays.
#[test]
fn a_folder_that_holds_other_things() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let folder = s.aside("project");
    s.set("ZCCACHE_CACHE_DIR", &folder);
    s.cache = folder.clone();
    let mode = || fs::metadata(&folder).unwrap().permissions().mode() & 0o7777;
    let set = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    let theirs = ["letter", "sessions/user.txt", "crashes/user.txt", "tmp/x", "ino/x"];
    for name in theirs {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        s.bare(&["touch", "-d", "2001-01-01", folder.join(name).to_str().unwrap()]).ok();
    }
    set(0o755);
    s.warm(COMPILE);
    s.z("crashes --clear").code(0);
    s.z("clear").code(0);
    s.z("stop").code(0);
    s.z("clear").code(0);
    assert_eq!(mode(), 0o755);
    // Others could put something into it.
    for open in [0o777, 0o1777, 0o2775] {
        set(open);
        s.miss(COMPILE);
        let said = s.z("start").code(1).err();
        assert!(said.contains("set ZCCACHE_CACHE_DIR to"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        let found = s.z("doctor").code(1).out();
        assert!(found.contains("set ZCCACHE_CACHE_DIR to"), "{found}");
        assert_eq!(mode(), open);
    }
    assert!(theirs.iter().all(|name| folder.join(name).exists()));
}

#[test]
fn the_cache_is_private() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    fs::create_dir(&s.cache).unwrap();
    fs::set_permissions(&s.cache, fs::Permissions::from_mode(0o777)).unwrap();
    s.warm(COMPILE);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&s.cache), 0o700);
    assert_eq!(mode(&socket(&s)), 0o600);
}

#[test]
fn another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let binary = s.aside("bin").join("zccache");
    fs::copy(ZCCACHE, &binary).unwrap();
    s.warm(COMPILE);
    let daemon = s.daemon();
    // Even where permissions would let him in.
    for path in [s.cache.clone(), socket(&s), s.cache.join("artifacts"), s.dir.clone()] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    s.bare(&["chmod", "777", s.aside("tmp").to_str().unwrap()]).ok();
    s.bare(&["chmod", "666", s.path("../shim.log").to_str().unwrap()]).ok();
    // The counting compilers may be where that user can't go.
    s.set("PATH", SYSTEM_PATH);
    let user = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let compiles = s.status()["compilations"].clone();
    let line = format!("{user} {} gcc -c a.c -o theirs.o", binary.display());
    for _ in 0..2 {
        assert_eq!(s.bare(&line).ok().err(), "");
    }
    s.bare("gcc -c a.c -o truth.o").ok();
    assert_eq!(s.read("theirs.o"), s.read("truth.o"));
    s.bare(&format!("{user} {} stop", binary.display()));
    assert_eq!(s.daemon(), daemon);
    assert_eq!(s.status()["compilations"], compiles);
}

#[test]
fn a_client_that_sees_other_files() {
    let s = Sandbox::new();
    s.write("a.c", "#include \"inc/x.h\"\nint v() { return X; }\n");
    s.write("inc/x.h", "#define X 1\n");
    s.write("other/x.h", "#define X 2\n");
    s.warm(COMPILE);
    let script = format!(
        "mount --bind other inc\n{ZCCACHE} gcc -c a.c -o a.o\n{ZCCACHE} gcc -c a.c -o b.o\n\
         gcc -c a.c -o truth.o"
    );
    let Some(output) = s.unshared(&script) else { return };
    output.ok();
    assert_eq!(s.read("a.o"), s.read("truth.o"));
    assert_eq!(s.read("b.o"), s.read("truth.o"));
    // And nothing of it was learnt.
    s.hit(COMPILE);
}

#[test]
fn a_client_in_another_root() {
    let s = Sandbox::new();
    s.write("a.c", "#include \"inc/x.h\"\nint v() { return X; }\n");
    s.write("inc/x.h", "#define X 1\n");
    s.write("other/x.h", "#define X 2\n");
    fs::create_dir(s.path("root")).unwrap();
    s.warm(COMPILE);
    let script = format!(
        "mount --rbind / root\nmount --bind other root$PWD/inc\n\
         chroot root sh -ec 'cd '$PWD'; {ZCCACHE} gcc -c a.c -o a.o; gcc -c a.c -o truth.o'"
    );
    let Some(output) = s.unshared(&script) else { return };
    output.ok();
    assert_eq!(s.read("a.o"), s.read("truth.o"));
}

#[test]
fn a_mount_over_a_watched_folder() {
    let s = Sandbox::new();
    s.write("a.c", "#include \"inc/x.h\"\nint v() { return X; }\n");
    s.write("inc/x.h", "#define X 1\n");
    s.write("other/x.h", "#define X 2\n");
    // All in one namespace, daemon included.
    let script = format!(
        "{ZCCACHE} gcc -c a.c; {ZCCACHE} gcc -c a.c; mount --bind other inc\n\
         {ZCCACHE} gcc -c a.c -o a.o; gcc -c a.c -o truth.o; umount inc\n\
         {ZCCACHE} gcc -c a.c -o b.o; gcc -c a.c -o truth2.o; {ZCCACHE} stop"
    );
    let Some(output) = s.unshared(&script) else { return };
    output.ok();
    assert_eq!(s.read("a.o"), s.read("truth.o"));
    assert_eq!(s.read("b.o"), s.read("truth2.o"));
}

#[test]
fn a_daemon_lets_go_of_its_starter() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    // `finish` would fail were a stream kept open.
    s.z(COMPILE).ok();
    let process = PathBuf::from(format!("/proc/{}", s.daemon()));
    assert_eq!(fs::read_link(process.join("cwd")).unwrap(), PathBuf::from("/"));
    let work = fs::read_dir(process.join("fd")).unwrap().flatten();
    for descriptor in work {
        let target = fs::read_link(descriptor.path()).unwrap_or_default();
        assert!(!target.starts_with(&s.dir), "{}", target.display());
    }
    assert!(real("gcc").is_file());
}

/// Compilers write there all the time: each write would be an event to take in, and each file a path to keep.
#[test]
fn the_folder_of_temporary_files_is_not_watched() {
    let mut s = Sandbox::new();
    let temporary = s.path("temporary");
    fs::create_dir(&temporary).unwrap();
    s.set("TMPDIR", &temporary);
    s.write("a.c", HELLO);
    s.warm(COMPILE);
    s.write("b.c", "int main(void) { return 0; }\n");
    for line in
        ["clang -fno-integrated-as -c a.c", "gcc a.c b.c -o app", "gcc -flto a.c b.c -o app"]
    {
        s.warm(line);
    }
    let is_watched = |folder: &Path| {
        let inode = format!(" ino:{:x} ", fs::metadata(folder).unwrap().ino());
        let about = fs::read_dir(format!("/proc/{}/fdinfo", s.daemon())).unwrap().flatten();
        let mut texts = about.filter_map(|file| fs::read_to_string(file.path()).ok());
        texts.any(|text| text.contains(&inode))
    };
    assert!(is_watched(&s.dir), "nor is the working folder");
    assert!(!is_watched(&temporary));
}

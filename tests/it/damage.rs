//! The cache's own files damaged, its disk full or read-only, and `doctor`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::kit::{HELLO, Random, Sandbox, ZCCACHE, each_file, eventually, finish};

const COMPILE: &str = "gcc -c a.c -o a.o";

/// Objects with blobs behind them.
fn sources(s: &Sandbox) -> Vec<String> {
    let lines = (0..3).map(|number| {
        let text = format!("{HELLO}const char data{number}[3000] = {{{number}}};\n");
        s.write(format!("s{number}.c"), text);
        format!("gcc -c s{number}.c -o s{number}.o")
    });
    let lines: Vec<String> = lines.collect();
    lines.iter().for_each(|line| s.warm(line));
    lines
}

fn flip(random: &mut Random, path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = fs::read(path).unwrap();
    let at = random.below(bytes.len());
    bytes[at] ^= 1 << random.below(8);
    fs::write(path, bytes).unwrap();
}

#[test]
fn flipped_bits_are_never_delivered() {
    let s = Sandbox::new();
    let lines = sources(&s);
    let mut random = Random(7);
    for round in 0..40 {
        let blobs = s.blobs();
        let victim = random.below(blobs.len());
        flip(&mut random, &blobs[victim]);
        if round % 10 == 9 {
            s.signal(s.daemon(), Signal::KILL);
        }
        for (number, line) in lines.iter().enumerate() {
            s.remove(format!("s{number}.o"));
            s.same(line);
        }
    }
    s.hit(&lines[0]);
}

#[test]
fn an_index_damaged_under_a_running_daemon() {
    let s = Sandbox::new();
    let lines = sources(&s);
    let mut random = Random(3);
    for round in 0..8 {
        each_file(&s.cache.join("index.sled"), &mut |path, meta| {
            if meta.len() > 0 {
                flip(&mut random, path);
            }
        });
        lines.iter().for_each(|line| drop(s.same(line)));
        s.write("s0.c", format!("{HELLO}int round{round};\n"));
        s.same(&lines[0]);
        if round % 2 == 1 {
            s.signal(s.daemon(), Signal::KILL);
        }
    }
    // The first may still have reached the daemon that was being killed.
    assert!(eventually(Duration::from_secs(20), || s.same(&lines[0]).1 == 0), "{}", s.reasons());
}

#[test]
fn a_full_disk() {
    for size in ["16k", "200k", "800k"] {
        let s = Sandbox::new();
        s.write("a.c", format!("{HELLO}const char data[90000] = {{1}};\n"));
        fs::create_dir(&s.cache).unwrap();
        let script = format!(
            "mount -t tmpfs -o size={size},mode=700 tmpfs {0}\n\
             for n in 1 2 3 4; do {ZCCACHE} {COMPILE}$n -DN=$n; done\n\
             dd if=/dev/zero of={0}/fill bs=4k 2>/dev/null || :\n\
             for n in 5 6 7; do {ZCCACHE} {COMPILE}$n -DN=$n; {ZCCACHE} {COMPILE}$n -DN=$n; done\n\
             rm {0}/fill\n{ZCCACHE} {COMPILE}8; {ZCCACHE} stop",
            s.cache.display()
        );
        let Some(output) = s.unshared(&script) else { return };
        assert_eq!(output.ok().err(), "", "{size}");
        s.bare("gcc -c a.c -o truth.o").ok();
        for number in 1..=8 {
            assert!(s.read(format!("a.o{number}")) == s.read("truth.o"), "{size} {number}");
        }
    }
}

#[test]
fn a_read_only_cache() {
    let s = Sandbox::new();
    s.write("a.c", format!("{HELLO}const char data[90000] = {{1}};\n"));
    fs::create_dir(&s.cache).unwrap();
    let script = format!(
        "mount -t tmpfs -o mode=700 tmpfs {0}\n{ZCCACHE} {COMPILE}1\n\
         {ZCCACHE} stop\nmount -o remount,ro {0}\n\
         {ZCCACHE} {COMPILE}2; {ZCCACHE} {COMPILE}3 -DN; {ZCCACHE} {COMPILE}4\n{ZCCACHE} stop\n\
         mount -o remount,rw {0}\n{ZCCACHE} {COMPILE}5; {ZCCACHE} {COMPILE}6; {ZCCACHE} stop",
        s.cache.display()
    );
    let Some(output) = s.unshared(&script) else { return };
    assert_eq!(output.ok().err(), "");
    s.bare("gcc -c a.c -o truth.o").ok();
    for number in 1..=6 {
        assert!(s.read(format!("a.o{number}")) == s.read("truth.o"), "{number}");
    }
}

#[test]
fn a_cache_of_a_common_user_who_may_not_write() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let binary = s.aside("bin").join("zccache");
    fs::copy(ZCCACHE, &binary).unwrap();
    for folder in [s.dir.clone(), s.aside("tmp")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    }
    s.set("PATH", crate::kit::SYSTEM_PATH);
    s.unset("SHIM_LOG");
    for mode in ["000", "500", "400"] {
        let root = s.aside(&format!("root{mode}"));
        s.bare(&["chown", "65534:65534", root.to_str().unwrap()]).ok();
        s.bare(&["chmod", mode, root.to_str().unwrap()]).ok();
        s.set("ZCCACHE_CACHE_DIR", &root);
        let line = format!(
            "setpriv --reuid=65534 --regid=65534 --clear-groups {} {COMPILE}",
            binary.display()
        );
        for _ in 0..2 {
            assert_eq!(s.bare(&line).ok().err(), "", "{mode}");
        }
        s.remove("a.o");
    }
}

/// The compiler is asked to write a file of ours there, and must not be heard to complain.
#[test]
fn temporary_files_that_can_not_be_made() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.z("start").code(0);
    let child = s.start_slow(COMPILE, 700);
    fs::remove_dir_all(s.cache.join("tmp")).unwrap();
    assert_eq!(finish(child).ok().err(), "");
    s.same(COMPILE);
}

fn doctor(s: &Sandbox, words: &str) -> (Option<i32>, serde_json::Value) {
    let output = s.z(&format!("doctor --json {words}"));
    assert_eq!(output.err(), "");
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn a_sound_cache_is_told() {
    let s = Sandbox::new();
    // None at all is no problem, and none is made.
    assert_eq!(doctor(&s, "").0, Some(0));
    assert!(!s.cache.exists());
    // Unless none can be made.
    let mut elsewhere = Sandbox::new();
    elsewhere.set("ZCCACHE_CACHE_DIR", "/proc/none/zccache");
    let (status, found) = doctor(&elsewhere, "");
    assert_eq!((status, &found["problems"][0]["part"]), (Some(1), &"root".into()), "{found}");
    let lines = sources(&s);
    let (status, found) = doctor(&s, "");
    assert_eq!((status, &found["problems"]), (Some(0), &serde_json::json!([])));
    assert_eq!(found["daemon"], s.daemon());
    assert_eq!(found["blobs"], s.blobs().len());
    s.z("stop").code(0);
    let (status, found) = doctor(&s, "");
    assert_eq!((status, &found["results"]), (Some(0), &3.into()), "{found}");
    let text = s.z("doctor").code(0).out();
    assert!(text.contains("all is well"), "{text}");
    // It changed nothing.
    lines.iter().for_each(|line| drop(s.hit(line)));
    assert_eq!(doctor(&s, "--repair").0, Some(0));
    lines.iter().for_each(|line| drop(s.hit(line)));
    s.z("doctor --what").code(2);
}

#[test]
fn damage_is_told_and_mended() {
    let s = Sandbox::new();
    let lines = sources(&s);
    let mut random = Random(1);
    let parts = |found: &serde_json::Value| -> Vec<String> {
        let problems = found["problems"].as_array().unwrap();
        problems.iter().map(|problem| problem["part"].as_str().unwrap().to_owned()).collect()
    };
    for running in [true, false] {
        if !running {
            s.signal(s.daemon(), Signal::KILL);
        }
        flip(&mut random, &s.blobs()[0]);
        fs::write(s.cache.join("artifacts/stranger"), "who").unwrap();
        let (status, found) = doctor(&s, "");
        assert_eq!((status, &found["damaged_blobs"]), (Some(1), &1.into()));
        assert_eq!(parts(&found).contains(&"socket".to_owned()), !running, "{found}");
        let (status, found) = doctor(&s, "--repair");
        assert_eq!((status, &found["sound"]), (Some(0), &true.into()), "{found}");
        assert_eq!(found["damaged_blobs"], 1);
        assert!(s.daemons().is_empty());
        let (status, found) = doctor(&s, "");
        assert_eq!((status, parts(&found).len()), (Some(0), 0), "{found}");
        lines.iter().for_each(|line| drop(s.same(line)));
        lines.iter().for_each(|line| drop(s.hit(line)));
    }
    s.z("stop").code(0);
    // An index that does not open.
    each_file(&s.cache.join("index.sled"), &mut |path, meta| {
        fs::write(path, vec![0xa5; meta.len() as usize + 100]).unwrap();
    });
    let (status, found) = doctor(&s, "");
    assert_eq!((status, parts(&found)), (Some(1), vec!["index".to_owned()]));
    assert_eq!(doctor(&s, "--repair").0, Some(0));
    assert_eq!(doctor(&s, "").0, Some(0));
    lines.iter().for_each(|line| s.warm(line));
    // Open to others.
    fs::set_permissions(&s.cache, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(doctor(&s, "").0, Some(1));
    assert_eq!(doctor(&s, "--repair").0, Some(0));
    assert_eq!(doctor(&s, "").0, Some(0));
}

//! Other users, who may have been there first; and what of the environment ends up in files.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Stdio};

use crate::kit::{HELLO, Sandbox, each_file};

const COMPILE: &str = "gcc -c a.c -o a.o";
const NOBODY: &str = "setpriv --reuid=65534 --regid=65534 --clear-groups";

/// A folder that everybody may write to, on a path that everybody may go; None unless root.
fn shared_folder(s: &Sandbox) -> Option<std::path::PathBuf> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return None;
    }
    let shared = s.aside("shared");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    Some(shared)
}

fn nobody(s: &Sandbox, line: &str) {
    s.bare(&format!("{NOBODY} {line}")).ok();
}

fn unharmed(s: &Sandbox) {
    s.write("a.c", HELLO);
    for _ in 0..3 {
        let (output, _) = s.same(COMPILE);
        assert_eq!(output.err(), "");
    }
}

/// Files of ours in a folder that is not.
fn left_behind(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    each_file(folder, &mut |path, meta| {
        if meta.uid() == 0 {
            found.push(path.to_owned());
        }
    });
    found
}

#[test]
fn a_folder_of_another_user_is_not_used() {
    for mode in ["755", "777"] {
        let mut s = Sandbox::new();
        let Some(shared) = shared_folder(&s) else { return };
        let root = shared.join("zc");
        nobody(&s, &format!("mkdir -m {mode} {}", root.display()));
        s.set("ZCCACHE_CACHE_DIR", &root);
        unharmed(&s);
        assert!(left_behind(&root).is_empty());
        let output = s.z("start").code(1);
        assert!(output.err().contains("not our own folder"), "{}", output.err());
    }
}

#[test]
fn a_symlink_of_another_user_is_not_followed() {
    let mut s = Sandbox::new();
    let Some(shared) = shared_folder(&s) else { return };
    let own = s.aside("own");
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).unwrap();
    let root = shared.join("zc");
    nobody(&s, &format!("ln -s {} {}", own.display(), root.display()));
    s.set("ZCCACHE_CACHE_DIR", &root);
    unharmed(&s);
    assert_eq!(fs::read_dir(&own).unwrap().count(), 0);
    assert_eq!(fs::metadata(&own).unwrap().mode() & 0o777, 0o755);
}

/// Listens as another user, and says how many bytes each client sent.
fn squatter(s: &Sandbox, socket: &Path) -> Child {
    let script = "import socket, sys, os\n\
        l = socket.socket(socket.AF_UNIX)\nl.bind(sys.argv[1])\nos.chmod(sys.argv[1], 0o777)\nl.listen(50)\n\
        print('ready', flush=True)\n\
        while True:\n\
        \x20   c = l.accept()[0]\n    c.settimeout(3)\n    print(len(c.recv(100000)), flush=True)\n    c.close()\n";
    let mut words: Vec<&str> = NOBODY.split(' ').collect();
    words.extend(["python3", "-c", script, socket.to_str().unwrap()]);
    s.command(&words[..]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_socket_of_another_user_is_told_nothing() {
    let mut s = Sandbox::new();
    let Some(shared) = shared_folder(&s) else { return };
    let root = shared.join("zc");
    nobody(&s, &format!("mkdir -m 755 {}", root.display()));
    let mut squatter = squatter(&s, &root.join("daemon.sock"));
    let mut out = BufReader::new(squatter.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    s.set("ZCCACHE_CACHE_DIR", &root);
    unharmed(&s);
    // As the quick path has it, and with an endpoint.
    s.unset("ZCCACHE_IDLE_TIMEOUT");
    unharmed(&s);
    s.set("ZCCACHE_CACHE_DIR", s.aside("elsewhere"));
    s.set("ZCCACHE_ENDPOINT", root.join("daemon.sock"));
    unharmed(&s);
    s.z("status").code(1);
    squatter.kill().unwrap();
    squatter.wait().unwrap();
    let mut told = String::new();
    out.read_to_string(&mut told).unwrap();
    assert!(told.lines().all(|bytes| bytes == "0"), "{told}");
}

#[test]
fn what_others_left_in_an_open_folder_is_not_used() {
    let mut s = Sandbox::new();
    let Some(shared) = shared_folder(&s) else { return };
    let root = shared.join("zc");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).unwrap();
    nobody(&s, &format!("mkdir {}/artifacts", root.display()));
    s.set("ZCCACHE_CACHE_DIR", &root);
    unharmed(&s);
    let output = s.z("start").code(1);
    assert!(output.err().contains("another user's: remove it"), "{}", output.err());
}

#[test]
fn root_with_the_home_of_another_user() {
    let mut s = Sandbox::new();
    let Some(shared) = shared_folder(&s) else { return };
    let home = shared.join("home");
    nobody(&s, &format!("mkdir -m 755 {}", home.display()));
    s.unset("ZCCACHE_CACHE_DIR");
    s.set("HOME", &home);
    // His cache is there, and stays his.
    nobody(&s, &format!("mkdir -m 700 {}/.zccache", home.display()));
    unharmed(&s);
    assert!(left_behind(&home).is_empty());
}

#[test]
fn secrets_of_the_environment_are_in_no_file() {
    let mut s = Sandbox::new();
    const SECRET: &str = "hush-7f1d3c";
    s.set("API_TOKEN", SECRET);
    s.set("ZCCACHE_LOG", "trace");
    s.write("a.c", HELLO);
    s.write("bad.c", "int a = missing;\n");
    s.same(COMPILE);
    s.hit(COMPILE);
    s.same("gcc -c bad.c");
    s.same("gcc -E a.c");
    s.z("stop").code(0);
    let mut files = 0;
    each_file(&s.cache, &mut |path, _| {
        files += 1;
        let bytes = fs::read(path).unwrap();
        assert!(!crate::hits::contains(&bytes, SECRET), "{}", path.display());
    });
    assert!(files > 3);
}

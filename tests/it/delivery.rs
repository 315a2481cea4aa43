use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::kit::{HELLO, Sandbox, finish, rustc};

/// A source whose object is too large to travel inside an answer.
fn large() -> String {
    let values: Vec<String> =
        (0..20_000u32).map(|n| (n.wrapping_mul(2654435761)).to_string()).collect();
    format!("const unsigned data[] = {{{}}};\n", values.join(","))
}

/// Runs a command line under a umask.
fn under(umask: &str, line: &str) -> Vec<String> {
    let script = format!("umask {umask}; exec {line}");
    ["sh", "-c", &script].map(str::to_owned).to_vec()
}

/// Compares through the cache and bare what is left of a.o, each from the state `prepare` makes.
fn object_after(s: &Sandbox, umask: &str, prepare: impl Fn(&Sandbox)) {
    let mut modes = Vec::new();
    for cached in [true, true, false] {
        prepare(s);
        let zccache = if cached { crate::kit::ZCCACHE } else { "" };
        let line = format!("{zccache} gcc -c a.c -o a.o");
        let output = s.bare(&under(umask, &line)[..]);
        let meta = fs::metadata(s.path("a.o"));
        let mode = meta.map_or(0, |meta| meta.mode());
        let kept = s.exists("kept.o").then(|| s.read("kept.o"));
        modes.push((output.status, output.err(), mode, kept));
    }
    assert_eq!(modes[0], modes[2], "a miss under umask {umask}");
    assert_eq!(modes[1], modes[2], "a hit under umask {umask}");
}

#[test]
fn the_umask() {
    let s = Sandbox::new();
    for source in [HELLO.to_owned(), large()] {
        s.write("a.c", source);
        for umask in ["022", "077", "002", "000", "027"] {
            object_after(&s, umask, |s| {
                let _ = fs::remove_file(s.path("a.o"));
            });
        }
    }
}

#[test]
fn modes_of_files_that_are_there() {
    let s = Sandbox::new();
    for source in [HELLO.to_owned(), large()] {
        s.write("a.c", source);
        for mode in [0o644, 0o600, 0o755, 0o444, 0o666] {
            object_after(&s, "022", |s| {
                let _ = fs::remove_file(s.path("a.o"));
                s.write("a.o", "old");
                s.chmod("a.o", mode);
            });
        }
    }
}

#[test]
fn an_output_with_another_name() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    object_after(&s, "022", |s| {
        let _ = fs::remove_file(s.path("a.o"));
        let _ = fs::remove_file(s.path("kept.o"));
        s.write("kept.o", "old");
        fs::hard_link(s.path("kept.o"), s.path("a.o")).unwrap();
    });
}

#[test]
fn an_output_that_is_a_symlink() {
    let s = Sandbox::new();
    fs::create_dir(s.path("sub")).unwrap();
    for source in [HELLO.to_owned(), large()] {
        s.write("a.c", source);
        for _ in 0..3 {
            s.write("sub/real.o", "old");
            let _ = fs::remove_file(s.path("a.o"));
            s.link("sub/real.o", "a.o");
            // The assembler replaces it, the compiler proper writes through it.
            s.same("gcc -c a.c -o a.o");
            s.remove("a.o");
            s.link("sub/real.o", "a.o");
            s.same("gcc -S a.c -o a.o");
            assert!(fs::symlink_metadata(s.path("a.o")).unwrap().is_symlink());
            s.remove("sub/real.o");
            s.same("gcc -S a.c -o a.o");
            s.same("gcc -c a.c -o a.o");
        }
    }
}

#[test]
fn an_empty_object_is_written_to() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let s = Sandbox::new();
    for source in [HELLO.to_owned(), large()] {
        s.write("a.c", source);
        let line = "gcc -c a.c -o a.o";
        s.same(line);
        for mode in [0o600, 0o755] {
            s.write("a.o", "");
            fs::set_permissions(s.path("a.o"), PermissionsExt::from_mode(mode)).unwrap();
            s.hit(line);
            assert_eq!(fs::metadata(s.path("a.o")).unwrap().mode() & 0o777, mode);
        }
        // Another name of it.
        s.write("a.o", "");
        let _ = fs::remove_file(s.path("b.o"));
        fs::hard_link(s.path("a.o"), s.path("b.o")).unwrap();
        assert_eq!(s.counted(line).1, 0);
        assert!(!s.read("a.o").is_empty() && s.read("a.o") == s.read("b.o"));
        // What a symlink leads to, and what it does not.
        for empty in [true, false] {
            s.remove("a.o");
            let _ = fs::remove_file(s.path("there.o"));
            if empty {
                s.write("there.o", "");
            }
            s.link("there.o", "a.o");
            s.hit(line);
            assert!(fs::symlink_metadata(s.path("a.o")).unwrap().is_symlink());
            assert!(!s.read("there.o").is_empty());
        }
        s.remove("a.o");
        s.link("nowhere/a.o", "a.o");
        s.same(line);
        assert!(!s.exists("a.o"));
    }
}

#[test]
fn an_output_that_is_a_device() {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    // A node of our own: the real one is everybody's.
    let made = mknodat(
        CWD,
        s.path("null"),
        FileType::CharacterDevice,
        Mode::from_raw_mode(0o666),
        makedev(1, 3),
    );
    s.bare("chmod 666 null");
    if made.is_err() || fs::OpenOptions::new().write(true).open(s.path("null")).is_err() {
        eprintln!("skipped: no device can be made here");
        return;
    }
    for _ in 0..3 {
        s.z("gcc -c a.c -o null").ok();
        s.z("gcc -c a.c -o a.o").ok();
        assert!(fs::symlink_metadata(s.path("null")).unwrap().file_type().is_char_device());
        assert!(s.read("a.o").len() > 100);
    }
    let device = fs::symlink_metadata(s.path("null")).unwrap();
    assert_eq!((device.rdev(), device.mode() & 0o777), (makedev(1, 3), 0o666));
}

#[test]
fn an_output_that_is_a_pipe() {
    let s = Sandbox::new();
    s.write("a.c", "const char v[] = \"through a pipe\";\n");
    s.bare("mkfifo a.fifo").ok();
    for _ in 0..3 {
        let reader = s.command("cat a.fifo").spawn().unwrap();
        s.z("gcc -S a.c -o a.fifo").ok();
        let read = finish(reader).ok();
        assert!(read.out().contains("through a pipe"));
        assert!(fs::symlink_metadata(s.path("a.fifo")).unwrap().file_type().is_fifo());
    }
}

#[test]
fn folders_that_are_missing_or_closed() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.warm("gcc -c a.c -o a.o");
    s.same("gcc -c a.c -o no/such/a.o");
    fs::create_dir(s.path("folder.o")).unwrap();
    s.same("gcc -c a.c -o folder.o");
    fs::create_dir(s.path("closed")).unwrap();
    s.chmod("closed", 0o555);
    s.same("gcc -c a.c -o closed/a.o");
    s.same("gcc -MD -MF no/such/a.d -c a.c -o a.o");
    s.chmod("closed", 0o755);
}

#[test]
fn closed_folders_of_a_common_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.write("b.c", HELLO);
    let binary = s.aside("bin").join("zccache");
    fs::copy(crate::kit::ZCCACHE, &binary).unwrap();
    s.set("PATH", crate::kit::SYSTEM_PATH);
    s.bare("chown -R 65534:65534 ..").ok();
    let user = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    s.chmod(".", 0o555);
    s.write("../work2/c.o", "");
    s.bare("chown 65534 ../work2").ok();
    let mut seen = Vec::new();
    for program in [binary.to_str().unwrap(), binary.to_str().unwrap(), ""] {
        // The assembler can't write to the empty one, and removes it then.
        s.write("../work2/c.o", "");
        s.write("../work2/a.o", "x");
        for output in ["a.o", "../work2/b.o", "../work2/a.o", "../work2/c.o"] {
            let out = s.bare(&format!("{user} {program} gcc -c a.c -o {output}"));
            seen.push((out.status, out.err()));
        }
        assert!(!s.exists("../work2/c.o"));
        s.remove("../work2/a.o");
        let _ = fs::remove_file(s.path("../work2/b.o"));
    }
    let (first, rest) = seen.split_at(4);
    let (second, bare) = rest.split_at(4);
    assert_eq!(first, bare);
    assert_eq!(second, bare);
    assert!(!bare[0].0.success() && bare[1].0.success() && !bare[3].0.success());
    s.chmod(".", 0o755);
}

#[test]
fn delivered_objects_are_the_users_to_change() {
    for mode in ["auto", "hardlink", "copy", "reflink"] {
        let mut s = Sandbox::new();
        s.set("ZCCACHE_LINK_MODE", mode);
        for source in [HELLO.to_owned(), large()] {
            s.write("a.c", source);
            s.bare("gcc -g -c a.c -o truth.o").ok();
            let truth = s.read("truth.o");
            s.z("gcc -g -c a.c -o a.o").ok();
            for round in 0..8 {
                let path = s.path("a.o");
                let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
                match round % 4 {
                    0 => file.set_len(100).unwrap(),
                    1 => file.write_all(b"more").unwrap(),
                    2 => drop(s.bare("strip a.o").ok()),
                    _ => {
                        drop(s.bare(&["sh", "-c", "printf 'garbage!' | dd of=a.o bs=1 seek=64 conv=notrunc 2>/dev/null"]).ok());
                    }
                }
                drop(file);
                // Half the times over what was damaged, half the times anew.
                if round >= 4 {
                    s.remove("a.o");
                }
                s.z("gcc -g -c a.c -o a.o").ok();
                assert!(s.read("a.o") == truth, "{mode}, round {round}");
            }
        }
    }
}

#[test]
fn compiling_over_a_linked_delivery() {
    let mut s = Sandbox::new();
    s.set("ZCCACHE_LINK_MODE", "hardlink");
    let (one, two) = (large(), large().replace("data", "atad"));
    s.write("a.c", &one);
    s.z("gcc -c a.c").ok();
    s.remove("a.o");
    s.z("gcc -c a.c").ok();
    let first = s.read("a.o");
    // Bare, which may write into the file that is there.
    s.write("a.c", &two);
    s.bare("gcc -c a.c").ok();
    let second = s.read("a.o");
    assert!(first != second);
    for _ in 0..2 {
        s.write("a.c", &one);
        s.z("gcc -c a.c").ok();
        assert!(s.read("a.o") == first);
        s.write("a.c", &two);
        s.z("gcc -c a.c").ok();
        assert!(s.read("a.o") == second);
    }
}

#[test]
fn link_modes() {
    for mode in ["auto", "hardlink", "copy", "reflink"] {
        let mut s = Sandbox::new();
        s.set("ZCCACHE_LINK_MODE", mode);
        s.write("a.c", large());
        s.warm("gcc -c a.c -o a.o");
        let trees: Vec<String> = (0..3).map(|tree| format!("{tree}.o")).collect();
        for tree in &trees {
            let (_, cost) = s.counted(&format!("gcc -c a.c -o {tree}"));
            assert_eq!(cost, 0);
        }
        let inodes = trees.iter().map(|tree| fs::metadata(s.path(tree)).unwrap());
        let inodes: Vec<(u64, u64)> = inodes.map(|meta| (meta.ino(), meta.nlink())).collect();
        assert!(inodes[0].0 != inodes[1].0 && inodes[1].0 != inodes[2].0, "{mode}: {inodes:?}");
        if mode == "copy" || mode == "reflink" {
            assert!(inodes.iter().all(|(_, links)| *links == 1), "{mode}: {inodes:?}");
        }
        for tree in &trees {
            assert!(s.read(tree) == s.read("a.o"));
        }
    }
}

#[test]
fn two_trees_share_no_time() {
    let s = Sandbox::new();
    s.write("a.c", large());
    s.z("gcc -c a.c -o a.o").ok();
    s.z("gcc -c a.c -o p.o").ok();
    let before = fs::metadata(s.path("p.o")).unwrap().modified().unwrap();
    thread::sleep(Duration::from_millis(30));
    s.z("gcc -c a.c -o q.o").ok();
    assert_eq!(fs::metadata(s.path("p.o")).unwrap().modified().unwrap(), before);
}

#[test]
fn delivered_files_are_new() {
    let s = Sandbox::new();
    for source in [HELLO.to_owned(), large()] {
        s.write("a.c", source);
        s.z("gcc -MMD -c a.c").ok();
        s.remove("a.o");
        thread::sleep(Duration::from_millis(20));
        // By the kernel's own clock, which lags behind ours by some milliseconds.
        s.bare("touch a.c").ok();
        s.z("gcc -MMD -c a.c").ok();
        let time = |name| fs::metadata(s.path(name)).unwrap().modified().unwrap();
        assert!(time("a.o") >= time("a.c") && time("a.d") >= time("a.c"));
    }
}

/// Does something to every blob, then compiles again.
fn after_damage(what: &str, damage: impl Fn(&std::path::Path)) {
    let mut s = Sandbox::new();
    for link_mode in ["auto", "copy"] {
        s.set("ZCCACHE_LINK_MODE", link_mode);
        for restart in [false, true] {
            s.write("a.c", large() + &format!("int {link_mode}_{restart};\n"));
            s.z("gcc -c a.c").ok();
            s.hit("gcc -c a.c");
            let blobs = s.blobs();
            assert!(!blobs.is_empty());
            if restart {
                s.z("stop").code(0);
            }
            for blob in blobs {
                s.bare(&["chmod", "644", blob.to_str().unwrap()]).ok();
                damage(&blob);
            }
            s.remove("a.o");
            let (_, cost) = s.same("gcc -c a.c");
            assert!(cost > 0, "{what}: served");
            s.same("gcc -c a.c");
            s.hit("gcc -c a.c");
            for blob in s.blobs() {
                if !blob.is_file() || blob.is_symlink() {
                    let _ = fs::remove_dir_all(&blob);
                    let _ = fs::remove_file(&blob);
                }
            }
        }
    }
}

#[test]
fn a_blob_with_other_bytes() {
    after_damage("flipped", |blob| {
        let mut bytes = fs::read(blob).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(blob, bytes).unwrap();
    });
}

#[test]
fn a_blob_with_other_bytes_and_the_old_time() {
    after_damage("flipped, same mtime", |blob| {
        let time = fs::metadata(blob).unwrap().modified().unwrap();
        let mut bytes = fs::read(blob).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(blob, bytes).unwrap();
        fs::File::open(blob).unwrap().set_modified(time).unwrap();
    });
}

#[test]
fn a_blob_cut_short() {
    after_damage("cut", |blob| {
        fs::OpenOptions::new().write(true).open(blob).unwrap().set_len(10).unwrap();
    });
}

#[test]
fn a_blob_that_is_gone() {
    after_damage("gone", |blob| fs::remove_file(blob).unwrap());
}

#[test]
fn a_blob_replaced_by_a_folder() {
    after_damage("folder", |blob| {
        fs::remove_file(blob).unwrap();
        fs::create_dir(blob).unwrap();
    });
}

#[test]
fn a_blob_replaced_by_a_symlink() {
    after_damage("symlink", |blob| {
        fs::remove_file(blob).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", blob).unwrap();
    });
}

#[test]
fn what_is_stored_is_not_the_users_file() {
    let s = Sandbox::new();
    s.write("a.c", large());
    s.z("gcc -c a.c").ok();
    assert_eq!(fs::metadata(s.path("a.o")).unwrap().nlink(), 1);
    let truth = s.read("a.o");
    fs::OpenOptions::new().write(true).open(s.path("a.o")).unwrap().set_len(9).unwrap();
    let (_, cost) = s.counted("gcc -c a.c");
    assert_eq!(cost, 0);
    assert!(s.read("a.o") == truth);
}

/// A sandbox with a crate, and the command that compiles it into a folder. The crate is known already.
fn crate_known() -> Option<(Sandbox, impl Fn(&str) -> String)> {
    let rustc = rustc()?;
    let s = Sandbox::new();
    let text: String = (0..90)
        .map(|n| format!("pub fn f{n}(x: u64) -> String {{ format!(\"{{x}} {n}\") }}\n"))
        .collect();
    s.write("a.rs", text);
    // As cargo does: a folder that is named from the root on is a place, and none of its crates names it.
    let root = s.path("").display().to_string();
    let line = move |out: &str| {
        format!(
            "{rustc} --crate-name a --crate-type rlib --emit=metadata,link -C metadata=1 a.rs --out-dir {root}/{out}"
        )
    };
    for out in ["one", "two"] {
        fs::create_dir(s.path(out)).unwrap();
    }
    s.same(&line("one"));
    s.z(&line("one")).ok();
    Some((s, line))
}

fn inode(s: &Sandbox, name: &str) -> (u64, u64) {
    let about = fs::metadata(s.path(name)).unwrap();
    (about.ino(), about.nlink())
}

/// What nobody writes into is linked: a copy of a crate costs more than all the rest of a hit. And that
/// files go and come does not end it, nor does a new daemon.
#[test]
fn crates_are_linked() {
    let Some((s, line)) = crate_known() else { return };
    let mut first = None;
    for round in 0..6 {
        s.remove("one");
        fs::create_dir(s.path("one")).unwrap();
        if round == 4 {
            s.z("zccache stop").ok();
            s.z("zccache start").ok();
        }
        let before = SystemTime::now() - Duration::from_millis(20);
        s.z(&line("one")).ok();
        let (inode, links) = inode(&s, "one/liba.rlib");
        assert_eq!(links, 2, "round {round}");
        assert_eq!(*first.get_or_insert(inode), inode, "round {round}");
        assert_eq!(fs::metadata(s.path("one/liba.rmeta")).unwrap().nlink(), 2);
        assert!(fs::metadata(s.path("one/liba.rlib")).unwrap().modified().unwrap() > before);
    }
    s.same(&line("one"));
}

#[test]
fn no_two_trees_share_a_crate() {
    let Some((s, line)) = crate_known() else { return };
    let crate_of = |out: &str| {
        s.z(&line(out)).ok();
        (s.read(format!("{out}/liba.rlib")), inode(&s, &format!("{out}/liba.rlib")))
    };
    let (bytes, (first, links)) = crate_of("one");
    assert_eq!(links, 2);
    for _ in 0..2 {
        let (other, (second, links)) = crate_of("two");
        assert!(other == bytes && second != first && links == 1);
    }
    fs::OpenOptions::new()
        .append(true)
        .open(s.path("two/liba.rlib"))
        .unwrap()
        .write_all(b"x")
        .unwrap();
    let (again, (inode, links)) = crate_of("one");
    assert_eq!((again == bytes, inode, links), (true, first, 2));
}

/// Tools that write into a linked file, and those that take pains to leave no traces.
#[test]
fn a_linked_crate_that_was_written_to_serves_nobody() {
    let ways = [
        "printf X | dd of=one/liba.rlib bs=1 seek=300 conv=notrunc",
        "cp -p one/liba.rlib stamp; printf X | dd of=one/liba.rlib bs=1 seek=300 conv=notrunc; touch -r stamp one/liba.rlib",
        "cp -p one/liba.rlib stamp; printf X | dd of=one/liba.rlib bs=1 seek=300 conv=notrunc; touch -r stamp one/liba.rlib; rm -r one/*",
        "mv one/liba.rlib two/b; printf X | dd of=two/b bs=1 seek=300 conv=notrunc; rm two/b",
        "truncate -s 100 one/liba.rlib",
        ": > one/liba.rmeta",
        "touch one/liba.rlib one/liba.rmeta",
        // The last one: from now on the blob is no file such as the user would make.
        "chmod 600 one/liba.rlib",
    ];
    let Some((s, line)) = crate_known() else { return };
    for (number, way) in ways.iter().enumerate() {
        for stop in [false, true] {
            s.z(&line("one")).ok();
            s.z(&line("one")).ok();
            let links = inode(&s, "one/liba.rlib").1;
            assert!(links == 2 || stop && number + 1 == ways.len(), "before {way}");
            if stop && number % 2 == 0 {
                s.z("zccache stop");
            }
            s.bare(&["sh", "-c", way][..]).ok();
            if stop && number % 2 == 1 {
                s.z("zccache stop");
            }
            for out in ["two", "one", "one"] {
                s.same(&line(out));
            }
        }
    }
}

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::download::value;
use crate::kit::{Sandbox, have};
use crate::web_server::{Server, Site};

/// Kind, mode, time and content of everything in a tree, but for our marker.
fn tree(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(&next).unwrap().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(folder).unwrap().to_owned();
            if name == Path::new(".zccache-unpacked.json") {
                continue;
            }
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if meta.is_dir() {
                todo.push(path);
                "folder".to_owned()
            } else {
                String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
            };
            let links = if meta.is_file() { meta.nlink() } else { 0 };
            let mode = if meta.is_symlink() { 0 } else { meta.mode() & 0o777 };
            found.insert(name, format!("{mode:o} {} x{links} {content}", meta.mtime()));
        }
    }
    found
}

/// A folder with a bit of everything.
fn example(s: &Sandbox) -> PathBuf {
    s.write("in/bin/tool", "#!/bin/sh\n");
    s.write("in/lib/deep/er/file", "content\n");
    s.write("in/read-only", "r");
    s.write("in/private/x", "x");
    s.write("in/empty", "");
    s.chmod("in/bin/tool", 0o755);
    s.chmod("in/read-only", 0o444);
    s.link("bin/tool", "in/link");
    s.link("../bin/tool", "in/lib/up");
    fs::create_dir(s.path("in/void")).unwrap();
    for (name, time) in [("in/bin/tool", 1_000_000_000), ("in/lib/deep/er/file", 1_234_567_890)] {
        s.touch(name, time);
    }
    s.chmod("in/private", 0o700);
    s.bare("touch -h -d @1300000000 in/link in/lib/up").ok();
    s.bare(
        "touch -d @1400000000 in/private/x in/empty in/read-only in/void in/private in/lib/deep/er \
            in/lib/deep in/lib in/bin",
    )
    .ok();
    s.path("in")
}

/// Unpacks what a command made, with this status.
#[track_caller]
fn unpack(s: &Sandbox, file: &str, into: &str, flags: &str, status: i32) -> (String, String) {
    let server = Server::start(Site::of(s.read(file)));
    let line = format!("download {} --unarchive {into} {flags}", server.url(file));
    let output = s.z(&line).code(status);
    (output.out(), output.err())
}

#[test]
fn all_formats() {
    let s = Sandbox::new();
    let folder = example(&s);
    fs::hard_link(folder.join("bin/tool"), folder.join("bin/same")).unwrap();
    let wanted = tree(&folder);
    for (packer, file, flags) in [
        ("tar", "tar -C in -cf a.tar .", "--archive-format tar"),
        ("gzip", "tar -C in -czf a.tgz .", ""),
        ("xz", "tar -C in -cJf a.tar.xz .", "--archive-format tar.xz"),
        ("zstd", "tar -C in --zstd -cf a.tar.zst .", ""),
        ("bzip2", "tar -C in -cjf a.tar.bz2 .", ""),
        ("tar", "tar -C in --format=pax -cf p.tar .", ""),
        ("tar", "tar -C in --format=v7 -cf v.tar .", ""),
        // A name that says nothing.
        ("gzip", "tar -C in -czf archive .", ""),
    ] {
        if !have(packer) {
            continue;
        }
        s.bare(file).ok();
        let name = file
            .split_whitespace()
            .find(|word| word.starts_with(['a', 'p', 'v']) && *word != "pax");
        let name = name.unwrap();
        let (out, _) = unpack(&s, name, "out", flags, 0);
        assert_eq!(value(&out, "unarchive"), s.path("out").to_str().unwrap());
        assert_eq!(tree(&s.path("out")), wanted, "{file}");
        assert_eq!(fs::metadata(s.path("out")).unwrap().mode() & 0o777, 0o755);
        s.remove("out");
    }
    // Others keep no hard links.
    s.remove("in/bin/same");
    s.bare("touch -d @1400000000 in/bin").ok();
    let wanted = tree(&folder);
    for (packer, line, file) in [
        ("zip", "cd in && zip -qry ../a.zip .", "a.zip"),
        ("7z", "cd in && 7z a -bd -snl ../a.7z . >/dev/null", "a.7z"),
    ] {
        if have(packer) {
            s.bare(&["sh", "-c", line]).ok();
            unpack(&s, file, "out", "", 0);
            assert_eq!(tree(&s.path("out")), wanted, "{line}");
            s.remove("out");
        }
    }
    // Single files.
    s.write("tool", "a tool\n");
    for packer in ["gzip", "xz", "zstd", "bzip2"] {
        if have(packer) {
            s.bare(&["sh", "-c", &format!("{packer} -c tool > tool.{packer}")]).ok();
            let suffix = match packer {
                "gzip" => "gz",
                "zstd" => "zst",
                "bzip2" => "bz2",
                other => other,
            };
            fs::rename(s.path(format!("tool.{packer}")), s.path(format!("tool.{suffix}"))).unwrap();
            unpack(&s, &format!("tool.{suffix}"), "out", "", 0);
            assert_eq!(s.read("out/tool"), b"a tool\n", "{packer}");
            s.remove("out");
        }
    }
}

#[test]
fn a_second_time_does_nothing_and_a_new_version_replaces() {
    let s = Sandbox::new();
    s.write("in/one", "1");
    s.bare("tar -C in -czf a.tgz .").ok();
    let server = Server::start(Site::of(s.read("a.tgz")));
    let line = format!("download {} --unarchive out", server.url("a.tgz"));
    s.z(&line).ok();
    // Would be gone if it were unpacked again.
    s.write("out/own", "mine");
    s.z(&line).ok();
    assert_eq!(s.read("out/own"), b"mine");
    // Lost: unpacked again, without a download.
    s.remove("out");
    let sent = server.sent();
    s.z(&line).ok();
    assert_eq!((s.read("out/one"), server.sent()), (b"1".to_vec(), sent));

    s.remove("in/one");
    s.write("in/two", "2");
    s.bare("tar -C in -czf b.tgz .").ok();
    let content = s.read("b.tgz");
    server.set(|site| *site = Site { tag: Some("\"b\"".to_owned()), ..Site::of(content) });
    s.z(&line).ok();
    assert!(s.exists("out/two") && !s.exists("out/one"));
    // An empty folder may be there; one with files of others may not.
    fs::create_dir(s.path("empty")).unwrap();
    s.z(&format!("download {} --unarchive empty", server.url("a.tgz"))).ok();
    assert!(s.exists("empty/two"));
    let hidden = fs::read_dir(&s.dir).unwrap().flatten();
    let hidden: Vec<_> =
        hidden.map(|e| e.file_name()).filter(|n| n.to_string_lossy().starts_with('.')).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

#[test]
fn hostile_archives_are_refused_whole() {
    if !have("python3") {
        return;
    }
    let s = Sandbox::new();
    let victim = s.aside("victim");
    fs::write(victim.join("precious"), "untouched").unwrap();
    let script = r#"
import io, sys, tarfile, zipfile, stat
victim = sys.argv[1]
def tar(name, *entries):
    with tarfile.open(name, "w") as t:
        for entry in entries:
            info = tarfile.TarInfo(entry[0]); info.type = entry[1]
            data = b""
            if entry[1] == tarfile.REGTYPE: data = entry[2]; info.size = len(data)
            elif len(entry) > 2: info.linkname = entry[2]
            t.addfile(info, io.BytesIO(data))
R, S, L, D = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
tar("dots.tar", ("good", R, b"x"), ("a/../../victim/precious", R, b"bad"))
tar("absolute.tar", (victim + "/precious", R, b"bad"))
tar("symlink.tar", ("out", S, "../victim"), ("out/precious", R, b"bad"))
tar("symlink-absolute.tar", ("out", S, victim), ("out/precious", R, b"bad"))
tar("symlink-two.tar", ("d", D), ("d/e", S, ".."), ("f", S, "d/e/../../victim"), ("f/precious", R, b"bad"))
tar("symlink-deep.tar", ("a", D), ("a/b", D), ("l", S, "a/b"), ("a/b/up", S, "../../x"), ("l/../../victim/precious", R, b"bad"))
tar("symlink-far.tar", ("d", D), ("d/e", S, ".."), ("f", S, "d/e/../../victim"))
tar("link.tar", ("l", L, victim + "/precious"), ("l", R, b"bad"))
tar("link-dots.tar", ("l", L, "../victim/precious"))
tar("link-symlink.tar", ("s", S, "x"), ("l", L, "s"))
tar("device.tar", ("null", tarfile.CHRTYPE))
tar("disk.tar", ("disk", tarfile.BLKTYPE))
tar("pipe.tar", ("pipe", tarfile.FIFOTYPE))
tar("twice.tar", ("d", D), ("d/x", R, b"x"), ("d", R, b"file"))
with zipfile.ZipFile("dots.zip", "w") as z: z.writestr("../victim/precious", "bad")
with zipfile.ZipFile("absolute.zip", "w") as z: z.writestr(victim + "/precious", "bad")
with zipfile.ZipFile("symlink.zip", "w") as z:
    i = zipfile.ZipInfo("l"); i.create_system = 3; i.external_attr = (stat.S_IFLNK | 0o777) << 16
    z.writestr(i, victim)
    z.writestr("l/precious", "bad")
with zipfile.ZipFile("bomb.zip", "w", zipfile.ZIP_DEFLATED) as z:
    with z.open("zeros", "w", force_zip64=True) as f:
        for _ in range(1100): f.write(bytes(1 << 20))
good = open("dots.tar", "rb").read()
open("cut.tar", "wb").write(good[:700])
import gzip
whole = gzip.compress(bytes(range(256)) * 4000)
open("cut.gz", "wb").write(whole[:len(whole) // 2])
open("sum.gz", "wb").write(whole[:-8] + b"\0" * 8)
"#;
    s.write("make.py", script);
    s.bare(&["python3", "make.py", victim.to_str().unwrap()]).ok();
    for file in [
        "dots.tar",
        "absolute.tar",
        "symlink.tar",
        "symlink-absolute.tar",
        "symlink-two.tar",
        "symlink-deep.tar",
        "symlink-far.tar",
        "link.tar",
        "link-dots.tar",
        "link-symlink.tar",
        "device.tar",
        "disk.tar",
        "pipe.tar",
        "twice.tar",
        "dots.zip",
        "absolute.zip",
        "symlink.zip",
        "bomb.zip",
        "cut.tar",
        "cut.gz",
        "sum.gz",
    ] {
        let (out, err) = unpack(&s, file, "out", "", 9);
        let told: Vec<&str> = err.lines().filter(|line| line.starts_with("zccache:")).collect();
        assert!(told.len() == 1 && told[0].contains(file), "{file}: {err}");
        assert!(out.is_empty() && !s.exists("out"), "{file}");
        assert_eq!(fs::read(victim.join("precious")).unwrap(), b"untouched", "{file}");
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 1, "{file}");
    }
    // What looks like it but is sound: links of its own, also through a link of its own.
    s.write(
        "fine.py",
        "import io, tarfile\n\
         t = tarfile.open('fine.tar', 'w')\n\
         def add(name, kind, link='', data=b''):\n\
         \x20   i = tarfile.TarInfo(name); i.type = kind; i.mode = 0o755; i.linkname = link; i.size = len(data)\n\
         \x20   t.addfile(i, io.BytesIO(data))\n\
         add('lib', tarfile.DIRTYPE); add('lib64', tarfile.SYMTYPE, 'lib')\n\
         add('lib64/x', tarfile.REGTYPE, data=b'x'); add('y', tarfile.LNKTYPE, 'lib/x')\n\
         t.close()\n",
    );
    s.bare("python3 fine.py").ok();
    unpack(&s, "fine.tar", "out", "", 0);
    assert_eq!((s.read("out/lib/x"), s.read("out/y")), (b"x".to_vec(), b"x".to_vec()));
}

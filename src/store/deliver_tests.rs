use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;
use crate::testing::{Random, TestDir};

struct Place {
    dir: TestDir,
    blobs: BlobDir,
}

/// The umask of this process; tests must not change it, as they share the process.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
    u32::from_str_radix(line.trim(), 8).unwrap()
}

impl Place {
    fn new() -> Place {
        let dir = TestDir::new();
        let blobs = BlobDir::new(&dir.bytes("root"));
        Place { dir, blobs }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn take(&self, bytes: &[u8]) -> Content {
        let (id, size, stat) = self.blobs.take_bytes(bytes, 0o666 & !umask()).unwrap();
        Content::Blob { id, size, seen: Some(stat) }
    }

    fn put(
        &self,
        content: &Content,
        name: &str,
        style: WriteStyle,
    ) -> Result<BlobNews, DeliverError> {
        self.put_as(content, name, style, false, LinkMode::Auto)
    }

    fn put_as(
        &self,
        content: &Content,
        name: &str,
        style: WriteStyle,
        executable: bool,
        mode: LinkMode,
    ) -> Result<BlobNews, DeliverError> {
        let path = self.dir.bytes(name);
        let target = Target { path: &path, style, executable, umask: umask() };
        deliver(&self.blobs, content, &target, mode, true)
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn seen_now(content: &Content, news: BlobNews) -> Content {
    let Content::Blob { id, size, seen } = *content else { panic!() };
    let seen = news.map_or(seen, |(of, stat)| {
        assert_eq!(of, id);
        stat
    });
    Content::Blob { id, size, seen }
}

fn links(path: PathBuf) -> u64 {
    std::fs::symlink_metadata(path).unwrap().nlink()
}

const BIG: usize = 200_000;

#[test]
fn every_way_gives_the_bytes_and_the_modes() {
    let place = Place::new();
    let mut random = Random(3);
    let mut number = 0;
    for size in [0, 1, 9000, LINK_FROM as usize, BIG, 3_000_000] {
        for mode in [LinkMode::Auto, LinkMode::Reflink, LinkMode::Hardlink, LinkMode::Copy] {
            for style in [WriteStyle::Replace, WriteStyle::InPlace] {
                for executable in [false, true] {
                    let bytes = random.bytes(size);
                    let content = match number % 3 {
                        0 => Content::Inline(bytes.clone()),
                        _ => place.take(&bytes),
                    };
                    let name = format!("out{number}");
                    number += 1;
                    place.put_as(&content, &name, style, executable, mode).unwrap();
                    assert_eq!(std::fs::read(place.at(&name)).unwrap(), bytes);
                    let about = std::fs::metadata(place.at(&name)).unwrap();
                    let base = if executable { 0o777 } else { 0o666 };
                    assert_eq!(about.mode() & 0o7777, base & !umask());
                    let linked = matches!(content, Content::Blob { .. })
                        && style == WriteStyle::Replace
                        && !executable
                        && (mode == LinkMode::Hardlink
                            || (mode == LinkMode::Auto && size as u64 >= LINK_FROM));
                    // This file system may be able to reflink, and then Auto makes no link.
                    if linked && mode == LinkMode::Hardlink {
                        assert_eq!(about.nlink(), 2);
                    } else if !linked {
                        assert_eq!(about.nlink(), 1);
                    }
                }
            }
        }
    }
}

#[test]
fn a_trusted_blob_is_not_read_again() {
    let place = Place::new();
    let content = place.take(&[5; 5000]);
    assert_eq!(place.put(&content, "a", WriteStyle::Replace).unwrap(), None);
    let Content::Blob { id, size, .. } = content else { panic!() };
    let unknown = Content::Blob { id, size, seen: None };
    let news = place.put(&unknown, "b", WriteStyle::Replace).unwrap();
    assert!(matches!(news, Some((_, Some(_)))));
}

#[test]
fn a_new_umask_means_a_copy() {
    // The umask belongs to the process, so this test runs once more in one of its own.
    if std::env::var_os("ZCCACHE_TEST_UMASK").is_none() {
        let me = std::env::current_exe().unwrap();
        let status = std::process::Command::new("sh")
            .args([
                "-c",
                "umask 027; exec \"$0\" --exact store::deliver::tests::a_new_umask_means_a_copy",
            ])
            .arg(me)
            .env("ZCCACHE_TEST_UMASK", "1")
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    assert_eq!(umask(), 0o027);
    let place = Place::new();
    let (id, size, stat) = place.blobs.take_bytes(&[1; BIG], 0o644).unwrap();
    let content = Content::Blob { id, size, seen: Some(stat) };
    place.put_as(&content, "out", WriteStyle::Replace, false, LinkMode::Hardlink).unwrap();
    assert_eq!(links(place.at("out")), 1);
    assert_eq!(std::fs::metadata(place.at("out")).unwrap().mode() & 0o777, 0o640);
    // The blob itself got what it was given, whatever the umask.
    let (id, ..) = place.blobs.take_bytes(&[2; BIG], 0o777).unwrap();
    let about = std::fs::metadata(crate::terms::as_path(&place.blobs.path(&id))).unwrap();
    assert_eq!(about.mode() & 0o777, 0o777);
}

#[test]
fn symlinks_are_replaced_or_followed_by_style() {
    let place = Place::new();
    for content in [Content::Inline(b"new".to_vec()), place.take(&[7; BIG])] {
        let _ = std::fs::remove_file(place.at("link"));
        std::fs::write(place.at("aim"), "old").unwrap();
        symlink(place.at("aim"), place.at("link")).unwrap();
        place.put(&content, "link", WriteStyle::InPlace).unwrap();
        assert!(place.at("link").is_symlink());
        assert_ne!(std::fs::read(place.at("aim")).unwrap(), b"old");

        std::fs::write(place.at("aim"), "old").unwrap();
        place.put(&content, "link", WriteStyle::Replace).unwrap();
        assert!(!place.at("link").is_symlink());
        assert_eq!(std::fs::read(place.at("aim")).unwrap(), b"old");
    }
    // By what the one leads to.
    for (old, stays) in [("old", false), ("", true)] {
        std::fs::write(place.at("aim"), old).unwrap();
        let _ = std::fs::remove_file(place.at("link"));
        symlink(place.at("aim"), place.at("link")).unwrap();
        place.put(&Content::Inline(vec![1]), "link", WriteStyle::ReplaceFilled).unwrap();
        assert_eq!(place.at("link").is_symlink(), stays);
        assert!(!std::fs::read(place.at("aim")).unwrap().is_empty());
    }
    // A dangling one.
    let _ = std::fs::remove_file(place.at("link"));
    symlink(place.at("nowhere"), place.at("link")).unwrap();
    place.put(&Content::Inline(vec![1]), "link", WriteStyle::Replace).unwrap();
    assert!(!place.at("nowhere").exists());
}

#[test]
fn in_place_keeps_inode_and_modes() {
    let place = Place::new();
    std::fs::write(place.at("out"), "long old content").unwrap();
    std::fs::set_permissions(place.at("out"), PermissionsExt::from_mode(0o604)).unwrap();
    let before = std::fs::metadata(place.at("out")).unwrap();
    place.put(&place.take(b"new"), "out", WriteStyle::InPlace).unwrap();
    let after = std::fs::metadata(place.at("out")).unwrap();
    assert_eq!((before.ino(), before.mode()), (after.ino(), after.mode()));
    assert_eq!(std::fs::read(place.at("out")).unwrap(), b"new");
}

#[test]
fn devices_and_fifos_are_written_through() {
    let place = Place::new();
    let fifo = place.at("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || std::fs::read(fifo).unwrap()
    });
    let content = place.take(&[9; BIG]);
    place.put(&content, "fifo", WriteStyle::Replace).unwrap();
    assert_eq!(reader.join().unwrap(), [9; BIG]);
    assert!(std::fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());

    if !is_root() {
        return;
    }
    // A null device of our own, never the real one.
    let mode = Mode::from_raw_mode(0o666);
    let device = rustix::fs::makedev(1, 3);
    let kind = FileType::CharacterDevice;
    if rustix::fs::mknodat(rustix::fs::CWD, place.at("null"), kind, mode, device).is_ok() {
        for style in [WriteStyle::Replace, WriteStyle::InPlace] {
            match place.put(&content, "null", style) {
                Ok(_) => {}
                // The folder may be mounted without devices.
                Err(DeliverError::Output(error)) => {
                    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
                }
                Err(error) => panic!("{error:?}"),
            }
            let about = std::fs::symlink_metadata(place.at("null")).unwrap();
            assert!(about.file_type().is_char_device());
        }
    }
}

#[test]
fn a_folder_in_the_way_is_an_error() {
    let place = Place::new();
    std::fs::create_dir(place.at("out")).unwrap();
    for style in [WriteStyle::Replace, WriteStyle::InPlace] {
        for content in [Content::Inline(vec![1]), place.take(&[1; BIG])] {
            let error = place.put(&content, "out", style).unwrap_err();
            assert!(matches!(error, DeliverError::Output(_)), "{error:?}");
            let error = place.put(&content, "no/such/folder", style).unwrap_err();
            assert!(matches!(error, DeliverError::Output(_)), "{error:?}");
        }
    }
}

#[test]
fn no_link_into_a_setgid_folder() {
    let place = Place::new();
    std::fs::create_dir(place.at("team")).unwrap();
    let group = if is_root() { Some(12345) } else { None };
    std::os::unix::fs::chown(place.at("team"), None, group).unwrap();
    std::fs::set_permissions(place.at("team"), PermissionsExt::from_mode(0o2755)).unwrap();
    let content = place.take(&[4; BIG]);
    place.put_as(&content, "team/out", WriteStyle::Replace, false, LinkMode::Hardlink).unwrap();
    let about = std::fs::metadata(place.at("team/out")).unwrap();
    assert_eq!(about.nlink(), 1);
    assert_eq!(group.unwrap_or(about.gid()), about.gid());
}

#[test]
fn never_more_than_one_link() {
    let place = Place::new();
    let content = place.take(&[4; BIG]);
    let hard = LinkMode::Hardlink;
    let news = place.put_as(&content, "one", WriteStyle::Replace, false, hard).unwrap();
    let content = seen_now(&content, news);
    assert_eq!(links(place.at("one")), 2);
    place.put_as(&content, "two", WriteStyle::Replace, false, hard).unwrap();
    assert_eq!(links(place.at("two")), 1);
    // The first place again: its own link goes, so there may be a new one.
    let old = std::fs::metadata(place.at("one")).unwrap().mtime_nsec();
    let news = place.put_as(&content, "one", WriteStyle::Replace, false, hard).unwrap();
    assert!(matches!(news, Some((_, Some(_)))));
    assert_eq!(links(place.at("one")), 2);
    assert_ne!(std::fs::metadata(place.at("one")).unwrap().mtime_nsec(), old);
    // A tool that writes in place must not write into the blob, or lose what it copies from.
    let content = seen_now(&content, news);
    place.put(&content, "one", WriteStyle::InPlace).unwrap();
    assert_eq!(links(place.at("one")), 1);
    assert_eq!(std::fs::read(place.at("one")).unwrap(), [4; BIG]);
    // The same blob twice in one delivery.
    let sources = check_all(&place.blobs, [&content, &content]).unwrap();
    for (source, name) in sources.into_iter().zip(["a", "b"]) {
        let path = place.dir.bytes(name);
        let style = WriteStyle::Replace;
        let target = Target { path: &path, style, executable: false, umask: umask() };
        deliver_checked(&place.blobs, source, &target, hard, true).unwrap();
    }
    assert_eq!((links(place.at("a")), links(place.at("b"))), (2, 1));
}

#[test]
fn many_wrappers_at_once_share_nothing() {
    let place = Place::new();
    for round in 0..40u8 {
        let content = place.take(&[round; BIG]);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (place, content) = (&place, &content);
                scope.spawn(move || {
                    let name = format!("out{thread}");
                    match place.put_as(
                        content,
                        &name,
                        WriteStyle::Replace,
                        false,
                        LinkMode::Hardlink,
                    ) {
                        Ok(_) => {
                            assert_eq!(std::fs::read(place.at(&name)).unwrap(), [round; BIG]);
                        }
                        // Times that never stand still: a miss, no more.
                        Err(DeliverError::Damaged(_)) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                });
            }
        });
        let mut inodes: Vec<u64> = (0..4)
            .filter_map(|thread| std::fs::metadata(place.at(&format!("out{thread}"))).ok())
            .map(|about| about.ino())
            .collect();
        let count = inodes.len();
        inodes.sort_unstable();
        inodes.dedup();
        assert_eq!(inodes.len(), count);
    }
}

/// What a user may do to a delivered file.
fn spoil(path: &std::path::Path, how: usize, random: &mut Random) {
    use std::io::Write;
    use std::os::unix::fs::FileExt;
    let open = || std::fs::OpenOptions::new().write(true).read(true).open(path).unwrap();
    match how {
        0 => open().set_len(100).unwrap(),
        1 => {
            let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(b"more").unwrap();
        }
        2 => std::fs::write(path, b"stripped").unwrap(),
        _ => {
            // One bit, with the old mtime put back.
            let file = open();
            let mtime = file.metadata().unwrap().modified().unwrap();
            let at = random.below(BIG) as u64;
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            byte[0] ^= 1 << random.below(8);
            file.write_all_at(&byte, at).unwrap();
            file.set_modified(mtime).unwrap();
        }
    }
}

#[test]
fn damage_through_a_link_is_noticed() {
    let place = Place::new();
    let mut random = Random(11);
    for round in 0..400 {
        let bytes = random.bytes(BIG);
        let content = place.take(&bytes);
        let hard = LinkMode::Hardlink;
        let news = place.put_as(&content, "out", WriteStyle::Replace, false, hard).unwrap();
        let content = seen_now(&content, news);
        assert_eq!(links(place.at("out")), 2);
        spoil(&place.at("out"), round % 8, &mut random);
        if round % 3 == 0 {
            std::fs::remove_file(place.at("out")).unwrap();
        }
        // Times on this kernel tell any two writes apart, or the test would fail on these.
        let error = place.put(&content, "again", WriteStyle::Replace).unwrap_err();
        assert!(matches!(error, DeliverError::Damaged(_)), "round {round}: {error:?}");
        assert!(!place.at("again").exists());
        // Good content taken in anew heals it.
        let content = place.take(&bytes);
        place.put(&content, "again", WriteStyle::Replace).unwrap();
        assert_eq!(std::fs::read(place.at("again")).unwrap(), bytes);
        std::fs::remove_file(place.at("again")).unwrap();
    }
}

#[test]
fn one_bad_blob_stops_a_delivery_before_it_starts() {
    let place = Place::new();
    let good = place.take(b"good");
    let bad = place.take(b"bad.");
    let Content::Blob { id, .. } = bad else { panic!() };
    place.blobs.remove(&id).unwrap();
    let result = check_all(&place.blobs, [&good, &bad]);
    assert!(matches!(result, Err(DeliverError::Damaged(of)) if of == id));
    let many = vec![good; OPEN_BLOBS + 3];
    let last = check_all(&place.blobs, &many).unwrap().pop().unwrap();
    let path = place.dir.bytes("out");
    let style = WriteStyle::Replace;
    let target = Target { path: &path, style, executable: false, umask: umask() };
    deliver_checked(&place.blobs, last, &target, LinkMode::Auto, false).unwrap();
    assert_eq!(std::fs::read(place.at("out")).unwrap(), b"good");
}

/// Runs the test of this name in a mount namespace of its own, for the reasons of its namesake in `tests/it/kit.rs`. True: this is that
/// run. False: it is over, or not permitted.
fn may_mount(test: &str) -> bool {
    const INSIDE: &str = "ZCC_UNIT_MAY_MOUNT";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let unshare = |words: &[&std::ffi::OsStr]| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]).args(words).env(INSIDE, "").output()
    };
    if unshare(&["true".as_ref()]).is_ok_and(|tried| tried.status.success()) {
        let itself = std::env::current_exe().unwrap();
        let done = unshare(&[itself.as_ref(), "--exact".as_ref(), test.as_ref()]).unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains("1 passed"), "{said}");
    }
    false
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    if !may_mount("store::deliver::tests::a_full_disk_leaves_nothing_behind") {
        return;
    }
    let place = Place::new();
    // A tmpfs of a few pages stands for a full disk.
    std::fs::create_dir(place.at("full")).unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "none"])
        .arg(place.at("full"))
        .stderr(std::process::Stdio::null())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        return;
    }
    let outcome = std::panic::catch_unwind(|| {
        let content = place.take(&[1; BIG]);
        for style in [WriteStyle::Replace, WriteStyle::InPlace] {
            let error = place.put(&content, "full/out", style).unwrap_err();
            assert!(matches!(error, DeliverError::Output(_)), "{error:?}");
            assert!(!place.at("full/out").exists());
        }
    });
    std::process::Command::new("umount").arg(place.at("full")).status().unwrap();
    outcome.unwrap();
}

/// Deliveries of any kind into any place, by the dice, with the user and the disk doing what they
/// like in between, against a model of what the compiler would leave: each output has exactly the
/// bytes that were asked for, and no other file changes with it.
#[test]
fn deliveries_agree_with_the_model() {
    for seed in 0..8 {
        agrees_with_the_model(seed);
    }
}

fn agrees_with_the_model(seed: u64) {
    let place = Place::new();
    let mut random = Random(seed);
    let texts: Vec<Vec<u8>> = [0, 5, 3000, LINK_FROM as usize, LINK_FROM as usize + 9]
        .iter()
        .enumerate()
        .map(|(number, size)| vec![number as u8; *size])
        .collect();
    let mut contents: Vec<Content> = texts.iter().map(|text| place.take(text)).collect();
    let names = ["a", "b", "c"];
    // What each name holds; a symlink's text is kept under the name it leads to.
    let mut model: std::collections::BTreeMap<&str, Vec<u8>> = Default::default();
    for step in 0..250 {
        let name = names[random.below(names.len())];
        let path = place.at(name);
        match random.below(10) {
            // The user does something to a file that was given to him.
            0 => {
                if std::fs::write(&path, b"mine").is_ok() {
                    model.insert(name, b"mine".to_vec());
                }
            }
            1 => {
                if let Some(text) = model.get_mut(name) {
                    use std::io::Write;
                    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
                    file.write_all(b"+").unwrap();
                    text.push(b'+');
                }
            }
            2 => {
                let _ = std::fs::remove_file(&path);
                model.remove(name);
            }
            // Something happens to a blob.
            3 => {
                if let Content::Blob { id, .. } = &contents[random.below(contents.len())] {
                    let blob = place.blobs.path(id);
                    let blob = crate::terms::as_path(&blob);
                    let whole = std::fs::read(blob).unwrap_or_default();
                    // A new file: a delivered link must not be the one that is spoilt.
                    let _ = std::fs::remove_file(blob);
                    if !whole.is_empty() && random.below(2) == 0 {
                        let mut spoilt = whole;
                        let at = random.below(spoilt.len());
                        spoilt[at] ^= 1;
                        std::fs::write(blob, spoilt).unwrap();
                    }
                }
            }
            _ => {
                let number = random.below(contents.len());
                let style = [WriteStyle::Replace, WriteStyle::InPlace][random.below(2)];
                let modes = [LinkMode::Auto, LinkMode::Hardlink, LinkMode::Copy, LinkMode::Reflink];
                let mode = modes[random.below(modes.len())];
                let executable = random.below(4) == 0;
                match place.put_as(&contents[number], name, style, executable, mode) {
                    Ok(news) => {
                        model.insert(name, texts[number].clone());
                        // As the daemon does it.
                        if let (Some((_, stat)), Content::Blob { seen, .. }) =
                            (news, &mut contents[number])
                        {
                            *seen = stat;
                        }
                    }
                    Err(DeliverError::Damaged(_)) => {
                        // The old file may be gone, but never half a new one be there.
                        match std::fs::read(&path) {
                            Ok(left) => assert_eq!(Some(&left), model.get(name), "seed {seed}"),
                            Err(_) => drop(model.remove(name)),
                        }
                        contents[number] = place.take(&texts[number]);
                    }
                    Err(DeliverError::Output(error)) => panic!("seed {seed} step {step}: {error}"),
                }
            }
        }
        for name in names {
            let found = std::fs::read(place.at(name)).ok();
            assert!(found.as_ref() == model.get(name), "seed {seed} step {step}: {name}");
        }
    }
}

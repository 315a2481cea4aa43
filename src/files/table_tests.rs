use std::sync::Barrier;

use super::*;
use crate::testing::Random;

struct Nothing;

impl Remembered for Nothing {
    fn recall(&self, _: &[u8], _: &FileStat, _: ClockSettings) -> Option<ContentHash> {
        None
    }

    fn remember(&self, _: &[u8], _: Option<&FileStat>, _: &ContentHash, _: ClockSettings) {}
}

fn folder(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("zcc-table-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path.canonicalize().unwrap()
}

fn bytes(path: &std::path::Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes()
}

#[test]
fn many_first_looks_at_once_all_see_the_content() {
    let folder = folder("many");
    let paths: Vec<_> = (0..300).map(|n| folder.join(format!("f{n}"))).collect();
    for path in &paths {
        std::fs::write(path, "x").unwrap();
    }
    const THREADS: usize = 6;
    for _ in 0..10 {
        let table = FileTable::new(Box::new(Nothing));
        let start = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    for path in &paths {
                        let seen = table.look(table.intern(bytes(path)), true);
                        assert!(matches!(seen, Seen::File { hash: Some(_), .. }), "{seen:?}");
                    }
                });
            }
        });
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_device_that_is_written_to_stays_what_it_is() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::io::Write;

    let folder = folder("special");
    let path = folder.join("null");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let table = FileTable::new(Box::new(Nothing));
    let id = table.intern(bytes(&path));
    assert_eq!(table.look(id, true), Seen::Special);
    let last = table.counter();
    let mut fifo = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    fifo.write_all(b"x").unwrap();
    drop(fifo);
    table.drain();
    assert!(table.unchanged([id], last));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "x").unwrap();
    table.drain();
    assert!(!table.unchanged([id], last));
    assert!(matches!(table.look(id, true), Seen::File { .. }));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_change_is_seen_by_the_next_drain() {
    let folder = folder("drain");
    let path = folder.join("x.h");
    let table = FileTable::new(Box::new(Nothing));
    let id = table.intern(bytes(&path));
    assert_eq!(table.look(id, true), Seen::Absent);
    let mut last = table.counter();
    for text in ["one", "two", "six"] {
        std::fs::write(&path, text).unwrap();
        table.drain();
        assert!(!table.unchanged([id], last), "{text}");
        let Seen::File { hash: Some(hash), .. } = table.look(id, true) else { panic!("{text}") };
        assert_eq!(hash.0, *blake3::hash(text.as_bytes()).as_bytes());
        last = table.counter();
        assert!(table.unchanged([id], last));
    }
    // Under another name, which no watched folder has.
    let other = self::folder("elsewhere").join("y.h");
    std::fs::hard_link(&path, &other).unwrap();
    table.drain();
    table.look(id, true);
    last = table.counter();
    std::fs::write(&other, "new").unwrap();
    table.drain();
    assert!(!table.unchanged([id], last));
    // The folder is replaced as a whole.
    table.look(id, true);
    last = table.counter();
    std::fs::rename(&folder, folder.with_extension("old")).unwrap();
    table.drain();
    assert!(!table.unchanged([id], last));
    assert_eq!(table.look(id, true), Seen::Absent);
    std::fs::remove_dir_all(folder.with_extension("old")).unwrap();
    std::fs::remove_dir_all(other.parent().unwrap()).unwrap();
}

/// Any sequence of changes, by the dice, against the disk itself: after a drain the table must say
/// of every path what a plain look says, and must not say `unchanged` of one that is another.
#[test]
fn the_table_agrees_with_the_disk() {
    for seed in 0..6 {
        agrees_with_the_disk(seed);
    }
}

fn agrees_with_the_disk(seed: u64) {
    let root = folder(&format!("model-{seed}"));
    let table = FileTable::new(Box::new(Nothing));
    let mut random = Random(seed);
    // Names that meet each other: files, folders and symlinks of two levels.
    let tops = ["a", "b", "c"].map(|name| root.join(name));
    let below: Vec<_> = tops.iter().flat_map(|top| ["x", "y"].map(|name| top.join(name))).collect();
    let all: Vec<_> = tops.iter().chain(&below).cloned().collect();
    let asked: Vec<_> =
        all.iter().flat_map(|path| [path.clone(), path.join("x"), path.join("../a/x")]).collect();
    let ids: Vec<_> = asked.iter().map(|path| table.intern(bytes(path))).collect();
    // What it said last, and when.
    let mut said: Vec<(Seen, Counter, Version)> = Vec::new();
    for id in &ids {
        let version = table.version();
        said.push((table.look(*id, true), table.counter(), version));
    }
    let mut held = 0;
    for step in 0..400 {
        let path = &all[random.below(all.len())];
        let other = &all[random.below(all.len())];
        // Many of these fail, which is a change of nothing.
        let _ = match random.below(9) {
            0 => std::fs::write(path, format!("{}", random.below(4))),
            1 => std::fs::remove_file(path),
            2 => std::fs::create_dir(path),
            3 => std::fs::remove_dir_all(path),
            4 => std::fs::rename(path, other),
            5 => std::os::unix::fs::symlink(other, path),
            6 => std::fs::hard_link(other, path),
            7 => std::fs::OpenOptions::new()
                .append(true)
                .open(path)
                .and_then(|mut file| std::io::Write::write_all(&mut file, b"+")),
            _ => std::os::unix::fs::symlink("../b", path),
        };
        table.drain();
        let version = table.version();
        for ((before, _, at), path) in said.iter().zip(&asked) {
            if *at == version {
                let truth = walk::look_plainly(bytes(path), true);
                let (is, was) = (truth.identity(), before.identity());
                assert_eq!(
                    (content(*before), was),
                    (content(truth), is),
                    "seed {seed} step {step} {path:?}"
                );
                held += 1;
            }
        }
        for (number, id) in ids.iter().enumerate() {
            // Not each one each time: what was not asked for long must be right as well.
            if random.below(3) != 0 {
                continue;
            }
            let truth = content(walk::look_plainly(bytes(&asked[number]), true));
            let (before, since, _) = said[number];
            if table.unchanged([*id], since) {
                assert_eq!(content(before), truth, "seed {seed} step {step} {:?}", asked[number]);
            }
            let seen = table.look(*id, true);
            assert_eq!(content(seen), truth, "seed {seed} step {step} {:?}", asked[number]);
            said[number] = (seen, table.counter(), version);
        }
    }
    assert!(held > 1000, "the version moves at all times");
    std::fs::remove_dir_all(root).unwrap();
}

/// A file's own change time says nothing of how it came to be found there: by a link that is younger, or in a folder that
/// was renamed.
#[test]
fn what_came_while_a_compile_ran_is_no_input_of_it() {
    let folder = folder("came");
    let in_it = |name: &str| folder.join(name);
    for sub in ["watched", "links", "new", "old/inc", "old/kept"] {
        std::fs::create_dir_all(in_it(sub)).unwrap();
    }
    for name in ["watched/known.h", "old/x.h", "old/z.h", "old/inc/x.h", "old/kept/x.h"] {
        std::fs::write(in_it(name), name).unwrap();
    }
    std::os::unix::fs::symlink("../old/x.h", in_it("links/before.h")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    let table = FileTable::new(Box::new(Nothing));
    let look = |name: &str| {
        let id = table.intern(bytes(&in_it(name)));
        assert!(matches!(table.look(id, true), Seen::File { hash: Some(_), .. }), "{name}");
        id
    };
    look("watched/known.h");
    let opened = table.open_ticket();
    std::os::unix::fs::symlink("../old/x.h", in_it("watched/x.h")).unwrap();
    std::os::unix::fs::symlink("../old/x.h", in_it("links/x.h")).unwrap();
    std::fs::rename(in_it("old/inc"), in_it("new/inc")).unwrap();
    let stayed = |name: &str| table.unchanged_during(look(name), &opened);
    assert!(!stayed("watched/x.h"), "a new link in a watched folder");
    assert!(!stayed("links/x.h"), "a new link in a folder nobody had looked at");
    assert!(!stayed("new/inc/x.h"), "an old file in a folder that was moved");
    assert!(stayed("watched/known.h"));
    assert!(stayed("links/before.h"));
    assert!(stayed("old/kept/x.h"));
    table.close_ticket();
    // Nor does the folder's watch tell of what is written under another name.
    std::fs::hard_link(in_it("old/z.h"), in_it("watched/y.h")).unwrap();
    let opened = table.open_ticket();
    std::fs::write(in_it("old/z.h"), "other").unwrap();
    let stayed = |name: &str| table.unchanged_during(look(name), &opened);
    assert!(!stayed("watched/y.h"), "a file that was written to elsewhere");
    table.close_ticket();
    // Without any event that could move the count, either.
    let opened = table.open_ticket();
    std::fs::create_dir_all(in_it("quiet")).unwrap();
    std::os::unix::fs::symlink("../old/kept/x.h", in_it("quiet/x.h")).unwrap();
    let stayed = |name: &str| table.unchanged_during(look(name), &opened);
    assert!(!stayed("quiet/x.h"), "a new link in a new folder");
    assert!(stayed("watched/known.h"));
    table.close_ticket();
    let now = now_stat_ns();
    assert!(walk::way_is_older(bytes(&in_it("links/x.h")), now + 1_000_000_000));
    assert!(!walk::way_is_older(bytes(&in_it("links/x.h")), now - 1_000_000_000));
    assert!(walk::way_is_older(b"/etc/passwd", now));
    std::fs::remove_dir_all(folder).unwrap();
}

/// The part of an answer that a compile depends on.
fn content(seen: Seen) -> (u8, Option<ContentHash>) {
    match seen {
        Seen::Absent => (0, None),
        Seen::Folder { .. } => (1, None),
        Seen::File { hash, .. } => (2, hash),
        Seen::Special => (3, None),
        Seen::Unreadable => (4, None),
    }
}

/// What was read last, for each stat.
#[derive(Clone, Default)]
struct ByStat(std::sync::Arc<Mutex<Vec<(FileStat, ContentHash, ClockSettings)>>>);

impl Remembered for ByStat {
    fn recall(&self, _: &[u8], stat: &FileStat, settings: ClockSettings) -> Option<ContentHash> {
        let all = self.0.lock();
        let found = all.iter().rev().find(|(known, _, at)| known == stat && *at == settings);
        found.map(|(_, hash, _)| *hash)
    }

    fn remember(
        &self,
        _: &[u8],
        stat: Option<&FileStat>,
        hash: &ContentHash,
        settings: ClockSettings,
    ) {
        self.0.lock().extend(stat.map(|stat| (*stat, *hash, settings)));
    }
}

/// A file that was written again has its old times: that takes a clock that was set back.
#[test]
fn a_stat_proves_nothing_once_the_clock_was_set() {
    let folder = folder("clock");
    let path = folder.join("x.h");
    std::fs::write(&path, "x").unwrap();
    let kept = ByStat::default();
    let table = FileTable::new(Box::new(kept.clone()));
    let (clock, set_clock) = rustix::pipe::pipe().unwrap();
    table.lock().watch.hear_clock_from(clock);
    let id = table.intern(bytes(&path));
    let Seen::File { stat, hash: Some(right) } = table.look(id, true) else { panic!() };
    // What an earlier daemon knew of a file with these times.
    let wrong = ContentHash([7; 32]);
    kept.0.lock().push((stat, wrong, 0));
    table.lock().forget_all();
    assert_eq!(table.look(id, true), Seen::File { stat, hash: Some(wrong) });
    rustix::io::write(&set_clock, &[0; 8]).unwrap();
    table.drain();
    assert_eq!(table.look(id, true), Seen::File { stat, hash: Some(wrong) }, "the watch is silent");
    table.lock().forget_all();
    assert_eq!(table.look(id, true), Seen::File { stat, hash: Some(right) });
    std::fs::remove_dir_all(folder).unwrap();
}

use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use rustix::fs::{Timespec, Timestamps, UTIME_OMIT, utimensat};

use super::*;
use crate::testing::TestDir;

/// A blob that is watched and has a second name, as after a delivery.
struct Linked {
    dir: TestDir,
    blobs: BlobDir,
    watched: WatchedBlobs,
    id: BlobId,
    /// At which it was watched.
    first: BlobStat,
}

impl Linked {
    /// None where nothing can be watched.
    fn new() -> Option<Linked> {
        let dir = TestDir::new();
        let blobs = BlobDir::new(&dir.bytes("root"));
        let watched = WatchedBlobs::new(blobs.clone(), true);
        watched.watch.as_ref()?;
        let (id, _, first) = blobs.take_bytes(b"what is in it", 0o644).unwrap();
        assert_eq!(watched.stat(&id, Some(first)), Some(first));
        let linked = Linked { dir, blobs, watched, id, first };
        linked.link();
        Some(linked)
    }

    fn output(&self) -> PathBuf {
        self.dir.path().join("output")
    }

    fn link(&self) {
        rustix::fs::link(self.blobs.path(&self.id), self.output()).unwrap();
    }

    fn stat(&self) -> Option<BlobStat> {
        self.watched.stat(&self.id, Some(self.first))
    }

    fn real(&self) -> BlobStat {
        BlobStat::of(&rustix::fs::stat(self.blobs.path(&self.id)).unwrap())
    }
}

#[test]
fn links_that_come_and_go_leave_it_good() {
    let Some(it) = Linked::new() else { return };
    for _ in 0..3 {
        assert_eq!(it.stat(), Some(it.real()));
        fs::remove_file(it.output()).unwrap();
        assert_eq!(it.stat(), Some(it.real()));
        assert_eq!(it.stat(), it.watched.stat_if_watched(&it.id));
        it.link();
        let now = Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 };
        let times = Timestamps { last_access: now, last_modification: now };
        utimensat(rustix::fs::CWD, it.output(), &times, rustix::fs::AtFlags::empty()).unwrap();
        assert_eq!(it.stat().map(|stat| stat.mtime_ns), Some(1_000_000_000_000_000_000));
    }
    assert_ne!(it.stat(), Some(it.first));
}

/// What a tool may do that leaves size and mtime as they were.
#[test]
fn a_write_through_a_link_is_noticed() {
    let writes: [fn(&Linked); 4] = [
        |it| fs::write(it.output(), "WHAT IS IN IT").unwrap(),
        |it| drop(fs::OpenOptions::new().append(true).open(it.output()).unwrap()),
        |it| {
            fs::rename(it.output(), it.dir.path().join("elsewhere")).unwrap();
            fs::write(it.dir.path().join("elsewhere"), "what is IN it").unwrap();
            fs::remove_file(it.dir.path().join("elsewhere")).unwrap();
        },
        |it| {
            let file = fs::OpenOptions::new().write(true).open(it.output()).unwrap();
            file.set_len(3).unwrap();
        },
    ];
    for write in writes {
        let Some(it) = Linked::new() else { return };
        assert!(it.stat().is_some());
        write(&it);
        let since = Timespec {
            tv_sec: it.first.mtime_ns / 1_000_000_000,
            tv_nsec: it.first.mtime_ns % 1_000_000_000,
        };
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: omit, last_modification: since };
        let blob = it.blobs.path(&it.id);
        utimensat(rustix::fs::CWD, &blob, &times, rustix::fs::AtFlags::empty()).unwrap();
        assert_eq!(it.stat(), None);
        assert_eq!(it.watched.stat_if_watched(&it.id), None);
        // Once it was read and found good, it is watched anew.
        assert_eq!(it.watched.stat(&it.id, Some(it.real())), Some(it.real()));
    }
}

/// Through a shared mapping one can write at any time, and no event tells.
#[test]
fn an_open_file_is_none_to_rely_on() {
    let Some(it) = Linked::new() else { return };
    let writer = fs::OpenOptions::new().read(true).write(true).open(it.output()).unwrap();
    fs::remove_file(it.output()).unwrap();
    assert_eq!(it.stat(), None);
    assert_eq!(it.watched.stat(&it.id, Some(it.real())), None);
    drop(writer);
    assert_eq!(it.watched.stat(&it.id, Some(it.real())), Some(it.real()));
    // Readers don't matter.
    it.link();
    let _reader =
        fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(it.output());
    assert_eq!(it.stat(), Some(it.real()));
}

#[test]
fn a_blob_that_was_stored_anew_is_another() {
    let Some(it) = Linked::new() else { return };
    let (id, _, stat) = it.blobs.take_bytes(b"what is in it", 0o644).unwrap();
    assert_eq!(id, it.id);
    assert_eq!(it.stat(), None);
    assert_eq!(it.watched.stat(&id, Some(stat)), Some(stat));
    assert_eq!(fs::metadata(it.output()).unwrap().nlink(), 1);
    it.blobs.remove(&id).unwrap();
    assert_eq!(it.watched.stat(&id, Some(stat)), None);
}

#[test]
fn with_no_room_left_it_begins_anew() {
    let dir = TestDir::new();
    let blobs = BlobDir::new(&dir.bytes("root"));
    let watched = WatchedBlobs::new(blobs.clone(), true);
    let Some(watch) = &watched.watch else { return };
    watch.lock().room = 3;
    for n in 0..10u8 {
        let (id, _, stat) = blobs.take_bytes(&[n], 0o644).unwrap();
        assert_eq!(watched.stat(&id, Some(stat)), Some(stat));
        let watch = watch.lock();
        assert!(watch.held.len() <= 3 && watch.ids.len() == watch.held.len());
    }
}

#[test]
fn lost_events_are_everybodys() {
    let Some(it) = Linked::new() else { return };
    assert!(it.stat().is_some());
    let queue: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let other = it.blobs.take_bytes(b"another", 0o644).unwrap();
    it.watched.stat(&other.0, Some(other.2)).unwrap();
    // Equal events in a row are one: two files take turns.
    let (one, two) = (it.blobs.path(&it.id), it.blobs.path(&other.0));
    for n in 0..queue + 10 {
        let path = if n % 2 == 0 { &one } else { &two };
        rustix::fs::chmod(path, rustix::fs::Mode::from_raw_mode(0o644)).unwrap();
    }
    assert_eq!(it.watched.stat_if_watched(&it.id), None);
    assert_eq!(it.watched.stat(&it.id, Some(it.real())), Some(it.real()));
}

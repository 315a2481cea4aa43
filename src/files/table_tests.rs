use std::sync::Barrier;

use super::*;

struct Nothing;

impl Remembered for Nothing {
    fn recall(&self, _: &[u8], _: &FileStat) -> Option<ContentHash> {
        None
    }

    fn remember(&self, _: &[u8], _: Option<&FileStat>, _: &ContentHash) {}
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
        let table = FileTable::new(Box::new(Nothing)).unwrap();
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
fn a_change_is_seen_by_the_next_drain() {
    let folder = folder("drain");
    let path = folder.join("x.h");
    let table = FileTable::new(Box::new(Nothing)).unwrap();
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

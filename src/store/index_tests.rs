use super::super::record::{KnownAction, KnownSet, Origin, StoredOutput, Text};
use super::*;
use crate::files::FileStat;
use crate::protocol::message::Content;
use crate::terms::output::Role;
use crate::testing::TestDir;

fn result(used_s: u64) -> ResultRecord {
    let content = Content::Inline(vec![1; 6000]);
    ResultRecord {
        action: ActionKey([1; 32]),
        set: SetId(8),
        origin: Origin::default(),
        outputs: vec![StoredOutput { role: Role::Main, executable: false, content, folded: false }],
        text: Text::Here(Vec::new()),
        status: 0,
        text_context: None,
        compile_ns: 5,
        bytes: 6000,
        created_s: 1,
        used_s,
    }
}

fn known_set(id: u64) -> KnownSet {
    KnownSet { id: SetId(id), result: ResultKey([4; 32]), stored_ns: 1, variables: Vec::new() }
}

fn file(size: u64) -> FileRecord {
    let stat = FileStat { device: 1, inode: 2, size, links: 1, mtime_ns: 4, ctime_ns: 5 };
    FileRecord::seen(None, Some(stat), 0, [9; 32], 1)
}

#[test]
fn everything_is_there_after_a_restart() {
    let dir = TestDir::new();
    let root = dir.bytes("root");
    let long_path = [b"/".as_slice(), &[b'd'; 3000]].concat();
    let set = SetRecord { read: vec![1, 5, 9], ..SetRecord::default() };
    let manifest = ManifestRecord { sets: vec![known_set(8), known_set(7)] };
    {
        let (index, opened) = Index::open(&root);
        assert_eq!(opened, Opened::Kept);
        index.put_result(&ResultKey([4; 32]), &result(2));
        index.put_result(&ResultKey([5; 32]), &result(3));
        index.remove_result(&ResultKey([5; 32]));
        index.put_manifest(&ActionKey([1; 32]), &manifest);
        let mut batch = Batch::default();
        batch.put_set(SetId(8), &set);
        let mut spellings = vec![None; 301];
        (spellings[2], spellings[300]) = (Some("b.h"), Some("../a.h"));
        batch.put_spellings(&spellings, 0);
        batch.put_file(b"/usr/include/a.h", &file(1));
        batch.put_file(&long_path, &file(2));
        batch.put_counter("hits", b"17");
        index.apply(batch);
        index.flush();
    }
    let (index, opened) = Index::open(&root);
    assert_eq!(opened, Opened::Kept);
    assert_eq!(index.result(&ResultKey([4; 32])), Some(result(2)));
    assert_eq!(index.result(&ResultKey([5; 32])), None);
    assert_eq!(index.manifest(&ActionKey([1; 32])), Some(manifest));
    assert_eq!(index.set(SetId(8)), Some(set));
    assert_eq!(index.file(b"/usr/include/a.h"), Some(file(1)));
    assert_eq!(index.file(&long_path), Some(file(2)));
    assert_eq!(index.file(b"/usr/include/b.h"), None);
    assert_eq!(index.counter("hits").as_deref(), Some(b"17".as_slice()));
    assert_eq!(index.spelling(300).as_deref(), Some(b"../a.h".as_slice()));
    let mut spellings = Vec::new();
    index.all_spellings(|id, name| spellings.push((id, name.to_vec())));
    assert_eq!(spellings, [(2, b"b.h".to_vec()), (300, b"../a.h".to_vec())]);
    let mut results = 0;
    index.for_each_result(|_, _| results += 1);
    assert_eq!(results, 1);
    assert_eq!(index.clear(), ClearedIndex { results: 1, files: 2, sets: 1 });
    assert_eq!(index.counter("hits"), None);
    assert_eq!(index.clear(), ClearedIndex::default());
}

#[test]
fn many_threads_may_use_it() {
    let dir = TestDir::new();
    let (index, _) = Index::open(&dir.bytes("root"));
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let index = &index;
            scope.spawn(move || {
                for round in 0..100 {
                    let key = ResultKey([round % 10; 32]);
                    index.put_result(&key, &result(thread.into()));
                    // Another thread may be in the middle of writing it: then it is absent.
                    if let Some(found) = index.result(&key) {
                        assert!(found.used_s < 4);
                    }
                }
            });
        }
    });
    assert!(index.is_on_disk());
}

#[test]
fn known_commands_are_bounded() {
    let index = Index::in_memory();
    for n in 0..100u8 {
        let action = KnownAction {
            action: ActionKey([n; 32]),
            program: 0,
            output: 0,
            root: 0,
            parts: vec![(5, 1)],
            sum: 0,
            stored_ns: n.into(),
        };
        let record = KnownRecord { actions: vec![action] };
        index.one(|batch| batch.put_known(KnownBy::Source(&[n]), &record));
    }
    assert_eq!(index.prune_known(100), 0);
    assert_eq!(index.prune_known(80), 60);
    assert_eq!(index.known(KnownBy::Source(&[59])), None);
    assert!(index.known(KnownBy::Source(&[60])).is_some());
    assert_eq!(index.known(KnownBy::Output(&[60])), None);
}

#[test]
fn results_are_found_by_the_beginning_of_their_key() {
    let index = Index::in_memory();
    for last in 0..5 {
        let mut key = [7; 32];
        key[31] = last;
        index.put_result(&ResultKey(key), &result(1));
    }
    assert_eq!(index.results_beginning(&[7, 7], 3).len(), 3);
    assert_eq!(index.results_beginning(&[7; 31], 9).len(), 5);
    assert_eq!(index.results_beginning(&[8], 9).len(), 0);
}

#[test]
fn spellings_may_be_added_and_lost() {
    let index = Index::in_memory();
    let mut all: Vec<_> = (0..100).map(|number| Some(format!("h{number}.h"))).collect();
    index.one(|batch| batch.put_spellings(&all, 0));
    all[70] = None;
    all.extend((100..140).map(|number| Some(format!("h{number}.h"))));
    // From the middle of those that share an entry.
    index.one(|batch| batch.put_spellings(&all, 100));
    let mut found = vec![None; all.len()];
    index.all_spellings(|number, text| {
        found[number as usize] = Some(String::from_utf8(text.to_vec()).unwrap());
    });
    // Not written again.
    all[70] = Some("h70.h".to_owned());
    assert_eq!(found, all);
    for number in [0, 31, 32, 69, 99, 100, 139] {
        assert_eq!(index.spelling(number).as_deref(), Some(format!("h{number}.h").as_bytes()));
    }
    assert_eq!(index.spelling(140), None);
    assert_eq!(index.spelling(1000), None);
    index.one(|batch| batch.put_spellings(&all, all.len()));
    assert_eq!(index.spelling(139).as_deref(), Some(&b"h139.h"[..]));
}

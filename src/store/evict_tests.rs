use super::super::record::{
    KnownSet, ManifestRecord, Origin, ResultRecord, SetRecord, StoredOutput, Text,
};
use super::*;
use crate::protocol::message::Content;
use crate::terms::output::Role;
use crate::testing::TestDir;

/// Long after the blobs of the test were written.
fn later() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_secs() + 2 * ORPHAN_AGE_S
}

fn add(index: &Index, action: u8, number: u32, used_s: u64, contents: &[Content]) -> ResultKey {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    let output = |content: &Content| StoredOutput {
        role: Role::Main,
        executable: false,
        content: content.clone(),
        folded: false,
    };
    let record = ResultRecord {
        action: ActionKey([action; 32]),
        set: SetId(0),
        origin: Origin::default(),
        outputs: contents.iter().map(output).collect(),
        text: Text::Here(Vec::new()),
        status: 0,
        text_context: None,
        compile_ns: 0,
        bytes: 0,
        created_s: 0,
        used_s,
    };
    index.put_result(&ResultKey(key), &record);
    ResultKey(key)
}

fn take(blobs: &BlobDir, byte: u8, size: usize) -> Content {
    let (id, size, stat) = blobs.take_bytes(&vec![byte; size], 0o644).unwrap();
    Content::Blob { id, size, seen: Some(stat) }
}

fn total(blobs: &BlobDir) -> u64 {
    let mut sum = 0;
    blobs.scan(|blob| sum += blob.size);
    sum
}

#[test]
fn the_oldest_go_and_shared_blobs_stay() {
    let dir = TestDir::new();
    let blobs = BlobDir::new(&dir.bytes("root"));
    let (index, _) = Index::open(&dir.bytes("root"));
    let shared = take(&blobs, 200, 1000);
    let mut keys = Vec::new();
    for number in 0..10u8 {
        let own = take(&blobs, number, 1000);
        // Two results for each action; the later numbers were used last.
        let contents = [own, shared.clone()];
        keys.push(add(&index, number / 2, number.into(), number.into(), &contents));
    }
    for action in 0..5u8 {
        // Set 100 belongs to all.
        let known = |id| KnownSet {
            id: SetId(id),
            result: ResultKey([0; 32]),
            stored_ns: 0,
            variables: Vec::new(),
        };
        let sets = vec![known(action.into()), known(100)];
        index.put_manifest(&ActionKey([action; 32]), &ManifestRecord { sets });
        index.put_set(SetId(action.into()), &SetRecord::default());
    }
    index.put_set(SetId(100), &SetRecord::default());
    take(&blobs, 99, 500);
    assert_eq!(total(&blobs), 11_500);

    // Too young to be an orphan.
    let early = evict(&index, &blobs, 1 << 40, later() - 2 * ORPHAN_AGE_S);
    assert_eq!(early, Evicted { left_bytes: 11_500, ..Evicted::default() });
    let orphan = evict(&index, &blobs, 1 << 40, later());
    assert_eq!((orphan.blobs, orphan.bytes, orphan.left_bytes), (1, 500, 11_000));

    let gone = evict(&index, &blobs, 10_000, later());
    // 11 000 > 10 000, so down to 9 000: two results.
    assert_eq!(gone.results, keys[..2]);
    assert_eq!(gone.actions, [ActionKey([0; 32])]);
    assert_eq!(gone.sets, [SetId(0)]);
    assert_eq!((gone.blobs, gone.bytes, gone.left_bytes), (2, 2000, 9000));
    assert_eq!(total(&blobs), 9000);
    assert!(index.manifest(&ActionKey([0; 32])).is_none());
    assert!(index.manifest(&ActionKey([1; 32])).is_some());
    assert!(index.set(SetId(0)).is_none() && index.set(SetId(100)).is_some());
    assert!(index.result(&keys[1]).is_none() && index.result(&keys[2]).is_some());

    // A result whose blob is lost goes too, and only that.
    let Content::Blob { id, .. } = take(&blobs, 9, 1000) else { panic!() };
    blobs.remove(&id).unwrap();
    assert_eq!(evict(&index, &blobs, 1 << 40, later()).results, keys[9..]);

    let cleared = clear_all(&index, &blobs, later());
    assert_eq!((cleared.artifacts, cleared.dep_graph, cleared.bytes), (7, 5, 8000));
    assert_eq!(total(&blobs), 0);
    assert_eq!(evict(&index, &blobs, 0, later()), Evicted::default());
}

#[test]
fn what_only_the_index_on_the_disk_knows_stays_while_there_is_room() {
    let dir = TestDir::new();
    let blobs = BlobDir::new(&dir.bytes("root"));
    for number in 0..10 {
        take(&blobs, number, 1000);
    }
    let memory = Index::in_memory();
    assert_eq!(evict(&memory, &blobs, 10_000, later()).blobs, 0);
    let gone = evict(&memory, &blobs, 9_000, later());
    assert_eq!((gone.blobs, gone.left_bytes, total(&blobs)), (2, 8_000, 8_000));
    let (disk, _) = Index::open(&dir.bytes("root"));
    assert_eq!(evict(&disk, &blobs, 9_000, later()).left_bytes, 0);
}

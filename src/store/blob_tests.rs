use super::*;
use crate::terms::now::now_s;
use crate::testing::{Random, TestDir};

#[test]
fn takes_a_copy_of_its_own() {
    let dir = TestDir::new();
    let blobs = BlobDir::new(&dir.bytes("root"));
    let mut random = Random(5);
    for size in [0, 1, BUFFER - 1, BUFFER, 3 * BUFFER + 7] {
        let bytes = random.bytes(size);
        std::fs::write(dir.path().join("source"), &bytes).unwrap();
        let (id, taken, stat) = blobs.take_file(&dir.bytes("source"), 0o640).unwrap();
        assert_eq!((id.0, taken), (*blake3::hash(&bytes).as_bytes(), size as u64));
        assert_eq!(blobs.take_bytes(&bytes, 0o640).unwrap().0, id);
        let (_, _, again) = blobs.take_file(&dir.bytes("source"), 0o640).unwrap();
        assert_ne!(stat, again);
        std::fs::write(dir.path().join("source"), b"changed by its user").unwrap();
        let found = blobs.verify(&id, taken, Some(again), true).unwrap();
        assert!(!found.hashed && found.links == 1 && found.mode == 0o640);
        assert_eq!(found.stat, again);
        assert!(blobs.verify(&id, taken, Some(stat), true).unwrap().hashed);
        assert!(blobs.verify(&id, taken, Some(again), false).unwrap().hashed);
        assert_eq!(blobs.verify(&id, taken + 1, None, true).unwrap_err(), Bad::Damaged);
    }
    assert_eq!(std::fs::read_dir(dir.path().join("root/tmp")).unwrap().count(), 0);
    assert!(blobs.take_file(&dir.bytes("root"), 0o600).is_err());
    assert!(blobs.take_file(&dir.bytes("none"), 0o600).is_err());
}

#[test]
fn odd_things_in_a_blobs_place_are_damage_and_heal() {
    let dir = TestDir::new();
    let blobs = BlobDir::new(&dir.bytes("root"));
    let (id, size, _) = blobs.take_bytes(b"content", 0o600).unwrap();
    let path = as_path(&blobs.path(&id)).to_owned();
    std::fs::write(dir.path().join("copy"), b"content").unwrap();
    for kind in ["symlink", "folder", "fifo", "nothing"] {
        blobs.remove(&id).unwrap();
        match kind {
            "symlink" => std::os::unix::fs::symlink(dir.path().join("copy"), &path).unwrap(),
            "folder" => std::fs::create_dir_all(path.join("deep")).unwrap(),
            "fifo" => {
                let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
                assert!(made.success());
            }
            _ => {}
        }
        let expected = if kind == "nothing" { Bad::Missing } else { Bad::Damaged };
        assert_eq!(blobs.verify(&id, size, None, true).unwrap_err(), expected, "{kind}");
        blobs.take_bytes(b"content", 0o600).unwrap();
        assert!(blobs.verify(&id, size, None, true).is_ok(), "{kind}");
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let dir = TestDir::new();
    let blobs = BlobDir::new(&dir.bytes("root"));
    let mut random = Random(6);
    for round in 0..500 {
        let count = 1 + random.below(5000);
        let mut bytes = random.bytes(count);
        let (id, size, stat) = blobs.take_bytes(&bytes, 0o600).unwrap();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        std::fs::write(as_path(&blobs.path(&id)), &bytes).unwrap();
        let trusting = blobs.verify(&id, size, Some(stat), true).unwrap_err();
        let reading = blobs.verify(&id, size, None, false).unwrap_err();
        assert_eq!((trusting, reading), (Bad::Damaged, Bad::Damaged), "round {round}");
    }
}

#[test]
fn scan_meets_blobs_and_nothing_else() {
    let dir = TestDir::new();
    let blobs = BlobDir::new(&dir.bytes("root"));
    blobs.scan(|_| panic!("there is nothing yet"));
    let (id, ..) = blobs.take_bytes(&[1; 77], 0o600).unwrap();
    std::fs::write(dir.path().join("root/artifacts/README"), "x").unwrap();
    std::fs::create_dir(dir.path().join("root/artifacts/zz")).unwrap();
    std::fs::write(dir.path().join("root/artifacts/zz/short"), "x").unwrap();
    let mut found = Vec::new();
    blobs.scan(|blob| found.push((blob.id, blob.size)));
    assert_eq!(found, [(id, 77)]);

    for name in ["blob-1-2-3", "of the user's"] {
        std::fs::write(dir.path().join("root/tmp").join(name), "x").unwrap();
    }
    let now_s = now_s();
    assert_eq!(blobs.remove_stale_temps(now_s + 3600), 0);
    assert_eq!(blobs.remove_stale_temps(now_s + STALE_TEMP_S + 5), 1);
}

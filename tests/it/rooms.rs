//! The order of the rooms: `src/lib.rs` says it, and every import keeps to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Room -> its floor, counted from the top.
fn floors() -> BTreeMap<String, usize> {
    let text = fs::read_to_string("src/lib.rs").unwrap();
    let mut floors = BTreeMap::new();
    for (floor, group) in text.split("\n\n").enumerate() {
        let rooms =
            group.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
        floors.extend(rooms.map(|room| (room.to_owned(), floor)));
    }
    floors
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn imports_point_downwards() {
    let floors = floors();
    let mut upwards = Vec::new();
    let mut imports = 0;
    for (room, floor) in &floors {
        let mut files = Vec::new();
        sources(&Path::new("src").join(room), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for after in text.split("crate::").skip(1) {
                let name = after.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                let Some(other) = floors.get(name).filter(|_| name != room) else { continue };
                imports += 1;
                if other <= floor {
                    upwards.push(format!("{} imports from {name}", file.display()));
                }
            }
        }
    }
    assert!(imports > 500, "only {imports} imports found");
    assert!(upwards.is_empty(), "{upwards:#?}");
}

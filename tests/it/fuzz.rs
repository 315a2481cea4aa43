//! A short, repeatable form of what `scripts/fuzz` does for long: the seeds, and thousands of
//! variations of each.

use std::fs;
use std::path::Path;

use crate::kit::Random;

#[path = "../fuzz/entries.rs"]
mod entries;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(target);
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// A few changes of the kinds that find most: bytes flipped, removed, doubled, pieces of others.
fn vary(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    const TOKENS: [&[u8]; 12] = [
        b"\n",
        b"\0",
        b"\\",
        b"\"",
        b"#",
        b"-",
        b"=",
        b"@",
        b"\xff\xff\xff\xff",
        b"--",
        b"(",
        b"$$",
    ];
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(9)).min(bytes.len());
        match random.below(6) {
            0 => drop(bytes.splice(at..end, [])),
            1 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            2 => drop(bytes.splice(at..at, TOKENS[random.below(TOKENS.len())].to_vec())),
            3 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                drop(bytes.splice(at..at, other[from..].to_vec()));
            }
            _ if at < bytes.len() => bytes[at] = random.next() as u8,
            _ => {}
        }
    }
    bytes
}

#[test]
fn every_parser_copes() {
    for (target, entry) in entries::ALL {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{target}");
        seeds.iter().for_each(|seed| entry(seed));
        let mut random = Random(42);
        for _ in 0..3000 {
            entry(&vary(&mut random, &seeds));
        }
    }
}

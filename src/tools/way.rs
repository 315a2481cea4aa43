//! The way to a tool: which tools zccache started that led to this zccache. A script that has a compiler's
//! name, is first on PATH and calls `zccache gcc` would otherwise be found again for ever.

use xxhash_rust::xxh3::xxh3_64;

use super::find::FileKey;

/// The variable that what we start carries.
pub const VARIABLE: &[u8] = b"ZCCACHE_WAY";
/// A tool may call itself through us on purpose (emcc builds its libraries so), but hardly ever deeper than this.
const ROUNDS_MAX: usize = 3;
/// Longer ways lose their beginning: nothing we start is to fail over the size of a variable.
const STEPS_MAX: usize = 64;

/// The steps so far, the latest last: each a number of sixteen digits, for a name and a file.
#[derive(Clone, Copy)]
pub struct Way<'a>(&'a [u8]);

impl<'a> Way<'a> {
    /// As the variable says; without it nobody was on the way.
    pub fn of(value: Option<&'a [u8]>) -> Way<'a> {
        Way(value.unwrap_or_default())
    }

    /// Nobody was on the way, which is so for all but a few.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// This file of this name led here.
    pub fn passes(self, name: &[u8], file: FileKey) -> bool {
        self.rounds(name, file) > 0
    }

    /// It does so again and again: whoever calls us wants the next one on PATH.
    pub fn goes_round(self, name: &[u8], file: FileKey) -> bool {
        self.rounds(name, file) >= ROUNDS_MAX
    }

    /// The variable's value for what is started now.
    pub fn and(self, name: &[u8], file: FileKey) -> Vec<u8> {
        let steps: Vec<&[u8]> = self.steps().collect();
        let kept = steps[steps.len().saturating_sub(STEPS_MAX - 1)..].concat();
        [&kept[..], &step(name, file)].concat()
    }

    fn rounds(self, name: &[u8], file: FileKey) -> usize {
        if self.is_empty() {
            return 0;
        }
        let step = step(name, file);
        self.steps().filter(|passed| *passed == step).count()
    }

    fn steps(self) -> impl Iterator<Item = &'a [u8]> {
        self.0.chunks_exact(16)
    }
}

fn step(name: &[u8], (device, inode): FileKey) -> [u8; 16] {
    let text = [&device.to_le_bytes()[..], &inode.to_le_bytes(), name].concat();
    let mut step = [0; 16];
    let hash = xxh3_64(&text);
    for (at, digit) in step.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(hash >> (4 * at)) as usize & 15];
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_counted_by_name_and_file() {
        let mut value = Vec::new();
        for round in 0..ROUNDS_MAX {
            let way = Way::of(Some(&value));
            assert_eq!(way.passes(b"gcc", (1, 2)), round > 0);
            assert!(!way.goes_round(b"gcc", (1, 2)));
            value = way.and(b"gcc", (1, 2));
        }
        let way = Way::of(Some(&value));
        assert!(way.goes_round(b"gcc", (1, 2)));
        assert!(!way.passes(b"cc", (1, 2)) && !way.passes(b"gcc", (1, 3)));
        assert!(!Way::of(None).passes(b"gcc", (1, 2)));
        assert!(!Way::of(Some(b"strange")).passes(b"gcc", (1, 2)));
    }

    #[test]
    fn a_way_has_a_longest_length() {
        let mut value = Vec::new();
        for inode in 0..100 {
            value = Way::of(Some(&value)).and(b"gcc", (1, inode));
        }
        assert_eq!(value.len(), 16 * STEPS_MAX);
        assert!(Way::of(Some(&value)).passes(b"gcc", (1, 99)));
        assert!(!Way::of(Some(&value)).passes(b"gcc", (1, 0)));
    }
}

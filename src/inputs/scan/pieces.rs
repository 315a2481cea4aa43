//! What `##` may make `__TIME__` and its like of where the name itself stands nowhere: words such as `TIME`, and
//! underscores to be put before and behind them.
//!
//! Most headers paste, some have a macro that adds underscores, and many a program has a token `DATE`: only all
//! of that together is taken for a time.

use super::text::trim_end;
use super::{is_blank, is_identifier};

/// What the compiler replaces by a time.
pub(super) const NAMES: [&[u8]; 3] = [b"__TIME__", b"__DATE__", b"__TIMESTAMP__"];

/// In which ways a text comes near to one of the names: what its words still lack.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Lacks {
    /// `TIME__`
    before: bool,
    /// `__TIME`
    behind: bool,
    /// `TIME`, `TIME_`, `_TIME`
    both: bool,
    /// A single underscore on one side or on each: `_TIME__`, `_TIME_`, `__TIME_`.
    single: bool,
}

/// What one text, or all those of a compile, contribute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pieces {
    /// Something is pasted by `##`.
    pub pastes: bool,
    words: [Lacks; 3],
    /// There are underscores to which something may be pasted: `__ ## x`.
    before: bool,
    /// `x ## __`
    behind: bool,
}

impl Pieces {
    pub fn add(&mut self, other: &Pieces) {
        self.pastes |= other.pastes;
        self.before |= other.before;
        self.behind |= other.behind;
        for (word, other) in self.words.iter_mut().zip(other.words) {
            word.before |= other.before;
            word.behind |= other.behind;
            word.both |= other.both;
            word.single |= other.single;
        }
    }

    /// Whether `__TIME__`, `__DATE__` and `__TIMESTAMP__` may be put together. `others_paste`: in a macro of the
    /// compiler's own headers, none of which adds underscores on both sides of what it is given.
    pub fn make(&self, others_paste: bool) -> [bool; 3] {
        let pastes = self.pastes || others_paste;
        let Pieces { before, behind, .. } = *self;
        self.words.map(|lacks| {
            pastes
                && (lacks.before && before
                    || lacks.behind && behind
                    || lacks.both && before && behind
                    // A single `_` is not searched for but beside `##`.
                    || lacks.single && (self.pastes || before || behind))
        })
    }

    /// A word of the text in which one of the names may be.
    pub(super) fn word(&mut self, word: &[u8]) {
        let Some((name, before, behind)) = part(word) else { return };
        let lacks = &mut self.words[name];
        match (before, behind) {
            (1 | 2, 1 | 2) => lacks.single = true,
            (2, _) => lacks.behind = true,
            (_, 2) => lacks.before = true,
            _ => lacks.both = true,
        }
    }

    /// The words beside a `##`.
    pub(super) fn paste(&mut self, left: &[u8], right: &[u8]) {
        self.pastes = true;
        self.before |= matches!(left, b"_" | b"__");
        self.behind |= matches!(right, b"_" | b"__");
    }

    /// Two underscores that are a word: the operand of a `##` beside them, or of any, by way of a macro.
    pub(super) fn underscores(&mut self, text: &[u8], at: usize) {
        let is_paste = |text: &[u8]| text.starts_with(b"##") || text.starts_with(b"%:%:");
        let rest = &text[at + 2..];
        let blanks = rest.iter().take_while(|&&byte| is_blank(byte)).count();
        let is_left = is_paste(&rest[blanks..]);
        let front = &text[..trim_end(text, at)];
        let is_right = front.ends_with(b"##") || front.ends_with(b"%:%:");
        self.before |= is_left || !is_right;
        self.behind |= is_right || !is_left;
    }
}

/// Which name a word lacks only underscores of, and how many it has before and behind.
fn part(word: &[u8]) -> Option<(usize, usize, usize)> {
    let before = word.iter().take(2).take_while(|&&byte| byte == b'_').count();
    let fits = |name: &[u8]| {
        let rest = word[before..].strip_prefix(&name[2..name.len() - 2])?;
        let is_part = matches!(rest, b"" | b"_" | b"__") && word.len() < name.len();
        is_part.then_some(rest.len())
    };
    NAMES.iter().enumerate().find_map(|(at, name)| Some((at, before, fits(name)?)))
}

/// How many places [`lone_underscores`] compares at once.
const STRIDE: usize = 256;

/// Where `__` stands alone. Texts are full of names that begin or end with it, which a search by `memmem` would stop
/// at: this one is made for processors that compare many bytes at once.
pub(super) fn lone_underscores(text: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(window) = text.get(at..).and_then(|rest| rest.first_chunk::<{ STRIDE + 3 }>()) {
        // 0 where it may be: what stands beside it in code (blanks, brackets, commas, `#`, comments) is below the digits.
        let miss = |n: usize| {
            let beside = window[n].max(window[n + 3]).saturating_sub(b'0' - 1);
            beside | (window[n + 1] ^ b'_') | (window[n + 2] ^ b'_')
        };
        if (0..STRIDE).map(miss).fold(1, u8::min) == 0 {
            found.extend((0..STRIDE).filter(|&n| miss(n) == 0).map(|n| at + n + 1));
        }
        at += STRIDE;
    }
    // The rest, and both ends of the text.
    let byte = |at: Option<usize>| at.and_then(|at| text.get(at)).copied().unwrap_or(b' ');
    let is_alone = |&at: &usize| {
        text[at..].starts_with(b"__") && byte(at.checked_sub(1)) < b'0' && byte(Some(at + 2)) < b'0'
    };
    found.extend([0].into_iter().chain(at + 1..text.len()).filter(is_alone));
    found.retain(|&at| {
        !is_identifier(byte(at.checked_sub(1))) && !is_identifier(byte(Some(at + 2)))
    });
    found
}

//! Words, blanks and comments in a source's bytes.

use memchr::memchr;

use super::{is_blank, is_identifier};

/// Where the block comment that starts at `at` ends.
pub(super) fn comment_end(text: &[u8], at: usize) -> usize {
    let mut from = at + 2;
    while let Some(found) = text.get(from..).and_then(|rest| memchr(b'/', rest)) {
        let slash = from + found;
        if slash > at + 2 && text[slash - 1] == b'*' {
            return slash + 1;
        }
        from = slash + 1;
    }
    text.len()
}

/// The end of what is left of `[..end]` without trailing blanks.
pub(super) fn trim_end(text: &[u8], mut end: usize) -> usize {
    while end > 0 && is_blank(text[end - 1]) {
        end -= 1;
    }
    end
}

/// Where the identifier that ends at `end` starts.
pub(super) fn word_start(text: &[u8], end: usize) -> usize {
    let mut start = end;
    while start > 0 && is_identifier(text[start - 1]) {
        start -= 1;
    }
    start
}

/// The identifier (or number) at `at`; empty where there is none.
pub(super) fn word_at(text: &[u8], at: usize) -> &[u8] {
    let rest = &text[at.min(text.len())..];
    let len = rest.iter().position(|&b| !is_identifier(b)).unwrap_or(rest.len());
    &rest[..len]
}

/// The identifier that starts at `at`, where none reaches further back.
pub(super) fn whole_word(text: &[u8], at: usize) -> Option<&[u8]> {
    (at == 0 || !is_identifier(text[at - 1])).then(|| word_at(text, at))
}

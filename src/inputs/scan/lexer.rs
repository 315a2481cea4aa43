//! The pass itself: comments, literals, raw strings, line splices, and where directives start.

use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem::{self, Finder};

use super::pieces::{self, NAMES};
use super::text::{comment_end, trim_end, whole_word, word_at, word_start};
use super::{Kind, Scan, assembler, is_blank, is_identifier};

/// The needles whose places decide everything but includes. A text has few of them, so they are
/// found by fast searches up front, and the walk only has to tell code from comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hit {
    Time,
    Date,
    Asm,
    Has,
    Import,
    Module,
    Incbin,
    DotInclude,
    Dependency,
    Piece,
    Underscores,
}

const NEEDLES: &[(&[u8], Hit)] = &[
    (b"__TI", Hit::Time),
    (b"__DA", Hit::Date),
    (b"asm", Hit::Asm),
    (b"__has_", Hit::Has),
    (b"import", Hit::Import),
    (b"module", Hit::Module),
    (b"incbin", Hit::Incbin),
    (b".include", Hit::DotInclude),
    (b"dependency", Hit::Dependency),
    (b"TIME", Hit::Piece),
    (b"DATE", Hit::Piece),
];

/// To make a searcher costs as much as to search a kilobyte.
static FINDERS: LazyLock<Vec<(Finder<'static>, Hit)>> =
    LazyLock::new(|| NEEDLES.iter().map(|&(needle, hit)| (Finder::new(needle), hit)).collect());

/// Bytes at which the walk has to look closer.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    table[b'"' as usize] = true;
    table[b'\'' as usize] = true;
    table[b'/' as usize] = true;
    table[b'#' as usize] = true;
    table[b'%' as usize] = true;
    table
};

pub(super) struct Lexer<'a> {
    pub(super) text: &'a [u8],
    /// Where in `text` a line splice was taken out.
    splices: Vec<usize>,
    pub(super) assembly: bool,
    pub(super) out: &'a mut Scan,
    hits: Vec<(usize, Hit)>,
    next_hit: usize,
    last_comment: (usize, usize),
    /// Behind the last digit separator.
    after_separator: usize,
}

/// Scans a text in one reading of it.
pub(super) fn pass(text: &[u8], assembly: bool, out: &mut Scan) {
    let (joined, splices) = join_lines(text);
    let text = joined.as_deref().unwrap_or(text);
    let mut hits = Vec::new();
    for (finder, hit) in &*FINDERS {
        hits.extend(finder.find_iter(text).map(|at| (at, *hit)));
    }
    hits.extend(pieces::lone_underscores(text).into_iter().map(|at| (at, Hit::Underscores)));
    hits.sort_unstable();
    let has_asm = || hits.iter().any(|(_, hit)| *hit == Hit::Asm);
    out.escaped_asm |= memchr(b'\\', text).is_some() && has_asm();
    let mut lexer = Lexer {
        text,
        splices,
        assembly,
        out,
        hits,
        next_hit: 0,
        last_comment: (0, 0),
        after_separator: usize::MAX,
    };
    lexer.walk();
    if assembly {
        out.uses_asm = true;
        assembler::directives(text, out);
    } else {
        assembler::pasted(out);
    }
}

/// Takes out backslash-newline, with the blanks gcc and clang allow between the two.
fn join_lines(text: &[u8]) -> (Option<Vec<u8>>, Vec<usize>) {
    let mut out: Option<Vec<u8>> = None;
    let mut splices = Vec::new();
    let mut done = 0;
    for at in memchr::memchr_iter(b'\\', text) {
        let mut end = at + 1;
        while end < text.len() && is_blank(text[end]) {
            end += 1;
        }
        if text.get(end) == Some(&b'\n') {
            let out = out.get_or_insert_with(|| Vec::with_capacity(text.len()));
            out.extend_from_slice(&text[done..at]);
            splices.push(out.len());
            done = end + 1;
        }
    }
    if let Some(out) = &mut out {
        out.extend_from_slice(&text[done..]);
    }
    (out, splices)
}

impl Lexer<'_> {
    fn walk(&mut self) {
        let text = self.text;
        let mut at = 0;
        loop {
            while at < text.len() && !SPECIAL[text[at] as usize] {
                at += 1;
            }
            if at >= text.len() {
                break;
            }
            at = match text[at] {
                b'#' => self.hash(at, 1),
                b'%' if text.get(at + 1) == Some(&b':') => self.hash(at, 2),
                // In assembly neither quotes nor comments are certain: every line stands alone.
                _ if self.assembly => at + 1,
                b'"' => self.string(at),
                b'\'' => self.character(at),
                b'/' => match text.get(at + 1) {
                    Some(b'/') => {
                        let end = memchr(b'\n', &text[at..]).map_or(text.len(), |n| at + n);
                        self.skip(at, end);
                        end
                    }
                    Some(b'*') => {
                        let end = comment_end(text, at);
                        self.skip(at, end);
                        self.last_comment = (at, end);
                        end
                    }
                    _ => at + 1,
                },
                _ => at + 1,
            };
        }
        self.code_until(text.len());
    }

    /// `[from, to)` is no code; what lies before it is.
    fn skip(&mut self, from: usize, to: usize) {
        if self.next_hit >= self.hits.len() {
            return;
        }
        self.code_until(from);
        while self.hits.get(self.next_hit).is_some_and(|hit| hit.0 < to) {
            self.next_hit += 1;
        }
    }

    fn code_until(&mut self, end: usize) {
        while let Some(&(at, hit)) = self.hits.get(self.next_hit) {
            if at >= end {
                break;
            }
            self.next_hit += 1;
            self.hit(at, hit);
        }
    }

    fn hit(&mut self, at: usize, hit: Hit) {
        let text = self.text;
        match hit {
            Hit::Time | Hit::Date => {
                if let Some(word) = whole_word(text, at) {
                    self.time_word(word, 4);
                }
            }
            Hit::Piece => self.out.pieces.word(word_at(text, word_start(text, at))),
            Hit::Underscores => self.out.pieces.underscores(text, at),
            Hit::Asm => {
                let start = word_start(text, at);
                let word = word_at(text, start);
                if matches!(word, b"asm" | b"__asm" | b"__asm__" | b"_asm") {
                    self.out.uses_asm = true;
                }
            }
            Hit::Has => self.has_include(at),
            Hit::Import | Hit::Module => self.module_line(at),
            Hit::Incbin => {
                if !self.assembly && whole_word(text, at).is_some_and(|word| word == b"incbin") {
                    self.out.assembler_opaque = true;
                }
            }
            Hit::DotInclude => {
                // `x.include` is a member; the directive, made a string by a macro, is not.
                let bare = at == 0
                    || matches!(text[at - 1], b'(' | b',' | b';' | b'\n')
                    || is_blank(text[at - 1]);
                if !self.assembly && bare && word_at(text, at + 1) == b"include" {
                    self.out.assembler_opaque = true;
                }
            }
            Hit::Dependency => {
                let end = trim_end(text, at);
                if end < at && text[word_start(text, end)..end] == *b"GCC" {
                    self.out.dependency_pragma = true;
                }
            }
        }
    }

    /// A `##` (or `%:%:`) of so many bytes.
    fn paste(&mut self, at: usize, len: usize) {
        let text = self.text;
        let end = trim_end(text, at);
        let left = &text[word_start(text, end)..end];
        let mut next = at + len;
        while next < text.len() && is_blank(text[next]) {
            next += 1;
        }
        let right = word_at(text, next);
        self.out.pieces.paste(left, right);
        // `__T ## IME__`: shorter beginnings count beside `##` itself.
        self.time_word(left, 3);
        for (which, name) in NAMES.iter().enumerate() {
            // The tail of a name; a bare `__` ends too many others.
            if right.len() >= 4 && name.ends_with(right) {
                self.time_flag(which);
            }
        }
    }

    fn time_flag(&mut self, which: usize) {
        match which {
            0 => self.out.time = true,
            1 => self.out.date = true,
            _ => self.out.timestamp = true,
        }
    }

    /// Sets the flags of every name that `word` is, or may be the first part of.
    fn time_word(&mut self, word: &[u8], shortest: usize) {
        if word.len() < shortest {
            return;
        }
        for (which, name) in NAMES.iter().enumerate() {
            if name.starts_with(word) {
                self.time_flag(which);
            }
        }
    }

    /// `import`, `module` and `export` lines of C++20.
    fn module_line(&mut self, at: usize) {
        let text = self.text;
        if self.assembly {
            return;
        }
        let word = word_at(text, at);
        if at > 0 && is_identifier(text[at - 1]) || !matches!(word, b"import" | b"module") {
            return;
        }
        let mut start = trim_end(text, at);
        let mut exported = false;
        if start < at {
            let before = word_start(text, start);
            if &text[before..start] == b"export" {
                exported = true;
                start = trim_end(text, before);
            }
        }
        let line_starts = start == 0 || text[start - 1] == b'\n' || start == self.last_comment.1;
        if !line_starts {
            return;
        }
        let end = memchr(b'\n', &text[at..]).map_or(text.len(), |n| at + n);
        let rest = text[at + word.len()..end].trim_ascii();
        let named = match rest.first() {
            None => false,
            Some(b'<' | b'"') => word == b"import",
            Some(b';') => word == b"module",
            Some(&first) => {
                (first == b':' && rest.get(1) != Some(&b':'))
                    || is_identifier(first)
                        && !first.is_ascii_digit()
                        && rest
                            .iter()
                            .take_while(|&&b| b != b';')
                            .all(|&b| is_identifier(b) || is_blank(b) || b".:[]()".contains(&b))
                        && rest.contains(&b';')
            }
        };
        self.out.modules |= exported || named;
    }

    /// A `#` (or `%:`) that may start a directive. Returns where to go on.
    fn hash(&mut self, at: usize, len: usize) -> usize {
        let mark = &self.text[at..at + len];
        if self.text[at + len..].starts_with(mark) {
            self.paste(at, 2 * len);
        }
        let mut start = trim_end(self.text, at);
        if start == self.last_comment.1 && start > 0 {
            // A comment before it: on this line, or the tail of one that began above.
            start = 0;
        }
        // In assembly a comment before it is not told apart.
        if start != 0 && self.text[start - 1] != b'\n' && !self.assembly {
            return at + len;
        }
        let end = self.directive(at + len);
        end.max(at + len)
    }

    /// What lies in `[from, to)` was a header's name, not code.
    pub(super) fn header_name(&mut self, from: usize, to: usize) {
        self.skip(from, to);
    }

    fn string(&mut self, at: usize) -> usize {
        let text = self.text;
        let prefix = word_start(text, at);
        if matches!(&text[prefix..at], b"R" | b"LR" | b"uR" | b"UR" | b"u8R")
            && let Some((body, body_end, end)) = self.raw_string(at)
        {
            self.skip(at, end);
            assembler::raw_literal(&text[body..body_end], self.out);
            return end;
        }
        let mut end = at + 1;
        let mut escapes = false;
        loop {
            match text.get(end) {
                None | Some(b'\n') => break,
                Some(b'"') => break,
                Some(b'\\') => {
                    escapes = true;
                    end += if text.get(end + 1) == Some(&b'\n') { 1 } else { 2 };
                }
                Some(_) => end += 1,
            }
        }
        let end = end.min(text.len());
        self.skip(at, end);
        let body = &text[at + 1..end];
        assembler::literal(body, escapes, self.out);
        if body.trim_ascii() == b"once" {
            self.out.reads_once = true;
        }
        if body.trim_ascii_start().starts_with(b"GCC")
            && memmem::find(body, b"dependency").is_some()
        {
            self.out.dependency_pragma = true;
        }
        if text.get(end) == Some(&b'"') { end + 1 } else { end }
    }

    /// The body and the end of the raw string whose quote is at `at`.
    fn raw_string(&self, at: usize) -> Option<(usize, usize, usize)> {
        let text = self.text;
        let open = at + 1 + text[at + 1..].iter().take(17).position(|&b| b == b'(')?;
        let delimiter = &text[at + 1..open];
        if delimiter.iter().any(|&b| matches!(b, b' ' | b')' | b'\\' | b'"') || b < b' ') {
            return None;
        }
        let mut close = Vec::with_capacity(delimiter.len() + 2);
        close.push(b')');
        close.extend_from_slice(delimiter);
        close.push(b'"');
        let mut from = open + 1;
        loop {
            let found = from + memmem::find(&text[from..], &close)?;
            let end = found + close.len();
            // Splices count as text in here, so one inside the end mark breaks it.
            let first = self.splices.partition_point(|&s| s <= found);
            if self.splices.get(first).is_none_or(|&s| s >= end) {
                return Some((open + 1, found, end));
            }
            from = found + 1;
        }
    }

    fn character(&mut self, at: usize) -> usize {
        let text = self.text;
        let start = word_start(text, at);
        // A digit separator: `1'000`. In `0xf'f'f` only the first part starts with a digit.
        if start < at
            && (text[start].is_ascii_digit() || start == self.after_separator)
            && text.get(at + 1).is_some_and(|&b| is_identifier(b))
        {
            self.after_separator = at + 1;
            return at + 1;
        }
        let mut end = at + 1;
        loop {
            match text.get(end) {
                None | Some(b'\n') => break,
                Some(b'\'') => {
                    end += 1;
                    break;
                }
                Some(b'\\') => end += if text.get(end + 1) == Some(&b'\n') { 1 } else { 2 },
                Some(_) => end += 1,
            }
        }
        let end = end.min(text.len());
        self.skip(at, end);
        end
    }

    /// `__has_include` and its like, anywhere in code.
    fn has_include(&mut self, at: usize) {
        let text = self.text;
        if at > 0 && is_identifier(text[at - 1]) {
            return;
        }
        let word = word_at(text, at);
        let kind = match word {
            b"__has_include" | b"__has_include__" => Kind::HasInclude,
            b"__has_include_next" | b"__has_include_next__" => Kind::HasIncludeNext,
            b"__has_embed" => Kind::HasEmbed,
            _ => return,
        };
        self.has_argument(at + word.len(), kind);
    }
}

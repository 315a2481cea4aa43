//! Assembler directives that read files: inside string literals, and in assembly itself.

use memchr::memmem;

use super::text::{trim_end, word_at, word_start};
use super::{AssemblerFile, Scan, is_blank};

const WORDS: [&[u8]; 2] = [b".incbin", b".include"];

/// The assembler does not mind the case of its directives.
fn starts_with(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// One string literal, without its quotes.
pub(super) fn literal(body: &[u8], escapes: bool, out: &mut Scan) {
    if body.len() < 2 {
        return;
    }
    if escapes {
        raw_literal(&unescape(body), out);
    } else {
        raw_literal(body, out);
    }
}

/// One literal's value.
pub(super) fn raw_literal(body: &[u8], out: &mut Scan) {
    if out.assembler_opaque {
        return;
    }
    // Most literals have none of this: a look at both ends decides.
    let may_be_pasted = WORDS.iter().any(|word| starts_with(body, &word[1..]))
        || body.len() >= 2 && ends_in_prefix(body) && ends_in_statement(body)
        || (3..8).contains(&body.len())
            && WORDS.iter().any(|word| {
                word[1..].windows(body.len()).any(|part| part.eq_ignore_ascii_case(body))
            });
    if may_be_pasted {
        out.assembler_opaque = true;
        return;
    }
    if body.len() >= 2 {
        out.assembler_macros |= defines_macro(body);
        out.assembler_pastes |= memchr::memchr_iter(b'\\', body).any(|at| pastes(body, at));
    }
    if body.len() >= 8 {
        directives_in(body, true, out);
    }
}

/// After all literals of a text: a macro's own argument may make the word of a directive.
pub(super) fn pasted(out: &mut Scan) {
    out.assembler_opaque |= out.assembler_macros && out.assembler_pastes;
}

/// The directives that replace something in the lines below them.
fn defines_macro(text: &[u8]) -> bool {
    const MACROS: [&[u8]; 3] = [b".macro", b".irp", b".altmacro"];
    let mut dots = memchr::memchr_iter(b'.', text);
    dots.any(|at| MACROS.iter().any(|word| starts_with(&text[at..], word)))
}

/// The backslash at `at` continues the word of a directive: `.inc\what`, `.\what`.
fn pastes(text: &[u8], at: usize) -> bool {
    let before = &text[at.saturating_sub(8)..at];
    let is_bare_dot = before.last() == Some(&b'.')
        && (before.len() == 1 && at == 1
            || before.len() > 1 && {
                let byte = before[before.len() - 2];
                byte.is_ascii_whitespace() || matches!(byte, b';' | b':')
            });
    is_bare_dot || !before.is_empty() && ends_in_prefix(before)
}

/// The literal ends in `.i`, `.in`, … of a directive.
fn ends_in_prefix(body: &[u8]) -> bool {
    let tail = &body[body.len().saturating_sub(8)..];
    tail.iter().rposition(|&b| b == b'.').is_some_and(|dot| {
        let tail = &tail[dot..];
        tail.len() > 1 && WORDS.iter().any(|word| starts_with(word, tail))
    })
}

/// The last dot stands where a directive may: at the beginning, or behind a blank or a
/// separator. In `"x.in"` it does not.
fn ends_in_statement(body: &[u8]) -> bool {
    let Some(dot) = body.iter().rposition(|&b| b == b'.') else { return false };
    let before = dot.checked_sub(1).map(|at| body[at]);
    before.is_none_or(|b| {
        b.is_ascii_whitespace() || matches!(b, b';' | b':' | b'{' | b'}' | b'|' | b'\\' | 0)
    })
}

/// The directives of a whole assembly text.
pub(super) fn directives(text: &[u8], out: &mut Scan) {
    directives_in(text, false, out);
}

fn directives_in(text: &[u8], in_literal: bool, out: &mut Scan) {
    for at in memchr::memchr_iter(b'.', text) {
        let Some(word) = WORDS.iter().find(|word| starts_with(&text[at..], word)) else {
            continue;
        };
        let mut rest = &text[at + word.len()..];
        // `.included`, `.include_x`: other words.
        if rest.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
            continue;
        }
        while let [first, tail @ ..] = rest
            && is_blank(*first)
        {
            rest = tail;
        }
        match file_name(rest) {
            Some(name) => {
                let text = *word == b".include";
                out.assembler_files.push(AssemblerFile { name: name.into(), text });
            }
            None => out.assembler_opaque = true,
        }
    }
    if !in_literal {
        out.assembler_opaque = out.assembler_opaque || may_be_made(text);
        source_files(text, out);
    }
}

/// Whether the word of a directive may be made of parts: by a macro's arguments, or by a preprocessor.
fn may_be_made(text: &[u8]) -> bool {
    let mut backslashes = memchr::memchr_iter(b'\\', text);
    if backslashes.clone().any(|at| pastes(text, at)) {
        return true;
    }
    // `incbin` that no dot precedes is handed to what puts one there.
    let mut words = memmem::find_iter(text, b"incbin");
    if words.any(|at| at == 0 || text[at - 1] != b'.') {
        return true;
    }
    // Without a backslash, and as `a&b`.
    if memmem::find(text, b".altmacro").is_some() {
        return true;
    }
    // `.a ## b`
    let glues = |at: usize| {
        let end = trim_end(text, at);
        let start = word_start(text, end);
        start > 0 && text[start - 1] == b'.'
    };
    if memmem::find_iter(text, b"##").any(glues) {
        return true;
    }
    // `\a\b` and `\a\()b` make it of an argument that ends in a part of it.
    let is_joined = |at: usize| {
        let name = word_at(text, at + 1);
        !name.is_empty() && text.get(at + 1 + name.len()) == Some(&b'\\')
    };
    backslashes.any(is_joined) && memchr::memchr_iter(b'.', text).any(|at| is_part(text, at))
}

/// A word of its own that a directive begins with: `.`, `.i`, `.inc`.
fn is_part(text: &[u8], at: usize) -> bool {
    let word = &text[at..at + 1 + word_at(text, at + 1).len()];
    let ends = || text.get(at + 1).is_none_or(|b| matches!(b, b' ' | b'\t' | b'\n' | b',' | b'"'));
    let whole = WORDS.iter().any(|directive| directive.len() == word.len());
    !whole
        && WORDS.iter().any(|directive| starts_with(directive, word))
        && (word.len() > 1 || ends())
}

/// What `.file` names.
fn source_files(text: &[u8], out: &mut Scan) {
    for at in memmem::find_iter(text, b".file") {
        let line = &text[at + 5..];
        let line = &line[..memchr::memchr(b'\n', line).unwrap_or(line.len())];
        let mut quoted = line.split(|&b| b == b'"').skip(1).step_by(2);
        let (first, second) = (quoted.next(), quoted.next());
        let joined = first.zip(second).map(|(folder, name)| [folder, b"/", name].concat());
        for name in [first, second, joined.as_deref()].into_iter().flatten() {
            if name.contains(&b'\\') {
                out.line_opaque = true;
            } else if !name.is_empty() {
                out.line_files.push(name.into());
            }
        }
    }
}

/// `"name"` with nothing in it that a macro, or an escape, would replace.
fn file_name(text: &[u8]) -> Option<Vec<u8>> {
    let rest = text.strip_prefix(b"\"")?;
    let len = rest.iter().position(|&b| matches!(b, b'"' | b'\n'))?;
    let name = &rest[..len];
    // `%` is an operand of an asm statement, `\` a macro's argument.
    if rest[len] != b'"' || name.is_empty() || name.iter().any(|b| matches!(b, b'\\' | b'%' | 0)) {
        return None;
    }
    Some(name.to_vec())
}

/// A literal's value. Only ASCII has to come out right.
fn unescape(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(&escape) = body.get(at) else { break };
        at += 1;
        let (radix, most) = match escape {
            b'x' => (16, usize::MAX),
            b'u' => (16, 4),
            b'U' => (16, 8),
            b'0'..=b'7' => {
                at -= 1;
                (8, 3)
            }
            b'n' | b't' | b'v' | b'f' | b'r' => {
                out.push(if escape == b'n' { b'\n' } else { b' ' });
                continue;
            }
            other => {
                out.push(other);
                continue;
            }
        };
        let mut value = 0u32;
        let mut digits = 0;
        while digits < most
            && let Some(digit) = body.get(at).and_then(|&b| (b as char).to_digit(radix))
        {
            value = value.wrapping_mul(radix).wrapping_add(digit);
            digits += 1;
            at += 1;
        }
        out.push(value as u8);
    }
    out
}

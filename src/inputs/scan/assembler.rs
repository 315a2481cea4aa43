//! Assembler directives that read files: inside string literals, and in assembly itself.

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
    if body.len() >= 8 {
        directives_in(body, true, out);
    }
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
        // A macro's own argument may make the word: `.inc\what`.
        for at in memchr::memchr_iter(b'\\', text) {
            let before = &text[at.saturating_sub(8)..at];
            if !before.is_empty() && ends_in_prefix(before) {
                out.assembler_opaque = true;
                break;
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

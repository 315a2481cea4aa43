//! Assembler in Rust sources: which files it reads, and where its text does not tell.

use std::borrow::Cow;

/// What reads a file, after the dot.
const DIRECTIVES: [&[u8]; 2] = [b"incbin", b"include"];

/// The text with escapes as the characters that they stand for in a literal, and with lines that are continued in one.
/// Quotes and backslashes keep theirs.
pub(super) fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        plain.extend_from_slice(&rest[..at]);
        let escape = &rest[at + 1..];
        let used = match unescape(escape) {
            Some((character, used)) => {
                plain.extend(character);
                used
            }
            None => {
                plain.push(b'\\');
                plain.extend(escape.first());
                escape.len().min(1)
            }
        };
        rest = &escape[used..];
    }
    plain.extend_from_slice(rest);
    Cow::Owned(plain)
}

/// The character that is meant behind a backslash, if any, and how many bytes say so.
fn unescape(escape: &[u8]) -> Option<(Option<u8>, usize)> {
    let ascii = |digits: &[u8]| {
        let digits: String =
            digits.iter().map(|byte| char::from(*byte)).filter(|digit| *digit != '_').collect();
        u8::from_str_radix(&digits, 16).ok().filter(u8::is_ascii)
    };
    match escape.first()? {
        b'n' => Some((Some(b'\n'), 1)),
        b'r' => Some((Some(b'\r'), 1)),
        b't' => Some((Some(b'\t'), 1)),
        b'x' => Some((Some(ascii(escape.get(1..3)?)?), 3)),
        b'u' => {
            let digits = escape.get(1..)?.strip_prefix(b"{")?;
            let end = digits.iter().position(|byte| *byte == b'}')?;
            Some((Some(ascii(&digits[..end])?), end + 3))
        }
        b'\n' => {
            let blanks = escape.iter().take_while(|byte| byte.is_ascii_whitespace());
            Some((None, blanks.count()))
        }
        _ => None,
    }
}

/// The files that the assembler within rustc reads, by `.incbin` or `.include` (in any case) in the text of `asm!`,
/// which is `unescaped`. `None` stands for one whose name can't be known.
pub(super) fn files(text: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut found = Vec::new();
    for dot in memchr::memchr_iter(b'.', text) {
        let rest = &text[dot + 1..];
        let Some(word) = DIRECTIVES.into_iter().find(|word| begins_with(rest, word)) else {
            continue;
        };
        let rest = &rest[word.len()..];
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let rest = &rest[blanks..];
        let quoted = rest.strip_prefix(b"\\").unwrap_or(rest).strip_prefix(b"\"");
        match quoted {
            Some(name) => found.push(whole_name(name)),
            // A method, a longer word or a sentence is no directive. A name to be put in is, and what begins with an
            // escape or a comment of the assembler's may be.
            None if word == b"incbin" => found.push(None),
            None if matches!(rest.first(), Some(b'\\' | b'/')) => found.push(None),
            None if blanks > 0 && rest.starts_with(b"{") => found.push(None),
            None => {}
        }
    }
    found
}

fn begins_with(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// Up to the quote that ends it, unless something is put into it.
fn whole_name(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\n'))?;
    let (name, rest) = text.split_at(end);
    let ends = rest.strip_prefix(b"\\").unwrap_or(rest).starts_with(b"\"");
    let plain = !name.is_empty() && !name.iter().any(|byte| matches!(byte, b'{' | b'$'));
    (ends && plain).then(|| name.to_vec())
}

/// The text of another crate holds such a directive, which a macro of it could put into this one.
pub(super) fn may_assemble(bytes: &[u8]) -> bool {
    !files(bytes).is_empty()
}

/// What the sources of a crate together tell of the assembler in it.
#[derive(Default)]
pub(super) struct Assembler {
    /// `asm!` or one of its kind.
    is_used: bool,
    /// A literal ends in the middle of a directive, and another part is put to it.
    comes_in_parts: bool,
    /// A directive's name could end in the parameter of an assembler's macro.
    pastes: bool,
    /// There are such macros.
    has_macros: bool,
}

impl Assembler {
    /// Takes in one source; `plain` is its text `unescaped`.
    pub(super) fn add(&mut self, text: &[u8], plain: &[u8]) {
        self.is_used |= uses(plain);
        self.comes_in_parts |= comes_in_parts(plain);
        // In a raw literal, what looks like `\n` is a parameter.
        self.pastes |= pastes(plain) || pastes(text);
        self.has_macros |= memchr::memchr_iter(b'.', plain).any(|dot| {
            let makers: [&[u8]; 3] = [b"macro", b"irp", b"altmacro"];
            makers.into_iter().any(|word| begins_with(&plain[dot + 1..], word))
        });
    }

    /// A directive that reads a file may be there and not be seen.
    pub(super) fn may_hide_directive(&self) -> bool {
        self.is_used && (self.comes_in_parts || self.pastes && self.has_macros)
    }
}

fn uses(text: &[u8]) -> bool {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    memchr::memmem::find_iter(text, b"asm").any(|at| {
        let before = &text[..at];
        let before = before.strip_suffix(b"global_").or(before.strip_suffix(b"naked_"));
        let before = before.unwrap_or(&text[..at]);
        !is_part(before.last()) && before.last() != Some(&b'_') && !is_part(text.get(at + 3))
    })
}

fn comes_in_parts(text: &[u8]) -> bool {
    // Without `concat!` other macros may put literals together, but few end where only a dot tells.
    let least = usize::from(memchr::memmem::find(text, b"concat!").is_none());
    memchr::memchr_iter(b'"', text).any(|at| {
        let part = part_of_directive(&text[..at]);
        part.is_some_and(|part| part >= least) && goes_on(&text[at + 1..])
    })
}

/// How many letters of a directive's name stand at the end, behind a dot with which a statement may begin: not in the
/// middle of a word, nor at the end of a sentence.
fn part_of_directive(text: &[u8]) -> Option<usize> {
    let tail = text.len().saturating_sub(".include".len());
    let dot = tail + memchr::memrchr(b'.', &text[tail..])?;
    let part = &text[dot + 1..];
    let is_part = |word: &[u8]| part.len() < word.len() && begins_with(word, part);
    let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.,)]}>`'".contains(byte);
    let may_begin = !text[..dot].last().is_some_and(is_inside);
    (may_begin && DIRECTIVES.into_iter().any(is_part)).then_some(part.len())
}

/// Behind a literal: another part is put to it, as `concat!` does, that is not known to be something else.
fn goes_on(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start();
    let Some(next) = rest.strip_prefix(b",").map(<[u8]>::trim_ascii_start) else { return false };
    match next.strip_prefix(b"\"") {
        Some(literal) => literal.first().is_some_and(|byte| b"incbludeINCBLUDE".contains(byte)),
        None => !matches!(next.first(), None | Some(b')' | b']' | b'}')),
    }
}

/// Behind a backslash: the parameter of an assembler's macro, `\\name` in a literal and `\name` in a raw one.
fn pastes(text: &[u8]) -> bool {
    memchr::memchr_iter(b'\\', text).any(|at| {
        let rest = &text[at + 1..];
        let name = rest.strip_prefix(b"\\").unwrap_or(rest);
        name.first().is_some_and(u8::is_ascii_alphabetic)
            && part_of_directive(&text[..at]).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_continued_lines() {
        let plain =
            |text: &str| String::from_utf8(unescaped(text.as_bytes()).into_owned()).unwrap();
        assert_eq!(
            plain(r#"".\u{69}n\x63\n" '\u{2020}' "\\x41 \" \0""#),
            "\".inc\n\" '\\u{2020}' \"\\\\x41 \\\" \\0\""
        );
        assert_eq!(plain(".inc\\\n   bin\\"), ".incbin\\");
    }

    #[test]
    fn files_that_are_named() {
        let names = |text: &str| -> Vec<Option<String>> {
            let name = |name: Vec<u8>| String::from_utf8(name).unwrap();
            files(&unescaped(text.as_bytes())).into_iter().map(|found| found.map(name)).collect()
        };
        let some = |name: &str| vec![Some(name.to_owned())];
        assert_eq!(names("global_asm!(\".incbin \\\"a b/c.bin\\\"\");"), some("a b/c.bin"));
        assert_eq!(names("asm!(r#\".include \"x.s\"\"#)"), some("x.s"));
        assert_eq!(names("concat!(\".incbin \\\"\", $path, \"\\\"\")"), [None]);
        assert_eq!(names("format!(\".incbin {x}\")"), [None]);
        assert_eq!(names("\".incbin \\\"{x}.bin\\\"\""), [None]);
        assert!(names("list.include(x); // see .include files").is_empty());
        for disguised in [
            "asm!(\".INCBIN \\\"x\\\"\")",
            ".include\\t\\\"x\\\"",
            ".include \\\n \\\"x\\\"",
            "\\x2eincbin \\\"x\\\"",
            ".\\u{69}nc\\\n  bin \\\"x\\\"",
        ] {
            assert_eq!(names(disguised), some("x"), "{disguised}");
        }
        assert_eq!(names(".include /* */ \\\"x\\\""), [None]);
    }

    #[test]
    fn directives_in_parts() {
        let hides = |text: &str| {
            let mut assembler = Assembler { is_used: true, ..Assembler::default() };
            assembler.add(text.as_bytes(), &unescaped(text.as_bytes()));
            assembler.may_hide_directive()
        };
        for text in [
            r#"concat!(".inc", "bin \"x\"")"#,
            r#"concat!(".", $what, " \"x\"")"#,
            r#"concat!("a\n.INC" , "BIN")"#,
            r#"concat!("a:\x2einc", "bin")"#,
            r#"asm!(".macro m a\n.inc\\a \"x\"\n.endm")"#,
            r#"asm!(r".macro m a", r".\a")"#,
            r#"asm!(r".MACRO m name", r".\name")"#,
        ] {
            assert!(hides(text), "{text}");
        }
        for text in [
            r#"println!("That was all.", x.y)"#,
            r#"asm!(".text", "nop", ".byte 1\n", "a.\n", in(reg) x)"#,
            r#"concat!("a.", "txt")"#,
            r#"'\u{2020}' "\x00\n""#,
            r#"["a.", "]"]"#,
            // portable-atomic, cc, tokio and compact_str.
            r#"{ version = "...", features = ["x"] } concat!()"#,
            r#"concat!("mov.", $size, " @{src}, {out}")"#,
            r#"format!(concat!(), "(see above).", name)"#,
            r#"format!(concat!(), "no variable {}.", name)"#,
            r#"const PIPE: &str = r"\\.\pipe\named";"#,
            r#"b"\x3d\xd8\x6f\x42""#,
        ] {
            assert!(!hides(text), "{text}");
        }
        assert!(uses(b"core::arch::asm!(\"nop\")") && uses(b"use std::arch::global_asm as g;"));
        assert!(!uses(b"let plasma = 1; fn asmodeus() {} fn my_asm() {}"));
    }
}

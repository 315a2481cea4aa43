//! What the text of sources tells that rustc's own list of files does not.

/// What reads a file, after the dot.
const DIRECTIVES: [&[u8]; 2] = [b"incbin", b"include"];

/// A file that the assembler within rustc reads, by `.incbin` or `.include` (in any case) in the text of `asm!`. `None`
/// stands for one whose name can't be known from the text.
pub(super) fn assembled(text: &[u8]) -> Vec<Option<Vec<u8>>> {
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
            // escape, a comment of the assembler's or the end of a line may be.
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

/// The text uses `asm!` or one of its kind.
pub(super) fn has_assembler(text: &[u8]) -> bool {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    memchr::memmem::find_iter(text, b"asm").any(|at| {
        let before = &text[..at];
        let before = before.strip_suffix(b"global_").or(before.strip_suffix(b"naked_"));
        let before = before.unwrap_or(&text[..at]);
        !is_part(before.last()) && before.last() != Some(&b'_') && !is_part(text.get(at + 3))
    })
}

/// Text in which such a directive may be put together from parts: letters of it as escapes, a literal that ends in the
/// middle of it, or a macro of the assembler's own that makes names.
pub(super) fn may_hide_directive(text: &[u8]) -> bool {
    // A sentence ends in a dot as well.
    let least = usize::from(memchr::memmem::find(text, b"concat!").is_none());
    memchr::memchr2_iter(b'\\', b'"', text).any(|at| {
        let (before, after) = (&text[..at], &text[at + 1..]);
        match text[at] {
            b'"' => part_of_directive(before).is_some_and(|part| part >= least) && goes_on(after),
            _ => escapes_letter(after) || part_of_directive(before).is_some() && pastes(after),
        }
    })
}

/// `\x2e`, `\u{69}`: a character of the directives' names.
fn escapes_letter(escape: &[u8]) -> bool {
    let digits = match escape.first() {
        Some(b'x') => escape.get(1..3),
        Some(b'u') => escape.get(1..).and_then(|rest| {
            let inside = rest.strip_prefix(b"{")?;
            inside.get(..inside.iter().position(|byte| *byte == b'}')?)
        }),
        _ => None,
    };
    let digits: String =
        digits.unwrap_or_default().iter().map(|byte| *byte as char).filter(|c| *c != '_').collect();
    let letter = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
    letter.is_some_and(|letter| ".incbinlude".contains(letter.to_ascii_lowercase()))
}

/// How many letters of a directive's name stand at the end, behind a dot.
fn part_of_directive(text: &[u8]) -> Option<usize> {
    let tail = &text[text.len().saturating_sub(".include".len())..];
    let part = &tail[memchr::memrchr(b'.', tail)? + 1..];
    let is_part = |word: &[u8]| part.len() < word.len() && begins_with(word, part);
    DIRECTIVES.into_iter().any(is_part).then_some(part.len())
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
fn pastes(rest: &[u8]) -> bool {
    rest.strip_prefix(b"\\").unwrap_or(rest).first().is_some_and(u8::is_ascii_alphabetic)
        && !matches!(rest.first(), Some(b'n' | b't' | b'r'))
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
    !assembled(bytes).is_empty()
}

/// Clippy's lints that read `Cargo.toml` and what `cargo metadata` says of all crates behind it.
const CARGO_LINTS: &[&str] = &[
    "clippy::cargo",
    "cargo_common_metadata",
    "multiple_crate_versions",
    "negative_feature_names",
    "redundant_feature_names",
    "wildcard_dependencies",
];

/// A lint is named whose answer depends on more than the crate.
pub(super) fn names_cargo_lint(text: &[u8]) -> bool {
    CARGO_LINTS.iter().any(|name| memchr::memmem::find(text, name.as_bytes()).is_some())
}

/// An attribute may decide the crate's name or kind.
pub(super) fn names_crate(text: &[u8]) -> bool {
    [&b"crate_name"[..], b"crate_type"]
        .iter()
        .any(|name| memchr::memmem::find(text, name).is_some())
}

/// All words that could be names of libraries or crates.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_+.-@".contains(byte);
    text.split(move |byte| !is_part(byte)).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_assembler() {
        let names = |text: &str| -> Vec<Option<String>> {
            let name = |name: Vec<u8>| String::from_utf8(name).unwrap();
            assembled(text.as_bytes()).into_iter().map(|found| found.map(name)).collect()
        };
        let some = |name: &str| vec![Some(name.to_owned())];
        assert_eq!(names("global_asm!(\".incbin \\\"a b/c.bin\\\"\");"), some("a b/c.bin"));
        assert_eq!(names("asm!(r#\".include \"x.s\"\"#)"), some("x.s"));
        assert_eq!(names("concat!(\".incbin \\\"\", $path, \"\\\"\")"), [None]);
        assert_eq!(names("format!(\".incbin {x}\")"), [None]);
        assert_eq!(names("\".incbin \\\"{x}.bin\\\"\""), [None]);
        assert!(names("list.include(x); // see .include files").is_empty());
        assert_eq!(names("asm!(\".INCBIN \\\"x\\\"\")"), some("x"));
        for unclear in
            [".include\\t\\\"x\\\"", ".include \\\n \\\"x\\\"", ".include /* */ \\\"x\\\""]
        {
            assert_eq!(names(unclear), [None], "{unclear}");
        }
    }

    #[test]
    fn directives_in_parts() {
        let hides = |text: &str| may_hide_directive(text.as_bytes());
        for text in [
            r#"concat!(".inc", "bin \"x\"")"#,
            r#"concat!(".", $what, " \"x\"")"#,
            r#"concat!("a\n.INC" , "BIN")"#,
            r#"asm!("\x2eincbin \"x\"")"#,
            r#"asm!(".\u{69}ncbin \"x\"")"#,
            r#"asm!(".macro m a\n.inc\\a \"x\"\n.endm")"#,
            r#"asm!(r".macro m a", r".\a")"#,
        ] {
            assert!(hides(text), "{text}");
        }
        for text in [
            r#"println!("That was all.", x.y)"#,
            r#"asm!(".text", "nop", ".byte 1\n", "a.\n", in(reg) x)"#,
            r#"concat!("a.", "txt")"#,
            r#"'\u{2020}' "\x00\n""#,
            r#"["a.", "]"]"#,
        ] {
            assert!(!hides(text), "{text}");
        }
        let uses = |text: &str| has_assembler(text.as_bytes());
        assert!(uses("core::arch::asm!(\"nop\")") && uses("use std::arch::global_asm as g;"));
        assert!(!uses("let plasma = 1; fn asmodeus() {} fn my_asm() {}"));
    }

    #[test]
    fn words_of_a_text() {
        let words: Vec<&[u8]> = words(b"l!(\"my-lib\"); name=r\"n\" extern crate pm;").collect();
        assert!([&b"my-lib"[..], b"n", b"pm"].iter().all(|word| words.contains(word)));
    }
}

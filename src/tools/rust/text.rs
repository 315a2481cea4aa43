//! What the text of sources tells that rustc's own list of files does not.

/// A file that the assembler within rustc reads, by `.incbin` or `.include` in the text of `asm!`. `None` stands for
/// one whose name can't be known from the text.
pub(super) fn assembled(text: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut found = Vec::new();
    for word in [&b".incbin"[..], b".include"] {
        for at in memchr::memmem::find_iter(text, word) {
            let rest = &text[at + word.len()..];
            let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            let rest = &rest[blanks..];
            // A method, a longer word or a sentence is no directive; a name to be put in is.
            let quoted = rest.strip_prefix(b"\\").unwrap_or(rest).strip_prefix(b"\"");
            match quoted {
                Some(name) => found.push(whole_name(name)),
                None if word == b".incbin" || (blanks > 0 && rest.starts_with(b"{")) => {
                    found.push(None);
                }
                None => {}
            }
        }
    }
    found
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
    }

    #[test]
    fn words_of_a_text() {
        let words: Vec<&[u8]> = words(b"l!(\"my-lib\"); name=r\"n\" extern crate pm;").collect();
        assert!([&b"my-lib"[..], b"n", b"pm"].iter().all(|word| words.contains(word)));
    }
}

//! What the text of sources tells that rustc's own list of files does not.

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
    fn words_of_a_text() {
        let words: Vec<&[u8]> = words(b"l!(\"my-lib\"); name=r\"n\" extern crate pm;").collect();
        assert!([&b"my-lib"[..], b"n", b"pm"].iter().all(|word| words.contains(word)));
    }
}

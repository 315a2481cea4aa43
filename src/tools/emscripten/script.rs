//! Whether JavaScript that is given to a link may read files while it is linked.

/// What a file of JavaScript is used for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Use {
    /// Run while linking, after a preprocessor.
    Run,
    /// Pasted into the result; newer emcc preprocess it first.
    Pasted,
    /// A page, into which emcc puts the program where `{{{ SCRIPT }}}` stands.
    Shell,
}

/// Whether a text may read other files, or do something else that nobody sees.
pub(super) fn may_read(text: &[u8], is: Use) -> bool {
    const RUNNING: &[&str] = &["read(", "load(", "require(", "import(", "process.", "eval("];
    let has = |word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
    let macros = || memchr::memmem::find_iter(text, b"{{{").map(|at| text[at + 3..].trim_ascii());
    has("#include")
        || match is {
            Use::Run => RUNNING.iter().any(|word| has(word)),
            Use::Pasted => macros().next().is_some(),
            Use::Shell => macros().any(|inside| !inside.starts_with(b"SCRIPT")),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_read() {
        let library = b"mergeInto(LibraryManager.library, { f: () => {{{ 1 + 1 }}} });";
        assert!(!may_read(library, Use::Run) && may_read(library, Use::Pasted));
        assert!(may_read(b"var x = {{{ JSON.stringify(read('x.txt')) }}};", Use::Run));
        assert!(may_read(b"#include \"x.js\"\n", Use::Pasted));
        assert!(!may_read(b"<body onload('x')>{{{ SCRIPT }}}", Use::Shell));
        assert!(may_read(b"{{{ SCRIPT }}} {{{ read('x') }}}", Use::Shell));
    }
}

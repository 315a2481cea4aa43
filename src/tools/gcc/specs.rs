//! What a file of gcc's `-specs=` may hold, so that a command with it is still understood.

use super::debug::{self, Debug};
use super::switches;
use super::table::{self, Class};
use crate::inputs::dialect::Flavor;

/// Whether a specs file only adds or takes away arguments that decide the code. One that calls functions (they look
/// at variables and files), includes others, or has an argument that does more, changes what a command means.
pub(super) fn is_plain(text: &[u8]) -> bool {
    let calls = [&b"%:"[..], b"%include", b"%x", b"%X", b"\\", b"@"];
    if calls.iter().any(|what| memchr::memmem::find(text, what).is_some()) {
        return false;
    }
    let mut lines = text.split(|byte| *byte == b'\n');
    lines.all(|line| is_directive(line) || words(line).all(is_plain_word))
}

/// `*name:`, `%rename old new`, or a comment.
fn is_directive(line: &[u8]) -> bool {
    line.starts_with(b"*") || line.starts_with(b"%rename ") || line.starts_with(b"#")
}

/// What may be an argument: the text between blanks, and what braces and their conditions enclose.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| byte.is_ascii_whitespace() || b"{}:;".contains(byte))
}

fn is_plain_word(word: &[u8]) -> bool {
    // Of `%<fPIE` and of `%(name)` nothing comes; the names of conditions have no dash.
    if word.first() != Some(&b'-') {
        return !word.contains(&b'-') || word.starts_with(b"%<") || is_condition(word);
    }
    if word == b"-" || word.contains(&b'%') {
        return false;
    }
    match table::find(Flavor::Gcc, word) {
        Some(flag) if flag.class == Class::Define => is_plain_definition(word),
        Some(flag) => {
            matches!(flag.class, Class::Key | Class::Query | Class::Linking | Class::Colour { .. })
        }
        None => match word[1] {
            b'f' => switches::is_known(&word[2..]),
            b'g' => matches!(
                debug::classify(Flavor::Gcc, word),
                Some(Debug::On | Debug::Off | Debug::Detail)
            ),
            b'O' => true,
            b'W' => word.get(3) != Some(&b','),
            b'm' => word.len() > 2 && !word.ends_with(b"=help") && !word.ends_with(b"=?"),
            _ => false,
        },
    }
}

/// The time and headers are looked for in the definitions of the command line, not in these.
fn is_plain_definition(word: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_=.+".contains(byte);
    let named = |name| memchr::memmem::find(word, name).is_some();
    word.len() > 2 && word.iter().all(is_plain) && !named(b"__TI") && !named(b"__DA")
}

/// `%` or part of a condition (`!fno-pie`, `fpie|fPIE`, `m*`).
fn is_condition(word: &[u8]) -> bool {
    word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!|&*.,%-_+=<>()".contains(byte))
        && !word.windows(2).any(|pair| pair == b" -")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_distributions_and_others() {
        for text in [
            "*cpp:\n+ -DX=1\n\n",
            "*self_spec:\n+ %{!shared:%{!static:%{!r:-fno-PIE}}} %<fPIE\n",
            "*cc1_options:\n+ %{!r:%{!fpie:%{!fPIE:%{!fpic:%{!fPIC:%{!fno-pic:-fPIE}}}}}}\n",
            "%rename cc1 old_cc1\n\n*cc1:\n%(old_cc1) -O2 -Wall -g\n",
            "",
        ] {
            assert!(is_plain(text.as_bytes()), "{text}");
        }
        for text in [
            "*cpp:\n+ -DX=%:getenv(MYX 1)\n\n",
            "*cc1:\n+ %{!x:%:if-exists(y -DX)}\n",
            "*cc1:\n+ -fstack-usage\n",
            "*cc1:\n+ %{!x:-fdump-tree-all}\n",
            "%include <other.specs>\n",
            "*cc1:\n+ -fnew-option\n",
            "*cc1:\n+ -o x\n",
            "*cpp:\n+ -include x.h\n",
            "*asm:\n+ -Wa,-al=x\n",
            "*cc1:\n+ -gsplit-dwarf\n",
            "*cc1:\n+ -I%R/x\n",
            "*cc1:\n+ @more\n",
            "*cpp:\n+ -DX=__TIME__\n",
        ] {
            assert!(!is_plain(text.as_bytes()), "{text}");
        }
    }
}

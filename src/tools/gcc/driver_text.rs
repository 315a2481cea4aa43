//! What a driver says for itself, beside what its compilers say of each source.

use crate::protocol::message::Chunk;
use crate::tools::find::{base, without_ending};

/// Drivers as they call themselves where a script or a link stands before them.
const DRIVERS: [&[u8]; 6] = [b"gcc", b"g++", b"cc", b"c++", b"clang", b"clang++"];

/// Whether a line is the driver's own: those begin with its name (`gcc: warning: …`). `called`: what it may call
/// itself.
pub(super) fn is_of_driver(called: &[&[u8]], text: &[Chunk]) -> bool {
    let bytes: Vec<u8> = text.iter().flat_map(|chunk| &chunk.bytes).copied().collect();
    let plain = without_colours(&bytes);
    let mut lines = plain.split(|byte| *byte == b'\n');
    lines.any(|line| {
        let Some(end) = line.windows(2).position(|pair| pair == b": ") else { return false };
        let name = base(&line[..end]);
        let is_called = |tool: &&[u8]| [base(tool), without_ending(base(tool))].contains(&name);
        called.iter().any(is_called) || DRIVERS.contains(&without_version(name))
    })
}

/// `x86_64-linux-gnu-gcc-12` is a `gcc`.
fn without_version(name: &[u8]) -> &[u8] {
    let is_version = |part: &[u8]| part.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let mut parts = name.rsplit(|byte| *byte == b'-').skip_while(|part| is_version(part));
    parts.next().unwrap_or_default()
}

/// The text without what colours it.
pub fn without_colours(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(0x1b, rest) {
        plain.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(sequence) = rest.strip_prefix(b"[") {
            let end = sequence
                .iter()
                .position(u8::is_ascii_alphabetic)
                .map_or(sequence.len(), |at| at + 1);
            rest = &sequence[end..];
        }
    }
    plain.extend_from_slice(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::message::Stream;

    #[test]
    fn lines_of_drivers() {
        let is = |text: &str| {
            let chunk = Chunk { stream: Stream::Stderr, bytes: text.as_bytes().to_vec() };
            is_of_driver(&[b"my-cc", b"/usr/bin/compiler.sh"], &[chunk])
        };
        for text in [
            "gcc: warning: '-x c++' after last input file has no effect\n",
            "a.c:1: note: x\nclang: warning: -lm: 'linker' input unused\n",
            "x86_64-linux-gnu-gcc-12: error: x\n",
            "/usr/bin/clang++-14: warning: x",
            "my-cc: Warnung: x",
            "compiler: x",
            "\x1b[01m\x1b[Kgcc:\x1b[m\x1b[K \x1b[01;35m\x1b[Kwarning: \x1b[m\x1b[Kx\n",
        ] {
            assert!(is(text), "{text}");
        }
        for text in
            ["", "a.cc: In function 'f':\n", "cc1: warning: x\n", "a.c:1:2: gcc: x\n", "gcc\n"]
        {
            assert!(!is(text), "{text}");
        }
    }
}

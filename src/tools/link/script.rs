//! Linker scripts: the files and folders that they name.

/// More than any script has that stands where a library is looked for.
const BYTES_MAX: usize = 1 << 20;

/// What a script names.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Named {
    /// Files and, with their `-l`, libraries.
    pub(super) files: Vec<Vec<u8>>,
    /// `SEARCH_DIR`
    pub(super) folders: Vec<Vec<u8>>,
}

/// The names in a text that may be a linker script. More than it really uses do no harm, so what
/// stands around the commands is passed over.
pub(super) fn named(text: &[u8]) -> Named {
    let mut named = Named::default();
    if text.len() > BYTES_MAX || text.contains(&0) {
        return named;
    }
    let text = without_comments(text);
    let mut words = Words { text: &text, at: 0 };
    // The list we are in, and how deep.
    let mut list: Option<(bool, usize)> = None;
    let mut before: &[u8] = b"";
    while let Some(word) = words.next() {
        match (word, &mut list) {
            (b"(", Some((_, depth))) => *depth += 1,
            (b"(", None) => {
                list = match before {
                    b"INPUT" | b"GROUP" | b"STARTUP" | b"AS_NEEDED" => Some((false, 1)),
                    b"SEARCH_DIR" => Some((true, 1)),
                    _ => None,
                }
            }
            (b")", Some((_, depth))) => {
                *depth -= 1;
                if *depth == 0 {
                    list = None;
                }
            }
            (b"," | b";", _) => {}
            (name, Some((true, _))) => named.folders.push(name.to_vec()),
            (b"AS_NEEDED", Some(_)) => {}
            (name, Some((false, _))) => named.files.push(name.to_vec()),
            (name, None) if before == b"INCLUDE" => named.files.push(name.to_vec()),
            _ => {}
        }
        before = word;
    }
    named
}

fn without_comments(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = memchr::memmem::find(rest, b"/*") {
        out.extend_from_slice(&rest[..start]);
        out.push(b' ');
        let inside = &rest[start + 2..];
        rest = memchr::memmem::find(inside, b"*/").map_or(&[][..], |end| &inside[end + 2..]);
    }
    out.extend_from_slice(rest);
    out
}

struct Words<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = &self.text[self.at..];
        let start = rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let rest = &rest[start..];
        let is_mark = |byte: &u8| b"(),;".contains(byte);
        let (skip, length) = match rest[0] {
            b'"' => (1, rest[1..].iter().position(|byte| *byte == b'"').unwrap_or(rest.len() - 1)),
            byte if is_mark(&byte) => (0, 1),
            _ => {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || is_mark(byte) || *byte == b'"';
                (0, rest.iter().position(ends).unwrap_or(rest.len()))
            }
        };
        self.at += start + skip + length + skip;
        self.at = self.at.min(self.text.len());
        Some(&rest[skip..skip + length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<Vec<u8>> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    #[test]
    fn a_library_that_is_a_script() {
        let text = b"/* GNU ld script ( */\nOUTPUT_FORMAT(elf64-x86-64)\n\
            GROUP ( /lib/libc.so.6 \"a b.a\" AS_NEEDED ( /lib64/ld.so -lx ) )\nSEARCH_DIR(\"=/d\");\n\
            INCLUDE more.ld\nSECTIONS { .text : { *(.text) } }\nINPUT(y.o,z.o)";
        let named = named(text);
        let files = ["/lib/libc.so.6", "a b.a", "/lib64/ld.so", "-lx", "more.ld", "y.o", "z.o"];
        assert_eq!(named.files, list(&files));
        assert_eq!(named.folders, list(&["=/d"]));
    }

    #[test]
    fn broken_texts_end() {
        for text in [&b"INPUT("[..], b"INPUT(a", b"/* ", b"\"", b")))", b"GROUP((((", b"\0INPUT(a)"]
        {
            named(text);
        }
        assert_eq!(named(b"\0INPUT(a)"), Named::default());
    }
}

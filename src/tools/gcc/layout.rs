//! How the compilers break the lines of a dependency file, which depends on how long its
//! names are: a file that moves to another checkout is broken anew.

use crate::inputs::dialect::Flavor;

/// Breaks the lines of a dependency file as this compiler does. A text that the compiler wrote
/// comes back as it was; where it does not, the rules here are not that compiler's.
pub(super) fn lay_out(text: &[u8], flavor: Flavor) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in logical_lines(text) {
        let mut column = 0;
        let mut is_target = true;
        for word in words(&line) {
            let is_last_target = is_target && word.ends_with(b":");
            let name = if is_last_target { &word[..word.len() - 1] } else { word };
            column = match flavor {
                Flavor::Gcc => gcc(&mut out, column, name),
                Flavor::Clang => clang(&mut out, column, name, is_target),
            };
            out.extend_from_slice(name);
            if is_last_target {
                out.push(b':');
                column += 1;
                is_target = false;
            }
        }
        out.push(b'\n');
    }
    out
}

/// Goes to where a name stands; gives the column after it. Measured with gcc 12: no line with
/// more than one name is longer than 72 columns and the blank before the break.
fn gcc(out: &mut Vec<u8>, mut column: usize, name: &[u8]) -> usize {
    if column > 0 {
        if column + name.len() > 72 {
            out.extend_from_slice(b" \\\n");
            column = 0;
        }
        out.push(b' ');
        column += 1;
    }
    column + name.len()
}

/// Measured with clang 14: 75 columns with the break itself, and what follows is set in by two.
/// Escaped bytes of a file's name count once.
fn clang(out: &mut Vec<u8>, column: usize, name: &[u8], is_target: bool) -> usize {
    let width = if is_target { name.len() } else { unescaped(name) };
    if column == 0 {
        width
    } else if column + width + if is_target { 2 } else { 3 } > 75 {
        out.extend_from_slice(b" \\\n  ");
        2 + width + usize::from(!is_target)
    } else {
        out.push(b' ');
        column + width + 1
    }
}

fn unescaped(name: &[u8]) -> usize {
    let escapes =
        name.windows(2).filter(|pair| [b"\\ ", b"\\#", b"$$"].iter().any(|escape| pair == escape));
    name.len() - escapes.count()
}

/// The lines with their breaks taken out.
fn logical_lines(text: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut goes_on = false;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let broken = line.strip_suffix(b" \\");
        let part = broken.unwrap_or(line);
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => last.extend_from_slice(part),
            None => lines.push(part.to_vec()),
        }
        goes_on = broken.is_some();
    }
    lines
}

/// Names, divided by blanks that are not escaped.
fn words(line: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, byte) in line.iter().enumerate() {
        if *byte == b' ' && (at == 0 || line[at - 1] != b'\\') {
            found.push(&line[start..at]);
            start = at + 1;
        }
    }
    found.push(&line[start..]);
    found.retain(|word| !word.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gcc_text_comes_back() {
        let text = b"a.o: /tmp/h/one/src/a.c /usr/include/stdc-predef.h /tmp/h/one/inc/x.h \\\n \
            /usr/include/assert.h /usr/include/features.h\n\n/usr/include/assert.h:\n";
        assert_eq!(lay_out(text, Flavor::Gcc), text);
        let joined = String::from_utf8_lossy(text).replace(" \\\n ", " ");
        assert_eq!(lay_out(joined.as_bytes(), Flavor::Gcc), text);
    }

    #[test]
    fn escaped_blanks_do_not_divide() {
        assert_eq!(words(b"a.o: my\\ dir/a.c b.h"), [&b"a.o:"[..], b"my\\ dir/a.c", b"b.h"]);
        assert_eq!(unescaped(b"my\\ $$x"), 5);
    }
}

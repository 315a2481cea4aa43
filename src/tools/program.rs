//! What kind of file a program is: a script, a static or a dynamic executable, and what
//! else is loaded with it.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What running a program file means.
#[derive(Debug, PartialEq)]
pub(super) enum Program {
    /// `#!INTERPRETER …`; the text tells which variables it looks at.
    Script { interpreter: Vec<u8>, text: Vec<u8> },
    /// Loaded by this dynamic loader.
    Dynamic { loader: Vec<u8> },
    /// An executable without a loader, or of a format not known.
    Static,
}

/// Scripts longer than this are not searched for variables.
const SCRIPT_BYTES_MAX: u64 = 1 << 20;
const HEAD_BYTES: usize = 64 << 10;
/// Where the name of a loader nearly always ends.
const FIRST_BYTES: usize = 4 << 10;

/// Reads the head of a program file.
pub(super) fn inspect(path: &[u8]) -> std::io::Result<Program> {
    let mut file = File::open(Path::new(std::ffi::OsStr::from_bytes(path)))?;
    // Every miss asks this of its compiler: one short read is mostly enough.
    let mut head = vec![0; FIRST_BYTES];
    let first = file.read(&mut head)?;
    head.truncate(first);
    if let Some(loader) = elf_loader(&head) {
        return Ok(Program::Dynamic { loader });
    }
    file.by_ref().take((HEAD_BYTES - first) as u64).read_to_end(&mut head)?;
    if head.starts_with(b"#!") {
        file.take(SCRIPT_BYTES_MAX).read_to_end(&mut head)?;
        let line = head[2..].split(|byte| *byte == b'\n').next().unwrap_or_default();
        let interpreter = line
            .split(|byte| byte.is_ascii_whitespace())
            .find(|word| !word.is_empty())
            .unwrap_or_default()
            .to_vec();
        return Ok(Program::Script { interpreter, text: head });
    }
    Ok(match elf_loader(&head) {
        Some(loader) => Program::Dynamic { loader },
        None => Program::Static,
    })
}

/// The PT_INTERP of a 64- or 32-bit little-endian ELF file (ELF specification, program header).
fn elf_loader(head: &[u8]) -> Option<Vec<u8>> {
    if !head.starts_with(b"\x7fELF") || *head.get(5)? != 1 {
        return None;
    }
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let field = head.get(at..at.checked_add(bytes)?)?;
        Some(field.iter().rev().fold(0usize, |value, byte| value << 8 | usize::from(*byte)))
    };
    let wide = *head.get(4)? == 2;
    let (table, entry_bytes, entries) = if wide {
        (number(32, 8)?, number(54, 2)?, number(56, 2)?)
    } else {
        (number(28, 4)?, number(42, 2)?, number(44, 2)?)
    };
    const PT_INTERP: usize = 3;
    for index in 0..entries {
        let at = table.checked_add(index.checked_mul(entry_bytes)?)?;
        if number(at, 4)? == PT_INTERP {
            let (offset, size) = if wide {
                (number(at + 8, 8)?, number(at + 32, 8)?)
            } else {
                (number(at + 4, 4)?, number(at + 16, 4)?)
            };
            let name = head.get(offset..offset.checked_add(size)?)?;
            return Some(name.split(|byte| *byte == 0).next()?.to_vec());
        }
    }
    None
}

/// Names that a shell-like script takes from its environment: `$NAME`, `${NAME…}`, and for
/// other languages every upper-case word in quotes (`os.environ["NAME"]`, `getenv('NAME')`).
pub(super) fn variables_of_script(text: &[u8]) -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut at = 0;
    while at < text.len() {
        let quoted = match text[at] {
            b'$' => false,
            b'"' | b'\'' => true,
            _ => {
                at += 1;
                continue;
            }
        };
        at += 1;
        if !quoted && text.get(at) == Some(&b'{') {
            at += 1;
        }
        let end = at + text[at..].iter().take_while(|byte| is_name(**byte)).count();
        let name = &text[at..end];
        let plausible = name.first().is_some_and(|first| !first.is_ascii_digit())
            && (!quoted || !name.iter().any(u8::is_ascii_lowercase));
        if plausible && !names.iter().any(|known| known == name) {
            names.push(name.to_vec());
        }
        at = end;
    }
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_names_its_variables() {
        let names = variables_of_script(
            b"#!/bin/sh\nexec ${CROSS:-x}gcc $1 \"$FLAGS\" os.environ['KEY'] 'word'\n",
        );
        assert_eq!(names, [b"CROSS".to_vec(), b"FLAGS".to_vec(), b"KEY".to_vec()]);
    }

    #[test]
    fn junk_is_no_elf_file() {
        assert_eq!(elf_loader(b"\x7fELF"), None);
        assert_eq!(elf_loader(&[b"\x7fELF\x02\x01".as_slice(), &[0xff; 100]].concat()), None);
    }

    #[test]
    fn a_dynamic_program_has_a_loader() {
        let loader = match inspect(b"/bin/sh") {
            Ok(Program::Dynamic { loader }) => loader,
            other => panic!("{other:?}"),
        };
        assert!(loader.starts_with(b"/lib"));
    }
}

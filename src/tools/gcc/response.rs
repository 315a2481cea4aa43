//! Response files: `@FILE` stands for the arguments in FILE.
//!
//! gcc and clang agree on plain text and differ in corners (a vertical tab, an empty quoted
//! argument, a backslash at the end of a line, a byte order mark). Such a file is refused.

use crate::terms::Arg;

/// Deeper than any build nests them; also what ends a file that names itself.
const DEEPEST: usize = 32;
/// More than any system lets a process be started with.
const MOST: usize = 1 << 20;
/// More files than any build names in one command. Without it, files that each name the next one
/// twice would be read two to the power of `DEEPEST` times.
const FILES: usize = 2000;

/// `argv` with every response file replaced by what it holds, or the argument to blame.
pub fn expand(
    argv: &[Arg],
    read: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<Arg>, Arg> {
    let mut expanded = Vec::with_capacity(argv.len());
    let mut files = 0;
    let mut counted = |path: &[u8]| {
        files += 1;
        if files <= FILES { read(path) } else { None }
    };
    for arg in argv {
        expand_one(arg, &mut counted, 0, &mut expanded)?;
    }
    Ok(expanded)
}

fn expand_one(
    arg: &Arg,
    read: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
    depth: usize,
    expanded: &mut Vec<Arg>,
) -> Result<(), Arg> {
    let Some(path) = arg.strip_prefix(b"@") else {
        expanded.push(arg.clone());
        return Ok(());
    };
    if depth == DEEPEST || expanded.len() > MOST {
        return Err(arg.clone());
    }
    // An unreadable one stays a literal argument for gcc: no compile we would cache either way.
    let text = read(path).ok_or_else(|| arg.clone())?;
    for token in tokens(&text).ok_or_else(|| arg.clone())? {
        expand_one(&token, read, depth + 1, expanded)?;
    }
    Ok(())
}

/// The arguments in a response file's text; none where gcc and clang would not read it alike.
pub(in crate::tools) fn tokens(text: &[u8]) -> Option<Vec<Arg>> {
    if [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"].iter().any(|mark| text.starts_with(mark))
        || text.iter().any(|byte| matches!(byte, 0 | 0x0b | 0x0c))
    {
        return None;
    }
    let mut tokens = Vec::new();
    let mut token: Option<Vec<u8>> = None;
    let mut quote: Option<u8> = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            // Escapes the next byte, inside of both kinds of quotes too.
            (b'\\', _) => match bytes.next()? {
                b'\n' | b'\r' => return None,
                escaped => token.get_or_insert_default().push(escaped),
            },
            (_, Some(open)) if byte == open => quote = None,
            (_, Some(_)) => token.get_or_insert_default().push(byte),
            (b'\'' | b'"', None) => {
                token.get_or_insert_default();
                quote = Some(byte);
            }
            (b' ' | b'\t' | b'\r' | b'\n', None) => tokens.extend(token.take()),
            (_, None) => token.get_or_insert_default().push(byte),
        }
    }
    tokens.extend(token);
    let plain = quote.is_none() && !tokens.iter().any(Vec::is_empty);
    plain.then_some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Option<Vec<String>> {
        let lossy = |arg: Arg| String::from_utf8_lossy(&arg).into_owned();
        Some(tokens(text.as_bytes())?.into_iter().map(lossy).collect())
    }

    #[test]
    fn splits_as_the_compilers_do() {
        // Measured with `-###` on gcc 12 and clang 14.
        for (text, expected) in [
            ("-c a.c\n-O2\t-g", &["-c", "a.c", "-O2", "-g"][..]),
            (r"-DA='a\'b'", &["-DA=a'b"]),
            (r#"-DB="c d"e"#, &["-DB=c de"]),
            (r"-DC=f\ g", &["-DC=f g"]),
            ("'x''y'", &["xy"]),
            ("", &[]),
            (" \n ", &[]),
        ] {
            assert_eq!(split(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_read_differently() {
        for text in ["\"\"", "'open", "end\\", "a\\\nb", "a\u{b}b", "a\0b", "\u{feff}-c"] {
            assert_eq!(split(text), None, "{text:?}");
        }
    }

    #[test]
    fn nests_in_order_and_ends() {
        let mut asked = Vec::new();
        let mut read = |path: &[u8]| {
            asked.push(String::from_utf8_lossy(path).into_owned());
            match path {
                b"one" => Some(b"-a @two -c".to_vec()),
                b"two" => Some(b"-b".to_vec()),
                b"self" => Some(b"@self".to_vec()),
                _ => None,
            }
        };
        let args =
            |list: &[&str]| list.iter().map(|arg| arg.as_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(expand(&args(&["@one", "-d"]), &mut read), Ok(args(&["-a", "-b", "-c", "-d"])));
        assert_eq!(expand(&args(&["@self"]), &mut read), Err(b"@self".to_vec()));
        assert_eq!(expand(&args(&["@gone"]), &mut read), Err(b"@gone".to_vec()));
        assert_eq!(asked[..2], ["one", "two"]);
    }

    #[test]
    fn files_that_multiply_are_refused() {
        let mut reads = 0;
        let mut read = |path: &[u8]| {
            reads += 1;
            let next = path[0] + 1;
            Some(if next < b'0' + 30 { vec![b'@', next, b' ', b'@', next] } else { vec![] })
        };
        assert!(expand(&[b"@0".to_vec()], &mut read).is_err());
        assert!(reads <= FILES);
    }
}

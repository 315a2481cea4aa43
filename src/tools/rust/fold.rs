//! Names of output files in texts: taken out before a result is stored, put back for the
//! command that gets it, so that a result fits another target folder.

use crate::terms::output::Output;

/// Starts and ends the mark that stands for an output's name. rustc's texts are UTF-8 for
/// people; where this byte is in one all the same, the text is not folded.
const MARK: u8 = 1;

/// Bytes that neither make's syntax nor JSON writes in another way.
pub(super) fn is_clean(path: &[u8]) -> bool {
    path.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@,~".contains(byte))
}

/// Replaces the names of outputs where rustc writes them: as targets at the start of a line
/// of a dependency file, and as the value of `"artifact":` in a JSON message.
pub(super) fn fold(text: &[u8], outputs: &[Output]) -> Option<Vec<u8>> {
    if text.contains(&MARK) {
        return None;
    }
    let mut folded = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let found = outputs.iter().enumerate().find_map(|(number, output)| {
            if let Some(rest) = line.strip_prefix(&output.path[..])
                && rest.starts_with(b":")
            {
                return Some((0, number, rest));
            }
            let quoted = [b"\"artifact\":\"", &output.path[..], b"\""].concat();
            let at = memchr::memmem::find(line, &quoted)?;
            Some((at + 12, number, &line[at + quoted.len() - 1..]))
        });
        match found {
            None => folded.extend_from_slice(line),
            Some((before, number, rest)) => {
                folded.extend_from_slice(&line[..before]);
                folded.push(MARK);
                folded.extend_from_slice(number.to_string().as_bytes());
                folded.push(MARK);
                folded.extend_from_slice(rest);
            }
        }
    }
    Some(folded)
}

/// The other way.
pub(super) fn unfold(text: &[u8], outputs: &[Output]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(text.len() + 256);
    for (nth, part) in text.split(|byte| *byte == MARK).enumerate() {
        // Every second part is a number.
        let name = std::str::from_utf8(part).ok().and_then(|number| number.parse().ok());
        let output = name.and_then(|number: usize| outputs.get(number));
        match output.filter(|_| nth % 2 == 1) {
            Some(output) => whole.extend_from_slice(&output.path),
            None => whole.extend_from_slice(part),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::output::{Role, WriteStyle};

    fn outputs(folder: &str) -> Vec<Output> {
        let output = |name: &str| Output {
            role: Role::Main,
            path: format!("{folder}/{name}").into_bytes(),
            style: WriteStyle::Replace,
            required: true,
        };
        vec![output("a.d"), output("liba.rmeta")]
    }

    #[test]
    fn texts_move_with_their_folder() {
        let text = b"/t/a.d: src/t/a.d 12\n\n/t/liba.rmeta: b.rs\n{\"artifact\":\"/t/liba.rmeta\",\"emit\":\"metadata\"}\n";
        let folded = fold(text, &outputs("/t")).unwrap();
        assert!(memchr::memmem::find(&folded, b"\"/t/").is_none());
        assert_eq!(unfold(&folded, &outputs("/t")), text);
        let moved = unfold(&folded, &outputs("/u/v"));
        let expected = String::from_utf8_lossy(text).replace("/t/liba", "/u/v/liba");
        assert_eq!(moved, expected.replacen("/t/a.d:", "/u/v/a.d:", 1).into_bytes());
        assert_eq!(fold(b"a\x01b", &[]), None);
        assert!(
            is_clean(b"/home/u/.cache/x-1_2/deps") && !is_clean(b"/a b") && !is_clean(b"/\xc3")
        );
    }
}

//! Names of our own making. The folders that they are in may hold files of the user, too: only files with such names
//! are removed.

/// Whether a name, or what follows a word in it, is so many numbers with a dash between each two: `PID-NUMBER`.
pub fn are_numbers(text: &[u8], count: usize) -> bool {
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let parts = || text.split(|byte| *byte == b'-');
    parts().count() == count && parts().all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert!(are_numbers(b"1", 1) && are_numbers(b"12-3", 2) && are_numbers(b"1-2-3", 3));
        for (text, count) in [
            ("", 1),
            ("x", 1),
            ("1x", 1),
            ("-1", 1),
            ("1-", 1),
            ("1-2", 1),
            ("1", 2),
            ("1--2", 2),
            ("1--2", 3),
            ("1 ", 1),
        ] {
            assert!(!are_numbers(text.as_bytes(), count), "{text} {count}");
        }
    }
}

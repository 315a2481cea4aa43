//! How output for people looks: colour where a terminal shows it, columns that line up.

use std::fmt::Write;

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    on: bool,
}

impl Style {
    /// For stdout: on for a terminal, unless `NO_COLOR` is set or the terminal can't.
    pub fn of_stdout() -> Style {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let terminal = rustix::termios::isatty(rustix::stdio::stdout());
        Style { on: terminal && !dumb && !is_set("NO_COLOR") }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// What came from the cache.
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// What had to be compiled.
    pub fn slow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// What failed.
    pub fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }
}

/// Rows of cells under headings, each column as wide as its widest cell.
pub struct Columns<const N: usize> {
    headings: [&'static str; N],
    rows: Vec<[String; N]>,
    right: [bool; N],
}

impl<const N: usize> Columns<N> {
    pub fn new(headings: [&'static str; N]) -> Columns<N> {
        Columns { headings, rows: Vec::new(), right: [false; N] }
    }

    /// Sets these columns flush right, as numbers are.
    pub fn right(mut self, columns: &[usize]) -> Columns<N> {
        for &column in columns {
            self.right[column] = true;
        }
        self
    }

    pub fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// The whole table; nothing where there are no rows.
    pub fn text(&self, style: &Style) -> String {
        let mut text = String::new();
        if self.rows.is_empty() {
            return text;
        }
        let mut widths = self.headings.map(str::len);
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(seen_width(cell));
            }
        }
        let mut line = |cells: [&str; N]| {
            let mut line = String::new();
            for (column, cell) in cells.into_iter().enumerate() {
                let space = " ".repeat(widths[column].saturating_sub(seen_width(cell)));
                if self.right[column] {
                    let _ = write!(line, "{space}{cell}  ");
                } else {
                    let _ = write!(line, "{cell}{space}  ");
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        };
        let headings = self.headings.map(|heading| style.faint(heading));
        line(headings.each_ref().map(String::as_str));
        for row in &self.rows {
            line(row.each_ref().map(String::as_str));
        }
        text
    }
}

/// How many columns a text takes, colours not counted.
fn seen_width(text: &str) -> usize {
    let mut width = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            chars.by_ref().find(|c| c.is_ascii_alphabetic());
        } else {
            width += 1;
        }
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_and_without_colour() {
        for on in [false, true] {
            let style = Style { on };
            let mut columns = Columns::new(["name", "count"]).right(&[1]);
            columns.row([style.bold("é"), "7".to_owned()]);
            columns.row(["longer".to_owned(), style.good("12345")]);
            let text = columns.text(&style);
            assert_eq!(text.contains('\x1b'), on);
            let ends: Vec<usize> = text.lines().map(seen_width).collect();
            assert_eq!(ends, [13, 13, 13], "{text}");
        }
        assert_eq!(Columns::new(["a"]).text(&Style { on: false }), "");
    }
}

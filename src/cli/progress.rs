//! How far a download is: a bar where stderr is a terminal, lines for programs otherwise.

use std::io::Write;
use std::time::{Duration, Instant};

use super::human_bytes;
use crate::download::{DownloadStatus, Phase};
use crate::sys::terminal;

/// How often a line is written where nobody watches.
const QUIET: Duration = Duration::from_secs(2);

pub struct Progress {
    look: Look,
    began: Instant,
    /// What was there when we began to look.
    first: Option<u64>,
    /// Where nobody watches: when the last line was written, and of which phase.
    last: Option<(Instant, Phase)>,
    drawn: bool,
}

enum Look {
    Bar,
    Words,
    Json,
}

impl Progress {
    pub fn new(json: bool) -> Progress {
        let look = match (json, terminal::stderr_size()) {
            (true, _) => Look::Json,
            (false, Some(_)) => Look::Bar,
            (false, None) => Look::Words,
        };
        Progress { look, began: Instant::now(), first: None, last: None, drawn: false }
    }

    /// Shows it, unless it was shown just now.
    pub fn show(&mut self, status: &DownloadStatus) {
        let have = status.downloaded_bytes;
        let first = *self.first.get_or_insert(have);
        if let Look::Bar = self.look {
            let columns = terminal::stderr_size().map_or(0, |size| usize::from(size.ws_col));
            let columns = if columns == 0 { 80 } else { columns };
            let speed = speed(have.saturating_sub(first), self.began.elapsed());
            self.drawn = true;
            return write(&format!("\r\x1b[K{}", bar(status, speed, columns)));
        }
        let now = Instant::now();
        let is_news =
            self.last.is_none_or(|(at, phase)| phase != status.phase || now - at >= QUIET);
        if !is_news {
            return;
        }
        self.last = Some((now, status.phase));
        write(&match self.look {
            Look::Json => format!("{}\n", serde_json::json!(status)),
            _ => {
                let total = status.total_bytes.map(|total| format!(" total_bytes={total}"));
                let total = total.unwrap_or_default();
                format!("phase={} downloaded_bytes={have}{total}\n", status.phase.name())
            }
        });
    }

    /// Leaves the terminal as it was.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.drawn) {
            write("\r\x1b[K");
        }
    }
}

/// Nobody reading it is no fault of ours.
fn write(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Bytes in a second.
fn speed(bytes: u64, within: Duration) -> u64 {
    if within.is_zero() { 0 } else { (bytes as f64 / within.as_secs_f64()) as u64 }
}

/// One line that fits.
fn bar(status: &DownloadStatus, speed: u64, columns: usize) -> String {
    let (have, phase) = (status.downloaded_bytes, status.phase.name());
    let Some(total) = status.total_bytes.filter(|&total| total > 0) else {
        let line = format!("{phase} {} {}/s", human_bytes(have), human_bytes(speed));
        return line.chars().take(columns.saturating_sub(1)).collect();
    };
    let left = total
        .saturating_sub(have)
        .checked_div(speed)
        .map_or(String::new(), |seconds| format!("  {}:{:02} left", seconds / 60, seconds % 60));
    let percent = have.min(total) * 100 / total;
    let words =
        format!(" {percent:3}% of {}  {}/s{left}  {phase}", human_bytes(total), human_bytes(speed));
    let room = columns.saturating_sub(words.chars().count() + 3).min(40);
    let full = (room as u64 * have.min(total) / total) as usize;
    let line = format!("[{}{}]{words}", "#".repeat(full), " ".repeat(room - full));
    line.chars().take(columns.saturating_sub(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fits() {
        let mut status = DownloadStatus {
            download_id: String::new(),
            url: String::new(),
            destination: "f".into(),
            phase: Phase::Downloading,
            downloaded_bytes: 50,
            total_bytes: Some(100),
            connections: 1,
            clients: 1,
            outcome: None,
            sha256: None,
            expanded_path: None,
            note: None,
            error: None,
        };
        for columns in [0, 1, 10, 40, 80, 300] {
            assert!(bar(&status, 10, columns).chars().count() <= columns);
        }
        assert!(bar(&status, 10, 80).contains("50% of 100 B  10 B/s  0:05 left"));
        status.total_bytes = None;
        assert_eq!(bar(&status, 0, 80), "downloading 50 B 0 B/s");
    }
}

//! The daemon's log: one line each, into a file that is cut when it grows.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;

/// A log longer than this is begun anew at the next start.
const BYTES_MAX: u64 = 4 << 20;

struct ToFile {
    file: Mutex<File>,
}

impl Log for ToFile {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // sled tells its own inner life at debug level.
        metadata.target().starts_with("zccache")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let (seconds, millis) = (now.as_secs(), now.subsec_millis());
            let line = format!("{seconds}.{millis:03} {} {}\n", record.level(), record.args());
            // A full disk loses log lines and nothing else.
            let _ = self.file.lock().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

/// How much is told from now on; the usual amount where nothing was asked for.
pub fn set_level(level: Option<LevelFilter>) {
    log::set_max_level(level.unwrap_or(LevelFilter::Info));
}

/// Sends all log lines of this process to a file. Without the file there is no log.
pub fn to_file(path: &Path, level: Option<LevelFilter>) {
    if std::fs::metadata(path).is_ok_and(|meta| meta.len() > BYTES_MAX) {
        let _ = std::fs::rename(path, path.with_extension("log.old"));
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let Ok(file) = file else { return };
    set_level(level);
    // A second call in one process keeps the first log.
    let _ = log::set_boxed_logger(Box::new(ToFile { file: Mutex::new(file) }));
}

//! Crash reports: what a daemon writes when something in it panics, and what the next one
//! writes of a daemon that ended without a word. Text files under `crashes/`.

use std::backtrace::Backtrace;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::names::are_numbers;
use super::time::iso;

/// The folder under the cache root.
pub const FOLDER: &str = "crashes";
/// Beyond this many the oldest go.
const REPORTS_MAX: usize = 20;

/// One report.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Crash {
    pub path: PathBuf,
    pub text: String,
}

/// From now on every panic of this process leaves a report. The daemon catches most of them
/// and goes on.
pub fn report_panics(root: &Path) {
    let folder = root.join(FOLDER);
    std::panic::set_hook(Box::new(move |info| write(&folder, &panic_text(info))));
}

/// A daemon was there and ended without saying so.
pub fn report_vanished(root: &Path, pid: &str) {
    let words = format!(
        "daemon {pid} ended without a word: it was killed, ran out of memory, or the machine stopped\n"
    );
    write(&root.join(FOLDER), &words);
}

fn panic_text(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = payload.downcast_ref::<&str>().copied();
    let message = message.or(payload.downcast_ref::<String>().map(String::as_str));
    let place = info.location().map_or("an unknown place".to_owned(), ToString::to_string);
    let thread = std::thread::current();
    format!(
        "thread {} panicked at {place}: {}\n\n{:#}",
        thread.name().unwrap_or("without a name"),
        message.unwrap_or("no message"),
        Backtrace::force_capture(),
    )
}

/// Best effort: a crash must not become a worse one.
fn write(folder: &Path, what: &str) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let when = iso(now.as_micros() as u64);
    let pid = std::process::id();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let text = format!(
        "when: {when}\nversion: {} (build {})\npid: {pid}\n{what}\n",
        env!("CARGO_PKG_VERSION"),
        env!("ZCCACHE_BUILD_ID"),
    );
    let path = folder.join(format!("{}-{pid}-{number}.txt", when.replace(':', "")));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
    let mut all = files(folder);
    // Their names begin with the time.
    all.truncate(all.len().saturating_sub(REPORTS_MAX));
    all.iter().for_each(|old| {
        let _ = std::fs::remove_file(old);
    });
}

/// The reports' files, the oldest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| is_report(name.as_encoded_bytes())))
        .collect();
    all.sort();
    all
}

/// Whether a name is one that `write` gives: `2026-01-02T030405.678Z-PID-NUMBER.txt`. The folder may hold files of
/// the user, too.
fn is_report(name: &[u8]) -> bool {
    let Some(stem) = name.strip_suffix(b".txt") else { return false };
    let time = stem.rsplitn(3, |byte| *byte == b'-').nth(2).unwrap_or_default();
    let numbers = stem[time.len()..].strip_prefix(b"-").unwrap_or_default();
    are_numbers(numbers, 2)
        && time.ends_with(b"Z")
        && time.contains(&b'T')
        && time.iter().all(|byte| byte.is_ascii_digit() || b"-T.Z".contains(byte))
}

/// All reports of a root, the latest first.
pub fn list(root: &Path) -> Vec<Crash> {
    let read = |path: PathBuf| {
        let text = String::from_utf8_lossy(&std::fs::read(&path).ok()?).into_owned();
        Some(Crash { path, text })
    };
    files(&root.join(FOLDER)).into_iter().rev().filter_map(read).collect()
}

/// Removes all reports and gives their number.
pub fn clear(root: &Path) -> usize {
    let all = files(&root.join(FOLDER));
    all.iter().filter(|path| std::fs::remove_file(path).is_ok()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_leaves_a_report() {
        // The hook belongs to the process, so this runs in one of its own.
        const FOLDER_OF_CHILD: &str = "ZCCACHE_TEST_CRASHES";
        if let Some(root) = std::env::var_os(FOLDER_OF_CHILD) {
            report_panics(Path::new(&root));
            assert!(std::panic::catch_unwind(|| panic!("one thing too many: {}", 7)).is_err());
            return;
        }
        let root = std::env::temp_dir().join(format!("zcc-panic-{}", std::process::id()));
        std::fs::create_dir_all(root.join(FOLDER)).unwrap();
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "session::crash::tests::a_panic_leaves_a_report"])
            .env(FOLDER_OF_CHILD, &root)
            .stdout(std::process::Stdio::null())
            .status();
        assert!(child.unwrap().success());
        let all = list(&root);
        assert_eq!(all.len(), 1);
        for word in ["one thing too many: 7", "crash.rs:", "version: ", "0x"] {
            assert!(all[0].text.contains(word), "{word}: {}", all[0].text);
        }
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn reports_are_kept_within_bounds() {
        let root = std::env::temp_dir().join(format!("zcc-crash-{}", std::process::id()));
        std::fs::create_dir_all(root.join(FOLDER)).unwrap();
        assert_eq!(list(&root), []);
        for _ in 0..REPORTS_MAX + 5 {
            report_vanished(&root, "77");
        }
        let of_the_user = root.join(FOLDER).join("user.txt");
        std::fs::write(&of_the_user, "mine").unwrap();
        let all = list(&root);
        assert_eq!(all.len(), REPORTS_MAX);
        for word in ["when: 20", "version: ", "pid: ", "daemon 77 ended"] {
            assert!(all[0].text.contains(word), "{word}: {}", all[0].text);
        }
        assert_eq!(clear(&root), REPORTS_MAX);
        assert_eq!(list(&root), []);
        assert!(of_the_user.exists());
        std::fs::remove_dir_all(&root).unwrap();
        report_vanished(&root, "77");
        assert!(!root.exists());
    }
}

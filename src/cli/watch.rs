//! `zccache watch`: a stream of changes, one line or one JSON object for each batch.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::given::Given;
use super::{USAGE, say};
use crate::watch::{Batch, Config, EventWatcher, PollingWatcher};

struct Options {
    config: Config,
    /// Look at intervals instead of being told.
    poll: bool,
    json: bool,
}

/// Runs until nobody reads any more.
pub fn run(given: &Given) -> ExitCode {
    let options = match Options::of(given) {
        Ok(options) => options,
        Err(error) => {
            say(&format!("watch: {error}; see zccache watch --help"));
            return ExitCode::from(USAGE);
        }
    };
    let roots = options.config.roots.len();
    let started = if options.poll {
        PollingWatcher::start(options.config).map(|watcher| {
            say(&format!("watch: ready, looking at {roots} root(s)"));
            tell(options.json, || watcher.wait())
        })
    } else {
        EventWatcher::start(options.config).map(|watcher| {
            say(&format!("watch: ready, watching {} folder(s)", watcher.folders()));
            tell(options.json, || watcher.wait())
        })
    };
    match started {
        Ok(code) => code,
        Err(error) => {
            say(&format!("watch: {error}"));
            ExitCode::from(USAGE)
        }
    }
}

fn tell(json: bool, next: impl Fn() -> Option<Batch>) -> ExitCode {
    let mut out = std::io::stdout().lock();
    while let Some(batch) = next() {
        let text = if json { machine(&batch) } else { lines(&batch) };
        if out.write_all(&text).and_then(|()| out.flush()).is_err() {
            return ExitCode::SUCCESS;
        }
    }
    say("watch: ended by a fault");
    ExitCode::FAILURE
}

fn machine(batch: &Batch) -> Vec<u8> {
    let names = |list: &[PathBuf]| -> Vec<String> {
        list.iter().map(|path| path.to_string_lossy().into_owned()).collect()
    };
    let value = serde_json::json!({
        "created": names(&batch.created),
        "changed": names(&batch.changed),
        "removed": names(&batch.removed),
        "overflow": batch.overflow,
    });
    format!("{value}\n").into_bytes()
}

fn lines(batch: &Batch) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    let mut text = Vec::new();
    if batch.overflow {
        text.extend(b"overflow\n");
    }
    let lists =
        [("created", &batch.created), ("changed", &batch.changed), ("removed", &batch.removed)];
    for (word, paths) in lists {
        for path in paths {
            text.extend(word.as_bytes());
            text.push(b' ');
            text.extend(Path::as_os_str(path).as_bytes());
            text.push(b'\n');
        }
    }
    text
}

impl Options {
    fn of(given: &Given) -> Result<Options, String> {
        let time = |flag: &str| given.text(flag).map(|text| seconds(&text)).transpose();
        let globs = |flag: &str| {
            let text = |glob: &OsStr| glob.to_str().map(str::to_owned);
            let globs = given.values(flag).map(text).collect::<Option<Vec<_>>>();
            globs.ok_or_else(|| format!("--{flag}: not UTF-8"))
        };
        let mut config = Config::new(".");
        let roots: Vec<PathBuf> = given.values("root").map(PathBuf::from).collect();
        if !roots.is_empty() {
            config.roots = roots;
        }
        (config.include, config.exclude) = (globs("include")?, globs("exclude")?);
        config.debounce = time("debounce")?.unwrap_or(config.debounce);
        config.poll_interval = time("poll")?.unwrap_or(config.poll_interval);
        Ok(Options { config, poll: given.has("poll"), json: given.has("json") })
    }
}

/// `0.2`, `0.2s` or `200ms`.
fn seconds(text: &str) -> Result<Duration, String> {
    let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1e-3),
        (None, Some(number)) => (number, 1.0),
        (None, None) => (text, 1.0),
    };
    let value = number.parse::<f64>().ok().filter(|value| (0.0..=86400.0).contains(value));
    value
        .map(|value| Duration::from_secs_f64(value * unit))
        .ok_or_else(|| "a time is needed, like 0.2 or 200ms".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(seconds("2"), Ok(Duration::from_secs(2)));
        assert_eq!(seconds("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("20ms"), Ok(Duration::from_millis(20)));
        for bad in ["", "x", "-1", "ms", "1e9", "nan"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}

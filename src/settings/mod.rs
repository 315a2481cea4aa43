//! The user's settings: the environment, over the file of the cache root, over the defaults.

pub mod file;
pub mod table;

use std::fmt;
use std::time::Duration;

use file::ConfigFile;

use crate::terms::output::LinkMode;
use crate::terms::priority::Priority;
use crate::tools::gcc::strict_paths::StrictPaths;

/// A variable whose value means nothing to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadVariable {
    pub name: &'static str,
    pub value: Vec<u8>,
    /// What would have been understood, in words.
    pub allowed: &'static str,
}

impl fmt::Display for BadVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Escaped, so that the message stays one line whatever the value is.
        write!(
            f,
            "{}=\"{}\" is not understood: allowed is {}",
            self.name,
            self.value.escape_ascii(),
            self.allowed
        )
    }
}

impl std::error::Error for BadVariable {}

/// All settings; a variable that is not set, or set badly, leaves the default.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `ZCCACHE_CACHE_DIR`, absolute. None: there is no folder to keep a cache in.
    pub cache_root: Option<Vec<u8>>,
    /// `ZCCACHE_ENDPOINT`, absolute: another socket than the root's own.
    pub endpoint: Option<Vec<u8>>,
    /// `ZCCACHE_DOWNLOAD_ENDPOINT`, absolute: another socket for the daemon that downloads.
    pub download_endpoint: Option<Vec<u8>>,
    /// `ZCCACHE_DISABLE`: run the tool and touch nothing else.
    pub disable: bool,
    /// `ZCCACHE_NO_SPAWN`: never start a daemon.
    pub no_spawn: bool,
    /// `ZCCACHE_RECACHE`: look nothing up, but store.
    pub recache: bool,
    /// `ZCCACHE_READONLY`: look up, but store nothing.
    pub readonly: bool,
    /// `ZCCACHE_LINK_MODE`. None: not set; the daemon may know what the file says.
    pub link_mode: Option<LinkMode>,
    /// `ZCCACHE_CACHE_SIZE` in bytes. None: the daemon chooses by the size of the disk.
    pub cache_size: Option<u64>,
    /// `ZCCACHE_IDLE_TIMEOUT`. None: the daemon's default.
    pub idle_timeout: Option<Duration>,
    /// `ZCCACHE_LOG`
    pub log_level: Option<log::LevelFilter>,
    /// `ZCCACHE_COMPILE_PRIORITY`; a bad value means low, and is worth a warning.
    pub compile_priority: Result<Priority, BadVariable>,
    /// `ZCCACHE_STRICT_PATHS`; bad values stop the call, so they are kept apart.
    pub strict_paths: Result<StrictPaths, BadVariable>,
    /// The variables that were set, for laying them over the file later.
    given: Vec<(&'static str, Vec<u8>)>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            cache_root: None,
            endpoint: None,
            download_endpoint: None,
            disable: false,
            no_spawn: false,
            recache: false,
            readonly: false,
            link_mode: None,
            cache_size: None,
            idle_timeout: None,
            log_level: None,
            compile_priority: Ok(Priority::Auto),
            strict_paths: Ok(StrictPaths::Off),
            given: Vec::new(),
        }
    }
}

impl Settings {
    /// From the running process, over the file; the first bad variable is an error. What is
    /// wrong in the file is beside them. For commands and the daemon.
    pub fn from_process() -> Result<(Settings, ConfigFile), BadVariable> {
        let cwd = rustix::process::getcwd(Vec::new()).ok().map(|cwd| cwd.into_bytes());
        let (settings, bad) =
            Settings::from_block(&crate::sys::process::environment(), cwd.as_deref());
        match bad.into_iter().next() {
            Some(bad) => Err(bad),
            None => {
                let file = settings.file();
                Ok((settings.over(&file), file))
            }
        }
    }

    /// The file that belongs to these settings.
    pub fn file(&self) -> ConfigFile {
        self.cache_root.as_deref().map(ConfigFile::read).unwrap_or_default()
    }

    /// These settings, and what the file says where the environment says nothing.
    pub fn over(self, file: &ConfigFile) -> Settings {
        let mut both = Settings {
            cache_root: self.cache_root,
            endpoint: self.endpoint,
            download_endpoint: self.download_endpoint,
            ..Settings::default()
        };
        for entry in &file.entries {
            // Only what is understood is an entry.
            let _ = both.set(entry.setting.variable, &entry.value);
        }
        for (name, value) in &self.given {
            // The bad ones were told of.
            let _ = both.set(name, value);
        }
        Settings { given: self.given, ..both }
    }

    /// Lays one more value over all others, as if its variable had it.
    pub fn give(&mut self, variable: &'static str, value: &[u8]) -> Result<(), BadVariable> {
        self.set(variable, value)?;
        self.given.retain(|(name, _)| *name != variable);
        self.given.push((variable, value.to_vec()));
        Ok(())
    }

    /// What the variable was set to, where it was.
    pub fn given(&self, variable: &str) -> Option<&[u8]> {
        let found = self.given.iter().find(|(name, _)| *name == variable);
        found.map(|(_, value)| value.as_slice())
    }

    /// From an environment block (`NAME=VALUE`, each ended by NUL), with the bad variables
    /// beside it. Without a cwd a relative folder counts as none.
    pub fn from_block(env: &[u8], cwd: Option<&[u8]>) -> (Settings, Vec<BadVariable>) {
        let mut settings = Settings::default();
        let mut bad = Vec::new();
        let mut seen: Vec<&[u8]> = Vec::new();
        let mut home: Option<&[u8]> = None;
        let mut root: Option<&[u8]> = None;
        for entry in env.split(|&byte| byte == 0) {
            if !entry.starts_with(b"ZCCACHE_") && !entry.starts_with(b"HOME=") {
                continue;
            }
            let Some(equals) = entry.iter().position(|&byte| byte == b'=') else { continue };
            let (name, value) = (&entry[..equals], &entry[equals + 1..]);
            // As getenv has it, the first of two counts. An empty value is as good as none.
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            if value.is_empty() {
                continue;
            }
            if name == b"HOME" {
                home = Some(value);
                continue;
            }
            let known = table::SETTINGS.iter().find(|known| known.variable.as_bytes() == name);
            let Some(known) = known else { continue };
            settings.given.push((known.variable, value.to_vec()));
            match known.variable {
                "ZCCACHE_CACHE_DIR" => root = Some(value),
                "ZCCACHE_ENDPOINT" => settings.endpoint = absolute(value, cwd),
                "ZCCACHE_DOWNLOAD_ENDPOINT" => settings.download_endpoint = absolute(value, cwd),
                variable => {
                    if let Err(error) = settings.set(variable, value) {
                        bad.push(error);
                    }
                }
            }
        }
        settings.cache_root = match (root, home) {
            (Some(root), _) => absolute(root, cwd),
            (None, Some(home)) => {
                absolute(home, cwd).map(|home| [&home, &b"/.zccache"[..]].concat())
            }
            (None, None) => None,
        };
        (settings, bad)
    }

    /// Takes one setting that does not name a place, as its variable spells it.
    fn set(&mut self, variable: &str, value: &[u8]) -> Result<(), BadVariable> {
        let Some(setting) = table::find(variable) else { return Ok(()) };
        let bad = || BadVariable {
            name: setting.variable,
            value: value.to_vec(),
            allowed: setting.allowed,
        };
        let text = || std::str::from_utf8(value).ok();
        match variable {
            "ZCCACHE_DISABLE" => self.disable = switch(value).ok_or_else(bad)?,
            "ZCCACHE_NO_SPAWN" => self.no_spawn = switch(value).ok_or_else(bad)?,
            "ZCCACHE_RECACHE" => self.recache = switch(value).ok_or_else(bad)?,
            "ZCCACHE_READONLY" => self.readonly = switch(value).ok_or_else(bad)?,
            "ZCCACHE_LINK_MODE" => {
                self.link_mode = Some(LinkMode::parse(value).ok_or_else(bad)?);
            }
            "ZCCACHE_CACHE_SIZE" => self.cache_size = Some(bytes(value).ok_or_else(bad)?),
            "ZCCACHE_IDLE_TIMEOUT" => {
                let seconds = text().and_then(|text| text.parse().ok()).ok_or_else(bad)?;
                self.idle_timeout = Some(Duration::from_secs(seconds));
            }
            "ZCCACHE_LOG" => {
                let level = text().and_then(|text| text.parse().ok());
                self.log_level = Some(level.ok_or_else(bad)?);
            }
            "ZCCACHE_COMPILE_PRIORITY" => {
                // Never an error: a bad one means low.
                self.compile_priority = Priority::parse(value).ok_or_else(bad);
            }
            "ZCCACHE_PATH_REMAP" if !matches!(value, b"off" | b"auto") => return Err(bad()),
            "ZCCACHE_STRICT_PATHS" => {
                self.strict_paths = StrictPaths::parse(value).ok_or_else(bad);
                self.strict_paths.as_ref().map_err(Clone::clone)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Where this root's daemon listens when no endpoint is given. None without a root.
    pub fn socket_path(&self) -> Option<Vec<u8>> {
        let root = self.cache_root.as_ref()?;
        let own = || [root, &b"/daemon.sock"[..]].concat();
        Some(self.endpoint.clone().unwrap_or_else(own))
    }
}

/// Bytes on one line, whatever they are; UTF-8 stays readable.
fn bytes_shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn absolute(path: &[u8], cwd: Option<&[u8]>) -> Option<Vec<u8>> {
    if path.starts_with(b"/") {
        return Some(path.to_vec());
    }
    cwd.map(|cwd| [cwd, b"/", path].concat())
}

fn switch(value: &[u8]) -> Option<bool> {
    match value.to_ascii_lowercase().as_slice() {
        b"1" | b"true" | b"yes" | b"on" => Some(true),
        b"0" | b"false" | b"no" | b"off" => Some(false),
        _ => None,
    }
}

/// A size: `20G`, `500M` and `1GiB` count in steps of 1024; `1GB` too, as in most caches.
fn bytes(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let shift = match text[digits..].trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift).filter(|&size| size > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(env: &str, cwd: Option<&str>) -> (Settings, Vec<BadVariable>) {
        let block: Vec<u8> = env.split(' ').flat_map(|e| [e.as_bytes(), b"\0"].concat()).collect();
        Settings::from_block(&block, cwd.map(str::as_bytes))
    }

    fn root(env: &str, cwd: Option<&str>) -> Option<String> {
        read(env, cwd).0.cache_root.map(|root| String::from_utf8(root).unwrap())
    }

    #[test]
    fn the_root_is_found() {
        assert_eq!(root("HOME=/h", None).as_deref(), Some("/h/.zccache"));
        assert_eq!(root("HOME=/h ZCCACHE_CACHE_DIR=/c", None).as_deref(), Some("/c"));
        assert_eq!(root("ZCCACHE_CACHE_DIR=c HOME=/h", Some("/w")).as_deref(), Some("/w/c"));
        assert_eq!(root("ZCCACHE_CACHE_DIR=c HOME=/h", None), None);
        assert_eq!(root("ZCCACHE_CACHE_DIR= HOME=/h", None).as_deref(), Some("/h/.zccache"));
        assert_eq!(root("HOME=", Some("/w")), None);
        assert_eq!(root("PATH=/bin", Some("/w")), None);
    }

    #[test]
    fn the_first_of_two_counts() {
        assert_eq!(root("HOME=/a HOME=/b", None).as_deref(), Some("/a/.zccache"));
    }

    #[test]
    fn the_socket_is_the_endpoint_or_the_roots_own() {
        let socket = |env| read(env, Some("/w")).0.socket_path();
        assert_eq!(socket("HOME=/h").as_deref(), Some(&b"/h/.zccache/daemon.sock"[..]));
        assert_eq!(socket("HOME=/h ZCCACHE_ENDPOINT=s").as_deref(), Some(&b"/w/s"[..]));
        assert_eq!(socket("ZCCACHE_ENDPOINT=/s"), None);
    }

    #[test]
    fn sizes() {
        for (text, size) in [
            ("1", Some(1)),
            ("20G", Some(20 << 30)),
            ("500M", Some(500 << 20)),
            ("1GiB", Some(1 << 30)),
            ("2 kb", Some(2048)),
            ("1T", Some(1 << 40)),
            ("0", None),
            ("", None),
            ("G", None),
            ("-1", None),
            ("1.5G", None),
            ("99999999999T", None),
        ] {
            assert_eq!(bytes(text.as_bytes()), size, "{text}");
        }
    }

    #[test]
    fn good_values_are_taken() {
        let (settings, bad) = read(
            "HOME=/h ZCCACHE_DISABLE=1 ZCCACHE_NO_SPAWN=yes ZCCACHE_RECACHE=0 ZCCACHE_READONLY=TRUE \
             ZCCACHE_LINK_MODE=copy ZCCACHE_CACHE_SIZE=5M ZCCACHE_IDLE_TIMEOUT=7 ZCCACHE_LOG=debug \
             ZCCACHE_STRICT_PATHS=1 ZCCACHE_COMPILE_PRIORITY=low ZCCACHE_UNKNOWN=x",
            None,
        );
        assert_eq!(bad, []);
        let expected = Settings {
            cache_root: Some(b"/h/.zccache".to_vec()),
            disable: true,
            no_spawn: true,
            readonly: true,
            link_mode: Some(LinkMode::Copy),
            cache_size: Some(5 << 20),
            idle_timeout: Some(Duration::from_secs(7)),
            log_level: Some(log::LevelFilter::Debug),
            strict_paths: Ok(StrictPaths::Absolute),
            compile_priority: Ok(Priority::Low),
            given: settings.given.clone(),
            ..Settings::default()
        };
        assert_eq!(settings, expected);
        assert_eq!(settings.given("ZCCACHE_CACHE_SIZE"), Some(&b"5M"[..]));
        assert_eq!(settings.given("ZCCACHE_UNKNOWN"), None);
    }

    #[test]
    fn bad_values_leave_the_default_and_are_told_in_one_line() {
        let (settings, bad) = read("ZCCACHE_LINK_MODE=a\nb ZCCACHE_DISABLE=maybe", None);
        assert_eq!(Settings { given: vec![], ..settings }, Settings::default());
        assert_eq!(
            bad[0].to_string(),
            r#"ZCCACHE_LINK_MODE="a\nb" is not understood: allowed is auto, reflink, hardlink or copy"#
        );
        assert_eq!(bad[1].name, "ZCCACHE_DISABLE");
        let (settings, bad) = read("ZCCACHE_STRICT_PATHS=often", None);
        assert_eq!(settings.strict_paths, Err(bad[0].clone()));
        let (settings, bad) = read("ZCCACHE_COMPILE_PRIORITY=fast", None);
        assert!(bad.is_empty() && settings.compile_priority.is_err());
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let file = ConfigFile::parse(
            b"/h/.zccache",
            b"readonly = true\ncache_size = \"1M\"\nlink_mode = \"copy\"\n",
        );
        let (settings, _) = read("HOME=/h ZCCACHE_READONLY=0 ZCCACHE_CACHE_SIZE=x", None);
        let both = settings.over(&file);
        assert_eq!((both.readonly, both.link_mode), (false, Some(LinkMode::Copy)));
        // A bad variable leaves what the file says.
        assert_eq!(both.cache_size, Some(1 << 20));
        assert_eq!(both.cache_root.as_deref(), Some(&b"/h/.zccache"[..]));
    }
}

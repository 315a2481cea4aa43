//! The user's settings, as environment variables give them.

use std::fmt;
use std::time::Duration;

use crate::store::deliver::LinkMode;

/// What `--strict-paths` and `ZCCACHE_STRICT_PATHS` ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StrictPaths {
    #[default]
    Off,
    /// All paths absolute, or all relative.
    Consistent,
    /// All paths absolute.
    Absolute,
}

impl StrictPaths {
    const ALLOWED: &str = "off, consistent, absolute or 1";

    /// None for a word that is not a mode.
    pub fn parse(text: &[u8]) -> Option<StrictPaths> {
        match text {
            b"" | b"0" | b"off" => Some(StrictPaths::Off),
            b"consistent" => Some(StrictPaths::Consistent),
            b"1" | b"absolute" => Some(StrictPaths::Absolute),
            _ => None,
        }
    }
}

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
    /// `ZCCACHE_DISABLE`: run the tool and touch nothing else.
    pub disable: bool,
    /// `ZCCACHE_NO_SPAWN`: never start a daemon.
    pub no_spawn: bool,
    /// `ZCCACHE_RECACHE`: look nothing up, but store.
    pub recache: bool,
    /// `ZCCACHE_READONLY`: look up, but store nothing.
    pub readonly: bool,
    /// `ZCCACHE_LINK_MODE`
    pub link_mode: LinkMode,
    /// `ZCCACHE_CACHE_SIZE` in bytes. None: the daemon chooses by the size of the disk.
    pub cache_size: Option<u64>,
    /// `ZCCACHE_IDLE_TIMEOUT`. None: the daemon's default.
    pub idle_timeout: Option<Duration>,
    /// `ZCCACHE_LOG`
    pub log_level: Option<log::LevelFilter>,
    /// `ZCCACHE_COMPILE_PRIORITY`, not looked at yet.
    pub compile_priority: Option<Vec<u8>>,
    /// `ZCCACHE_STRICT_PATHS`; bad values stop the call, so they are kept apart.
    pub strict_paths: Result<StrictPaths, BadVariable>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            cache_root: None,
            endpoint: None,
            disable: false,
            no_spawn: false,
            recache: false,
            readonly: false,
            link_mode: LinkMode::Auto,
            cache_size: None,
            idle_timeout: None,
            log_level: None,
            compile_priority: None,
            strict_paths: Ok(StrictPaths::Off),
        }
    }
}

impl Settings {
    /// From the running process; the first bad variable is an error. For commands.
    pub fn from_process() -> Result<Settings, BadVariable> {
        let cwd = rustix::process::getcwd(Vec::new()).ok().map(|cwd| cwd.into_bytes());
        let (settings, bad) =
            Settings::from_block(&crate::sys::process::environment(), cwd.as_deref());
        match bad.into_iter().next() {
            Some(bad) => Err(bad),
            None => Ok(settings),
        }
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
            match name {
                b"HOME" => home = Some(value),
                b"ZCCACHE_CACHE_DIR" => root = Some(value),
                b"ZCCACHE_ENDPOINT" => settings.endpoint = absolute(value, cwd),
                _ => {
                    if let Err(error) = settings.set(name, value) {
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

    /// Takes one variable that does not name a folder; unknown names are left alone.
    fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), BadVariable> {
        match name {
            b"ZCCACHE_DISABLE" => self.disable = switch("ZCCACHE_DISABLE", value)?,
            b"ZCCACHE_NO_SPAWN" => self.no_spawn = switch("ZCCACHE_NO_SPAWN", value)?,
            b"ZCCACHE_RECACHE" => self.recache = switch("ZCCACHE_RECACHE", value)?,
            b"ZCCACHE_READONLY" => self.readonly = switch("ZCCACHE_READONLY", value)?,
            b"ZCCACHE_LINK_MODE" => {
                self.link_mode = match value {
                    b"auto" => LinkMode::Auto,
                    b"reflink" => LinkMode::Reflink,
                    b"hardlink" => LinkMode::Hardlink,
                    b"copy" => LinkMode::Copy,
                    _ => {
                        let allowed = "auto, reflink, hardlink or copy";
                        return Err(bad("ZCCACHE_LINK_MODE", value, allowed));
                    }
                }
            }
            b"ZCCACHE_CACHE_SIZE" => {
                let allowed =
                    "a number of bytes above 0, or one with K, M, G or T (20G, 500M, 1GiB)";
                let size = bytes(value).ok_or_else(|| bad("ZCCACHE_CACHE_SIZE", value, allowed))?;
                self.cache_size = Some(size);
            }
            b"ZCCACHE_IDLE_TIMEOUT" => {
                let seconds = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                let seconds = seconds
                    .ok_or_else(|| bad("ZCCACHE_IDLE_TIMEOUT", value, "a number of seconds"))?;
                self.idle_timeout = Some(Duration::from_secs(seconds));
            }
            b"ZCCACHE_LOG" => {
                let level = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                let allowed = "off, error, warn, info, debug or trace";
                self.log_level = Some(level.ok_or_else(|| bad("ZCCACHE_LOG", value, allowed))?);
            }
            b"ZCCACHE_COMPILE_PRIORITY" => self.compile_priority = Some(value.to_vec()),
            b"ZCCACHE_STRICT_PATHS" => {
                self.strict_paths = StrictPaths::parse(value)
                    .ok_or_else(|| bad("ZCCACHE_STRICT_PATHS", value, StrictPaths::ALLOWED));
                if let Err(error) = &self.strict_paths {
                    return Err(error.clone());
                }
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

fn bad(name: &'static str, value: &[u8], allowed: &'static str) -> BadVariable {
    BadVariable { name, value: value.to_vec(), allowed }
}

fn absolute(path: &[u8], cwd: Option<&[u8]>) -> Option<Vec<u8>> {
    if path.starts_with(b"/") {
        return Some(path.to_vec());
    }
    cwd.map(|cwd| [cwd, b"/", path].concat())
}

fn switch(name: &'static str, value: &[u8]) -> Result<bool, BadVariable> {
    match value.to_ascii_lowercase().as_slice() {
        b"1" | b"true" | b"yes" | b"on" => Ok(true),
        b"0" | b"false" | b"no" | b"off" => Ok(false),
        _ => Err(bad(name, value, "1 or 0")),
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
            link_mode: LinkMode::Copy,
            cache_size: Some(5 << 20),
            idle_timeout: Some(Duration::from_secs(7)),
            log_level: Some(log::LevelFilter::Debug),
            strict_paths: Ok(StrictPaths::Absolute),
            compile_priority: Some(b"low".to_vec()),
            ..Settings::default()
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn bad_values_leave_the_default_and_are_told_in_one_line() {
        let (settings, bad) = read("ZCCACHE_LINK_MODE=a\nb ZCCACHE_DISABLE=maybe", None);
        assert_eq!(settings, Settings::default());
        assert_eq!(
            bad[0].to_string(),
            r#"ZCCACHE_LINK_MODE="a\nb" is not understood: allowed is auto, reflink, hardlink or copy"#
        );
        assert_eq!(bad[1].name, "ZCCACHE_DISABLE");
        let (settings, bad) = read("ZCCACHE_STRICT_PATHS=often", None);
        assert_eq!(settings.strict_paths, Err(bad[0].clone()));
    }
}

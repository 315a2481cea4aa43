//! The file of settings, `config.toml` in the cache root. The environment wins over it.
//!
//! What is wrong in it never fails anything: that line is left out (where it is no TOML, the
//! whole file) and told by commands on stderr and by the daemon in its log.

use std::ffi::OsStr;
use std::fmt;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::table::{Reach, SETTINGS, Setting};
use super::{Settings, bytes_shown};

/// Larger than any list of settings.
const BYTES_MAX: u64 = 1 << 20;

/// What the file says; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigFile {
    pub entries: Vec<Entry>,
    pub faults: Vec<Fault>,
}

/// A setting with a value that is understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub setting: &'static Setting,
    /// As the variable would have it.
    pub value: Vec<u8>,
    pub line: usize,
}

/// Something in the file that is not understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub path: PathBuf,
    /// From 1; 0 where the file could not be read.
    pub line: usize,
    pub words: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", bytes_shown(self.path.as_os_str().as_bytes()))?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.words)
    }
}

/// Where the file of a root is.
pub fn path(root: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(root)).join("config.toml")
}

impl ConfigFile {
    /// Reads the file of a root.
    pub fn read(root: &[u8]) -> ConfigFile {
        let path = path(root);
        let fault = |words: String| ConfigFile {
            faults: vec![Fault { path: path.clone(), line: 0, words }],
            ..ConfigFile::default()
        };
        let meta = match std::fs::metadata(&path) {
            Ok(meta) => meta,
            // Or a root that is no folder, which is told by whoever needs one.
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return ConfigFile::default();
            }
            Err(error) => return fault(format!("can't be read: {error}")),
        };
        if !meta.is_file() || meta.len() > BYTES_MAX {
            return fault("can't be read: not a file of settings".to_owned());
        }
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&path)
            .and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes));
        match read {
            Ok(_) => ConfigFile::parse(root, &bytes),
            Err(error) => fault(format!("can't be read: {error}")),
        }
    }

    /// Understands the bytes of the file.
    pub fn parse(root: &[u8], bytes: &[u8]) -> ConfigFile {
        let mut file = ConfigFile::default();
        let mut fault = |line, words| file.faults.push(Fault { path: path(root), line, words });
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                fault(line_of(bytes, error.valid_up_to()), "not UTF-8".to_owned());
                return file;
            }
        };
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let words = error.message().lines().collect::<Vec<_>>().join(", ");
                fault(line_of(bytes, at), format!("{words}; the file is not used"));
                return file;
            }
        };
        for (key, value) in &table {
            let line = line_of(bytes, key.span().start);
            match entry(key.get_ref(), value) {
                Ok((setting, value)) => file.entries.push(Entry { setting, value, line }),
                Err(words) => fault(line, words),
            }
        }
        file.entries.sort_by_key(|entry| entry.line);
        file.faults.sort_by_key(|fault| fault.line);
        file
    }

    pub fn entry(&self, variable: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.setting.variable == variable)
    }

    /// The settings of compiles, as they are added to a caller's environment.
    pub fn compile_entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.setting.reach == Reach::Compile)
    }
}

fn entry(key: &str, value: &Spanned<DeValue<'_>>) -> Result<(&'static Setting, Vec<u8>), String> {
    let shown = bytes_shown(key.as_bytes());
    let setting = SETTINGS.iter().find(|setting| setting.key().as_deref() == Some(key));
    let Some(setting) = setting else {
        let variable = format!("ZCCACHE_{}", key.to_ascii_uppercase());
        return Err(match super::table::find(&variable) {
            Some(_) if key.chars().all(|c| !c.is_ascii_uppercase()) => {
                format!("{shown}: can only be given as the variable {variable}")
            }
            _ => format!("{shown}: no such setting; see zccache config"),
        });
    };
    let words = || format!("{shown} is not understood: allowed is {}", setting.allowed);
    let text = text_of(value.get_ref(), setting).ok_or_else(words)?;
    if text.is_empty() || text.contains('\0') {
        return Err(words());
    }
    Settings::default().set(setting.variable, text.as_bytes()).map_err(|bad| {
        format!(
            "{shown} = \"{}\" is not understood: allowed is {}",
            bad.value.escape_ascii(),
            bad.allowed
        )
    })?;
    Ok((setting, text.into_bytes()))
}

/// A value as the variable would spell it.
fn text_of(value: &DeValue<'_>, setting: &Setting) -> Option<String> {
    let is_names = matches!(
        setting.variable,
        "ZCCACHE_EXTRA_INPUTS" | "ZCCACHE_EXCLUDE_CRATES" | "ZCCACHE_WORKTREE_ROOT"
    );
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(_) | DeValue::Boolean(_) if is_names => None,
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Some(if *truth { "1" } else { "0" }.to_owned()),
        DeValue::Array(list) => {
            let separator = match setting.variable {
                "ZCCACHE_EXTRA_INPUTS" => ":",
                "ZCCACHE_EXCLUDE_CRATES" => ",",
                _ => return None,
            };
            let items: Option<Vec<&str>> =
                list.iter().map(|item| item.get_ref().as_str()).collect();
            items
                .filter(|items| items.iter().all(|item| !item.contains(separator)))
                .map(|items| items.join(separator))
        }
        _ => None,
    }
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    1 + bytes[..at.min(bytes.len())].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Vec<(String, String, usize)>, Vec<String>) {
        let file = ConfigFile::parse(b"/r", text.as_bytes());
        let entries = file.entries.iter().map(|entry| {
            let value = String::from_utf8(entry.value.clone()).unwrap();
            (entry.setting.key().unwrap(), value, entry.line)
        });
        (entries.collect(), file.faults.iter().map(Fault::to_string).collect())
    }

    #[test]
    fn values_of_each_kind() {
        let text = "# mine\ncache_size = \"20G\"\nidle_timeout = 60\n\nreadonly = true\n\
                    exclude_crates = [\"a\", \"b\"]\nextra_inputs = ['/x', '/y']\nlog=\"debug\"\n";
        let (entries, faults) = parse(text);
        let expected = [
            ("cache_size", "20G", 2),
            ("idle_timeout", "60", 3),
            ("readonly", "1", 5),
            ("exclude_crates", "a,b", 6),
            ("extra_inputs", "/x:/y", 7),
            ("log", "debug", 8),
        ];
        let expected = expected.map(|(key, value, line)| (key.to_owned(), value.to_owned(), line));
        assert_eq!(entries, expected);
        assert_eq!(faults, [""; 0]);
    }

    #[test]
    fn a_bad_line_costs_that_line() {
        let text = "cache_size = \"big\"\nreadonly = true\ncache_dir = \"/x\"\nspeed = 1\n\
                    idle_timeout = 0x10\nlink_mode = []\nexclude_crates = 5\n";
        let (entries, faults) = parse(text);
        assert_eq!(entries, [("readonly".to_owned(), "1".to_owned(), 2)]);
        let size = super::super::table::find("ZCCACHE_CACHE_SIZE").unwrap().allowed;
        assert_eq!(faults, [
            format!("/r/config.toml:1: cache_size = \"big\" is not understood: allowed is {size}"),
            "/r/config.toml:3: cache_dir: can only be given as the variable ZCCACHE_CACHE_DIR".into(),
            "/r/config.toml:4: speed: no such setting; see zccache config".into(),
            "/r/config.toml:5: idle_timeout is not understood: allowed is a number of seconds".into(),
            "/r/config.toml:6: link_mode is not understood: allowed is auto, reflink, hardlink or copy"
                .into(),
            "/r/config.toml:7: exclude_crates is not understood: allowed is NAME,NAME...".into(),
        ]);
    }

    #[test]
    fn what_is_no_toml_is_one_line() {
        for (text, line) in [(&b"readonly = true\nx = = 1\n"[..], 2), (b"a=1\n\xff\n", 2)] {
            let file = ConfigFile::parse(b"/r", text);
            assert!(file.entries.is_empty() && file.faults.len() == 1, "{file:?}");
            assert_eq!(file.faults[0].line, line);
            assert!(!file.faults[0].to_string().contains('\n'));
        }
        assert_eq!(ConfigFile::read(b"/nonexistent"), ConfigFile::default());
    }
}

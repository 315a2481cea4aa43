//! Sessions on disk: one small file each, `sessions/UUID.json` under the cache root. A session
//! is made by the command that starts it, and kept up by the daemon, whichever one runs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::names::are_numbers;
use super::stats::Counters;
use crate::terms::now::now_s;

/// Names a session: a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Uuid);

impl SessionId {
    /// A new one.
    pub fn new() -> SessionId {
        SessionId(Uuid::new_v4())
    }

    /// None for anything that is no UUID.
    pub fn parse(text: &[u8]) -> Option<SessionId> {
        Uuid::try_parse_ascii(text).ok().map(SessionId)
    }
}

impl Default for SessionId {
    fn default() -> SessionId {
        SessionId(Uuid::nil())
    }
}

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for SessionId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<SessionId, D::Error> {
        let text = String::deserialize(from)?;
        SessionId::parse(text.as_bytes()).ok_or_else(|| serde::de::Error::custom("not a UUID"))
    }
}

/// What is known of a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionRecord {
    pub session_id: SessionId,
    /// Seconds since 1970.
    pub started_at: u64,
    pub ended_at: Option<u64>,
    /// Where it was started.
    pub cwd: PathBuf,
    pub journal_path: Option<PathBuf>,
    pub log_path: Option<PathBuf>,
    pub counters: Counters,
    /// Time that compilers ran.
    pub compile_ns: u64,
    /// Size of the outputs that came from the store or went into it.
    pub bytes: u64,
    /// Lines of its journal that could not be written.
    pub lines_lost: u64,
}

const FOLDER: &str = "sessions";
/// An ended session is forgotten after this long (seconds), one that was never ended after
/// the longer time.
const ENDED_KEPT_S: u64 = 30 * 24 * 3600;
const OPEN_KEPT_S: u64 = 180 * 24 * 3600;

fn path(root: &Path, id: SessionId) -> PathBuf {
    root.join(FOLDER).join(format!("{id}.json"))
}

/// None when there is none, or its file makes no sense.
pub fn load(root: &Path, id: SessionId) -> Option<SessionRecord> {
    let record: SessionRecord =
        serde_json::from_slice(&std::fs::read(path(root, id)).ok()?).ok()?;
    (record.session_id == id).then_some(record)
}

/// Writes it in one step, for its owner alone.
pub fn save(root: &Path, record: &SessionRecord) -> io::Result<()> {
    let folder = root.join(FOLDER);
    match std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let target = path(root, record.session_id);
    let new = target.with_extension(format!("new-{}", std::process::id()));
    let written = (|| {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        std::fs::rename(&new, &target)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}

/// All sessions, the latest first.
pub fn list(root: &Path) -> Vec<SessionRecord> {
    let entries = std::fs::read_dir(root.join(FOLDER)).into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        SessionId::parse(name.strip_suffix(".json")?.as_bytes())
    });
    let mut all: Vec<SessionRecord> = ids.filter_map(|id| load(root, id)).collect();
    all.sort_by_key(|record| (std::cmp::Reverse(record.started_at), record.session_id));
    all
}

/// Removes sessions of long ago, and what a killed process left half written.
pub fn forget_old(root: &Path) {
    let now_s = now_s();
    let entries = std::fs::read_dir(root.join(FOLDER)).into_iter().flatten().flatten();
    for entry in entries {
        let age_s = entry.metadata().and_then(|meta| meta.modified()).map_or(0, |time| {
            now_s.saturating_sub(time.duration_since(UNIX_EPOCH).map_or(0, |at| at.as_secs()))
        });
        let name = entry.file_name().into_string().unwrap_or_default();
        // Anything else is not ours to remove.
        let Some((stem, ending)) = name.split_once('.') else { continue };
        let is_new = ending.strip_prefix("new-").is_some_and(|pid| are_numbers(pid.as_bytes(), 1));
        let id = SessionId::parse(stem.as_bytes()).filter(|_| ending == "json" || is_new);
        if id.is_none() {
            continue;
        }
        let record = id.filter(|_| !is_new).and_then(|id| load(root, id));
        let keep_s = match record {
            Some(record) if record.ended_at.is_none() => OPEN_KEPT_S,
            Some(_) => ENDED_KEPT_S,
            None => 3600,
        };
        if age_s > keep_s {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Opens a session's log or journal for adding to it, made for its owner alone.
pub fn open_for_lines(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::reason::Reason;

    #[test]
    fn sessions_come_back() {
        let root = std::env::temp_dir().join(format!("zcc-sessions-{}", std::process::id()));
        let id = SessionId::new();
        assert_eq!(load(&root, id), None);
        let mut record = SessionRecord { session_id: id, started_at: 7, ..Default::default() };
        record.counters.count(Reason::Link);
        save(&root, &record).unwrap();
        assert_eq!(load(&root, id), Some(record.clone()));
        save(&root, &SessionRecord { session_id: SessionId::new(), ..record.clone() }).unwrap();
        std::fs::write(root.join("sessions/junk.json"), "{").unwrap();
        std::fs::write(path(&root, SessionId::new()), "{").unwrap();
        assert_eq!(list(&root).len(), 2);
        let long_ago = UNIX_EPOCH + std::time::Duration::from_secs(1);
        let half = root.join("sessions").join(format!("{}.new-7", SessionId::new()));
        let of_the_user =
            ["user.txt", "user", "notes.json"].map(|name| root.join("sessions").join(name));
        for path in of_the_user.iter().chain([&half]) {
            std::fs::write(path, "mine").unwrap();
            File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
        }
        forget_old(&root);
        assert_eq!(list(&root).len(), 2);
        assert!(of_the_user.iter().all(|path| path.exists()) && !half.exists());
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn only_uuids_are_ids() {
        let id = SessionId::new();
        assert_eq!(SessionId::parse(id.to_string().as_bytes()), Some(id));
        for bad in ["", "x", "../../../etc/passwd", &format!("{id}0")] {
            assert_eq!(SessionId::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}

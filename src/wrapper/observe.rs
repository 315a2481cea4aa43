//! What becomes of a folder while a tool runs that may make files nobody named there. Whose such
//! a file is can't be told: other tools work in the same folder. So it is only said that there
//! was one.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use crate::protocol::message::{Observation, Run};

/// Inode, size, mtime and ctime: what tells one state of a file from another.
type State = (u64, u64, (i64, i64), (i64, i64));

/// A folder as it was.
pub struct Observed<'a> {
    what: &'a Observation,
    /// None: it can't be read.
    files: Option<HashMap<OsString, State>>,
}

impl<'a> Observed<'a> {
    pub fn begin(what: &'a Observation) -> Observed<'a> {
        Observed { what, files: list(what) }
    }

    /// Whether files other than the run's own were made or changed since. What can't be known
    /// counts as if.
    pub fn made_besides(&self, run: &Run) -> bool {
        let (Some(before), Some(after)) = (&self.files, list(self.what)) else { return true };
        let outputs = run.units.iter().flat_map(|unit| &unit.outputs).map(|output| &output.path);
        let own: Vec<&[u8]> = outputs
            .chain(run.read_back.iter().map(|file| &file.path))
            .filter_map(|path| path.rsplit(|byte| *byte == b'/').next())
            .collect();
        after
            .iter()
            .any(|(name, state)| !own.contains(&name.as_bytes()) && before.get(name) != Some(state))
    }
}

/// All that counts and is not a folder.
fn list(what: &Observation) -> Option<HashMap<OsString, State>> {
    let mut files = HashMap::new();
    for entry in std::fs::read_dir(OsStr::from_bytes(&what.folder)).ok()? {
        let entry = entry.ok()?;
        if !entry.file_name().as_bytes().starts_with(&what.beginning) {
            continue;
        }
        // One that is gone already was not left by anybody.
        let Ok(meta) = entry.metadata() else { continue };
        if !meta.is_dir() {
            let times = ((meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()));
            files.insert(entry.file_name(), (meta.ino(), meta.size(), times.0, times.1));
        }
    }
    Some(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::message::RunUnit;
    use crate::tools::command::{Output, Role, WriteStyle};

    #[test]
    fn only_other_files_count() {
        let folder = std::env::temp_dir().join(format!("zcc-observe-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("old"), "1").unwrap();
        let path = folder.join("app").into_os_string().into_encoded_bytes();
        let output = Output { role: Role::Main, path, style: WriteStyle::Replace, required: true };
        let run = Run { units: vec![RunUnit { unit: 0, outputs: vec![output] }], ..Run::default() };
        let name = folder.as_os_str().as_bytes().to_vec();
        let what = Observation { folder: name.clone(), beginning: Vec::new() };
        let narrow = Observation { folder: name, beginning: b"app.".to_vec() };
        let observed = Observed::begin(&what);
        let beside = Observed::begin(&narrow);
        std::fs::write(folder.join("app"), "2").unwrap();
        assert!(!observed.made_besides(&run));
        std::fs::write(folder.join("old"), "22").unwrap();
        assert!(observed.made_besides(&run) && !beside.made_besides(&run));
        std::fs::remove_file(folder.join("old")).unwrap();
        assert!(!observed.made_besides(&run));
        std::fs::write(folder.join("app.dll"), "3").unwrap();
        assert!(observed.made_besides(&run) && beside.made_besides(&run));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(observed.made_besides(&run));
    }
}

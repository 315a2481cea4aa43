//! What is known of downloaded files: which source and content a path has, and whether it still
//! has it. One small file each under `downloads/seals` of the cache root.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::digest;
use super::order::{Sha256, Source};
use super::part::boot_id;
use super::web::Validator;

/// Where the seals of a cache root are.
#[derive(Clone, Debug)]
pub struct Seals {
    folder: PathBuf,
}

/// What a downloaded file is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seal {
    pub target: PathBuf,
    pub source: Source,
    pub sha256: Sha256,
    pub versions: Vec<Option<Validator>>,
    stat: Stat,
    /// The machine's run in which the content was known to be so: what was written right before a
    /// crash may not have reached the disk.
    boot: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stat {
    device: u64,
    inode: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Stat {
    fn of(file: &File) -> io::Result<Stat> {
        let meta = file.metadata()?;
        Ok(Stat {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.len(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            ctime: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

/// What is at a path.
pub enum Found {
    /// The download, as it came.
    Present { file: File, seal: Box<Seal> },
    /// In words, why not.
    Absent(&'static str),
}

impl Seals {
    pub fn of(root: &Path) -> Seals {
        Seals { folder: root.join("downloads/seals") }
    }

    fn path(&self, target: &Path) -> PathBuf {
        let name = blake3::hash(target.as_os_str().as_encoded_bytes()).to_hex();
        self.folder.join(format!("{}.json", &name[..32]))
    }

    /// Notes what a file is. One that can't be noted is looked at again the next time.
    pub fn set(
        &self,
        target: &Path,
        source: &Source,
        file: &File,
        sha256: Sha256,
        versions: Vec<Option<Validator>>,
    ) {
        let set = || -> io::Result<()> {
            let seal = Seal {
                target: target.to_owned(),
                source: source.clone(),
                sha256,
                versions,
                stat: Stat::of(file)?,
                boot: boot_id(),
            };
            std::fs::create_dir_all(&self.folder)?;
            let path = self.path(target);
            let new = path.with_extension(format!("{}.new", std::process::id()));
            std::fs::write(&new, serde_json::to_vec(&seal)?)?;
            std::fs::rename(&new, &path)
        };
        if let Err(error) = set() {
            log::warn!("{}: what was downloaded is not noted: {error}", target.display());
        }
    }

    /// Looks whether the path has what came from this source, and the content asked for. Reads
    /// the file only where its stat does not vouch for it.
    pub fn find(&self, target: &Path, source: &Source, wanted: Option<Sha256>) -> Found {
        let Ok(file) = File::open(target) else { return Found::Absent("there is no such file") };
        let (Ok(stat), true) = (Stat::of(&file), file.metadata().is_ok_and(|meta| meta.is_file()))
        else {
            return Found::Absent("it is not a file");
        };
        let seal = std::fs::read(self.path(target)).ok();
        let seal = seal.and_then(|text| serde_json::from_slice::<Seal>(&text).ok());
        let seal = seal.filter(|seal| seal.target == target && seal.source == *source);
        if let Some(seal) = &seal
            && wanted.is_some_and(|wanted| wanted != seal.sha256)
            && seal.stat == stat
        {
            return Found::Absent("its sha256 is another one");
        }
        if let Some(seal) = &seal
            && seal.stat == stat
            && seal.boot == boot_id()
        {
            return Found::Present { file, seal: Box::new(seal.clone()) };
        }
        let Some(expected) = wanted.or(seal.as_ref().map(|seal| seal.sha256)) else {
            return Found::Absent("it did not come from there");
        };
        match digest::of_file(&file) {
            Ok(sha256) if sha256 == expected => {
                let versions = seal.map(|seal| seal.versions).unwrap_or_default();
                self.set(target, source, &file, sha256, versions.clone());
                let boot = boot_id();
                let (target, source) = (target.to_owned(), source.clone());
                let seal = Seal { target, source, sha256, versions, stat, boot };
                Found::Present { file, seal: Box::new(seal) }
            }
            Ok(_) => Found::Absent("its content is another one"),
            Err(_) => Found::Absent("it can't be read"),
        }
    }
}

//! A file or a whole folder as one blob, for outputs of which nothing but the name is known: a tar
//! of one entry, or of one for each thing in the folder.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tar::{Archive, Builder, EntryType, Header};

/// The name of what was packed; what is in a folder has it in front.
const TOP: &str = "o";
/// Stands in a header where a mode is what the tool chose itself, not what the umask left of the usual.
const CHOSEN: u64 = 1;
/// Folders nested deeper are refused.
const DEPTH_MAX: usize = 200;

/// Writes what is at `path`. `umask` is that of whoever made it.
pub fn pack(path: &Path, umask: u32, to: &mut dyn Write) -> io::Result<()> {
    let mut tar = Builder::new(to);
    // Named by a symlink, it is what the link leads to.
    let path = fs::canonicalize(path)?;
    add(&mut tar, &path, Path::new(TOP), umask, 0)?;
    tar.finish()
}

/// Writes only these of a folder, by their names from there, folders before what is in them.
pub fn pack_among(
    folder: &Path,
    names: &[Vec<u8>],
    umask: u32,
    to: &mut dyn Write,
) -> io::Result<()> {
    let mut tar = Builder::new(to);
    for name in names {
        let name = Path::new(OsStr::from_bytes(name));
        add_one(&mut tar, &folder.join(name), &Path::new(TOP).join(name), umask)?;
    }
    tar.finish()
}

/// Adds a file, a symlink, or a folder and nothing in it; gives whether it is a folder.
fn add_one(
    tar: &mut Builder<&mut dyn Write>,
    path: &Path,
    name: &Path,
    umask: u32,
) -> io::Result<bool> {
    let meta = fs::symlink_metadata(path)?;
    let mut header = Header::new_gnu();
    header.set_size(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    let usual = if meta.is_dir() { &[0o777][..] } else { &[0o666, 0o777] };
    let mode = meta.mode() & 0o7777;
    match usual.iter().find(|usual| **usual & !umask == mode) {
        Some(usual) => header.set_mode(*usual),
        None => {
            header.set_mode(mode);
            header.set_uid(CHOSEN);
        }
    }
    if meta.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        tar.append_link(&mut header, name, fs::read_link(path)?)?;
    } else if meta.is_file() {
        header.set_entry_type(EntryType::Regular);
        header.set_size(meta.len());
        let mut file = File::open(path)?;
        // Both too much and too little would spoil what follows.
        tar.append_data(&mut header, name, (&mut file).take(meta.len()))?;
        let has_grown = file.read(&mut [0])? > 0;
        if has_grown || file.metadata()?.len() != meta.len() {
            return Err(refused(path, "changed while it was read"));
        }
    } else if meta.is_dir() {
        header.set_entry_type(EntryType::Directory);
        tar.append_data(&mut header, name, io::empty())?;
    } else {
        return Err(refused(path, "neither a file nor a folder"));
    }
    Ok(meta.is_dir())
}

/// Adds all that is at a path.
fn add(
    tar: &mut Builder<&mut dyn Write>,
    path: &Path,
    name: &Path,
    umask: u32,
    depth: usize,
) -> io::Result<()> {
    if !add_one(tar, path, name, umask)? {
        return Ok(());
    }
    if depth >= DEPTH_MAX {
        return Err(refused(path, "too many folders deep"));
    }
    let mut names: Vec<_> =
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    let mut all = names.iter();
    all.try_for_each(|one| add(tar, &path.join(one), &name.join(one), umask, depth + 1))
}

fn refused(path: &Path, why: &str) -> io::Error {
    io::Error::other(format!("{}: {why}", path.display()))
}

/// What may lie where something is unpacked.
#[derive(Clone, Copy, PartialEq)]
pub enum InTheWay {
    /// Any file: it is replaced.
    Goes,
    /// Only what is the same: anything else is an error.
    Stays,
}

/// Puts in place at `path` what `pack` or `pack_among` wrote. In a folder that is there already, what has
/// other names stays.
pub fn unpack(
    from: &mut dyn Read,
    path: &Path,
    umask: u32,
    in_the_way: InTheWay,
) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // As when it was packed: where a symlink leads. One that leads nowhere is left to the tool.
    let path = match fs::canonicalize(path) {
        Ok(own) => own,
        Err(_) if path.is_symlink() => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => path.to_owned(),
    };
    let mut archive = Archive::new(from);
    // Last, and the innermost first: a folder may not be writable.
    let mut folders: Vec<(PathBuf, u32)> = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let below = name.strip_prefix(TOP).map_err(io::Error::other)?;
        let target = if below == Path::new("") { path.clone() } else { path.join(below) };
        let header = entry.header();
        let mode = match header.uid()? {
            CHOSEN => header.mode()?,
            _ => header.mode()? & !umask,
        };
        match header.entry_type() {
            EntryType::Directory => {
                make_folder(&target)?;
                folders.push((target, mode));
            }
            EntryType::Symlink => {
                let to = entry.link_name()?.ok_or_else(|| io::Error::other("a link to nothing"))?;
                if in_the_way == InTheWay::Stays {
                    allow_only(&target, |there| Ok(fs::read_link(there)? == to))?;
                }
                make_way(&target)?;
                symlink(to, &target)?;
            }
            _ => {
                let mut entry: Box<dyn Read> = match in_the_way {
                    InTheWay::Goes => Box::new(entry),
                    InTheWay::Stays => {
                        let mut bytes = Vec::new();
                        entry.read_to_end(&mut bytes)?;
                        allow_only(&target, |there| {
                            Ok(!fs::symlink_metadata(there)?.is_symlink()
                                && fs::read(there)? == bytes)
                        })?;
                        Box::new(io::Cursor::new(bytes))
                    }
                };
                make_way(&target)?;
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&target)?;
                io::copy(&mut entry, &mut file)?;
                file.set_permissions(fs::Permissions::from_mode(mode))?;
            }
        }
    }
    for (folder, mode) in folders.iter().rev() {
        if fs::metadata(folder)?.mode() & 0o7777 != *mode {
            fs::set_permissions(folder, fs::Permissions::from_mode(*mode))?;
        }
    }
    Ok(())
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => {
            // To be written into; its mode comes at the end.
            fs::set_permissions(path, fs::Permissions::from_mode(meta.mode() & 0o7777 | 0o700))
        }
        Ok(_) => {
            fs::remove_file(path)?;
            fs::create_dir(path)
        }
        Err(_) => fs::create_dir(path),
    }
}

/// An error where something else lies than what is the same.
fn allow_only(path: &Path, is_same: impl FnOnce(&Path) -> io::Result<bool>) -> io::Result<()> {
    match is_same(path) {
        Ok(true) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(false) | Err(_) => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "another file has that name"))
        }
    }
}

/// Removes a file in the way, and makes the folder that is missing. A folder in the way is left alone,
/// and what comes fails.
fn make_way(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all)
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Removed at the end.
    struct Here(PathBuf);

    impl Here {
        fn new(name: &str) -> Here {
            let path = std::env::temp_dir().join(format!("zcc-pack-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Here(fs::canonicalize(path).unwrap())
        }

        fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Here {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_folder_comes_back() {
        let here = Here::new("folder");
        let from = here.path().join("from");
        fs::create_dir_all(from.join("deep/er")).unwrap();
        fs::write(from.join("deep/a"), vec![7; 100_000]).unwrap();
        fs::write(from.join("b"), "b").unwrap();
        symlink("../nowhere", from.join("deep/link")).unwrap();
        let change = |name: &str, mode| {
            fs::set_permissions(from.join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        change("", 0o755);
        change("deep", 0o555);
        change("deep/a", 0o644);
        change("b", 0o4711);
        let mut packed = Vec::new();
        pack(&from, 0o22, &mut packed).unwrap();
        let to = here.path().join("new/to");
        fs::create_dir_all(&to).unwrap();
        fs::write(to.join("mine"), "").unwrap();
        fs::write(to.join("deep"), "in the way").unwrap();
        for _ in 0..2 {
            unpack(&mut &packed[..], &to, 0o77, InTheWay::Goes).unwrap();
        }
        assert_eq!(fs::read(to.join("deep/a")).unwrap(), vec![7; 100_000]);
        assert_eq!(fs::read_link(to.join("deep/link")).unwrap(), Path::new("../nowhere"));
        assert!(to.join("deep/er").is_dir() && to.join("mine").is_file());
        assert_eq!(mode(&to.join("deep/a")), 0o600, "the usual, under another umask");
        assert_eq!((mode(&to.join("deep")), mode(&to.join("b"))), (0o555, 0o4711));
        for folder in [&from, &to] {
            fs::set_permissions(folder.join("deep"), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn some_of_a_folder_come_back() {
        let here = Here::new("among");
        let from = here.path().join("from");
        fs::create_dir_all(from.join("mine")).unwrap();
        fs::write(from.join("mine/a"), "a").unwrap();
        fs::write(from.join("mine/yours"), "b").unwrap();
        fs::write(from.join("other"), "c").unwrap();
        symlink("mine/a", from.join("link")).unwrap();
        let names = ["link", "mine", "mine/a"].map(|name| name.as_bytes().to_vec());
        let mut packed = Vec::new();
        pack_among(&from, &names, 0o22, &mut packed).unwrap();
        let to = here.path().join("to");
        fs::create_dir(&to).unwrap();
        let put = || unpack(&mut &packed[..], &to, 0o22, InTheWay::Stays);
        for _ in 0..2 {
            put().unwrap();
        }
        assert_eq!(fs::read(to.join("link")).unwrap(), b"a");
        assert!(!to.join("mine/yours").exists() && !to.join("other").exists());
        fs::write(to.join("mine/a"), "mine").unwrap();
        assert!(put().is_err());
        assert_eq!(fs::read(to.join("mine/a")).unwrap(), b"mine");
        fs::remove_file(to.join("mine/a")).unwrap();
        fs::remove_file(to.join("link")).unwrap();
        fs::write(to.join("link"), "a").unwrap();
        assert!(put().is_err(), "a file where a link was");
    }

    #[test]
    fn a_file_comes_back() {
        let here = Here::new("file");
        let path = here.path().join("file");
        fs::write(&path, "text").unwrap();
        let mut packed = Vec::new();
        pack(&path, 0o22, &mut packed).unwrap();
        let to = here.path().join("a/b/file");
        unpack(&mut &packed[..], &to, 0o22, InTheWay::Goes).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"text");
        fs::remove_file(&to).unwrap();
        fs::create_dir(&to).unwrap();
        assert!(
            unpack(&mut &packed[..], &to, 0o22, InTheWay::Goes).is_err(),
            "a folder is not replaced by a file"
        );
        assert!(pack(Path::new("/dev/null"), 0o22, &mut Vec::new()).is_err());
        assert!(pack(&here.path().join("none"), 0o22, &mut Vec::new()).is_err());
    }
}

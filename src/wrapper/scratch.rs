//! Files that only exist while the steps of one answer are done.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

use crate::terms::Arg;

/// Removed when this is dropped.
pub struct Scratch<'a>(&'a [Arg]);

impl<'a> Scratch<'a> {
    /// Makes the files, empty and for us alone, as drivers do. Fails where one is there already,
    /// which is then somebody else's.
    pub fn make(paths: &'a [Arg]) -> io::Result<Scratch<'a>> {
        let mut made = Scratch(&[]);
        for (at, path) in paths.iter().enumerate() {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).open(OsStr::from_bytes(path))?;
            made.0 = &paths[..=at];
        }
        Ok(made)
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        for path in self.0 {
            let _ = std::fs::remove_file(OsStr::from_bytes(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_are_removed() {
        let folder = std::env::temp_dir().join(format!("zcc-scratch-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name).into_os_string().into_encoded_bytes();
        std::fs::write(folder.join("b"), "theirs").unwrap();
        assert!(Scratch::make(&[path("a"), path("b"), path("c")]).is_err());
        assert!(!folder.join("a").exists() && !folder.join("c").exists());
        assert_eq!(std::fs::read(folder.join("b")).unwrap(), b"theirs");
        let paths = [path("a"), path("c")];
        let scratch = Scratch::make(&paths).unwrap();
        assert!(folder.join("a").exists() && folder.join("c").exists());
        drop(scratch);
        assert!(!folder.join("a").exists() && !folder.join("c").exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

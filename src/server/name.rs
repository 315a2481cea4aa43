//! The name by which clients find a daemon: its socket in the file system, which anybody may remove who may
//! write there.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// A socket's name while it is ours.
pub(super) struct Name {
    path: PathBuf,
    /// None: it is not ours any more.
    inode: Option<u64>,
    /// Readable when something happened to the socket. None: the system has no instance left, and
    /// only looking tells.
    watch: Option<OwnedFd>,
}

impl Name {
    /// Of a socket that was just bound. Fails where it is gone again: nobody would find us, or could
    /// start another.
    pub(super) fn of(path: &Path) -> io::Result<Name> {
        let watch = watch(path);
        if let Err(error) = &watch {
            log::warn!("nobody will tell when the socket is removed: {error}");
        }
        let inode = inode(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Name { path: path.to_owned(), inode: Some(inode), watch: watch.ok() })
    }

    pub(super) fn descriptor(&self) -> Option<RawFd> {
        self.watch.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Takes what is queued away: looking tells more.
    pub(super) fn heard(&self) {
        if let Some(watch) = &self.watch {
            let mut events = [0; 1024];
            while rustix::io::read(watch, &mut events).is_ok_and(|bytes| bytes > 0) {}
        }
    }

    /// Nobody can find us any more: it was removed, or is another's by now.
    pub(super) fn is_lost(&self) -> bool {
        self.inode.is_some() && inode(&self.path) != self.inode
    }

    /// Removes it if it still is ours: the cache root may have been removed under us, and another daemon may
    /// serve a new one.
    pub(super) fn remove(&mut self) {
        if let Some(ours) = self.inode.take()
            && inode(&self.path) == Some(ours)
        {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Of the inode, as a bound socket is not gone with its name: that costs it a link, which is an attribute.
fn watch(path: &Path) -> io::Result<OwnedFd> {
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let mask = WatchFlags::ATTRIB
        | WatchFlags::MOVE_SELF
        | WatchFlags::DELETE_SELF
        | WatchFlags::DONT_FOLLOW;
    inotify::add_watch(&watch, path, mask)?;
    Ok(watch)
}

fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).ok().map(|meta| meta.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_gone_has_no_name() {
        let path = std::env::temp_dir().join(format!("zccache-name-{}", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let mut name = Name::of(&path).unwrap();
        assert!(!name.is_lost());
        std::fs::remove_file(&path).unwrap();
        assert!(name.is_lost());
        name.remove();
        assert!(Name::of(&path).is_err());
        drop(listener);
    }
}

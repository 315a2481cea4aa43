//! The SHA-256 of a file that is still being written, made as its start grows solid.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use parking_lot::{Condvar, Mutex};
use sha2::Digest as _;

use super::order::Sha256;

const BUFFER: usize = 1 << 20;

/// How far a file is written, told by those who write to the one who hashes.
#[derive(Default)]
pub struct Growth {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// Everything before is written.
    solid: u64,
    /// Who hashes waits until this is solid.
    awaited: u64,
    /// Grows when what was written before counts no more.
    epoch: u64,
    /// Some when no more comes: whether the file is whole.
    ended: Option<bool>,
}

impl Growth {
    /// Everything before this offset is written.
    pub fn solid_to(&self, offset: u64) {
        let mut state = self.state.lock();
        if offset > state.solid {
            state.solid = offset;
            if offset >= state.awaited {
                self.changed.notify_one();
            }
        }
    }

    /// It begins anew; this much of the start is right.
    pub fn restart(&self, solid: u64) {
        let mut state = self.state.lock();
        *state = State { solid, awaited: 0, epoch: state.epoch + 1, ended: None };
        self.changed.notify_one();
    }

    /// No more comes.
    pub fn end(&self, is_whole: bool) {
        self.state.lock().ended = Some(is_whole);
        self.changed.notify_one();
    }

    /// Hashes until the end. None: the file did not become whole.
    pub fn digest(&self, file: &File) -> io::Result<Option<Sha256>> {
        let mut buffer = vec![0; BUFFER];
        let (mut hasher, mut done, mut epoch) = (sha2::Sha256::new(), 0, 0);
        loop {
            let now = {
                let mut state = self.state.lock();
                // Not for every few bytes: waking up costs more than hashing those.
                state.awaited = done + BUFFER as u64;
                while state.epoch == epoch
                    && state.solid < done + BUFFER as u64
                    && state.ended.is_none()
                {
                    self.changed.wait(&mut state);
                }
                *state
            };
            if now.epoch != epoch {
                (hasher, done, epoch) = (sha2::Sha256::new(), 0, now.epoch);
            }
            if now.ended == Some(false) {
                return Ok(None);
            }
            if done >= now.solid {
                if now.ended.is_some() {
                    return Ok(Some(Sha256::new(hasher.finalize().into())));
                }
                continue;
            }
            let want = (now.solid - done).min(BUFFER as u64) as usize;
            match file.read_at(&mut buffer[..want], done) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    done += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The SHA-256 of a finished file.
pub fn of_file(file: &File) -> io::Result<Sha256> {
    let growth = Growth::default();
    growth.solid_to(file.metadata()?.len());
    growth.end(true);
    growth.digest(file)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_growth_and_restarts() {
        let path = std::env::temp_dir().join(format!("zcc-digest-{}", std::process::id()));
        std::fs::write(&path, b"wrong").unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let growth = Growth::default();
        let hash = std::thread::scope(|scope| {
            let digest = scope.spawn(|| growth.digest(&file).unwrap());
            growth.solid_to(5);
            growth.restart(0);
            file.write_all_at(b"abc", 0).unwrap();
            growth.solid_to(2);
            growth.solid_to(3);
            growth.end(true);
            digest.join().unwrap().unwrap()
        });
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), abc);
        file.set_len(3).unwrap();
        assert_eq!(of_file(&file).unwrap(), hash);
        std::fs::remove_file(&path).unwrap();
    }
}

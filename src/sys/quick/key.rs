//! What a request is called on the board: a hash of all that a wrapper can see of itself. Both the wrapper,
//! under the rules of `sys::quick`, and the daemon make it.
#![allow(clippy::undocumented_unsafe_blocks)] // `sys::quick` says why all of it is sound

use super::raw::*;
use crate::protocol::view::VIEW_BYTES;

/// SipHash-1-3 with 128 bits (Aumasson, Bernstein), over pieces of bytes with their lengths. The board's token is its secret.
pub(super) struct Mixer {
    state: [u64; 4],
}

impl Mixer {
    #[inline(always)]
    pub(super) fn new(token: [u64; 2]) -> Mixer {
        let [a, b] = token;
        Mixer {
            state: [
                a ^ 0x736f_6d65_7073_6575,
                b ^ 0x646f_7261_6e64_6f6d ^ 0xee,
                a ^ 0x6c79_6765_6e65_7261,
                b ^ 0x7465_6462_7974_6573,
            ],
        }
    }

    #[inline(always)]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.state;
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32).wrapping_add(d);
        c = c.wrapping_add(b);
        d = d.rotate_left(21) ^ a;
        b = b.rotate_left(17) ^ c;
        self.state = [a, b, c.rotate_left(32), d];
    }

    #[inline(always)]
    fn word(&mut self, word: u64) {
        self.state[3] ^= word;
        self.round();
        self.state[0] ^= word;
    }

    #[inline(always)]
    pub(super) unsafe fn piece(&mut self, from: *const u8, count: usize) {
        unsafe {
            let mut at = 0;
            while count - at >= 8 {
                self.word(get::<u64>(from.add(at)));
                at += 8;
            }
            let mut rest = 0;
            while at < count {
                rest = rest << 8 | u64::from(byte(from, at));
                at += 1;
            }
            self.word(rest);
            self.word(count as u64);
        }
    }

    #[inline(always)]
    pub(super) fn end(mut self) -> [u64; 2] {
        self.state[2] ^= 0xee;
        let first = self.last_rounds();
        self.state[1] ^= 0xdd;
        [first, self.last_rounds()]
    }

    #[inline(always)]
    fn last_rounds(&mut self) -> u64 {
        let mut left = 3;
        while left > 0 {
            self.round();
            left -= 1;
        }
        self.state[0] ^ self.state[1] ^ self.state[2] ^ self.state[3]
    }
}

/// What a wrapper sees around itself, as it goes into the key.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Around {
    /// `protocol::view`.
    pub view: [u8; VIEW_BYTES],
    /// Columns of the terminals that standard error and standard input are, and whether they are.
    pub columns: [u16; 2],
    pub is_terminal: [u8; 2],
    /// Called by the tool's name.
    pub masquerade: u8,
    _zero: u8,
}

const AROUND_BYTES: usize = VIEW_BYTES + 8;
const _: () = assert!(size_of::<Around>() == AROUND_BYTES);

impl Around {
    #[inline(always)]
    pub fn new(view: [u8; VIEW_BYTES], masquerade: bool) -> Around {
        Around {
            view,
            columns: [0; 2],
            is_terminal: [0; 2],
            masquerade: masquerade as u8,
            _zero: 0,
        }
    }
}

/// Begins a key.
#[inline(always)]
pub(super) unsafe fn begin(token: [u64; 2], around: &Around) -> Mixer {
    let mut mixer = Mixer::new(token);
    unsafe { mixer.piece((&raw const *around).cast(), AROUND_BYTES) };
    mixer
}

/// A variable that differs from one build to the next and means nothing to a compiler: make's, for those it calls, and
/// the shell's notes for itself. What depends on one of them all the same gets no notice (`is_in_key`).
#[inline(always)]
pub(super) unsafe fn is_left_out(entry: *const u8) -> bool {
    unsafe {
        begins(entry, b"MAKEFLAGS=")
            || begins(entry, b"MFLAGS=")
            || begins(entry, b"CARGO_MAKEFLAGS=")
            || begins(entry, b"OLDPWD=")
            || begins(entry, b"SHLVL=")
            || begins(entry, b"_=")
    }
}

/// Whether a variable of this name is part of a key.
pub fn is_in_key(name: &[u8]) -> bool {
    let entry = [name, b"=\0"].concat();
    // SAFETY: it ends with NUL, which is where the comparison ends at the latest.
    unsafe { !is_left_out(entry.as_ptr()) }
}

/// The key of a request: its words and its environment, each string ended by NUL, and its folder.
pub fn key(token: [u64; 2], around: &Around, argv: &[u8], cwd: &[u8], env: &[u8]) -> [u64; 2] {
    // SAFETY: every piece lies inside a slice, and every entry that is compared ends with NUL.
    unsafe {
        let mut mixer = begin(token, around);
        mixer.piece(argv.as_ptr(), argv.len());
        mixer.piece(cwd.as_ptr(), cwd.len());
        let (mut run, mut at) = (0, 0);
        while let Some(length) = memchr::memchr(0, &env[at..]) {
            let next = at + length + 1;
            if is_left_out(env.as_ptr().add(at)) {
                mixer.piece(env.as_ptr().add(run), at - run);
                run = next;
            }
            at = next;
        }
        mixer.piece(env.as_ptr().add(run), at - run);
        mixer.end()
    }
}

/// Names a watch and a name in it (of no bytes: what the watch itself is on), by FNV-1a; never 0.
#[inline(always)]
pub(super) unsafe fn minded_at(watch: i32, name: *const u8, count: usize) -> u64 {
    let (mut hash, mut at) = (0xcbf2_9ce4_8422_2325 ^ watch as u64, 0);
    while at < count {
        hash = (hash ^ u64::from(unsafe { byte(name, at) })).wrapping_mul(0x100_0000_01b3);
        at += 1;
    }
    // Its low bits say where it stands.
    (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32) | 1
}

/// The same for a name that lies in a slice.
pub fn minded(watch: i32, name: &[u8]) -> u64 {
    // SAFETY: no more is read than the slice has.
    unsafe { minded_at(watch, name.as_ptr(), name.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_counts_but_what_is_left_out() {
        let around = Around::new([1; VIEW_BYTES], false);
        let of = |argv: &[u8], cwd: &[u8], env: &[u8]| key([1, 2], &around, argv, cwd, env);
        let plain = of(b"gcc\0-c\0", b"/w", b"A=1\0B=2\0");
        assert_eq!(plain, of(b"gcc\0-c\0", b"/w", b"A=1\0B=2\0"));
        assert_ne!(plain, of(b"gcc\0-d\0", b"/w", b"A=1\0B=2\0"));
        assert_ne!(plain, of(b"gcc\0-c\0", b"/v", b"A=1\0B=2\0"));
        assert_ne!(plain, of(b"gcc\0-c\0", b"/w", b"A=1\0B=3\0"));
        assert_ne!(plain, of(b"gcc\0-c\0", b"/w", b"A=1\0B=2\0\0"));
        let other = Around::new([1; VIEW_BYTES], true);
        assert_ne!(plain, key([1, 2], &other, b"gcc\0-c\0", b"/w", b"A=1\0B=2\0"));
        let between = of(b"gcc\0-c\0", b"/w", b"A=1\0SHLVL=1\0B=2\0");
        assert_eq!(between, of(b"gcc\0-c\0", b"/w", b"A=1\0SHLVL=22\0B=2\0"));
        assert_eq!(between, of(b"gcc\0-c\0", b"/w", b"A=1\0_=/bin/make\0B=2\0"));
        assert!(is_in_key(b"PWD") && is_in_key(b"SHLV") && !is_in_key(b"SHLVL"));
    }
}

//! Where the short form keeps bytes that it needs one after the other. A plain hit from the board has room enough on the stack:
//! a page of the program that is written to costs a fault and a copy. The rules of `sys::quick` hold here.
#![allow(clippy::undocumented_unsafe_blocks)] // `sys::quick` says why all of it is sound

/// On the stack. A plain hit needs a few hundred bytes of it; the cwd is in it in any case.
pub(super) const NEAR_BYTES: usize = 3 << 10;
/// A long piece of a file or of events: there is room for one behind whatever is in `far`.
pub(super) const PIECE_BYTES: usize = 16 << 10;

pub(super) struct Rooms {
    /// What is left of that on the stack.
    near: Room,
    far: Room,
}

/// Bytes from there on.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) at: *mut u8,
    pub(super) bytes: usize,
}

impl Rooms {
    /// `near` has `NEAR_BYTES`.
    #[inline(always)]
    pub(super) fn new(near: *mut u8, far: *mut u8, far_bytes: usize) -> Rooms {
        Rooms {
            near: Room { at: near, bytes: NEAR_BYTES },
            far: Room { at: far, bytes: far_bytes },
        }
    }

    /// Room that nobody else gets from then on.
    #[inline(always)]
    pub(super) unsafe fn take(&mut self, bytes: usize) -> *mut u8 {
        let room = if bytes <= self.near.bytes { &mut self.near } else { &mut self.far };
        let at = room.at;
        // What is behind it begins at a whole word.
        let taken = (bytes + 7) & !7;
        *room = Room { at: unsafe { at.add(taken) }, bytes: room.bytes.saturating_sub(taken) };
        at
    }

    /// All that is left on the stack, if it is at least so much; else elsewhere, where a long piece fits. Whoever asks next gets
    /// it as well.
    #[inline(always)]
    pub(super) fn rest(&self, least: usize) -> Room {
        if least <= self.near.bytes { self.near } else { self.far }
    }

    /// Elsewhere is here from now on.
    #[inline(always)]
    pub(super) fn begin_far(&mut self, at: *mut u8, bytes: usize) {
        self.far = Room { at, bytes };
    }
}

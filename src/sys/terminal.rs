//! A terminal of our own, for a tool whose messages would have gone to the user's; and the
//! user's, for a command that draws on it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, Winsize};

use super::termination;

/// The user's terminal, drawn on as a whole: keys come one by one and unseen, what was on it
/// comes back at the end.
pub struct Screen {
    before: Termios,
    /// SIGTERM, SIGINT and SIGHUP as something to wait for.
    signals: Option<OwnedFd>,
    /// Keys come from stdin, where that is a terminal.
    keys: bool,
}

/// What ended a wait.
pub enum Event {
    Time,
    /// One byte of what was typed.
    Key(u8),
    Signal(i32),
}

impl Screen {
    /// Takes over the terminal that stdout is.
    pub fn enter() -> io::Result<Screen> {
        let before = rustix::termios::tcgetattr(rustix::stdio::stdout())?;
        // First the signals, then the change: from here on everything that ends us puts it back.
        let signals = termination::descriptor();
        let keys = rustix::termios::isatty(rustix::stdio::stdin());
        let screen = Screen { before, signals, keys };
        let mut modes = screen.before.clone();
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        rustix::termios::tcsetattr(rustix::stdio::stdout(), OptionalActions::Now, &modes)?;
        screen.write(b"\x1b[?1049h\x1b[?25l\x1b[2J")?;
        Ok(screen)
    }

    /// Columns and lines; what is usual where the terminal does not say.
    pub fn size(&self) -> (usize, usize) {
        match rustix::termios::tcgetwinsize(rustix::stdio::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (size.ws_col.into(), size.ws_row.into())
            }
            _ => (80, 24),
        }
    }

    /// Writes all of it.
    pub fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(rustix::stdio::stdout(), bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits for a key or a signal, until then.
    pub fn wait(&self, until: Instant) -> io::Result<Event> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left =
                Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(2);
            if let Some(signals) = &self.signals {
                fds.push(PollFd::new(signals, PollFlags::IN));
            }
            let stdin = rustix::stdio::stdin();
            if self.keys {
                fds.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
            }
            match rustix::event::poll(&mut fds, Some(&left)) {
                Ok(0) => return Ok(Event::Time),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(signals) = &self.signals
                && let Some(signal) = termination::read(signals)
            {
                return Ok(Event::Signal(signal));
            }
            if self.keys && fds.last().is_some_and(|fd| !fd.revents().is_empty()) {
                let mut key = [0];
                return match rustix::io::read(stdin, &mut key) {
                    Ok(1) => Ok(Event::Key(key[0])),
                    Err(Errno::INTR | Errno::AGAIN) => continue,
                    // The terminal is gone.
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Where the terminal is gone there is nothing to put back.
        let _ = self.write(b"\x1b[?25h\x1b[?1049l");
        let stdout = rustix::stdio::stdout();
        let _ = rustix::termios::tcsetattr(stdout, OptionalActions::Now, &self.before);
    }
}

/// The two ends of a pseudoterminal.
pub struct Pair {
    /// Where we read what the tool wrote.
    pub ours: OwnedFd,
    /// What the tool gets.
    pub theirs: OwnedFd,
}

/// Standard error's size if it is a terminal. One system call.
pub fn stderr_size() -> Option<Winsize> {
    rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok()
}

/// Standard input's size if it is a terminal.
pub fn stdin_size() -> Option<Winsize> {
    rustix::termios::tcgetwinsize(rustix::stdio::stdin()).ok()
}

/// Standard output's size if it is a terminal.
pub fn stdout_size() -> Option<Winsize> {
    rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()
}

/// A pseudoterminal of this size that hands bytes through unchanged, so that the user's
/// terminal is the only one to turn line ends into what it needs. It does not become anyone's
/// controlling terminal.
pub fn open(size: Winsize) -> io::Result<Pair> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::openpt(flags)?;
    rustix::pty::unlockpt(&ours)?;
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
    let mut modes = rustix::termios::tcgetattr(theirs.as_fd())?;
    modes.make_raw();
    rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &modes)?;
    rustix::termios::tcsetwinsize(&theirs, size)?;
    Ok(Pair { ours, theirs })
}

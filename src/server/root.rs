//! A cache root on disk: whose it is, and where a daemon of it has its socket and locks.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

use crate::settings::Settings;

/// What tells the kinds of daemons of one root apart.
#[derive(Debug)]
pub struct Service {
    /// Held by the daemon as long as it lives.
    lock: &'static str,
    /// Held by whoever starts one.
    start_lock: &'static str,
    log: &'static str,
    /// What our program is called as to start one in the background, and its first words.
    start: (&'static str, &'static [&'static str]),
    /// The same, to be one.
    serve: (&'static str, &'static [&'static str]),
}

/// The daemon that knows what compiles come to.
pub static COMPILES: Service = Service {
    lock: "daemon.lock",
    start_lock: "start.lock",
    log: "logs/daemon.log",
    start: ("zccache", &["daemon"]),
    serve: ("zccache", &["daemon", "--foreground", "--detached"]),
};

/// The daemon that downloads.
pub static DOWNLOADS: Service = Service {
    lock: "download.lock",
    start_lock: "download-start.lock",
    log: "logs/download.log",
    start: ("zccache-download", &["daemon", "start"]),
    serve: ("zccache-download", &["daemon", "serve", "--foreground", "--detached"]),
};

/// A cache root and one daemon of it.
#[derive(Clone, Debug)]
pub struct Root {
    path: PathBuf,
    socket: PathBuf,
    /// The socket was named by the user: whoever is started has to be told.
    endpoint: Option<PathBuf>,
    service: &'static Service,
    /// The program that has the daemon in it.
    program: PathBuf,
}

impl Root {
    /// Fails when there is no place for a cache (no HOME, nothing set).
    pub fn of(settings: &Settings) -> io::Result<Root> {
        let socket = settings.socket_path();
        Root::with(&COMPILES, settings, socket.as_deref(), settings.endpoint.as_deref())
    }

    /// The same for downloads. `endpoint`: another socket than that of settings and root.
    pub fn of_downloads(settings: &Settings, endpoint: Option<&Path>) -> io::Result<Root> {
        let endpoint = endpoint.map(|path| path.as_os_str().as_bytes());
        let endpoint = endpoint.or(settings.download_endpoint.as_deref());
        let own = settings.cache_root.as_ref().map(|root| [root, &b"/download.sock"[..]].concat());
        Root::with(&DOWNLOADS, settings, endpoint.or(own.as_deref()), endpoint)
    }

    fn with(
        service: &'static Service,
        settings: &Settings,
        socket: Option<&[u8]>,
        endpoint: Option<&[u8]>,
    ) -> io::Result<Root> {
        let (Some(path), Some(socket)) = (&settings.cache_root, socket) else {
            return Err(io::Error::other("no cache folder: set ZCCACHE_CACHE_DIR or HOME"));
        };
        let path_of = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
        Ok(Root {
            path: path_of(path),
            socket: path_of(socket),
            endpoint: endpoint.map(path_of),
            service,
            program: PathBuf::from("/proc/self/exe"),
        })
    }

    /// The same, with its daemon in another program than this one.
    pub fn served_by(self, program: PathBuf) -> Root {
        Root { program, ..self }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The daemon's own lock.
    pub fn lock(&self) -> io::Result<File> {
        open_lock(&self.lock_path())
    }

    pub fn lock_path(&self) -> PathBuf {
        self.file(self.service.lock)
    }

    /// The lock of whoever starts a daemon.
    pub fn start_lock(&self) -> io::Result<File> {
        open_lock(&self.file(self.service.start_lock))
    }

    pub fn log(&self) -> PathBuf {
        self.file(self.service.log)
    }

    /// A command that starts a daemon and returns once that listens.
    pub fn starter(&self) -> Command {
        let mut command = self.own_program(self.service.start);
        if let Some(endpoint) = &self.endpoint {
            command.arg("--endpoint").arg(endpoint);
        }
        command
    }

    /// A command that becomes the daemon; more arguments may follow.
    pub fn server(&self) -> Command {
        self.own_program(self.service.serve)
    }

    /// This very program, under a name of its own: what it is called decides what it is.
    fn own_program(&self, (name, words): (&str, &[&str])) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(&self.program);
        command.arg0(name).args(words);
        command
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the cache folder, for us alone. Refused when it is somebody else's.
    pub fn make(&self) -> io::Result<()> {
        let path = self.path();
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let own = rustix::process::geteuid().as_raw();
        // A symlink of ours or of root's is wanted so; another's leads where he wants us.
        let link = std::fs::symlink_metadata(path)?;
        let meta = std::fs::metadata(path)?;
        let planted = link.is_symlink() && ![own, 0].contains(&link.uid());
        if !meta.is_dir() || meta.uid() != own || planted {
            return Err(io::Error::other(format!("{} is not our own folder", path.display())));
        }
        if meta.mode() & 0o022 != 0 {
            // Others could write here until now: what they left is not to be used.
            for entry in std::fs::read_dir(path)? {
                let entry = entry?;
                if entry.metadata()?.uid() != own {
                    let text = format!("{} is another user's: remove it", entry.path().display());
                    return Err(io::Error::other(text));
                }
            }
        }
        if meta.mode() & 0o077 != 0 {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
        }
        for name in ["artifacts", "tmp", "logs", "crashes"] {
            match std::fs::DirBuilder::new().mode(0o700).create(self.file(name)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Connects to whoever listens, if that is us: another user's daemon would tell us what to run.
    /// Waits until the deadline while the daemon's queue is full.
    pub fn connect(&self, deadline: Instant) -> io::Result<UnixStream> {
        let stream = self.with_address(|address| {
            let address = SocketAddrUnix::new(address)?;
            loop {
                // A blocking one would wait for ever for a daemon that is stuck.
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
                match rustix::net::connect(&socket, &address) {
                    Ok(()) => return Ok(UnixStream::from(socket)),
                    Err(Errno::AGAIN) if Instant::now() < deadline => {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        })?;
        let peer = rustix::net::sockopt::socket_peercred(&stream)?;
        if peer.uid != rustix::process::geteuid() {
            let message = format!("{} belongs to another user", self.socket().display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        stream.set_nonblocking(false)?;
        Ok(stream)
    }

    /// Hands over a path of the socket that fits into a socket address.
    pub fn with_address<T>(&self, then: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        const ADDRESS_BYTES_MAX: usize = 107;
        let socket = self.socket();
        if socket.as_os_str().len() <= ADDRESS_BYTES_MAX {
            return then(socket);
        }
        // The folder by descriptor: short, and the same file.
        let name = socket.file_name().unwrap_or_default();
        let folder = File::open(socket.parent().unwrap_or(Path::new("/")))?;
        use std::os::fd::AsRawFd;
        let mut short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        short.push(name);
        then(&short)
    }
}

/// Opens a lock file, never through a symlink.
fn open_lock(path: &Path) -> io::Result<File> {
    const O_NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW);
    options.open(path)
}

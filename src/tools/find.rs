//! Finding a tool as `execvp` would, but never ourselves.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::program::{self, Program};

/// Where to look when there is no PATH, as the C library does.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// The device and inode of a program file.
pub type FileKey = (u64, u64);

/// A tool that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its file, as PATH spells it: relative where PATH is.
    pub path: Vec<u8>,
    /// The candidates before it, in order: not there, not executable, or us.
    pub passed: Vec<Vec<u8>>,
    /// We stood before it on the path. The tool must then be given its whole path as its own
    /// name: gcc looks its name up on PATH to find its parts, and would find us.
    pub behind_us: bool,
}

/// Why there is no tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No such file anywhere: a shell's 127.
    NotFound,
    /// There is a file, but it can't be executed: a shell's 126.
    NotExecutable,
}

/// A tool that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    pub why: Missing,
    /// All candidates, in order.
    pub passed: Vec<Vec<u8>>,
}

/// Looks the tool up: a name with a slash is that file, any other is searched on `path_env`.
/// Relative names are taken from `cwd`. Files that are us, by inode or as a symlink to a
/// zccache, are passed over; for a name with a slash that is us, the next tool of that name
/// on the path is meant.
pub fn find_tool(
    name: &[u8],
    path_env: Option<&[u8]>,
    cwd: &[u8],
    us: FileKey,
) -> Result<Found, NotFound> {
    find_beyond(name, path_env, cwd, us, &|_| false)
}

/// The same, which passes these files over as well.
pub fn find_beyond(
    name: &[u8],
    path_env: Option<&[u8]>,
    cwd: &[u8],
    us: FileKey,
    beyond: &dyn Fn(FileKey) -> bool,
) -> Result<Found, NotFound> {
    let is_us = &|file| file == us || beyond(file);
    let mut passed = Vec::new();
    let mut why = Missing::NotFound;
    let mut behind_us = false;
    let mut searched = name;
    if name.contains(&b'/') {
        match look_at(name, cwd, is_us) {
            Candidate::Tool => return Ok(Found { path: name.to_vec(), passed, behind_us }),
            Candidate::Absent => return Err(NotFound { why, passed: vec![name.to_vec()] }),
            Candidate::NotExecutable => {
                let why = Missing::NotExecutable;
                return Err(NotFound { why, passed: vec![name.to_vec()] });
            }
            Candidate::Us => {
                passed.push(name.to_vec());
                behind_us = true;
                searched = base(name);
            }
        }
    }
    if searched.is_empty() {
        return Err(NotFound { why, passed });
    }
    for folder in path_env.unwrap_or(DEFAULT_PATH).split(|&byte| byte == b':') {
        // An empty piece of PATH is the working folder.
        let folder = if folder.is_empty() { b"." } else { folder };
        let path = if folder.ends_with(b"/") {
            [folder, searched].concat()
        } else {
            [folder, b"/", searched].concat()
        };
        match look_at(&path, cwd, is_us) {
            Candidate::Tool => return Ok(Found { path, passed, behind_us }),
            Candidate::Absent => {}
            Candidate::NotExecutable => why = Missing::NotExecutable,
            Candidate::Us => behind_us = true,
        }
        passed.push(path);
    }
    Err(NotFound { why, passed })
}

/// A path as seen from the cwd.
pub fn absolute(cwd: &[u8], path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") { path.to_vec() } else { [cwd, b"/", path].concat() }
}

/// The folder that a file lies in.
pub fn folder_of(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => b"/",
        Some(at) => &path[..at],
        None => b".",
    }
}

/// What follows a folder in its own path (nothing) or in that of something in it (from the slash on).
pub fn within<'a>(path: &'a [u8], folder: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(folder)?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

/// A path without what follows the last dot of its name.
pub fn without_ending(path: &[u8]) -> &[u8] {
    let dot = base(path).iter().rposition(|byte| *byte == b'.');
    dot.map_or(path, |dot| &path[..path.len() - base(path).len() + dot])
}

/// The last part of a path.
pub fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// A tool's name without folder, target and version: `ar` of `/usr/bin/x86_64-linux-gnu-gcc-ar-12`.
pub fn plain_name(path: &[u8]) -> &[u8] {
    let name = base(path);
    let is_version = |part: &[u8]| {
        part.first().is_some_and(u8::is_ascii_digit)
            && part.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
    };
    let dash = |name: &[u8]| name.iter().rposition(|byte| *byte == b'-');
    let name = match dash(name) {
        Some(at) if is_version(&name[at + 1..]) => &name[..at],
        _ => name,
    };
    dash(name).map_or(name, |at| &name[at + 1..])
}

/// The running program's file, for `find_tool`. Zeros match no file.
pub fn own_key() -> FileKey {
    key_of(b"/proc/self/exe").unwrap_or_default()
}

/// The file at a path, symlinks followed.
pub fn key_of(path: &[u8]) -> Option<FileKey> {
    let meta = std::fs::metadata(OsStr::from_bytes(path)).ok()?;
    Some((meta.dev(), meta.ino()))
}

enum Candidate {
    Tool,
    Absent,
    NotExecutable,
    Us,
}

fn look_at(path: &[u8], cwd: &[u8], is_us: &dyn Fn(FileKey) -> bool) -> Candidate {
    let path = absolute(cwd, path);
    let path = Path::new(OsStr::from_bytes(&path));
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) => {
            // execvp goes on after a refusal too, but remembers it.
            return match error.kind() {
                std::io::ErrorKind::PermissionDenied => Candidate::NotExecutable,
                _ => Candidate::Absent,
            };
        }
    };
    if is_us((meta.dev(), meta.ino())) || leads_to_zccache(path) || is_copy_of_zccache(path) {
        return Candidate::Us;
    }
    if !meta.is_file() || !is_executable(path.as_os_str().as_bytes()) {
        return Candidate::NotExecutable;
    }
    Candidate::Tool
}

/// Whether the kernel would let us run a file (or enter a folder).
pub(super) fn is_executable(path: &[u8]) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Whether this is a symlink that ends at a file called zccache: another build of us.
fn leads_to_zccache(path: &Path) -> bool {
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
    is_link
        && std::fs::canonicalize(path)
            .is_ok_and(|end| base(end.as_os_str().as_bytes()).starts_with(b"zccache"))
}

/// In every build of this program, and nowhere else.
#[used]
static MARK: [u8; 41] = *b"zccache: compiler cache, mark 5b1f0c97e2a";

/// Whether this is a copy of some build of us under a tool's name: a static program that
/// holds our mark. Compilers are dynamic or scripts, so few files are read for this.
fn is_copy_of_zccache(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    matches!(program::inspect(bytes), Ok(Program::Static))
        && std::fs::read(path).is_ok_and(|text| memchr::memmem::find(&text, &MARK).is_some())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    /// A fresh folder, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("zcc-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn file(&self, name: &str, mode: u32) -> FileKey {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, name).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let meta = fs::metadata(&path).unwrap();
            (meta.dev(), meta.ino())
        }

        fn find(&self, name: &str, path: Option<&str>, us: FileKey) -> Result<Found, NotFound> {
            let cwd = self.0.as_os_str().as_bytes();
            find_tool(name.as_bytes(), path.map(str::as_bytes), cwd, us)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn found(path: &str, passed: &[&str]) -> Result<Found, NotFound> {
        let passed = passed.iter().map(|path| path.as_bytes().to_vec()).collect();
        Ok(Found { path: path.as_bytes().to_vec(), passed, behind_us: false })
    }

    #[test]
    fn plain_names() {
        for (name, plain) in [
            ("ld", "ld"),
            ("/usr/bin/x86_64-linux-gnu-ld.gold", "ld.gold"),
            ("wasm-ld-14", "ld"),
            ("gcc-ar-12", "ar"),
            ("llvm-ranlib-14.0", "ranlib"),
            ("ld-linux", "linux"),
            ("-", ""),
        ] {
            assert_eq!(plain_name(name.as_bytes()), plain.as_bytes(), "{name}");
        }
    }

    #[test]
    fn the_first_executable_counts() {
        let folder = Folder::new("first");
        folder.file("b/gcc", 0o644);
        folder.file("c/gcc", 0o755);
        folder.file("d/gcc", 0o755);
        fs::create_dir_all(folder.0.join("e/gcc")).unwrap();
        assert_eq!(
            folder.find("gcc", Some("a:e:c/:d"), (0, 0)),
            found("c/gcc", &["a/gcc", "e/gcc"])
        );
        assert_eq!(folder.find("./d/gcc", None, (0, 0)), found("./d/gcc", &[]));
        let missing = folder.find("gcc", Some("a:e"), (0, 0)).unwrap_err();
        assert_eq!((missing.why, missing.passed.len()), (Missing::NotExecutable, 2));
        assert_eq!(folder.find("gcc", Some("a"), (0, 0)).unwrap_err().why, Missing::NotFound);
        assert_eq!(folder.find("", Some("a"), (0, 0)).unwrap_err().why, Missing::NotFound);
        assert_eq!(folder.find("./gcc", Some("c"), (0, 0)).unwrap_err().why, Missing::NotFound);
    }

    #[test]
    fn an_empty_piece_is_the_working_folder() {
        let folder = Folder::new("empty");
        folder.file("gcc", 0o755);
        assert_eq!(folder.find("gcc", Some(""), (0, 0)), found("./gcc", &[]));
        assert_eq!(folder.find("gcc", Some("a:"), (0, 0)), found("./gcc", &["a/gcc"]));
    }

    #[test]
    fn we_are_passed_over() {
        let folder = Folder::new("us");
        let us = folder.file("bin/other-name", 0o755);
        folder.file("old/zccache-1.0", 0o755);
        folder.file("real/gcc", 0o755);
        for (farm, target) in [("f1", "bin/other-name"), ("f2", "old/zccache-1.0")] {
            fs::create_dir_all(folder.0.join(farm)).unwrap();
            symlink(folder.0.join(target), folder.0.join(farm).join("gcc")).unwrap();
        }
        fs::create_dir_all(folder.0.join("f3")).unwrap();
        fs::hard_link(folder.0.join("bin/other-name"), folder.0.join("f3/gcc")).unwrap();
        let real = |passed| found("real/gcc", passed).map(|real| Found { behind_us: true, ..real });
        let farms = ["f1/gcc", "f2/gcc", "f3/gcc"];
        assert_eq!(folder.find("gcc", Some("f1:f2:f3:real"), us), real(&farms));
        assert_eq!(folder.find("./f2/gcc", Some("f1:real"), us), real(&["./f2/gcc", "f1/gcc"]));
        assert_eq!(folder.find("gcc", Some("f1:f2"), us).unwrap_err().why, Missing::NotFound);
    }
}

//! A generated project: sources that include many headers, and the requests of their compiles.

use std::fmt::Write;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use zccache::protocol::frame::{self, HEADER_BYTES, Header};
use zccache::protocol::message::{Invocation, Request};

pub struct Project {
    pub folder: PathBuf,
    sources: usize,
    headers: usize,
    env: Vec<u8>,
    dependencies: String,
}

/// Headers in one folder: real trees spread theirs.
const PER_FOLDER: usize = 100;

impl Project {
    /// Writes `sources` files that each include `headers` headers.
    pub fn make(folder: PathBuf, sources: usize, headers: usize) -> Project {
        let name = |n: usize| format!("part{}/h{n}.h", n / PER_FOLDER);
        for n in (0..headers).step_by(PER_FOLDER) {
            fs::create_dir_all(folder.join(format!("include/part{}", n / PER_FOLDER)))
                .expect("a folder");
        }
        fs::create_dir_all(folder.join("include")).expect("a folder");
        let mut all = String::new();
        let mut dependencies = " include/all.h".to_owned();
        for n in 0..headers {
            fs::write(folder.join("include").join(name(n)), format!("extern int g{n};\n"))
                .expect("a header");
            writeln!(all, "#include <{}>", name(n)).expect("text");
            write!(dependencies, " include/{}", name(n)).expect("text");
        }
        fs::write(folder.join("include/all.h"), all).expect("a header");
        for n in 0..sources {
            let text = format!("#include <all.h>\nint f{n}(void) {{ return {n}; }}\n");
            let file = folder.join(source(n));
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(file, text).expect("a source");
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let env = [b"PATH=", path.as_bytes(), b"\0LANG=C\0HOME=/\0TERM=xterm\0"].concat();
        Project { folder, sources, headers, env, dependencies }
    }

    pub fn headers(&self) -> usize {
        self.headers
    }

    /// The frame of the n-th compile. Beyond the number of sources, they come again with another macro.
    pub fn request(&self, n: usize) -> Vec<u8> {
        self.framed(n, false)
    }

    /// The same by a client that takes a hit in the short form and leaves with it, as wrappers do.
    pub fn quick_request(&self, n: usize) -> Vec<u8> {
        self.framed(n, true)
    }

    fn framed(&self, n: usize, quick: bool) -> Vec<u8> {
        let (file, round) = (source(n % self.sources), n / self.sources);
        let argv = format!("gcc\0-O1\0-Iinclude\0-DROUND={round}\0-c\0{file}\0-o\0{file}.o\0");
        let invocation = Invocation {
            argv: argv.into_bytes(),
            env: self.env.clone(),
            cwd: self.folder.as_os_str().as_bytes().to_vec(),
            ..Invocation::default()
        };
        let request = Request::Compile(invocation);
        let mut bytes = frame::question(&request).expect("a message");
        let head = bytes.first_chunk().and_then(Header::decode).expect("a header");
        bytes[..HEADER_BYTES].copy_from_slice(&Header { quick, ..head }.encode());
        bytes
    }

    /// What the compiler would say the n-th compile read.
    pub fn dependencies(&self, n: usize) -> Vec<u8> {
        let file = source(n % self.sources);
        format!("{file}.o: {file}{}\n", self.dependencies).into_bytes()
    }
}

fn source(n: usize) -> String {
    format!("src{}/u{n}.c", n / PER_FOLDER)
}

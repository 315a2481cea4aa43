//! Asking clang.

use std::ffi::OsString;
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::ast::{self, Tree};
use super::sketch::{ClangText, Sketch};
use super::{Error, Options};

/// Trees are as deep as their longest expression; address space that is not touched costs
/// nothing.
const TREE_STACK_BYTES: usize = 256 << 20;

/// A clang on this machine.
pub struct Clang {
    program: PathBuf,
}

impl Clang {
    /// `clang++`, `clang`, or the highest `clang-NN` of the first folder on PATH that has one.
    pub fn find() -> Option<Clang> {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find_map(|folder| {
            let mut names: Vec<OsString> = vec!["clang++".into(), "clang".into()];
            let versions = folder.read_dir().into_iter().flatten().flatten().filter_map(|entry| {
                entry.file_name().to_str()?.strip_prefix("clang-")?.parse::<u32>().ok()
            });
            let newest = versions.max();
            names.extend(newest.map(|version| format!("clang-{version}").into()));
            let paths = names.into_iter().map(|name| folder.join(name));
            let program = paths.into_iter().find(|path| {
                path.metadata()
                    .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
            })?;
            Some(Clang { program })
        })
    }

    /// Everything a result can depend on beside the sketch: which clang, what all includes
    /// expand to, what it complained about.
    pub(super) fn preprocess(
        &self,
        sketch: &Sketch,
        text: &ClangText,
        options: &Options,
    ) -> Result<Vec<u8>, Error> {
        let mut all = self.identity()?;
        let mut child = self.start(sketch, options, &["-E"])?;
        let writer = feed(&mut child, text)?;
        let output = child.wait_with_output()?;
        // It may have stopped reading; what it says about that is in the output.
        let _ = writer.join();
        all.extend(output.stdout);
        all.extend(output.stderr);
        all.extend(output.status.to_string().into_bytes());
        Ok(all)
    }

    fn identity(&self) -> Result<Vec<u8>, Error> {
        let real = std::fs::canonicalize(&self.program)?;
        let meta = real.metadata()?;
        let about = (meta.dev(), meta.ino(), meta.size(), meta.ctime(), meta.ctime_nsec());
        Ok(format!("{} {about:?}\n", real.display()).into_bytes())
    }

    pub(super) fn syntax_tree(
        &self,
        sketch: &Sketch,
        text: &ClangText,
        options: &Options,
    ) -> Result<Tree, Error> {
        let mut child = self.start(
            sketch,
            options,
            &["-fsyntax-only", "-Xclang", "-ast-dump=json", "-w", "-ferror-limit=0"],
        )?;
        let writer = feed(&mut child, text)?;
        let mut errors = child.stderr.take();
        // Read beside the tree: either stream may fill its pipe.
        let complaints = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.as_mut().map(|errors| errors.read_to_end(&mut text));
            text
        });
        let shift = text.shift;
        let out = child.stdout.take();
        let reader = std::thread::Builder::new().stack_size(TREE_STACK_BYTES);
        let reader = reader.spawn(move || out.map(|out| ast::read(BufReader::new(out), shift)));
        let tree = reader.map(|reader| reader.join().ok().flatten())?;
        // Ended early by a reader that gave up, or by itself.
        let _ = child.wait();
        let _ = writer.join();
        let complaints = complaints.join().unwrap_or_default();
        match tree {
            Some(Ok(tree)) => Ok(tree),
            _ => {
                let said = String::from_utf8_lossy(&complaints);
                Err(Error::Clang(said.lines().next().unwrap_or("no syntax tree").to_owned()))
            }
        }
    }

    fn start(&self, sketch: &Sketch, options: &Options, mode: &[&str]) -> Result<Child, Error> {
        let mut command = Command::new(&self.program);
        command.args(["-x", "c++"]).args(mode).arg("-iquote").arg(&sketch.folder);
        command.args(&options.clang_args).arg("-");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command.spawn()?)
    }
}

/// Gives clang its input, in a thread: it may write before it has read everything.
fn feed(child: &mut Child, text: &ClangText) -> Result<std::thread::JoinHandle<()>, Error> {
    let mut input = child.stdin.take().ok_or_else(|| std::io::Error::other("no pipe"))?;
    let text = text.bytes.clone();
    Ok(std::thread::spawn(move || {
        // It may have stopped reading; it says so itself.
        let _ = input.write_all(text.as_bytes());
    }))
}

//! The invocation as it came to us: nothing in it is understood here.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::names;
use crate::protocol::message::{Declared, Invocation, StdoutIs, Terminal};
use crate::sys::process::{self, Strings};
use crate::sys::terminal;
use crate::terms::Arg;
use crate::tools::find::{self, base};
use crate::tools::gcc::strict_paths::StrictPaths;
use crate::tools::way::{self, Way};

/// How often a call went through a copy of us that stands for a tool.
const DEPTH: &[u8] = b"ZCCACHE_MASQUERADE_DEPTH";

/// More copies of us in a row than any real set-up has.
const DEPTH_MAX: u32 = 8;

/// One call of a tool.
pub struct Call<'a> {
    /// The tool as typed, and its arguments. Never empty.
    pub argv: &'a [OsString],
    /// We were called by the tool's own name.
    pub masquerade: bool,
    /// `NAME=VALUE`, each ended by NUL.
    pub env: Vec<u8>,
    /// The mode given on our own command line, which wins over the variable.
    pub strict: Option<StrictPaths>,
    /// What `zccache exec` was told of the command.
    pub declared: Option<Declared>,
}

impl<'a> Call<'a> {
    /// The running process's environment with this command.
    pub fn new(argv: &'a [OsString], masquerade: bool, strict: Option<StrictPaths>) -> Call<'a> {
        Call { argv, masquerade, env: process::environment(), strict, declared: None }
    }

    /// A command of `zccache exec`.
    pub fn declared(argv: &'a [OsString], declared: Declared) -> Call<'a> {
        Call { declared: Some(declared), ..Call::new(argv, false, None) }
    }

    /// Whether the daemon is asked about this tool.
    pub fn is_asked_about(&self) -> bool {
        self.declared.is_some() || names::is_known(self.tool())
    }

    /// The environment as the daemon is to see it: with what our own command line says.
    pub fn told_env(&self) -> Vec<u8> {
        let Some(strict) = self.strict else { return self.env.clone() };
        // In front, where it counts before the caller's own.
        [b"ZCCACHE_STRICT_PATHS=", strict.name().as_bytes(), b"\0", &self.env].concat()
    }

    /// The tool as typed.
    pub fn tool(&self) -> &[u8] {
        self.argv.first().map_or(&[], |tool| tool.as_bytes())
    }

    /// A variable's value, as getenv would say.
    pub fn variable(&self, name: &[u8]) -> Option<&[u8]> {
        self.entries().find_map(|entry| entry.strip_prefix(name)?.strip_prefix(b"="))
    }

    /// Copies of us that stand for a tool lead to each other, and never to the tool.
    pub fn runs_in_circles(&self) -> bool {
        self.masquerade && self.depth() > DEPTH_MAX
    }

    /// The tools that led here.
    pub fn way(&self) -> Way<'_> {
        Way::of(self.variable(way::VARIABLE))
    }

    /// The tool that this call means led here: whoever asked about it first is waiting for us, and is not to
    /// be asked again.
    pub fn came_back(&self) -> bool {
        if self.way().is_empty() || !self.is_asked_about() {
            return false;
        }
        let name = if self.masquerade { base(self.tool()) } else { self.tool() };
        let cwd = cwd().unwrap_or_else(|| b".".to_vec());
        let found = find::find_tool(name, self.variable(b"PATH"), &cwd, find::own_key());
        let file = found.ok().and_then(|found| find::key_of(&found.path));
        file.is_some_and(|file| self.way().passes(base(name), file))
    }

    /// How many masquerading copies of us led here, not counting this one.
    fn depth(&self) -> u32 {
        let text = self.variable(DEPTH).and_then(|value| std::str::from_utf8(value).ok());
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn entries(&self) -> impl Iterator<Item = &[u8]> {
        // Each entry is ended by NUL, so the piece after the last one is not an entry.
        self.env.strip_suffix(b"\0").unwrap_or(&self.env).split(|&byte| byte == 0)
    }

    /// The environment for the tool, which is this file: ours with these variables set on top.
    pub fn child_env(&self, program: &[u8], extra: &[(Arg, Arg)]) -> io::Result<Strings> {
        let mut extra = extra.to_vec();
        // Not a declared command of any other name: that might write its environment down.
        if names::is_known(self.tool())
            && let Some(file) = find::key_of(program)
        {
            extra.push((way::VARIABLE.to_vec(), self.way().and(base(self.tool()), file)));
        }
        if self.masquerade {
            let depth = self.depth().saturating_add(1).to_string();
            extra.push((DEPTH.to_vec(), depth.into_bytes()));
        }
        let set: Vec<Vec<u8>> =
            extra.iter().map(|(name, value)| [name.as_slice(), b"=", value].concat()).collect();
        let replaced = |entry: &&[u8]| {
            extra.iter().any(|(name, _)| {
                entry.strip_prefix(name.as_slice()).is_some_and(|rest| rest.starts_with(b"="))
            })
        };
        Strings::new(
            self.entries().filter(|entry| !replaced(entry)).chain(set.iter().map(Vec::as_slice)),
        )
    }

    /// What the daemon is told.
    pub fn invocation(&self, cwd: Vec<u8>, terminal: Option<Terminal>) -> Invocation {
        let mut argv = Vec::with_capacity(self.argv.iter().map(|arg| arg.len() + 1).sum());
        for arg in self.argv {
            argv.extend_from_slice(arg.as_bytes());
            argv.push(0);
        }
        Invocation {
            argv,
            env: self.told_env(),
            cwd,
            masquerade: self.masquerade,
            terminal,
            damaged: Vec::new(),
            again: false,
            stdout: stdout_of(self.tool(), self.declared.is_some()),
            declared: self.declared.clone(),
        }
    }
}

/// The terminal that our messages go to, if they go to one.
pub fn terminal() -> Option<Terminal> {
    let size = terminal::stderr_size()?;
    let input = terminal::stdin_size().map(|size| size.ws_col);
    Some(Terminal { columns: size.ws_col, input })
}

/// Where our standard output goes, as far as it matters to this tool.
pub fn stdout_of(tool: &[u8], is_declared: bool) -> StdoutIs {
    if !is_declared && !names::minds_stdout(tool) {
        return StdoutIs::Apart;
    }
    let (out, err) = (rustix::stdio::stdout(), rustix::stdio::stderr());
    let identity = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
    match (rustix::fs::fstat(out), rustix::fs::fstat(err)) {
        (Ok(out), Ok(err)) if identity(out) == identity(err) => StdoutIs::AsStderr,
        _ if terminal::stdout_size().is_some() => StdoutIs::Terminal,
        _ => StdoutIs::Apart,
    }
}

/// The working folder, if it is still there and has a name.
pub fn cwd() -> Option<Vec<u8>> {
    let cwd = rustix::process::getcwd(Vec::with_capacity(512)).ok()?.into_bytes();
    // The kernel marks a folder outside our root with a word in front.
    cwd.starts_with(b"/").then_some(cwd)
}

/// The umask, which can only be read by setting it. The wrapper has a single thread, so
/// nobody creates a file in between.
pub fn umask() -> u32 {
    let mask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(mask);
    mask.bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(argv: &[OsString], env: &[u8], masquerade: bool) -> (Vec<u8>, u32) {
        let call = Call { argv, masquerade, env: env.to_vec(), strict: None, declared: None };
        (call.invocation(b"/w".to_vec(), None).argv, call.depth())
    }

    #[test]
    fn argv_is_a_block() {
        let argv = [OsString::from("gcc"), OsString::new(), OsString::from("-c")];
        assert_eq!(call(&argv, b"", false), (b"gcc\0\0-c\0".to_vec(), 0));
    }

    #[test]
    fn variables() {
        let env = b"AB=1\0A=2\0A=3\0N\0".to_vec();
        let call = Call { argv: &[], masquerade: true, env, strict: None, declared: None };
        assert_eq!(call.variable(b"A"), Some(&b"2"[..]));
        assert_eq!(call.variable(b"N"), None);
        assert_eq!(call.tool(), b"");
        assert!(call.child_env(b"/", &[(b"A".to_vec(), b"x\0".to_vec())]).is_err());
    }

    #[test]
    fn depth_counts_only_numbers() {
        assert_eq!(call(&[], b"ZCCACHE_MASQUERADE_DEPTH=3\0", true).1, 3);
        assert_eq!(call(&[], b"ZCCACHE_MASQUERADE_DEPTH=x\0", true).1, 0);
    }
}

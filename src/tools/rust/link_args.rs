//! What `-C link-arg` says: arguments of the linker's driver, read as its own links are.

use super::args::Refused;
use crate::inputs::dialect::Flavor;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::command::{LinkLine, Parsed};
use crate::tools::gcc;
use crate::tools::link::options::{self, Said};

/// Stands for the objects and crates that rustc names.
const OBJECT: &[u8] = b"zccache-stand-in.o";
/// Stands for the file that rustc has made.
const OUTPUT: &[u8] = b"zccache-stand-in";

/// What the driver is told, and through it the linker.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) said: Said,
    /// The arguments that choose programs, targets and folders.
    pub(super) choosing: Vec<Arg>,
}

/// Reads the arguments that rustc hands on. They come last in its line, so that nothing of it
/// is their value.
pub(super) fn read(flavor: Flavor, args: &[Arg]) -> Result<Told, Refused> {
    // Where it makes driver or linker look, more may come to be than is asked after.
    let odd = |arg: &&Arg| {
        [&b"-B"[..], b"--ld-path", b"-specs", b"--specs"].iter().any(|start| arg.starts_with(start))
    };
    if let Some(arg) = args.iter().find(odd) {
        return Err((Reason::Link, Some(arg.clone())));
    }
    let line = [&[b"-o".to_vec(), OUTPUT.to_vec(), OBJECT.to_vec()], args].concat();
    let line = match gcc::parse(flavor, false, &line, &mut |_| None) {
        Parsed::Link(line) => line,
        Parsed::Compile(_) => return Err((Reason::Link, None)),
        Parsed::Plain(reason, argument) => return Err((reason, argument)),
    };
    let LinkLine { words, choosing, compiles: None, side_files: None, .. } = *line else {
        return Err((Reason::Link, None));
    };
    // Files of the compiler's, that a link has no use for.
    if let Some(path) = line.option_inputs.first() {
        return Err((Reason::Link, Some(path.clone())));
    }
    let mut said = options::read(&words)?;
    said.files.retain(|path| path != OBJECT);
    // Plugins do what they like, and these two choose folders that the driver doesn't tell of.
    if let Some(arg) = said.plugins.first().or(said.choosing.first()) {
        return Err((Reason::Link, Some(arg.clone())));
    }
    match said.output.take() {
        Some(path) if path == OUTPUT => Ok(Told { said, choosing }),
        other => Err((Reason::UnusualOutput, other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::output::Role;

    fn told(line: &str) -> Result<Told, Refused> {
        let args: Vec<Arg> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        read(Flavor::Gcc, &args)
    }

    fn list(names: &[&str]) -> Vec<Arg> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    #[test]
    fn every_way_to_the_linker() {
        let said =
            told("-Wl,-La -L b -Wl,--library-path=c -l:n.o -Xlinker -Map=m x.o").unwrap().said;
        assert_eq!(said.folders, list(&["a", "b", "c"]));
        assert_eq!(said.names, list(&["n.o"]));
        assert_eq!(said.writes, [(Role::LinkMap, b"m".to_vec())]);
        assert_eq!(said.files, list(&["x.o"]));
        assert_eq!(told("-Wl,-Map -Wl,f").unwrap().said.writes, [(Role::LinkMap, b"f".to_vec())]);
    }

    #[test]
    fn what_builds_pass() {
        for line in [
            "-fuse-ld=lld",
            "-fuse-ld=mold -Wl,-rpath,$ORIGIN -Wl,--as-needed -Wl,-z,relro,-z,now",
            "-no-pie -static -nostartfiles -nodefaultlibs -nostdlib",
            "-pthread -lstdc++ -static-libgcc -rdynamic -Wl,--export-dynamic -s",
            "-Wl,-soname,libx.so.1 -Wl,--version-script=x.map -Wl,--dynamic-list=x.list",
            "-Wl,-u,f -Wl,--no-undefined -Wl,--build-id=sha1 -Wl,--gc-sections -Wl,--icf=all",
            "-Wl,-Tx.ld -Tx.ld -Wl,--start-group -lm -Wl,--end-group -m64 -march=native",
            "-Wl,--undefined-version -fsanitize=address -Wl,--compress-debug-sections=zlib -flto",
        ] {
            assert!(told(line).is_ok(), "{line}: {:?}", told(line));
        }
        assert_eq!(told("-fuse-ld=lld -m64").unwrap().choosing, list(&["-m64", "-fuse-ld=lld"]));
        assert_eq!(read(Flavor::Clang, &[]), Ok(Told::default()));
    }

    #[test]
    fn what_cannot_be_followed() {
        let reason = |line| told(line).unwrap_err().0;
        for line in ["-B x", "-Bx", "-specs=r", "--specs=r", "-Wl,-plugin,./p.so", "-Wl,-melf_i386"]
        {
            assert_eq!(reason(line), Reason::Link, "{line}");
        }
        for line in ["--prefix=B/", "--library-directory=d", "-Wl,--frobnicate", "-plugin x"] {
            assert_eq!(reason(line), Reason::UnknownArgument, "{line}");
        }
        for line in ["-Wl,--reproduce=f", "-Wl,--time-trace=f", "-Wl,--why-extract=f", "-wrapper x"]
        {
            assert_eq!(reason(line), Reason::UncacheableArgument, "{line}");
        }
        for line in ["@r", "-Wl,@r", "-Wl,--gc-sections,@r", "-Xlinker @r"] {
            assert_eq!(reason(line), Reason::ResponseFile, "{line}");
        }
        for line in ["-o x", "-Wl,-o,x"] {
            assert_eq!(reason(line), Reason::UnusualOutput, "{line}");
        }
        assert_eq!(reason("x.c"), Reason::Link);
        assert_eq!(reason("-L"), Reason::UncacheableArgument);
        assert_eq!(reason("-Wl,-Map"), Reason::UncacheableArgument);
    }
}

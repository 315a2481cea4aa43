//! emcc's own options. It picks them out of its command line wherever they stand, whatever option
//! they are the value of, and hands the rest to clang; so does this.

use super::settings;
use crate::session::reason::Reason;
use crate::terms::Arg;

/// What emcc takes for itself, and what is left.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    /// What clang is told, and where each stands among the arguments.
    pub(super) clang: Vec<Arg>,
    pub(super) positions: Vec<usize>,
    /// The options of emcc's own in order, each in one piece.
    pub(super) own: Vec<Arg>,
    /// Settings that the toolchain's answers depend on.
    pub(super) asking: Vec<Arg>,
    /// `-sNAME=@FILE`, `--pre-js` and its like.
    pub(super) reads: Vec<Arg>,
    /// `--pre-js` and its like: pasted into the result.
    pub(super) pasted: Vec<Arg>,
    /// `--js-library`: run while linking.
    pub(super) libraries: Vec<Arg>,
    /// `--shell-file`
    pub(super) shell: Option<Arg>,
    /// `--preload-file` and `--embed-file`, without what stands behind the `@`.
    pub(super) packed: Vec<Arg>,
    /// `MAIN_MODULE`: libraries of libraries are linked, too.
    pub(super) main_module: bool,
    /// `MEMORY64`
    pub(super) wide: bool,
    /// What the result holds of the `.wasm` file is put elsewhere, and the file removed.
    pub(super) removes_wasm: bool,
    /// No cached link: a part of it runs programs of the user's, or makes files with names of their own.
    pub(super) unlinkable: Option<Arg>,
}

/// Why a command runs plain, and the argument to blame.
pub(super) type Refusal = (Reason, Option<Arg>);

#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    /// `NAME=VALUE`, or the next argument.
    Value,
}

#[derive(Clone, Copy)]
enum Class {
    Plain,
    /// Only 0 can be cached.
    Zero,
    Pasted,
    Library,
    Shell,
    Packed,
    Information,
    /// Plain as long as nothing is linked.
    NoLink,
    Refused,
}

use Class::*;
use Takes::*;

const OPTIONS: &[(&str, Takes, Class)] = &[
    (
        "--bind --cpuprofiler --emit-symbol-map --emrun --ignore-dynamic-linking --memoryprofiler \
         --no-entry --no-heap-copy --profiling --profiling-funcs --proxy-to-worker \
         --remove-duplicates --threadprofiler --tracing --use-preload-cache --use-preload-plugins \
         -profiling -profiling-funcs",
        Nothing,
        Plain,
    ),
    ("--check --clear-cache --clear-ports --show-ports --cflags", Nothing, Information),
    ("--jcache --post-link --separate-asm", Nothing, Refused),
    (
        "--exclude-file --js-opts --llvm-lto --llvm-opts --memory-init-file --output_eol \
         --source-map-base --valid-abspath",
        Value,
        Plain,
    ),
    ("--closure --minify", Value, Zero),
    ("--pre-js --post-js --extern-pre-js --extern-post-js", Value, Pasted),
    ("--js-library", Value, Library),
    ("--shell-file", Value, Shell),
    ("--embed-file --preload-file", Value, Packed),
    ("--closure-args --js-transform --oformat", Value, NoLink),
    ("--cache --compiler-wrapper --default-obj-ext --em-config", Value, Refused),
];

/// Reads arguments in which nothing is left to expand.
pub(super) fn read(args: &[Arg]) -> Result<Said, Refusal> {
    let mut said = Said::default();
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        let next = args.get(at + 1);
        let used = said.argument(at, arg, next)?;
        at += 1 + usize::from(used);
    }
    Ok(said)
}

impl Said {
    /// The files that options name, but those that are packed.
    pub(super) fn named_files(&self) -> impl Iterator<Item = &Arg> {
        [&self.reads, &self.pasted, &self.libraries].into_iter().flatten().chain(&self.shell)
    }

    /// Takes one argument in; says whether it took the next one as its value.
    fn argument(&mut self, at: usize, arg: &Arg, next: Option<&Arg>) -> Result<bool, Refusal> {
        if arg == b"-mllvm" {
            self.for_clang(at, arg);
            return Ok(next.inspect(|value| self.for_clang(at + 1, value)).is_some());
        }
        if arg == b"-s" {
            let setting = next.filter(|next| is_setting(next));
            if let Some(setting) = setting {
                self.setting(setting)?;
            } else {
                self.for_clang(at, arg);
            }
            return Ok(setting.is_some());
        }
        if let Some(setting) = arg.strip_prefix(b"-s").filter(|rest| is_setting(rest)) {
            self.setting(setting)?;
            return Ok(false);
        }
        if arg.starts_with(b"-jsD") {
            self.own.push(arg.clone());
            return Ok(false);
        }
        // `-oX=Y` names `Y`.
        if arg.starts_with(b"-o") && arg.contains(&b'=') {
            return Err((Reason::UnknownArgument, Some(arg.clone())));
        }
        if let Some(level) = arg.strip_prefix(b"-g") {
            self.debug(at, arg, level);
            return Ok(false);
        }
        let border = arg.iter().position(|byte| *byte == b'=');
        let (name, glued) = match border {
            Some(border) => (&arg[..border], Some(arg[border + 1..].to_vec())),
            None => (&arg[..], None),
        };
        let row = OPTIONS.iter().find(|(names, takes, _)| {
            // A flag with a value is none.
            (glued.is_none() || matches!(takes, Value))
                && names.split_ascii_whitespace().any(|known| known.as_bytes() == name)
        });
        let Some((_, takes, class)) = row else {
            self.for_clang(at, arg);
            return Ok(false);
        };
        let used = matches!(takes, Value) && glued.is_none();
        let value = match (takes, glued) {
            (Nothing, _) => Vec::new(),
            (Value, Some(value)) => value,
            (Value, None) => {
                next.cloned().ok_or((Reason::UncacheableArgument, Some(arg.clone())))?
            }
        };
        self.option(*class, name, value)?;
        Ok(used)
    }

    fn for_clang(&mut self, at: usize, arg: &Arg) {
        self.clang.push(arg.clone());
        self.positions.push(at);
    }

    fn option(&mut self, class: Class, name: &[u8], value: Arg) -> Result<(), Refusal> {
        let whole = if value.is_empty() { name.to_vec() } else { [name, b"=", &value].concat() };
        self.own.push(whole.clone());
        match class {
            Plain => {}
            Zero if value == b"0" => {}
            Zero | NoLink => self.unlinkable = self.unlinkable.take().or(Some(whole)),
            Pasted => self.pasted.push(value),
            Library => self.libraries.push(value),
            Shell => self.shell = Some(value),
            Packed => self.packed.push(source_of(&value)),
            Information => return Err((Reason::NotACompile, Some(whole))),
            Refused => return Err((Reason::UncacheableArgument, Some(whole))),
        }
        Ok(())
    }

    fn setting(&mut self, text: &[u8]) -> Result<(), Refusal> {
        let border = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
        let (name, value) = (&text[..border], text.get(border + 1..).unwrap_or(b"1"));
        let whole = [b"-s", text].concat();
        if !settings::is_known(name, value) {
            return Err((Reason::UncacheableArgument, Some(whole)));
        }
        if let Some(path) = value.strip_prefix(b"@") {
            self.reads.push(path.to_vec());
        }
        self.main_module |= name == b"MAIN_MODULE" && value != b"0";
        self.removes_wasm |= match name {
            // With 2 there are both forms in the end.
            b"WASM" => !matches!(value, b"1" | b"2"),
            b"SINGLE_FILE" | b"MINIMAL_RUNTIME" => value != b"0",
            _ => false,
        };
        self.wide |= name == b"MEMORY64" && value != b"0";
        if settings::is_for_clang(name) {
            self.asking.push(whole.clone());
        }
        self.own.push(whole);
        Ok(())
    }

    /// `-g…`: levels below 3 and names of emcc's own are not for clang.
    fn debug(&mut self, at: usize, arg: &Arg, level: &[u8]) {
        let is_number = !level.is_empty() && level.iter().all(u8::is_ascii_digit);
        if level.starts_with(b"separate-dwarf=") {
            self.unlinkable = self.unlinkable.take().or(Some(arg.clone()));
        }
        let is_own = is_number || level == b"source-map" || level.starts_with(b"separate-dwarf");
        if is_own {
            self.own.push(arg.clone());
            if level != b"0" {
                self.for_clang(at, &b"-g".to_vec());
            }
        } else {
            self.for_clang(at, arg);
        }
    }
}

/// `NAME` or `NAME=VALUE` in capitals; anything else behind `-s` is for the linker.
fn is_setting(text: &[u8]) -> bool {
    let name = text.split(|byte| *byte == b'=').next().unwrap_or_default();
    let is_word = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    name.first().is_some_and(|first| !first.is_ascii_digit())
        && name.iter().all(is_word)
        && name.iter().any(u8::is_ascii_uppercase)
}

/// What is packed: `FILE@NAME`, where `@@` stands for an `@`.
fn source_of(value: &[u8]) -> Arg {
    let mut source = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, behind)) = rest.split_first() {
        if first == b'@' {
            match behind.strip_prefix(b"@") {
                Some(behind) => rest = behind,
                None => break,
            }
        } else {
            rest = behind;
        }
        source.push(first);
    }
    source
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Said, Refusal> {
        let args: Vec<Arg> =
            text.split_ascii_whitespace().map(|word| word.as_bytes().to_vec()).collect();
        read(&args)
    }

    fn text(args: &[Arg]) -> String {
        String::from_utf8(args.join(&b' ')).unwrap()
    }

    #[test]
    fn what_is_whose() {
        let said = line(
            "-O2 -c a.c -s ASSERTIONS=1 -sUSE_PTHREADS -o a.o -s --js-library l.js --pre-js=p.js \
             -g2 -gline-tables-only -sEXPORTED_FUNCTIONS=@f.txt -mllvm --bind",
        )
        .unwrap();
        assert_eq!(text(&said.clang), "-O2 -c a.c -o a.o -s -g -gline-tables-only -mllvm --bind");
        assert_eq!(said.positions, [0, 1, 2, 6, 7, 8, 12, 13, 15, 16]);
        assert_eq!(
            text(&said.own),
            "-sASSERTIONS=1 -sUSE_PTHREADS --js-library=l.js --pre-js=p.js -g2 \
             -sEXPORTED_FUNCTIONS=@f.txt"
        );
        assert_eq!(text(&said.asking), "-sUSE_PTHREADS");
        assert_eq!((text(&said.reads), text(&said.pasted)), ("f.txt".into(), "p.js".into()));
        assert_eq!(text(&said.libraries), "l.js");
    }

    #[test]
    fn what_runs_plain() {
        let blamed = |text: &str| line(text).unwrap_err().1.map(|arg| text_of(&arg));
        fn text_of(arg: &[u8]) -> String {
            String::from_utf8(arg.to_vec()).unwrap()
        }
        for (given, argument) in [
            ("-c a.c -sUSE_ZLIB=1", "-sUSE_ZLIB=1"),
            ("-c a.c -s NEWER", "-sNEWER"),
            ("a.c --cache /x", "--cache=/x"),
            ("a.c --em-config=/x", "--em-config=/x"),
            ("a.c -ox=y", "-ox=y"),
            ("--show-ports", "--show-ports"),
            ("a.c --pre-js", "--pre-js"),
        ] {
            assert_eq!(blamed(given).as_deref(), Some(argument), "{given}");
        }
        for given in ["--closure 1", "--js-transform x", "--oformat=wasm", "-gseparate-dwarf=x"] {
            assert!(line(given).unwrap().unlinkable.is_some(), "{given}");
        }
        assert!(line("--closure 0").unwrap().unlinkable.is_none());
    }

    #[test]
    fn names_of_what_is_packed() {
        for (value, source) in [("a@b", "a"), ("a@@b@/c", "a@b"), ("dir", "dir"), ("@x", "")] {
            assert_eq!(source_of(value.as_bytes()), source.as_bytes(), "{value}");
        }
    }
}

//! A linker's options: GNU ld's, and what gold, lld, mold and wasm-ld add to them.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::Role;

/// What a linker's command line says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::tools) struct Said {
    /// `-o`
    pub(in crate::tools) output: Option<Arg>,
    /// `-L`, in order.
    pub(in crate::tools) folders: Vec<Arg>,
    /// Where shared libraries of shared libraries are looked for: `-rpath`, `-rpath-link`.
    pub(in crate::tools) run_folders: Vec<Arg>,
    /// File names that `-l` stands for, all of them.
    pub(in crate::tools) names: Vec<Arg>,
    /// Objects, archives, libraries and scripts to be linked.
    pub(in crate::tools) files: Vec<Arg>,
    /// Files that options name.
    pub(in crate::tools) read: Vec<Arg>,
    /// `-R`: a file of symbols, or a folder.
    pub(in crate::tools) symbols: Vec<Arg>,
    pub(in crate::tools) plugins: Vec<Arg>,
    /// Other files it writes.
    pub(in crate::tools) writes: Vec<(Role, Arg)>,
    /// `--dependency-file`, which the user wants too.
    pub(in crate::tools) listing: Option<Arg>,
    /// What chooses the default folders: `-m`, `--sysroot`.
    pub(in crate::tools) choosing: Vec<Arg>,
}

/// Why a command runs plain, and the argument to blame.
pub(in crate::tools) type Refusal = (Reason, Option<Arg>);

#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    /// `=VALUE`, or the next word.
    Value,
    /// `=VALUE` or nothing.
    Perhaps,
}

#[derive(Clone, Copy)]
enum Class {
    /// Decides the result, and nothing else.
    Plain,
    Output,
    Folder,
    RunFolder,
    Library,
    Reads,
    Symbols,
    Plugin,
    PluginOption,
    Writes(Role),
    Listing,
    Choosing,
    Information,
    /// Its effects can't be cached.
    Refused,
}

use Class::*;
use Takes::*;

/// Long names, with one dash or two.
const LONG: &[(&str, Takes, Class)] = &[
    ("output", Value, Output),
    ("library-path", Value, Folder),
    ("library", Value, Library),
    ("rpath rpath-link", Value, RunFolder),
    (
        "script default-script dT version-script dynamic-list export-dynamic-symbol-list \
         retain-symbols-file symbol-ordering-file call-graph-ordering-file section-ordering-file \
         section-ordering-script allow-undefined-file lto-sample-profile lto-cs-profile-file",
        Value,
        Reads,
    ),
    ("just-symbols", Value, Symbols),
    ("plugin", Value, Plugin),
    ("plugin-opt", Value, PluginOption),
    ("Map", Value, Writes(Role::LinkMap)),
    ("out-implib", Value, Writes(Role::ImportLibrary)),
    ("dependency-file", Value, Listing),
    ("sysroot", Value, Choosing),
    ("help version target-help", Nothing, Information),
    (
        "mri-script reproduce repro thinlto-cache-dir lto-obj-path lto-emit-asm time-trace-file \
         print-archive-stats why-extract print-symbol-order print-symbol-counts output-def base_file \
         opt-remarks-filename error-handling-script incremental-base chroot directory run mllvm \
         lto-basic-block-sections architecture thinlto-single-module debug",
        Value,
        Refused,
    ),
    (
        "reproduce save-temps time-trace stats perf verbose incremental incremental-full \
         incremental-update incremental-changed incremental-unchanged incremental-unknown \
         lto-emit-asm fork",
        Perhaps,
        Refused,
    ),
    (
        "entry soname dynamic-linker undefined require-defined trace-symbol auxiliary filter format \
         oformat defsym init fini assert exclude-libs hash-style sort-section section-start Tbss \
         Tdata Ttext Ttext-segment Trodata-segment Tldata-segment unresolved-symbols wrap \
         orphan-handling compress-debug-sections spare-dynamic-tags ignore-unresolved-symbol \
         export-dynamic-symbol version-exports-section dynamic-list-cpp icf icf-iterations \
         keep-unique image-base pack-dyn-relocs undefined-glob warn-backrefs-exclude error-limit \
         plt-align rosegment-gap stub-group-size target2 split-stack-adjust-size thread-count \
         thread-count-initial thread-count-middle thread-count-final hash-bucket-empty-fraction \
         max-cache-size hash-size audit depaudit lto-O lto-partitions thinlto-jobs ctf-share-types \
         task-link gpsize color-diagnostics-style build-id-chunk-size-for-treehash \
         build-id-min-file-size-for-treehash optimize flto-partition fuse-ld rsp-quoting \
         export export-if-defined initial-memory max-memory global-base features lto-aa-pipeline \
         lto-newpm-passes",
        Value,
        Plain,
    ),
    (
        "build-id demangle package-metadata sort-common unique threads shuffle-sections \
         color-diagnostics split-by-reloc split-by-file flto power10-stubs",
        Perhaps,
        Plain,
    ),
    (
        "shared Bshareable pie no-pie pic-executable no-pic-executable static Bstatic Bdynamic dn \
         dy non_shared call_shared Bgroup Bsymbolic Bno-symbolic Bsymbolic-functions \
         Bsymbolic-non-weak-functions dc dp Ur Qy EB EL qmagic nostdlib relocatable emit-relocs \
         export-dynamic no-export-dynamic no-dynamic-linker strip-all strip-debug \
         strip-debug-non-line strip-debug-gdb strip-lto-sections strip-discarded \
         no-strip-discarded trace discard-all discard-locals discard-none start-group end-group \
         start-lib end-lib as-needed no-as-needed add-needed no-add-needed \
         copy-dt-needed-entries no-copy-dt-needed-entries whole-archive no-whole-archive \
         push-state pop-state check-sections no-check-sections cref no-cref define-common \
         no-define-common no-demangle dynamic-list-data dynamic-list-cpp-new \
         dynamic-list-cpp-typeinfo eh-frame-hdr no-eh-frame-hdr enable-new-dtags \
         disable-new-dtags fatal-warnings no-fatal-warnings gc-sections no-gc-sections \
         gc-keep-exported print-gc-sections no-print-gc-sections gdb-index no-gdb-index \
         gnu-unique no-gnu-unique keep-memory no-keep-memory no-undefined allow-shlib-undefined \
         no-allow-shlib-undefined allow-multiple-definition no-allow-multiple-definition \
         undefined-version no-undefined-version default-symver default-imported-symver \
         warn-mismatch no-warn-mismatch warn-search-mismatch no-warn-search-mismatch \
         noinhibit-exec nmagic no-nmagic omagic no-omagic print-map print-map-discarded \
         no-print-map-discarded print-memory-usage print-output-format print-sysroot relax \
         no-relax reduce-memory-overheads no-warnings traditional-format warn-common \
         no-warn-common warn-constructors no-warn-constructors warn-execstack no-warn-execstack \
         warn-rwx-segments no-warn-rwx-segments warn-multiple-gp warn-once warn-section-align \
         warn-textrel warn-shared-textrel no-warn-shared-textrel warn-alternate-em \
         warn-unresolved-symbols error-unresolved-symbols warn-ifunc-textrel \
         no-warn-ifunc-textrel warn-backrefs no-warn-backrefs warn-symbol-ordering \
         no-warn-symbol-ordering warn-drop-version no-warn-drop-version ctf-variables \
         no-ctf-variables ld-generated-unwind-info no-ld-generated-unwind-info \
         force-group-allocation enable-non-contiguous-regions \
         enable-non-contiguous-regions-warnings accept-unknown-input-arch \
         no-accept-unknown-input-arch disable-multiple-abs-defs embedded-relocs \
         force-exe-suffix map-whole-files no-map-whole-files no-threads \
         apply-dynamic-relocs no-apply-dynamic-relocs be8 detect-odr-violations \
         no-detect-odr-violations ctors-in-init-array no-ctors-in-init-array no-icf \
         print-icf-sections no-print-icf-sections mmap-output-file no-mmap-output-file \
         posix-fallocate no-posix-fallocate preread-archive-symbols rosegment no-rosegment \
         text-reorder no-text-reorder no-incremental execute-only no-execute-only \
         fortran-common no-fortran-common ignore-data-address-equality \
         ignore-function-address-equality dependent-libraries no-dependent-libraries \
         call-graph-profile-sort no-call-graph-profile-sort no-color-diagnostics \
         optimize-bb-jumps no-optimize-bb-jumps use-android-relr-tags no-use-android-relr-tags \
         lto-whole-program-visibility no-lto-whole-program-visibility \
         lto-unique-basic-block-section-names no-lto-unique-basic-block-section-names \
         lto-legacy-pass-manager no-lto-legacy-pass-manager fno-lto no-fork no-perf \
         quick-exit no-quick-exit reverse-sections no-build-id fix-cortex-a53-843419 \
         no-fix-cortex-a53-843419 fix-cortex-a53-835769 no-fix-cortex-a53-835769 \
         fix-cortex-a8 no-fix-cortex-a8 long-plt no-long-plt merge-exidx-entries \
         no-merge-exidx-entries pic-veneer no-enum-size-warning no-wchar-size-warning \
         target1-abs target1-rel fix-v4bx fix-v4bx-interworking \
         allow-undefined no-entry export-all export-table growable-table import-memory \
         import-table import-undefined shared-memory stack-first experimental-pic \
         check-features no-check-features compress-relocations merge-data-segments \
         no-merge-data-segments",
        Nothing,
        Plain,
    ),
];

/// One letter: with its value glued to it, or in the next word.
const LETTERS_WITH_VALUE: &[(u8, Class)] = &[
    (b'o', Output),
    (b'L', Folder),
    (b'l', Library),
    (b'T', Reads),
    (b'R', Symbols),
    (b'm', Choosing),
    (b'e', Plain),
    (b'u', Plain),
    (b'z', Plain),
    (b'h', Plain),
    (b'y', Plain),
    (b'I', Plain),
    (b'F', Plain),
    (b'f', Plain),
    (b'b', Plain),
];
const LETTERS: &[u8] = b"dEgiMnNqrsStwxX()";

static BY_NAME: LazyLock<HashMap<&[u8], (Takes, Class)>> = LazyLock::new(|| {
    // A name that stands twice is one that takes a value or none, depending on the linker: then
    // the later row counts.
    let rows = LONG.iter().flat_map(|(names, takes, class)| {
        names.split_ascii_whitespace().map(move |name| (name.as_bytes(), (*takes, *class)))
    });
    rows.collect()
});

/// Reads a linker's arguments, in which nothing is left to expand.
pub(in crate::tools) fn read(words: &[Arg]) -> Result<Said, Refusal> {
    // Linkers expand these wherever they stand, where a value is due too.
    if let Some(word) = words.iter().find(|word| word.starts_with(b"@")) {
        return Err((Reason::ResponseFile, Some(word.clone())));
    }
    let mut said = Said::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word.len() < 2 || word[0] != b'-' {
            if word.is_empty() {
                return Err((Reason::ResponseFile, Some(word.clone())));
            }
            said.files.push(word.clone());
            continue;
        }
        let (value, class) = match long(word) {
            Some((value, takes, class)) => {
                let value = match (takes, value) {
                    (Nothing, Some(_)) => {
                        return Err((Reason::UnknownArgument, Some(word.clone())));
                    }
                    (Value, None) => words.next().cloned(),
                    (_, value) => value.map(<[u8]>::to_vec),
                };
                if matches!(takes, Value) && value.is_none() {
                    return Err((Reason::UncacheableArgument, Some(word.clone())));
                }
                (value.unwrap_or_default(), class)
            }
            None if word.starts_with(b"--") => {
                return Err((Reason::UnknownArgument, Some(word.clone())));
            }
            None => letter(word, &mut words)?,
        };
        said.take(class, value, word)?;
    }
    Ok(said)
}

/// A long option: the value after its `=`, what it takes, what it is.
fn long(word: &[u8]) -> Option<(Option<&[u8]>, Takes, Class)> {
    let name = word.strip_prefix(b"--").or(word.strip_prefix(b"-"))?;
    // As GNU ld has it: these need two dashes, since `-o` takes the rest of its word.
    if !word.starts_with(b"--") && name.starts_with(b"o") {
        return None;
    }
    let (name, value) = match name.iter().position(|byte| *byte == b'=') {
        Some(at) => (&name[..at], Some(&name[at + 1..])),
        None => (name, None),
    };
    // `-O2` and `-lto-O2` carry their values in the name.
    let (takes, class) = match name {
        [b'O', ..] => (Perhaps, Plain),
        [b'l', b't', b'o', b'-', b'O', ..] => (Perhaps, Plain),
        _ => *BY_NAME.get(name)?,
    };
    Some((value, takes, class))
}

fn letter<'a>(
    word: &Arg,
    words: &mut impl Iterator<Item = &'a Arg>,
) -> Result<(Arg, Class), Refusal> {
    let found = LETTERS_WITH_VALUE.iter().find(|(letter, _)| *letter == word[1]);
    match found {
        Some((_, class)) if word.len() > 2 => Ok((word[2..].to_vec(), *class)),
        Some((_, class)) => match words.next() {
            Some(value) => Ok((value.clone(), *class)),
            None => Err((Reason::UncacheableArgument, Some(word.clone()))),
        },
        None if word.len() == 2 && LETTERS.contains(&word[1]) => Ok((Arg::new(), Plain)),
        None => Err((Reason::UnknownArgument, Some(word.clone()))),
    }
}

impl Said {
    fn take(&mut self, class: Class, value: Arg, word: &Arg) -> Result<(), Refusal> {
        let refused = || Err((Reason::UncacheableArgument, Some(word.clone())));
        match class {
            Plain => {}
            Output => self.output = Some(value),
            Folder => self.folders.push(value),
            RunFolder => {
                self.run_folders.extend(value.split(|byte| *byte == b':').map(<[u8]>::to_vec));
            }
            Library => self.names.extend(library_names(&value)),
            Reads => self.read.push(value),
            Symbols => self.symbols.push(value),
            Plugin => self.plugins.push(value),
            PluginOption if is_known_to_plugins(&value) => {}
            // To standard output.
            Writes(_) if value == b"-" => {}
            Writes(role) => {
                if value.is_empty() || self.writes.iter().any(|(other, _)| *other == role) {
                    return refused();
                }
                self.writes.push((role, value));
            }
            Listing => match self.listing {
                None if !value.is_empty() => self.listing = Some(value),
                _ => return refused(),
            },
            Choosing => self.choosing.push(match word[1] {
                b'm' => [b"-m", &value[..]].concat(),
                _ => [b"--sysroot=", &value[..]].concat(),
            }),
            Information => return Err((Reason::NotACompile, Some(word.clone()))),
            PluginOption | Refused => return refused(),
        }
        Ok(())
    }
}

/// What `-lNAME` may be found as.
pub(in crate::tools) fn library_names(name: &[u8]) -> Vec<Arg> {
    match name.strip_prefix(b":") {
        Some(exact) => vec![exact.to_vec()],
        None => [&b".so"[..], b".a"].iter().map(|end| [b"lib", name, *end].concat()).collect(),
    }
}

/// What gcc and clang tell their plugins, and people add to that.
fn is_known_to_plugins(option: &[u8]) -> bool {
    let starts = [
        &b"-pass-through="[..],
        b"-fresolution=",
        b"mcpu=",
        b"-function-sections",
        b"-data-sections",
        b"jobs=",
        b"lto-partitions=",
    ];
    // The path of gcc's lto-wrapper is an option of its own.
    option.starts_with(b"/") && option.ends_with(b"/lto-wrapper")
        || matches!(option, [b'O', b'0'..=b'3'] | b"thinlto" | b"new-pass-manager")
        || starts.iter().any(|start| option.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Result<Said, Refusal> {
        let words: Vec<Arg> =
            line.split_ascii_whitespace().map(|word| word.as_bytes().to_vec()).collect();
        read(&words)
    }

    fn args(line: &str) -> Vec<Arg> {
        line.split_ascii_whitespace().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn every_way_of_giving_a_value() {
        let said = said("-o app -La -L b a.o -lm -l:x.a -Map=m -rpath r:s --version-script v -Tt")
            .unwrap();
        assert_eq!(said.output, Some(b"app".to_vec()));
        assert_eq!(said.folders, args("a b"));
        assert_eq!(said.names, args("libm.so libm.a x.a"));
        assert_eq!(said.files, args("a.o"));
        assert_eq!(said.writes, [(Role::LinkMap, b"m".to_vec())]);
        assert_eq!(said.run_folders, args("r s"));
        assert_eq!(said.read, args("v t"));
    }

    #[test]
    fn drivers_options_are_known() {
        for line in [
            "-plugin /x/liblto_plugin.so -plugin-opt=/x/lto-wrapper -plugin-opt=-pass-through=-lgcc",
            "--build-id --eh-frame-hdr -m elf_x86_64 --hash-style=gnu -dynamic-linker /l -pie -z now",
            "-O2 --build-id=uuid --threads=4 --icf=all -( a.o -) --start-group --end-group -r -s",
            "-Ttext=0x1000 -Ttext 0x1000 --defsym=a=b -zrelro -u main -e start --no-undefined",
        ] {
            assert!(said(line).is_ok(), "{line}: {:?}", said(line));
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let reason = |line| said(line).unwrap_err().0;
        assert_eq!(reason("--no-such-thing"), Reason::UnknownArgument);
        assert_eq!(reason("-Wat"), Reason::UnknownArgument);
        assert_eq!(reason("--gc-sections=1"), Reason::UnknownArgument);
        assert_eq!(reason("--reproduce=x.tar"), Reason::UncacheableArgument);
        assert_eq!(reason("-plugin-opt=dwo_dir=x"), Reason::UncacheableArgument);
        assert_eq!(reason("--save-temps"), Reason::UncacheableArgument);
        assert_eq!(reason("--version"), Reason::NotACompile);
        assert_eq!(reason("a.o -o"), Reason::UncacheableArgument);
        assert_eq!(reason("@x"), Reason::ResponseFile);
        assert_eq!(reason("-rpath @x"), Reason::ResponseFile);
    }
}

//! What is fuzzed: one function for each parser, which takes any bytes and checks what must hold
//! of every answer. The fuzz targets beside this file and `tests/it/fuzz.rs` both call these.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use zccache::cli::exec;
use zccache::files::ContentHash;
use zccache::inputs::dialect::{Flavor, Language};
use zccache::inputs::resolve::{self, PathRef, Presence, Question, Read, Resolver, World};
use zccache::inputs::scan::{self, Scan};
use zccache::inputs::search::Search;
use zccache::inputs::search::SearchPath;
use zccache::inputs::{depfile, search};
use zccache::protocol::frame::{self, HEADER_BYTES, Header};
use zccache::protocol::message::{Content, Delivered, Delivery, Reply, Request};
use zccache::protocol::quick;
use zccache::protocol::view::VIEW_BYTES;
use zccache::store::record::{
    self, FileRecord, ManifestRecord, Record, ResultRecord, SCHEMA, SetRecord,
};
use zccache::terms::Arg;
use zccache::terms::output::WriteStyle;
use zccache::tools::command::{ArgPart, Parsed};
use zccache::tools::{archive, emscripten, gcc, link, rust, rustfmt, tidy};

/// A parser's name and the function that tries it.
pub type Entry = (&'static str, fn(&[u8]));

/// All of them; the names are those of the targets and of the folders of seeds.
pub const ALL: [Entry; 16] = [
    ("gcc", gcc),
    ("clang", clang),
    ("rustc", rustc),
    ("emscripten", emscripten),
    ("linker", linker),
    ("split", split),
    ("tidy", tidy),
    ("rustfmt", rustfmt),
    ("exec", exec),
    ("response", response),
    ("depfile", depfile),
    ("scan", scan),
    ("resolve", resolve),
    ("frame", frame),
    ("quick", quick),
    ("record", record),
];

/// Arguments, one a line, up to an empty line; then the texts of the files they name, in the order
/// they are asked for, with a line `---` between them.
fn command_line(data: &[u8]) -> (Vec<Arg>, Vec<Vec<u8>>) {
    let (head, files) = match data.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (data, &data[data.len()..]),
    };
    let mut texts = vec![Vec::new()];
    for line in files.split_inclusive(|byte| *byte == b'\n') {
        match line {
            b"---\n" => texts.push(Vec::new()),
            _ => texts.last_mut().unwrap().extend_from_slice(line),
        }
    }
    // The kernel hands over no NUL.
    let args = head.split(|byte| *byte == b'\n').filter(|arg| !arg.contains(&0));
    (args.map(<[u8]>::to_vec).collect(), texts)
}

fn driver(flavor: Flavor, data: &[u8]) {
    let (args, texts) = command_line(data);
    let parse = |cxx| {
        let mut left = texts.iter();
        gcc::parse(flavor, cxx, &args, &mut |_| left.next().cloned())
    };
    for cxx in [false, true] {
        let parsed = parse(cxx);
        assert_eq!(parsed, parse(cxx));
        let (command, is_linked) = match parsed {
            Parsed::Compile(command) => (*command, false),
            Parsed::Link(line) => {
                assert_eq!(line.args.len(), line.parts.len());
                let _ = link::outputs_of(&line.words);
                let Some(command) = line.compiles else { continue };
                let sources = line.parts.iter().filter(|part| **part == ArgPart::Source);
                assert_eq!(sources.count(), command.sources.len());
                // The objects have names of the driver's making.
                (command, true)
            }
            Parsed::Plain(..) => continue,
        };
        assert!(!command.sources.is_empty());
        assert_eq!(command.sources.len(), command.outputs.len());
        for (source, outputs) in command.sources.iter().zip(&command.outputs) {
            assert_eq!(command.args[source.position], source.path);
            assert!(
                (is_linked || !outputs.is_empty())
                    && outputs.iter().all(|output| !output.path.is_empty())
            );
        }
    }
}

pub fn gcc(data: &[u8]) {
    driver(Flavor::Gcc, data);
}

pub fn clang(data: &[u8]) {
    driver(Flavor::Clang, data);
}

pub fn rustc(data: &[u8]) {
    let (args, texts) = command_line(data);
    let read = || {
        let mut left = texts.iter();
        rust::outputs_of(&args, &mut |_| left.next().cloned())
    };
    let found = read();
    assert_eq!(found, read());
    if let Ok(outputs) = found {
        assert!(outputs.iter().all(|output| !output.path.is_empty()));
    }
}

/// As for a driver; the last text is the value of `EMCC_CFLAGS`.
pub fn emscripten(data: &[u8]) {
    let (args, mut texts) = command_line(data);
    let more = texts.pop().unwrap_or_default();
    for cxx in [false, true] {
        let read = || {
            let mut left = texts.iter();
            emscripten::outputs_of(cxx, &args, &more, &mut |_| left.next().cloned())
        };
        let found = read();
        assert_eq!(found, read());
        if let Ok(outputs) = found {
            assert!(!outputs.is_empty() && outputs.iter().all(|output| !output.path.is_empty()));
        }
    }
}

/// A linker's arguments, then scripts; and the same arguments to archivers.
pub fn linker(data: &[u8]) {
    let (args, texts) = command_line(data);
    let found = link::outputs_of(&args);
    assert_eq!(found, link::outputs_of(&args));
    if let Ok(outputs) = found {
        assert!(outputs.iter().all(|output| !output.path.is_empty()));
    }
    for text in &texts {
        let (files, folders) = link::named_by_script(text);
        let bytes: usize = files.iter().chain(&folders).map(Vec::len).sum();
        assert!(bytes <= text.len());
    }
    for called in [&b"ar"[..], b"ranlib"] {
        if let Ok(path) = archive::changes(called, &args) {
            assert!(!path.is_empty());
        }
    }
}

/// What a driver says that it would do: for a whole command, for its compiles, for the link; NULs between.
pub fn split(data: &[u8]) {
    let mut texts = data.split(|byte| *byte == 0);
    let mut text = || texts.next().unwrap_or_default();
    let (whole, compiles, last) = (text(), text(), text());
    let stand_ins = [b"/".to_vec(), b"/./".to_vec()];
    for count in 0..=stand_ins.len() {
        if link::is_sum(whole, compiles, last, &stand_ins[..count], b"/tmp") {
            assert!(!whole.is_empty() && !last.is_empty());
        }
    }
}

/// The arguments of a tool that looks at sources, then databases of compiles and mapping files.
pub fn tidy(data: &[u8]) {
    let (args, texts) = command_line(data);
    let bytes = |words: &[Arg]| words.iter().map(Vec::len).sum::<usize>();
    for found in [tidy::sources_of(&args), tidy::mappings_of(&args)] {
        assert!(
            found.is_err()
                || found.is_ok_and(|(one, other)| bytes(&one) + bytes(&other) <= bytes(&args))
        );
    }
    for text in &texts {
        assert!(tidy::compiles_in(text).is_none_or(|count| count <= text.len()));
        if let Some(names) = tidy::named_by_mapping(text) {
            assert!(names.iter().all(|name| name.len() <= text.len()));
        }
    }
}

/// rustfmt's arguments, then texts of Rust.
pub fn rustfmt(data: &[u8]) {
    let (args, texts) = command_line(data);
    if let Ok(files) = rustfmt::files_of(&args) {
        assert!(!files.is_empty() && files.len() <= args.len());
    }
    for text in &texts {
        if let Some(files) = rustfmt::files_of_modules(b"/s/a.rs", text) {
            assert!(files.iter().all(|path| path.starts_with(b"/")));
        }
    }
}

/// What is declared of a command, as `exec` and `explain exec` read it.
pub fn exec(data: &[u8]) {
    let words: Vec<OsString> = command_line(data).0.into_iter().map(OsString::from_vec).collect();
    if let Ok((_, command)) = exec::read(&words) {
        assert!(!command.is_empty() && words.ends_with(&command));
    }
}

/// Files that name files that name files: it must end soon whatever they say.
pub fn response(data: &[u8]) {
    let texts: Vec<&[u8]> = data.split(|byte| *byte == 0).collect();
    let mut reads = 0;
    // The name's first byte says which text.
    let mut read = |path: &[u8]| {
        reads += 1;
        let at = usize::from(*path.first()?) % texts.len();
        Some(texts[at].to_vec())
    };
    gcc::parse(Flavor::Gcc, false, &[b"@0".to_vec()], &mut read);
    assert!(reads < 10_000, "{reads} files were read");
}

pub fn depfile(data: &[u8]) {
    let Some(file) = depfile::parse(data) else { return };
    assert_eq!(depfile::rules(data).as_ref(), Some(&file.rules));
    let names =
        || file.rules.iter().flat_map(|rule| rule.targets.iter().chain(&rule.prerequisites));
    assert!(names().all(|name| !name.contains(&0)));
    // No text becomes more than it was.
    assert!(names().map(Vec::len).sum::<usize>() <= data.len());
}

pub fn scan(data: &[u8]) {
    for scan in [scan::scan(data), scan::scan_assembly(data)] {
        assert!(scan.includes.len() <= data.len());
        assert!(scan.assembler_files.len() <= data.len());
    }
}

/// Files in memory.
#[derive(Default)]
struct Memory {
    names: Vec<Arc<[u8]>>,
    numbers: HashMap<Vec<u8>, u32>,
    files: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl World for Memory {
    fn version(&self) -> u64 {
        0
    }

    fn intern(&mut self, spelled: &[u8]) -> PathRef {
        let next = self.names.len() as u32;
        let number = *self.numbers.entry(spelled.to_vec()).or_insert(next);
        if number == next {
            self.names.push(spelled.into());
        }
        PathRef(number)
    }

    fn spelled(&self, path: PathRef) -> Arc<[u8]> {
        self.names[path.0 as usize].clone()
    }

    fn presence(&mut self, path: PathRef) -> Presence {
        let name = search::normal(&self.names[path.0 as usize]);
        match self.files.keys().position(|file| *file == name) {
            Some(at) => Presence::File(at as u64),
            None if name == b"." || name == b"i" => Presence::Folder(1_000_000 + name.len() as u64),
            None => Presence::Absent,
        }
    }

    fn own_path(&self, _: PathRef) -> Option<Vec<u8>> {
        None
    }

    fn content(&mut self, _: PathRef) -> Option<(ContentHash, u64)> {
        None
    }

    fn dated(&mut self, _: PathRef) -> Option<(u64, i64)> {
        None
    }

    fn scan(&mut self, path: PathRef, assembly: bool) -> Option<Arc<Scan>> {
        let text = self.files.get(&search::normal(&self.names[path.0 as usize]))?;
        Some(Arc::new(if assembly { scan::scan_assembly(text) } else { scan::scan(text) }))
    }
}

/// Texts with NULs between: the source and the headers `a`, `b`, `i/a` and `i/b`, all found by text.
pub fn resolve(data: &[u8]) {
    let names = [&b"m.c"[..], b"a", b"b", b"i/a", b"i/b"];
    let texts = data.split(|byte| *byte == 0);
    let files = names.iter().map(|name| name.to_vec()).zip(texts.map(<[u8]>::to_vec)).collect();
    let mut world = Memory { files, ..Memory::default() };
    let folders = Search { angle: vec![b"i".to_vec()], ..Search::default() };
    let search = SearchPath::new(&folders, &[], &[], &[]);
    for (language, flavor) in [(Language::C, Flavor::Gcc), (Language::Cxx, Flavor::Clang)] {
        let question = Question {
            source: b"m.c",
            language,
            flavor,
            search: &search,
            forced: &[],
            defines: &[],
            read: Read::Nothing,
            precompiled: true,
            records_times: false,
            checks_times: false,
            assembler_folders: &[],
            assembler_listed: false,
            canonical: true,
            without_own: false,
        };
        let mut resolver = Resolver::new();
        let first = resolve::resolve(&mut world, &mut resolver, &question);
        let again = resolve::resolve(&mut world, &mut resolver, &question);
        assert_eq!(first, again, "what is remembered is another answer");
        let Ok(set) = first else { continue };
        for path in &set.read {
            assert!(matches!(world.presence(*path), Presence::File(_)));
        }
        for path in &set.absent {
            assert_eq!(world.presence(*path), Presence::Absent);
        }
    }
}

/// Any bytes as a frame, and as the message in a good one.
pub fn frame(data: &[u8]) {
    if let Some(head) = data.first_chunk::<HEADER_BYTES>()
        && let Some(header) = Header::decode(head)
    {
        assert!(header.length <= frame::PAYLOAD_BYTES_MAX);
        assert_eq!(Header::decode(&header.encode()), Some(header));
    }
    // A frame that promises much must not cost much before it comes.
    if let Ok((header, payload)) = frame::read(&mut &data[..]) {
        assert_eq!(header.length, payload.len());
        assert!(!header.viewed || payload.len() >= VIEW_BYTES);
    }
    // Equality is not asked: there are longer spellings of a number.
    if let Ok(request) = postcard::from_bytes::<Request>(data) {
        let bytes = postcard::to_stdvec(&request).unwrap();
        assert_eq!(postcard::from_bytes::<Request>(&bytes).unwrap(), request);
    }
    if let Ok(reply) = postcard::from_bytes::<Reply>(data) {
        postcard::to_stdvec(&reply).unwrap();
    }
}

/// Whether a short hit is whole, said in the plainest way.
fn is_whole(mut rest: &[u8]) -> bool {
    fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
        let (taken, left) = rest.split_at_checked(count)?;
        *rest = left;
        Some(taken)
    }
    fn name(rest: &mut &[u8]) -> Option<()> {
        let count = u16::from_le_bytes(take(rest, 2)?.try_into().unwrap());
        (*take(rest, count.into())?.last()? == 0).then_some(())
    }
    fn bytes(rest: &mut &[u8]) -> Option<()> {
        let count = u32::from_le_bytes(take(rest, 4)?.try_into().unwrap());
        take(rest, count as usize).map(|_| ())
    }
    (|| {
        let head = take(&mut rest, 2)?;
        if usize::from(head[0]) > quick::OUTPUTS_MAX {
            return None;
        }
        for _ in 0..head[0] {
            let flags = take(&mut rest, 1)?[0];
            name(&mut rest)?;
            if flags & quick::INLINE != 0 {
                bytes(&mut rest)?;
            } else {
                take(&mut rest, 64)?;
                name(&mut rest)?;
            }
        }
        for _ in 0..head[1] {
            let stream = take(&mut rest, 1)?[0];
            if !matches!(stream, 1 | 2) {
                return None;
            }
            bytes(&mut rest)?;
        }
        rest.is_empty().then_some(())
    })()
    .is_some()
}

/// What is read before the C library starts, and has nobody to catch its mistakes.
pub fn quick(data: &[u8]) {
    assert_eq!(zccache::sys::quick::is_whole(data), is_whole(data));
    // What the daemon writes is whole.
    let outputs = data.chunks(40).take(12).map(|path| Delivered {
        path: path.to_vec(),
        style: WriteStyle::Replace,
        executable: false,
        content: Content::Inline(data.to_vec()),
    });
    let delivery = Delivery { outputs: outputs.collect(), text: vec![], status: 0 };
    let delivery = Arc::new(delivery);
    if let Some(hit) = quick::encode(&[delivery], |_| vec![], |_| None) {
        assert!(zccache::sys::quick::is_whole(&hit));
    }
}

pub fn record(data: &[u8]) {
    fn check<R: Record + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
        if let Some(record) = R::decode(bytes) {
            assert_eq!(R::decode(&record.encode()).as_ref(), Some(&record));
        }
    }
    // As they are, and behind a good envelope, so that the decoders have to cope.
    let sum = xxhash_rust::xxh3::xxh3_64(data).to_le_bytes();
    for bytes in [data, &[&[SCHEMA], &sum[..], data].concat()] {
        check::<ResultRecord>(bytes);
        check::<ManifestRecord>(bytes);
        check::<SetRecord>(bytes);
        check::<FileRecord>(bytes);
        check::<Vec<Option<serde_bytes::ByteBuf>>>(bytes);
        record::decode_text(bytes);
    }
}

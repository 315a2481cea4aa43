//! What binary files say of other files: libraries that a shared library needs, members that a
//! thin archive names.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

use object::Endianness;
use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, FileHeader32, FileHeader64};
use object::read::archive::ArchiveFile;
use object::read::elf::{Dyn, FileHeader};
use object::read::{ReadCache, ReadRef};

/// What kind of file a linker was given.
#[derive(Debug, PartialEq)]
pub(in crate::tools) enum Content {
    /// Nothing more to be read for it.
    Whole,
    /// A shared library.
    Shared(Needed),
    /// An archive that holds names only: those, relative to its own folder.
    Thin(Vec<Vec<u8>>),
    /// Perhaps a linker script.
    Text(Vec<u8>),
}

/// What a shared library asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::tools) struct Needed {
    pub(in crate::tools) names: Vec<Vec<u8>>,
    /// Where it says they are (`DT_RPATH`); `$ORIGIN` stands for its own folder.
    rpath: Vec<Vec<u8>>,
    /// The same, by `DT_RUNPATH`.
    runpath: Vec<Vec<u8>>,
}

impl Needed {
    /// The folders of `DT_RPATH` and those of `DT_RUNPATH`, for a file that lies in `own`.
    pub(in crate::tools) fn folders(&self, own: &[u8]) -> [Vec<Vec<u8>>; 2] {
        let own = String::from_utf8_lossy(own);
        [&self.rpath, &self.runpath].map(|folders| {
            let texts = folders.iter().map(|folder| String::from_utf8_lossy(folder));
            let expanded =
                texts.map(|text| text.replace("${ORIGIN}", &own).replace("$ORIGIN", &own));
            expanded.map(String::into_bytes).collect()
        })
    }
}

/// A longer text is no linker script.
const TEXT_MAX: u64 = 1 << 20;

/// Looks into a file. None: it can't be read, or is damaged.
pub(in crate::tools) fn inspect(path: &[u8]) -> Option<Content> {
    let mut file = File::open(OsStr::from_bytes(path)).ok()?;
    let mut head = [0; 20];
    let count = file.read(&mut head).ok()?;
    let bytes = file.metadata().ok()?.len();
    let head = &head[..count];
    if head.starts_with(b"\x7fELF") {
        // `e_type` 3 is a shared object; both byte orders write it with one of these bytes.
        let is_shared = head.get(16..18).is_some_and(|kind| matches!(kind, [3, 0] | [0, 3]));
        if !is_shared {
            return Some(Content::Whole);
        }
        let data = ReadCache::new(file);
        return match head.get(4) {
            Some(2) => needed::<FileHeader64<Endianness>, _>(&data),
            _ => needed::<FileHeader32<Endianness>, _>(&data),
        }
        .map(Content::Shared);
    }
    if head.starts_with(b"!<thin>\n") {
        let data = ReadCache::new(file);
        let archive = ArchiveFile::parse(&data).ok()?;
        let names = archive.members().map(|member| Some(member.ok()?.name().to_vec()));
        return Some(Content::Thin(names.collect::<Option<_>>()?));
    }
    if head.contains(&0) || head.starts_with(b"!<arch>\n") || bytes > TEXT_MAX {
        return Some(Content::Whole);
    }
    std::fs::read(OsStr::from_bytes(path)).ok().map(Content::Text)
}

fn needed<'data, Elf, R>(data: R) -> Option<Needed>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let header = Elf::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, data).ok()?;
    let mut needed = Needed::default();
    let Some((entries, strings)) = sections.dynamic(endian, data).ok()? else {
        return Some(needed);
    };
    let strings = sections.strings(endian, data, strings).ok()?;
    for entry in entries {
        let text = || entry.string(endian, strings).ok().map(<[u8]>::to_vec);
        match entry.tag(endian) {
            DT_NEEDED => needed.names.push(text()?),
            tag @ (DT_RPATH | DT_RUNPATH) => {
                let folders = if tag == DT_RPATH { &mut needed.rpath } else { &mut needed.runpath };
                folders.extend(text()?.split(|byte| *byte == b':').map(<[u8]>::to_vec));
            }
            _ => {}
        }
    }
    Some(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_needs_its_loader() {
        let found = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6"]
            .into_iter()
            .find_map(|path| inspect(path.as_bytes()));
        let Some(Content::Shared(needed)) = found else { panic!("{found:?}") };
        assert!(needed.names.iter().any(|name| name.starts_with(b"ld-")), "{needed:?}");
    }

    #[test]
    fn junk_is_no_file_of_any_kind() {
        let path = std::env::temp_dir().join(format!("zcc-binary-{}", std::process::id()));
        let inspect = |text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            inspect(path.as_os_str().as_bytes())
        };
        let mut broken = b"\x7fELF\x02\x01".to_vec();
        broken.resize(64, 0xff);
        broken[16..18].copy_from_slice(&[3, 0]);
        assert_eq!(inspect(&broken), None);
        assert_eq!(inspect(b"INPUT(a)"), Some(Content::Text(b"INPUT(a)".to_vec())));
        assert_eq!(inspect(b"!<arch>\n"), Some(Content::Whole));
        assert_eq!(inspect(b""), Some(Content::Text(Vec::new())));
        std::fs::remove_file(&path).unwrap();
    }
}

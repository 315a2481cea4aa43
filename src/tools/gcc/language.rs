//! Which language a source is in: by `-x`, else by its ending.

use crate::inputs::dialect::{Flavor, Language};

/// What an ending says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    Is(Language),
    /// A module unit: compiled with `-c`, but it reads and writes modules.
    Module,
    /// An object, an archive, or something only one of the compilers would know.
    Unknown,
}

/// The language behind `-x NAME` (not `none`).
pub fn by_name(flavor: Flavor, name: &[u8]) -> Option<Language> {
    Some(match name {
        b"c" => Language::C,
        b"c++" => Language::Cxx,
        b"objective-c" => Language::ObjC,
        b"objective-c++" => Language::ObjCxx,
        b"c-header" => Language::CHeader,
        b"c++-header" => Language::CxxHeader,
        b"cpp-output" => Language::PreprocessedC,
        b"c++-cpp-output" => Language::PreprocessedCxx,
        b"assembler" => Language::Assembler,
        b"assembler-with-cpp" => Language::AssemblerWithCpp,
        b"ir" if flavor == Flavor::Clang => Language::Ir,
        _ => return None,
    })
}

/// The language of a source by its ending. `g++` and `clang++` take C for C++.
pub fn by_ending(flavor: Flavor, cxx_driver: bool, path: &[u8]) -> Ending {
    let base = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let Some(dot) = base.iter().rposition(|&byte| byte == b'.') else {
        return Ending::Unknown;
    };
    let language = match &base[dot + 1..] {
        b"c" if cxx_driver => Language::Cxx,
        b"i" if cxx_driver => Language::PreprocessedCxx,
        b"h" if cxx_driver => Language::CxxHeader,
        b"c" => Language::C,
        b"i" => Language::PreprocessedC,
        b"h" => Language::CHeader,
        b"cc" | b"cp" | b"cxx" | b"cpp" | b"CPP" | b"c++" | b"C" => Language::Cxx,
        b"ii" => Language::PreprocessedCxx,
        b"hh" | b"H" | b"hxx" | b"hpp" => Language::CxxHeader,
        b"hp" | b"HPP" | b"h++" | b"tcc" if flavor == Flavor::Gcc => Language::CxxHeader,
        b"CC" | b"CXX" | b"C++" if flavor == Flavor::Clang => Language::Cxx,
        b"m" => Language::ObjC,
        b"mm" | b"M" => Language::ObjCxx,
        b"s" => Language::Assembler,
        b"S" => Language::AssemblerWithCpp,
        b"sx" if flavor == Flavor::Gcc => Language::AssemblerWithCpp,
        b"ll" | b"bc" if flavor == Flavor::Clang => Language::Ir,
        b"cppm" | b"ccm" | b"cxxm" | b"c++m" | b"ixx" | b"iim" => return Ending::Module,
        _ => return Ending::Unknown,
    };
    Ending::Is(language)
}

/// Whether compiling it makes a precompiled header.
pub fn is_header(language: Language) -> bool {
    matches!(language, Language::CHeader | Language::CxxHeader)
}

/// Whether it is assembly, with or without a preprocessor.
pub fn is_assembly(language: Language) -> bool {
    matches!(language, Language::Assembler | Language::AssemblerWithCpp)
}

/// Whether a preprocessor runs over it, and with it writes a dependency file when asked to.
pub fn is_preprocessed_here(language: Language) -> bool {
    !matches!(
        language,
        Language::PreprocessedC | Language::PreprocessedCxx | Language::Assembler | Language::Ir
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings() {
        let is = |flavor, cxx, path: &str| by_ending(flavor, cxx, path.as_bytes());
        use Flavor::{Clang, Gcc};
        for (path, c, cxx) in [
            ("a.c", Language::C, Language::Cxx),
            ("d.d/a.i", Language::PreprocessedC, Language::PreprocessedCxx),
            ("a.h", Language::CHeader, Language::CxxHeader),
            ("x.c.C", Language::Cxx, Language::Cxx),
            (".c", Language::C, Language::Cxx),
            ("a.S", Language::AssemblerWithCpp, Language::AssemblerWithCpp),
            ("a.s", Language::Assembler, Language::Assembler),
        ] {
            for flavor in [Gcc, Clang] {
                assert_eq!(is(flavor, false, path), Ending::Is(c), "{path}");
                assert_eq!(is(flavor, true, path), Ending::Is(cxx), "{path}");
            }
        }
        for path in ["a.o", "a", "", "a.", "a.c/b", "a.so.1"] {
            assert_eq!(is(Gcc, false, path), Ending::Unknown, "{path}");
        }
        assert_eq!(is(Gcc, false, "a.bc"), Ending::Unknown);
        assert_eq!(is(Clang, false, "a.bc"), Ending::Is(Language::Ir));
        assert_eq!(is(Clang, false, "a.cppm"), Ending::Module);
    }
}

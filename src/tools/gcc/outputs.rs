//! Which files a compile writes, under which names, and how it opens them.
//!
//! Measured on gcc 12.2 and clang 14.0. Both name the files beside an object by the object's
//! name without its last ending, else by the source's base name in the working folder.

use super::language;
use crate::inputs::dialect::{Flavor, Language};
use crate::terms::Arg;
use crate::terms::output::{Output, Role, WriteStyle};
use crate::tools::command::Mode;

/// What decides the names.
#[derive(Clone, Debug)]
pub struct Plan {
    pub flavor: Flavor,
    pub mode: Mode,
    /// `-o`
    pub object: Option<Arg>,
    /// A dependency file is asked for, under this name if it has one of its own.
    pub deps: Option<Option<Arg>>,
    /// Other files with names of their own.
    pub explicit: Vec<(Role, Arg)>,
    /// Files named after the object.
    pub derived: Vec<Role>,
    pub emit_llvm: bool,
    /// The object comes from an assembler that runs as a program of its own.
    pub separate_assembler: bool,
}

/// The outputs for one source, the main one first; none where a name is not certain.
pub fn of(plan: &Plan, source: &[u8], language: Language) -> Option<Vec<Output>> {
    let base = after_last_slash(source);
    let main = match (&plan.object, plan.mode) {
        (Some(object), _) => object.clone(),
        // A precompiled header lands beside its source, not in the working folder.
        (None, Mode::Precompile) => [source, b".gch"].concat(),
        (None, mode) => [stem(base)?, ending(mode, plan.emit_llvm)].concat(),
    };
    // gcc names the files after the source if the object goes there, and makes `/dev/null.d`.
    let name_basis: &[u8] = plan.object.as_deref().unwrap_or(base);
    let derived = |ending: &[u8]| Some([stem(name_basis)?, ending].concat());
    let output = |role, path, style, required| Output { role, path, style, required };

    let mut outputs = vec![output(Role::Main, main, main_style(plan, language), true)];
    if let Some(name) = &plan.deps
        && language::is_preprocessed_here(language)
    {
        let path = match name {
            Some(name) => name.clone(),
            None => derived(b".d")?,
        };
        outputs.push(output(Role::Dependencies, path, WriteStyle::InPlace, true));
    }
    for &role in &plan.derived {
        let is_written = match role {
            Role::SplitDwarf => plan.mode == Mode::Object,
            _ => !language::is_assembly(language),
        };
        if is_written {
            let style = match role {
                // gcc lets objcopy make it.
                Role::SplitDwarf if plan.flavor == Flavor::Gcc => WriteStyle::Replace,
                _ => WriteStyle::InPlace,
            };
            outputs.push(output(role, derived(derived_ending(role)?)?, style, false));
        }
    }
    for (role, path) in &plan.explicit {
        // Only the assembler makes listings.
        if *role != Role::Listing || plan.mode == Mode::Object {
            let style = match role {
                Role::Diagnostics => WriteStyle::Replace,
                _ => WriteStyle::InPlace,
            };
            outputs.push(output(*role, path.clone(), style, false));
        }
    }
    Some(outputs)
}

/// Whether a path can be an output of ours: a file, neither a device nor the standard output.
pub fn is_ordinary(path: &[u8]) -> bool {
    let special = path.is_empty()
        || path == b"-"
        || path.ends_with(b"/")
        || path.starts_with(b"/dev/")
        || path.starts_with(b"/proc/");
    !special
}

fn ending(mode: Mode, emit_llvm: bool) -> &'static [u8] {
    match (mode, emit_llvm) {
        (Mode::Assembly, false) => b".s",
        (Mode::Assembly, true) => b".ll",
        (_, false) => b".o",
        (_, true) => b".bc",
    }
}

fn derived_ending(role: Role) -> Option<&'static [u8]> {
    Some(match role {
        Role::SplitDwarf => b".dwo",
        Role::CoverageNotes => b".gcno",
        Role::StackUsage => b".su",
        Role::CallGraph => b".ci",
        Role::TimeTrace => b".json",
        Role::OptimisationRecord => b".opt.yaml",
        _ => return None,
    })
}

fn main_style(plan: &Plan, language: Language) -> WriteStyle {
    match (plan.flavor, plan.mode) {
        (Flavor::Gcc, Mode::Object) => WriteStyle::ReplaceFilled,
        (Flavor::Gcc, Mode::Assembly | Mode::Precompile) => WriteStyle::InPlace,
        // clang's own assembler, unlike its compiler, does not write beside and rename.
        (Flavor::Clang, Mode::Object)
            if language::is_assembly(language) && !plan.separate_assembler =>
        {
            WriteStyle::InPlace
        }
        (Flavor::Clang, Mode::Object) if plan.separate_assembler => WriteStyle::ReplaceFilled,
        (Flavor::Clang, _) => WriteStyle::ReplaceWritable,
    }
}

fn after_last_slash(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

/// `path` without the last ending of its last part. None for a last part like `.o`, which gcc
/// and clang read differently.
pub(super) fn stem(path: &[u8]) -> Option<&[u8]> {
    let base = after_last_slash(path);
    let folder = path.len() - base.len();
    match base.iter().rposition(|&byte| byte == b'.') {
        _ if base.is_empty() => None,
        Some(dot) if base[..dot].iter().all(|&byte| byte == b'.') => None,
        Some(dot) => Some(&path[..folder + dot]),
        None => Some(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(flavor: Flavor, mode: Mode, object: Option<&str>) -> Plan {
        Plan {
            flavor,
            mode,
            object: object.map(|path| path.as_bytes().to_vec()),
            deps: Some(None),
            explicit: Vec::new(),
            derived: vec![Role::SplitDwarf, Role::CoverageNotes, Role::StackUsage],
            emit_llvm: false,
            separate_assembler: flavor == Flavor::Gcc,
        }
    }

    fn names(plan: &Plan, source: &str, language: Language) -> Option<String> {
        let outputs = of(plan, source.as_bytes(), language)?;
        let name = |output: &Output| String::from_utf8_lossy(&output.path).into_owned();
        Some(outputs.iter().map(name).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn names_as_measured() {
        // Both compilers, with -MD -g -gsplit-dwarf --coverage -fstack-usage.
        for (source, object, expected) in [
            ("s/b.c", None, "b.o b.d b.dwo b.gcno b.su"),
            ("s/b.c", Some("x.o"), "x.o x.d x.dwo x.gcno x.su"),
            ("s/b.c", Some("dir/x.o"), "dir/x.o dir/x.d dir/x.dwo dir/x.gcno dir/x.su"),
            ("s/b.c", Some("dir/x"), "dir/x dir/x.d dir/x.dwo dir/x.gcno dir/x.su"),
            ("s/b.c", Some("dir/x.y.o"), "dir/x.y.o dir/x.y.d dir/x.y.dwo dir/x.y.gcno dir/x.y.su"),
            ("s/b.c", Some("dir/x."), "dir/x. dir/x.d dir/x.dwo dir/x.gcno dir/x.su"),
            ("s/b.c", Some("d.d/x"), "d.d/x d.d/x.d d.d/x.dwo d.d/x.gcno d.d/x.su"),
            ("x.y.c", None, "x.y.o x.y.d x.y.dwo x.y.gcno x.y.su"),
            ("noext", None, "noext.o noext.d noext.dwo noext.gcno noext.su"),
            ("t.", None, "t.o t.d t.dwo t.gcno t.su"),
        ] {
            for flavor in [Flavor::Gcc, Flavor::Clang] {
                let plan = plan(flavor, Mode::Object, object);
                assert_eq!(names(&plan, source, Language::C).as_deref(), Some(expected));
            }
        }
    }

    #[test]
    fn refuses_uncertain_names() {
        for object in ["dir/.o", ".o", "dir/..", "dir/..o"] {
            let plan = plan(Flavor::Gcc, Mode::Object, Some(object));
            assert_eq!(names(&plan, "a.c", Language::C), None, "{object}");
        }
        assert_eq!(names(&plan(Flavor::Gcc, Mode::Object, None), ".c", Language::C), None);
    }

    #[test]
    fn other_modes_and_languages() {
        let gcc = |mode| plan(Flavor::Gcc, mode, None);
        assert_eq!(
            names(&gcc(Mode::Assembly), "s/b.c", Language::C).unwrap(),
            "b.s b.d b.gcno b.su"
        );
        assert_eq!(names(&gcc(Mode::Object), "s.s", Language::Assembler).unwrap(), "s.o s.dwo");
        assert_eq!(
            names(&gcc(Mode::Object), "s.S", Language::AssemblerWithCpp).unwrap(),
            "s.o s.d s.dwo"
        );
        let precompile = Plan { derived: Vec::new(), ..gcc(Mode::Precompile) };
        assert_eq!(names(&precompile, "s/h.h", Language::CHeader).unwrap(), "s/h.h.gch h.d");
    }

    #[test]
    fn styles_as_measured() {
        use WriteStyle::{InPlace, ReplaceFilled, ReplaceWritable};
        let main = |flavor, mode, language| {
            of(&plan(flavor, mode, None), b"x.y", language).unwrap()[0].style
        };
        for (flavor, mode, language, style) in [
            (Flavor::Gcc, Mode::Object, Language::C, ReplaceFilled),
            (Flavor::Gcc, Mode::Object, Language::Assembler, ReplaceFilled),
            (Flavor::Gcc, Mode::Assembly, Language::C, InPlace),
            (Flavor::Clang, Mode::Object, Language::C, ReplaceWritable),
            (Flavor::Clang, Mode::Object, Language::Assembler, InPlace),
            (Flavor::Clang, Mode::Object, Language::AssemblerWithCpp, InPlace),
            (Flavor::Clang, Mode::Assembly, Language::C, ReplaceWritable),
        ] {
            assert_eq!(main(flavor, mode, language), style, "{flavor:?} {mode:?} {language:?}");
        }
        let dwo =
            |flavor| of(&plan(flavor, Mode::Object, None), b"x.c", Language::C).unwrap()[2].style;
        assert_eq!((dwo(Flavor::Gcc), dwo(Flavor::Clang)), (WriteStyle::Replace, InPlace));
    }
}

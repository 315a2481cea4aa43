//! The files that a link may make. Which of them it does make follows from settings, objects and emcc's
//! version; what was made is what counts.

use crate::terms::Arg;
use crate::terms::output::{Output, Role, WriteStyle};
use crate::tools::find::base;

/// What may stand behind the target's name without its ending.
const BESIDE: &[(&str, WriteStyle)] = &[
    // Renamed over, and touched up in place by some of the tools.
    (".wasm", WriteStyle::ReplaceFile),
    (".js", WriteStyle::ReplaceFile),
    (".html", WriteStyle::InPlace),
    (".data", WriteStyle::InPlace),
    (".wasm.map", WriteStyle::InPlace),
    (".wasm.js", WriteStyle::ReplaceFile),
    (".wasm.debug.wasm", WriteStyle::ReplaceFile),
    (".wasm.orig", WriteStyle::ReplaceFile),
    (".worker.js", WriteStyle::InPlace),
    (".worker.mjs", WriteStyle::InPlace),
    (".aw.js", WriteStyle::InPlace),
    (".ww.js", WriteStyle::InPlace),
    (".js.map", WriteStyle::InPlace),
    (".mem", WriteStyle::InPlace),
    (".symbols", WriteStyle::InPlace),
    (".js.symbols", WriteStyle::InPlace),
    (".asm.js", WriteStyle::ReplaceFile),
    (".fetch.js", WriteStyle::InPlace),
];

/// What may stand behind its whole name.
const BEHIND: &[&str] = &[".mem", ".symbols", ".map"];

/// All files that may come of a link to `target`, the target first. None: it is no ordinary file.
pub(super) fn of(target: &[u8]) -> Option<Vec<Output>> {
    let is_special = target.starts_with(b"-") || target.starts_with(b"/dev/");
    if is_special || base(target).is_empty() {
        return None;
    }
    let stem = stem(target);
    let ending = &target[stem.len()..];
    let style = match ending {
        b".html" => WriteStyle::InPlace,
        _ => WriteStyle::ReplaceFile,
    };
    let mut outputs =
        vec![Output { role: Role::Main, path: target.to_vec(), style, required: true }];
    let mut add = |path: Arg, style| {
        if !outputs.iter().any(|known| known.path == path) {
            let role = Role::Other(outputs.len() as u16);
            outputs.push(Output { role, path, style, required: false });
        }
    };
    for (ending, style) in BESIDE {
        add([stem, ending.as_bytes()].concat(), *style);
    }
    for ending in BEHIND {
        add([target, ending.as_bytes()].concat(), WriteStyle::InPlace);
    }
    Some(outputs)
}

/// A target's name without its ending, as Python's `splitext` cuts it.
pub(super) fn stem(target: &[u8]) -> &[u8] {
    let name = base(target);
    let folder = target.len() - name.len();
    // Dots at the beginning are no ending's.
    let begins = name.iter().take_while(|byte| **byte == b'.').count();
    match name.iter().rposition(|byte| *byte == b'.') {
        Some(dot) if dot >= begins => &target[..folder + dot],
        _ => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_a_target() {
        for (target, cut) in [
            ("d.d/a.js", "d.d/a"),
            ("a", "a"),
            (".a", ".a"),
            ("x/..b.c", "x/..b"),
            ("a.b.js", "a.b"),
        ] {
            assert_eq!(stem(target.as_bytes()), cut.as_bytes(), "{target}");
        }
        let outputs = of(b"o/a.html").unwrap();
        let has = |path: &str| outputs.iter().any(|output| output.path == path.as_bytes());
        assert!(outputs[0].required && outputs[0].path == b"o/a.html");
        for path in ["o/a.js", "o/a.wasm", "o/a.data", "o/a.worker.js", "o/a.html.symbols"] {
            assert!(has(path), "{path}");
        }
        let mut names: Vec<_> = outputs.iter().map(|output| &output.path).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), outputs.len());
        for target in ["/dev/null", "-", "a/", ""] {
            assert!(of(target.as_bytes()).is_none(), "{target}");
        }
    }
}

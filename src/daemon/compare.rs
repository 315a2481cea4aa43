//! What differs between two commands, by the parts of their keys.

use std::collections::HashMap;

use crate::session::cause::{Difference, text};
use crate::session::reason::Reason;
use crate::tools::key_parts::Part;

/// One command's parts in order.
pub(super) type Parts<'a> = Vec<(Part, &'a [u8])>;

/// All differences but for the tool itself: see `Compared::other_tool`.
#[derive(Debug, PartialEq)]
pub(super) struct Compared {
    pub(super) differences: Vec<Difference>,
    /// The tool's identity is another one. A flag that chooses its parts does that, too.
    pub(super) other_tool: bool,
}

/// Compares a known command with the one at hand.
pub(super) fn compare(before: &Parts<'_>, after: &Parts<'_>) -> Compared {
    let mut differences = Vec::new();
    flags(Part::Flag, before, after, &mut differences);
    flags(Part::ExtraInput, before, after, &mut differences);
    variables(before, after, &mut differences);
    type Make = fn(String, String) -> Difference;
    let singles: [(Part, Make); 5] = [
        (Part::Called, |before, after| Difference::Tool { before, after }),
        (Part::Mode, |before, after| Difference::Made { before, after }),
        (Part::Source, |before, after| Difference::SourceName { before, after }),
        (Part::Folder, |before, after| Difference::Folder { before, after }),
        (Part::OutputName, |before, after| Difference::OutputName { before, after }),
    ];
    for (part, make) in singles {
        let (old, new) = (of(part, before), of(part, after));
        if let Some((old, new)) = first_unequal(&old, &new) {
            differences.push(make(text(old), text(new)));
        }
    }
    if of(Part::Before, before) != of(Part::Before, after) {
        differences.push(Difference::Before);
    }
    if differences.is_empty() {
        // The whole command is recorded: arguments that matter nowhere else matter here.
        flags(Part::Word, before, after, &mut differences);
    }
    let tool = |part| of(part, before) != of(part, after);
    let other_tool = tool(Part::Tool) || tool(Part::Library) || tool(Part::Machine);
    Compared { differences, other_tool }
}

/// The reason that fits a list of differences best.
pub(super) fn reason_for(differences: &[Difference]) -> Reason {
    use Difference::*;
    let has = |wanted: fn(&Difference) -> bool| differences.iter().any(wanted);
    if has(|one| matches!(one, ToolFile { .. } | Tool { .. })) {
        Reason::ToolChanged
    } else if has(|one| matches!(one, Appeared { .. })) {
        Reason::InputAppeared
    } else if has(|one| matches!(one, Content { .. } | Before)) {
        Reason::InputChanged
    } else if has(|one| matches!(one, Gone { .. } | Vanished { .. })) {
        Reason::InputGone
    } else if differences.is_empty() {
        Reason::NewAction
    } else if has(|one| !matches!(one, Variable { .. })) {
        Reason::CommandChanged
    } else {
        Reason::VariableChanged
    }
}

fn of<'a>(part: Part, parts: &Parts<'a>) -> Vec<&'a [u8]> {
    parts.iter().filter(|(kind, _)| *kind == part).map(|(_, bytes)| *bytes).collect()
}

fn first_unequal<'a>(before: &[&'a [u8]], after: &[&'a [u8]]) -> Option<(&'a [u8], &'a [u8])> {
    let at = |list: &[&'a [u8]], n: usize| list.get(n).copied().unwrap_or_default();
    let longest = before.len().max(after.len());
    (0..longest).map(|n| (at(before, n), at(after, n))).find(|(before, after)| before != after)
}

/// Which arguments came and went; when none did, whether their order is another.
fn flags(part: Part, before: &Parts<'_>, after: &Parts<'_>, out: &mut Vec<Difference>) {
    let (old, new) = (of(part, before), of(part, after));
    if old == new {
        return;
    }
    let mut counts: HashMap<&[u8], i32> = HashMap::new();
    old.iter().for_each(|flag| *counts.entry(flag).or_default() -= 1);
    new.iter().for_each(|flag| *counts.entry(flag).or_default() += 1);
    let start = out.len();
    for flag in &new {
        if let Some(count @ 1..) = counts.get_mut(flag) {
            *count -= 1;
            out.push(Difference::FlagAdded { flag: text(flag) });
        }
    }
    for flag in &old {
        if let Some(count @ ..=-1) = counts.get_mut(flag) {
            *count += 1;
            out.push(Difference::FlagRemoved { flag: text(flag) });
        }
    }
    if out.len() == start {
        out.push(Difference::FlagOrder);
    }
}

fn variables(before: &Parts<'_>, after: &Parts<'_>, out: &mut Vec<Difference>) {
    let split = |parts: &Parts<'_>| -> HashMap<String, String> {
        let set = of(Part::Variable, parts).into_iter().filter_map(|both| {
            let at = both.iter().position(|byte| *byte == b'=')?;
            Some((text(&both[..at]), text(&both[at + 1..])))
        });
        set.collect()
    };
    let (old, new) = (split(before), split(after));
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (before, after) = (old.get(name).cloned(), new.get(name).cloned());
        if before != after {
            out.push(Difference::Variable { name: name.clone(), before, after, hidden: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences(before: &[(Part, &str)], after: &[(Part, &str)]) -> Vec<Difference> {
        let parts = |list: &'_ [(Part, &'static str)]| -> Parts<'static> {
            list.iter().map(|(part, words)| (*part, words.as_bytes())).collect()
        };
        let leak = |list: &[(Part, &str)]| -> Vec<(Part, &'static str)> {
            list.iter().map(|(part, words)| (*part, &*words.to_string().leak())).collect()
        };
        compare(&parts(&leak(before)), &parts(&leak(after))).differences
    }

    #[test]
    fn flags_come_go_and_change_places() {
        use Part::Flag;
        let flag = |flag: &str| flag.to_owned();
        assert_eq!(
            differences(
                &[(Flag, "-O1"), (Flag, "-g")],
                &[(Flag, "-O2"), (Flag, "-g"), (Flag, "-g")]
            ),
            [
                Difference::FlagAdded { flag: flag("-O2") },
                Difference::FlagAdded { flag: flag("-g") },
                Difference::FlagRemoved { flag: flag("-O1") },
            ]
        );
        assert_eq!(
            differences(&[(Flag, "-Ia"), (Flag, "-Ib")], &[(Flag, "-Ib"), (Flag, "-Ia")]),
            [Difference::FlagOrder]
        );
        assert_eq!(differences(&[(Flag, "-Ia")], &[(Flag, "-Ia")]), []);
    }

    #[test]
    fn variables_are_set_unset_and_changed() {
        use Part::Variable;
        let found = differences(
            &[(Variable, "A=1"), (Variable, "B="), (Variable, "C")],
            &[(Variable, "A=2"), (Variable, "B"), (Variable, "C=x=y")],
        );
        let words: Vec<String> = found.iter().map(Difference::words).collect();
        assert_eq!(words, ["A is `2` instead of `1`", "B is not set (was ``)", "C=`x=y` is set"]);
        assert_eq!(reason_for(&found), Reason::VariableChanged);
    }

    #[test]
    fn a_tool_is_told_apart_from_its_flags() {
        let before: Parts<'_> = vec![(Part::Tool, b"1"), (Part::Flag, b"-m64")];
        let after: Parts<'_> = vec![(Part::Tool, b"2"), (Part::Flag, b"-m32")];
        let compared = compare(&before, &after);
        assert!(compared.other_tool);
        assert_eq!(compared.differences.len(), 2);
        assert_eq!(reason_for(&compared.differences), Reason::CommandChanged);
    }

    #[test]
    fn a_file_that_is_changed_counts_by_what_it_was() {
        let found = differences(&[(Part::Before, "1")], &[(Part::Before, "")]);
        assert_eq!(found, [Difference::Before]);
        assert_eq!(reason_for(&found), Reason::InputChanged);
    }

    #[test]
    fn words_count_only_by_themselves() {
        use Part::{Flag, Word};
        let before = [(Flag, "-g"), (Word, "-g"), (Word, "-v")];
        assert_eq!(
            differences(&before, &[(Flag, "-g"), (Word, "-g")]),
            [Difference::FlagRemoved { flag: "-v".to_owned() }]
        );
        assert_eq!(differences(&before, &[(Word, "-v")]).len(), 1);
    }
}

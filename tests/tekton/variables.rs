//! Replaces Tekton's variable references, `$(workspaces.cache.path)`, among a shell's own
//! `$(commands)`.

use std::collections::BTreeMap;

/// The beginnings of references; everything else in `$(…)` belongs to the shell.
const ROOTS: [&str; 6] = ["params", "workspaces", "steps", "results", "context", "tasks"];

/// The values of all variables of a task run.
pub(crate) type Variables = BTreeMap<String, String>;

/// Replaces every reference. Tekton leaves unknown references in place, and the shell then runs
/// them as commands; here they are errors, to find typos in a guide.
pub(crate) fn substitute(text: &str, variables: &Variables) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("$(") {
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        out.push_str(before);
        match reference(after) {
            Some(name) => {
                let value =
                    variables.get(name).ok_or_else(|| format!("unknown variable $({name})"))?;
                out.push_str(value);
                rest = &after[name.len() + 1..];
            }
            None => {
                out.push_str("$(");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The name of the reference if the text after `$(` is one.
fn reference(after: &str) -> Option<&str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || ".-_[]'\"*".contains(letter);
    let end = after.find(|letter| !is_part(letter))?;
    let name = &after[..end];
    let root = name.split(['.', '[']).next()?;
    let is_reference =
        after[end..].starts_with(')') && root.len() < name.len() && ROOTS.contains(&root);
    is_reference.then_some(name)
}

#[test]
fn references_are_replaced_and_commands_are_not() {
    let variables = Variables::from([
        ("workspaces.cache.path".to_owned(), "/w/cache".to_owned()),
        ("steps.step-a.exitCode.path".to_owned(), "/s/a".to_owned()),
        ("params['x']".to_owned(), "1".to_owned()),
    ]);
    for (text, expected) in [
        ("no reference", "no reference"),
        ("$(workspaces.cache.path)", "/w/cache"),
        (
            "if [ $(cat $(steps.step-a.exitCode.path)) -eq 0 ]; then",
            "if [ $(cat /s/a) -eq 0 ]; then",
        ),
        ("$(btdt hash package-lock.json)", "$(btdt hash package-lock.json)"),
        ("$(params) $(steps) $(date)", "$(params) $(steps) $(date)"),
        ("$(params['x'])$(params['x'])", "11"),
        ("$CACHE_KEY $((1 + 2)) $(", "$CACHE_KEY $((1 + 2)) $("),
    ] {
        assert_eq!(substitute(text, &variables).unwrap(), expected);
    }
}

#[test]
fn unknown_references_are_errors() {
    let variables = Variables::new();
    for name in ["workspaces.nope.path", "steps.step-x.exitCode.path", "params.p", "context.x"] {
        let error = substitute(&format!("a $({name}) b"), &variables).expect_err(name);
        assert_eq!(error, format!("unknown variable $({name})"));
    }
}

//! Finds import circles: files or sibling folders that import from each other, directly or
//! indirectly. No part of a circle can be understood or moved on its own.
//!
//! An import is a path that starts with `crate`, `self`, `super` or a child module, in a `use` or
//! anywhere else in an item that is not for tests. A re-export counts for the file that it leads
//! to. Tokens inside macro calls are ignored.

use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use syn::visit::{self, Visit};

/// A module path without the crate: `["server", "route"]`.
type ModulePath = Vec<String>;

/// The names of files that form a circle; each circle is reported once.
type Circle = BTreeSet<String>;

/// Checks every crate of the repository.
///
/// # Errors
/// If there is a circle, or a file does not parse.
pub(crate) fn check(root: &Path, rust_files: &[String]) -> Result<()> {
    let sources: BTreeSet<&str> = rust_files
        .iter()
        .filter_map(|path| path.split_once("/src/").map(|(package, _)| package))
        .collect();
    let mut found = Vec::new();
    for package in sources {
        let prefix = format!("{package}/src/");
        let mut modules = BTreeMap::new();
        for path in rust_files.iter().filter(|path| path.starts_with(&prefix)) {
            let text = fs::read_to_string(root.join(path))
                .with_context(|| format!("could not read {path}"))?;
            let module = Module::parse(&text).with_context(|| format!("could not parse {path}"))?;
            modules.insert(module_path(&path[prefix.len()..]), module);
        }
        for circle in circles(&modules) {
            let names: Vec<_> = circle.into_iter().collect();
            found.push(format!("{package}: {}", names.join(", ")));
        }
    }
    if !found.is_empty() {
        bail!("import circles:\n  {}", found.join("\n  "));
    }
    Ok(())
}

/// `a/b.rs` and `a/b/mod.rs` are `a::b`; `lib.rs` and `main.rs` are the crate.
fn module_path(file: &str) -> ModulePath {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let mut parts: ModulePath = stem.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// The imports and re-exports of a file, as paths relative to its own module.
#[derive(Default)]
struct Module {
    /// Paths as written: the first segment is `crate`, `self`, `super` or a name.
    imports: BTreeSet<Vec<String>>,
    /// Names that `use` introduces in this module, each with the path behind it.
    names: BTreeMap<String, Vec<String>>,
    /// How many modules that are written out in the file surround the item at hand.
    depth: usize,
}

impl Module {
    fn parse(text: &str) -> syn::Result<Self> {
        let mut module = Self::default();
        module.visit_file(&syn::parse_file(text)?);
        Ok(module)
    }

    fn add_use(&mut self, tree: &syn::UseTree, mut path: Vec<String>) {
        match tree {
            syn::UseTree::Path(node) => {
                path.push(node.ident.to_string());
                self.add_use(&node.tree, path);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(tree, path.clone());
                }
            }
            syn::UseTree::Glob(_) => self.add_path(path),
            syn::UseTree::Name(name) if name.ident == "self" => {
                self.add_name(path.last().cloned().unwrap_or_default(), path);
            }
            syn::UseTree::Name(name) => {
                path.push(name.ident.to_string());
                self.add_name(name.ident.to_string(), path);
            }
            syn::UseTree::Rename(rename) => {
                if rename.ident != "self" {
                    path.push(rename.ident.to_string());
                }
                self.add_name(rename.rename.to_string(), path);
            }
        }
    }

    fn add_name(&mut self, name: String, path: Vec<String>) {
        self.add_path(path.clone());
        if self.depth == 0 {
            self.names.insert(name, path);
        }
    }

    /// Adds a path as it would be written outside the modules that surround it in the file.
    fn add_path(&mut self, path: Vec<String>) {
        let supers = path.iter().take_while(|segment| *segment == "super").count();
        if path.first().is_some_and(|first| first == "crate") || self.depth == 0 {
            self.imports.insert(path);
        } else if supers >= self.depth {
            let outside = path.into_iter().skip(self.depth);
            let from_the_file = (supers == self.depth).then(|| "self".to_owned());
            self.imports.insert(from_the_file.into_iter().chain(outside).collect());
        }
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.depth += 1;
        visit::visit_item_mod(self, item);
        self.depth -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_use(&item.tree, Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string());
            self.add_path(segments.collect());
        }
        visit::visit_path(self, path);
    }
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|name| name == "test")
    })
}

/// The module that a path in `from` leads to; `None` if it is in another crate.
fn resolve(
    modules: &BTreeMap<ModulePath, Module>,
    from: &[String],
    path: &[String],
    depth: usize,
) -> Option<ModulePath> {
    let mut at: ModulePath = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => from.to_vec(),
        child => {
            let mut inside = from.to_vec();
            inside.push(child.to_owned());
            return modules
                .contains_key(&inside)
                .then(|| resolve_names(modules, from, path, depth));
        }
    };
    let supers = path.iter().take_while(|segment| *segment == "super").count();
    for _ in 0..supers {
        at.pop()?;
    }
    Some(resolve_names(modules, &at, &path[supers.max(1)..], depth))
}

/// Follows names from a module through modules and re-exports as far as possible.
fn resolve_names(
    modules: &BTreeMap<ModulePath, Module>,
    from: &[String],
    path: &[String],
    depth: usize,
) -> ModulePath {
    let mut at = from.to_vec();
    for (index, name) in path.iter().enumerate() {
        at.push(name.clone());
        if modules.contains_key(&at) {
            continue;
        }
        at.pop();
        let behind = modules.get(&at).and_then(|module| module.names.get(name));
        // A name that leads back to itself does not compile; the depth is only a bound.
        if let Some(behind) = behind.filter(|_| depth < modules.len()) {
            let rest = path[index + 1..].iter().cloned();
            let whole: Vec<_> = behind.iter().cloned().chain(rest).collect();
            if let Some(found) = resolve(modules, &at, &whole, depth + 1) {
                return found;
            }
        }
        break;
    }
    at
}

/// All circles between files, and between files and folders in the same folder.
fn circles(modules: &BTreeMap<ModulePath, Module>) -> BTreeSet<Circle> {
    let mut edges = BTreeSet::new();
    for (from, module) in modules {
        for path in &module.imports {
            if let Some(to) = resolve(modules, from, path, 0)
                && to != *from
            {
                edges.insert((from.clone(), to));
            }
        }
    }
    let name = |path: &[String]| {
        if path.is_empty() { "the crate's root".to_owned() } else { path.join("::") }
    };
    let mut found = strongly_connected(edges.iter().map(|(from, to)| (name(from), name(to))));
    for folder in modules.keys() {
        // Map both ends to the files or folders directly in this folder.
        let inside = edges.iter().filter_map(|(from, to)| {
            let (from, to) = (from.strip_prefix(&folder[..])?, to.strip_prefix(&folder[..])?);
            let (from, to) = (from.first()?, to.first()?);
            let path = |child: &String| name(&[folder.clone(), vec![child.clone()]].concat());
            (from != to).then(|| (path(from), path(to)))
        });
        found.extend(strongly_connected(inside));
    }
    found
}

/// The sets of nodes that reach each other.
fn strongly_connected(edges: impl Iterator<Item = (String, String)>) -> BTreeSet<Circle> {
    let mut reached: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in edges {
        reached.entry(from).or_default().insert(to);
    }
    loop {
        let mut grown = false;
        for node in reached.keys().cloned().collect::<Vec<_>>() {
            let next = reached[&node].iter().filter_map(|next| reached.get(next));
            let further: BTreeSet<String> = next.flatten().cloned().collect();
            if let Some(set) = reached.get_mut(&node) {
                let before = set.len();
                set.extend(further);
                grown |= set.len() > before;
            }
        }
        if !grown {
            break;
        }
    }
    let in_circles = reached.iter().filter(|(node, set)| set.contains(*node));
    in_circles
        .map(|(node, set)| {
            let back = |other: &&String| reached.get(*other).is_some_and(|far| far.contains(node));
            set.iter().filter(back).cloned().collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles of a crate with these files.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let modules = files
            .iter()
            .map(|(path, text)| (module_path(path), Module::parse(text).unwrap()))
            .collect();
        let join = |circle: Circle| circle.into_iter().collect::<Vec<_>>().join(" ");
        circles(&modules).into_iter().map(join).collect()
    }

    #[test]
    fn files_that_import_from_each_other_are_a_circle() {
        let files = [("a.rs", "use crate::b::B;"), ("b.rs", "fn f() { super::a::g() }")];
        assert_eq!(found(&files), ["a b"]);
        let longer =
            [("a.rs", "use crate::b;"), ("b.rs", "use crate::c;"), ("c.rs", "use super::a;")];
        assert_eq!(found(&longer), ["a b c"]);
        assert!(found(&[("a.rs", "use crate::b::B;"), ("b.rs", "use std::a;")]).is_empty());
    }

    #[test]
    fn a_parent_that_uses_what_its_children_take_from_it_is_a_circle() {
        let parent = "mod child; struct Shared; fn f() { child::g() }";
        assert_eq!(
            found(&[("p/mod.rs", parent), ("p/child.rs", "use super::Shared;")]),
            ["p p::child"]
        );
        let declares = "mod child; struct Shared;";
        assert!(found(&[("p/mod.rs", declares), ("p/child.rs", "use super::Shared;")]).is_empty());
    }

    #[test]
    fn a_re_export_counts_for_the_file_behind_it() {
        let files = [
            ("p/mod.rs", "mod one; mod two; pub use one::One;"),
            ("p/one.rs", "pub struct One;"),
            ("p/two.rs", "use super::One;"),
        ];
        assert!(found(&files).is_empty());
        let back = [files[0], ("p/one.rs", "use super::two::Two;"), files[2]];
        assert_eq!(found(&back), ["p::one p::two"]);
    }

    #[test]
    fn folders_that_import_from_each_other_are_a_circle() {
        let files = [
            ("a/mod.rs", ""),
            ("a/x.rs", "use crate::b::y;"),
            ("a/z.rs", ""),
            ("b/mod.rs", ""),
            ("b/y.rs", "use crate::a::z;"),
            ("lib.rs", "mod a; mod b;"),
        ];
        assert_eq!(found(&files), ["a b"]);
    }

    #[test]
    fn modules_inside_a_file_belong_to_it() {
        let parent = "mod child; pub use child::C;";
        let own = "struct S; mod inner { use super::S; }";
        assert!(found(&[("p/mod.rs", parent), ("p/child.rs", own)]).is_empty());
        let circle = "mod inner { use super::super::S; }";
        assert_eq!(found(&[("p/mod.rs", parent), ("p/child.rs", circle)]), ["p p::child"]);
    }

    #[test]
    fn tests_may_import_what_they_like() {
        let test = "#[cfg(test)] mod tests { use crate::b; } #[cfg(test)] use crate::b::C;";
        assert!(found(&[("a.rs", test), ("b.rs", "use crate::a;")]).is_empty());
    }
}

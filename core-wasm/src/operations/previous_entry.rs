//! Takes over from the entries that a store replaces what the host cannot read.
//!
//! WASI 0.2 has no permission bits, and cannot read links to absolute paths. A tree that was stored
//! natively, restored under WASI and stored again under the same key would lose both. So files and
//! directories keep the permission bits of the previous entry if path and kind are the same, and
//! links keep their target if path and time are the same.

use crate::cache::Cache;
use crate::key::Key;
use crate::manifest::{Content, Manifest, Node};
use btdt_ports::{Environment, Severity, Tally, Timestamp};
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

/// The entries that a store replaces, read on first use.
pub(crate) struct PreviousEntries<'store, C> {
    keys: &'store [Key],
    cache: &'store C,
    environment: &'store dyn Environment,
    trees: OnceCell<Vec<PreviousTree>>,
    /// Links that are not stored. The listing warns about these.
    left_out: RefCell<BTreeSet<Vec<u8>>>,
}

impl<'store, C: Cache> PreviousEntries<'store, C> {
    /// The current entries of these keys.
    pub(crate) fn new(
        keys: &'store [Key],
        cache: &'store C,
        environment: &'store dyn Environment,
    ) -> Self {
        PreviousEntries {
            keys,
            cache,
            environment,
            trees: OnceCell::new(),
            left_out: RefCell::default(),
        }
    }

    /// Those that can be read: a token may permit writing only.
    fn trees(&self) -> &[PreviousTree] {
        self.trees.get_or_init(|| {
            let mut trees = Vec::new();
            for key in self.keys {
                match self.cache.replaced(key) {
                    Ok(tree) => trees.extend(tree.map(PreviousTree::new)),
                    Err(error) => {
                        let message = format!(
                            "This runtime does not tell permission bits, and those of the entry of \
                             key {key} are not taken over: {error}"
                        );
                        self.environment.log(Severity::Warning, &message);
                    }
                }
            }
            trees
        })
    }

    /// The target of a symbolic link, by path and time, if a previous entry has it.
    pub(crate) fn target(&self, path: &[u8], modified: Timestamp) -> Option<Vec<u8>> {
        let target = self.trees().iter().find_map(|tree| match tree.find(path)? {
            Node { content: Content::Symlink(target), modified: time, .. }
                if time == modified && is_hidden(target) =>
            {
                Some(target.to_vec())
            }
            _ => None,
        });
        if target.is_none() {
            self.left_out.borrow_mut().insert(path.to_vec());
        }
        target
    }

    /// Fills in the modes of `manifest`, as far as a previous entry has them.
    pub(crate) fn complete(&self, manifest: &mut Manifest) {
        for tree in self.trees() {
            let modes = tree.modes_for(manifest);
            manifest.complete_modes(|number| modes.get(&number).copied());
        }
        self.mention_absent_links(manifest);
    }

    /// Warns about links of the previous entry that are absent, and that a restore by this host
    /// could not have created.
    fn mention_absent_links(&self, manifest: &Manifest) {
        let Some(previous) = self.trees().first() else { return };
        let is_hidden_link = |node: &Node<'_>| match node.content {
            Content::Symlink(target) => is_hidden(target),
            _ => false,
        };
        let mut hidden =
            previous.manifest.nodes().filter(|(_, node)| is_hidden_link(node)).peekable();
        if hidden.peek().is_none() {
            return;
        }
        let names = Names::new(manifest);
        let mut absent = Tally::default();
        for (number, _) in hidden {
            let path = previous.manifest.path(number);
            let is_told = self.left_out.borrow().contains(&path);
            if !is_told && names.find(manifest, &path).is_none() {
                absent.add(|| path);
            }
        }
        if let Some(links) = absent.describe("symbolic link", "symbolic links") {
            let message = format!(
                "This runtime cannot restore {links} of the entry that is replaced, and the new \
                 one has none there (docs/wasi.md)"
            );
            self.environment.log(Severity::Warning, &message);
        }
    }
}

/// Whether hosts on WASI can neither read nor create links to `target`.
fn is_hidden(target: &[u8]) -> bool {
    target.starts_with(b"/") || std::str::from_utf8(target).is_err()
}

/// The tree of a previous entry.
struct PreviousTree {
    manifest: Manifest,
    names: Names,
}

impl PreviousTree {
    fn new(manifest: Manifest) -> Self {
        PreviousTree { names: Names::new(&manifest), manifest }
    }

    fn find(&self, path: &[u8]) -> Option<Node<'_>> {
        self.names.find(&self.manifest, path).map(|number| self.manifest.node(number))
    }

    /// The modes for nodes of `manifest` at the same paths, by their numbers there.
    fn modes_for(&self, manifest: &Manifest) -> BTreeMap<u32, u32> {
        let previous = &self.manifest;
        let mut modes = BTreeMap::new();
        let mut twins: BTreeMap<u32, u32> = BTreeMap::new();
        for (number, node) in manifest.nodes() {
            let twin = match number {
                0 => Some(0),
                _ => twins
                    .get(&node.parent)
                    .and_then(|parent| self.names.child(previous, *parent, node.name)),
            };
            let Some(twin) = twin else { continue };
            let found = match previous.node(twin) {
                // All names of a file have its mode.
                Node { content: Content::HardLink(first), .. } => previous.node(first),
                found => found,
            };
            match (node.content, found.content) {
                (Content::Directory, Content::Directory) => {
                    twins.insert(number, twin);
                }
                (Content::File(_), Content::File(_)) => {}
                _ => continue,
            }
            if let Some(mode) = found.mode {
                modes.insert(number, mode);
            }
        }
        modes
    }
}

/// The nodes of a manifest except the root, sorted by parent and name.
struct Names(Vec<u32>);

impl Names {
    fn new(manifest: &Manifest) -> Self {
        let mut numbers: Vec<u32> = (1..manifest.len()).collect();
        numbers.sort_unstable_by_key(|number| {
            let node = manifest.node(*number);
            (node.parent, node.name)
        });
        Names(numbers)
    }

    fn child(&self, manifest: &Manifest, parent: u32, name: &[u8]) -> Option<u32> {
        let order = |number: &u32| {
            let node = manifest.node(*number);
            (node.parent, node.name).cmp(&(parent, name))
        };
        self.0.binary_search_by(order).ok().map(|place| self.0[place])
    }

    /// The node at a path; the root at the empty one.
    fn find(&self, manifest: &Manifest, path: &[u8]) -> Option<u32> {
        let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        names.into_iter().try_fold(0, |parent, name| self.child(manifest, parent, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Builder;

    fn manifest(nodes: &[(u32, &str, Option<u32>, bool)]) -> Manifest {
        let mut builder = Builder::new();
        for (parent, name, mode, is_directory) in nodes {
            let content = if *is_directory { Content::Directory } else { Content::File(&[]) };
            let (parent, mode, name) = (*parent, *mode, name.as_bytes());
            let modified = Timestamp::default();
            builder.add(Node { parent, name, mode, modified, content }).unwrap();
        }
        builder.finish().unwrap()
    }

    #[test]
    fn the_same_thing_at_the_same_path_keeps_its_mode() {
        let previous = manifest(&[
            (0, "", Some(0o700), true),
            (0, "bin", Some(0o750), true),
            (1, "run", Some(0o755), false),
            (0, "gone", Some(0o777), false),
            (0, "other", Some(0o711), true),
            (0, "run", Some(0o600), false),
        ]);
        let now = manifest(&[
            (0, "", None, true),
            (0, "bin", None, true),
            (1, "new", None, false),
            (1, "run", None, false),
            (0, "other", None, false),
            (0, "run", Some(0o644), false),
        ]);
        let mut completed = now.clone();
        let modes = PreviousTree::new(previous.clone()).modes_for(&now);
        completed.complete_modes(|number| modes.get(&number).copied());
        let found: Vec<Option<u32>> = completed.nodes().map(|(_, node)| node.mode).collect();
        let run = Some(0o755);
        assert_eq!(found, [Some(0o700), Some(0o750), None, run, None, Some(0o644)]);
        assert!(now.lacks_modes() && completed.lacks_modes() && !previous.lacks_modes());
    }
}

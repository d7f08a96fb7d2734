//! Compares a manifest with a destination: what has to be written, and what can stay.
//!
//! A file stays if its size, time and permission bits are those of the manifest. Times distinguish
//! versions only if they come from a clock: tools that unpack archives set times in whole seconds,
//! often the same for all files, so two versions can agree in size and time but differ in content.
//! Files with a time in whole seconds are therefore compared by content. That leaves two versions
//! of equal size written within one tick of the file system's clock (a few milliseconds on many
//! kernels); for such trees there is [`CompareOptions::checksum`].

use crate::manifest::{Content, Manifest, Node};
use crate::tree::walk::{Directory, join, walk};
use btdt_ports::client::Error;
use btdt_ports::{Entry, EntryKind, LinkId, Tree};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// How to compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompareOptions {
    /// Collect names that are not in the manifest.
    pub exact: bool,
    /// Compare files by content even if they agree in size and time.
    pub checksum: bool,
}

/// What is at the destination in a node's place, and so what has to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing: create it.
    #[default]
    Absent,
    /// The node as it should be.
    Same,
    /// The node with a different mode or time.
    Metadata,
    /// A file that may have the right content.
    Compare,
    /// Anything else but a directory: replace it.
    Replace,
    /// A directory instead of something else: remove it.
    Clear,
}

/// A comparison of a manifest with a destination.
#[derive(Debug)]
pub struct Comparison {
    /// The state of each node.
    pub states: Vec<State>,
    /// With [`CompareOptions::exact`], names that are not in the manifest, by the node number of
    /// their directory.
    pub extra: BTreeMap<u32, Vec<Vec<u8>>>,
}

impl Comparison {
    /// For an absent destination.
    #[must_use]
    pub fn with_nothing(manifest: &Manifest) -> Self {
        Comparison { states: vec![State::Absent; manifest.len() as usize], extra: BTreeMap::new() }
    }

    /// Compares with a directory, whose own entry is `root`.
    ///
    /// # Errors
    /// [`Error::Destination`].
    pub fn with_directory(
        manifest: &Manifest,
        tree: &impl Tree,
        root: &Entry,
        options: CompareOptions,
    ) -> Result<Self, Error> {
        let mut comparer = Comparer {
            manifest,
            comparison: Comparison::with_nothing(manifest),
            links: BTreeMap::new(),
            options,
        };
        comparer.comparison.states[0] = directory_state(&manifest.node(0), root);
        let children = Children::new(manifest);
        walk(tree, |directory, entries, next| {
            let failed = |error| Error::destination(&directory.path, error);
            for number in
                comparer.compare_directory(directory.number, &children, entries.map_err(failed)?)
            {
                let path = join(&directory.path, manifest.node(number).name);
                next.push(Directory { number, path });
            }
            Ok(())
        })?;
        comparer.settle_hard_links();
        Ok(comparer.comparison)
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.extra.is_empty() && self.states.iter().all(|state| *state == State::Same)
    }
}

struct Comparer<'compare> {
    manifest: &'compare Manifest,
    comparison: Comparison,
    /// The identity of each node whose file at the destination has several names.
    links: BTreeMap<u32, LinkId>,
    options: CompareOptions,
}

impl Comparer<'_> {
    /// Compares the entries of a directory. Returns the subdirectories that exist on both sides.
    fn compare_directory(
        &mut self,
        directory: u32,
        children: &Children,
        entries: Vec<Entry>,
    ) -> Vec<u32> {
        let mut common = Vec::new();
        let mut entries = entries.into_iter().peekable();
        for child in children.of(directory) {
            let node = self.manifest.node(child);
            let entry = loop {
                let Some(entry) = entries.peek() else { break None };
                match entry.name.as_slice().cmp(node.name) {
                    Ordering::Greater => break None,
                    Ordering::Equal => break entries.next(),
                    Ordering::Less => {
                        let name = entries.next().map(|entry| entry.name).unwrap_or_default();
                        self.note_extra(directory, name);
                    }
                }
            };
            let Some(entry) = entry else { continue };
            self.comparison.states[child as usize] = state(&node, &entry, self.options);
            if let Some(link) = entry.link {
                self.links.insert(child, link);
            }
            if matches!(node.content, Content::Directory) && entry.kind == EntryKind::Directory {
                common.push(child);
            }
        }
        entries.for_each(|entry| self.note_extra(directory, entry.name));
        common
    }

    fn note_extra(&mut self, directory: u32, name: Vec<u8>) {
        if self.options.exact {
            self.comparison.extra.entry(directory).or_default().push(name);
        }
    }

    /// A hard link stays only if it refers to its file at the destination, and that file stays.
    fn settle_hard_links(&mut self) {
        let states = &mut self.comparison.states;
        for (number, node) in self.manifest.nodes() {
            let Content::HardLink(target) = node.content else { continue };
            if states[number as usize] != State::Replace {
                continue;
            }
            let kept = matches!(states[target as usize], State::Same | State::Metadata);
            let link = self.links.get(&number);
            if kept && link.is_some() && link == self.links.get(&target) {
                states[number as usize] = State::Same;
            }
        }
    }
}

fn state(node: &Node<'_>, entry: &Entry, options: CompareOptions) -> State {
    match (node.content, entry.kind) {
        (Content::Directory, EntryKind::Directory) => directory_state(node, entry),
        (_, EntryKind::Directory) => State::Clear,
        (Content::File(extents), EntryKind::File) => {
            if entry.size != node.size() || entry.modified != node.modified {
                return State::Replace;
            }
            let by_clock = node.modified.nanoseconds != 0 && !options.checksum;
            let mode_differs = mode_differs(node, entry);
            if mode_differs && entry.link.is_some() {
                // Changing the mode would affect its other names, perhaps outside the tree.
                return State::Replace;
            }
            match (extents.len(), mode_differs) {
                (0, false) => State::Same,
                (0, true) => State::Metadata,
                (_, false) if by_clock => State::Same,
                (_, true) if by_clock => State::Metadata,
                (1, _) => State::Compare,
                _ => State::Replace,
            }
        }
        (Content::Symlink(target), EntryKind::Symlink) => {
            if entry.target.as_deref() != Some(target) {
                State::Replace
            } else if entry.modified == node.modified {
                State::Same
            } else {
                State::Metadata
            }
        }
        _ => State::Replace,
    }
}

fn directory_state(node: &Node<'_>, entry: &Entry) -> State {
    if entry.modified == node.modified && !mode_differs(node, entry) {
        State::Same
    } else {
        State::Metadata
    }
}

fn mode_differs(node: &Node<'_>, entry: &Entry) -> bool {
    match (node.mode, entry.mode) {
        (Some(wanted), Some(found)) => wanted != found,
        _ => false,
    }
}

/// Linked lists of each directory's nodes, which are not adjacent in path order.
struct Children {
    first: Vec<u32>,
    next: Vec<u32>,
}

impl Children {
    fn new(manifest: &Manifest) -> Self {
        let length = manifest.len() as usize;
        let mut children = Children { first: vec![0; length], next: vec![0; length] };
        for number in (1..manifest.len()).rev() {
            let parent = manifest.node(number).parent as usize;
            children.next[number as usize] = children.first[parent];
            children.first[parent] = number;
        }
        children
    }

    fn of(&self, directory: u32) -> impl Iterator<Item = u32> {
        let valid = |number: u32| (number != 0).then_some(number);
        std::iter::successors(valid(self.first[directory as usize]), move |number| {
            valid(self.next[*number as usize])
        })
    }
}

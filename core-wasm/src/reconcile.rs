//! Compares a manifest with what is at the destination: what has to be written, what can stay.
//!
//! A file stays when size, time and permission bits are those of the manifest. Times tell versions
//! apart only where a clock has set them: tools that unpack archives give all files times of whole
//! seconds, often one and the same, so two versions of a file can agree in size and time and
//! differ in content. Files with a time of whole seconds are therefore compared by content. What
//! remains are two versions of equal size that were written within one tick of the file system's
//! clock (some milliseconds on many kernels); whoever makes such trees has [`How::checksum`].

use crate::error::Error;
use crate::manifest::{Content, Manifest, Node};
use crate::walk::{Directory, join, walk};
use btdt_ports::{Entry, EntryKind, LinkId, Tree};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// How to compare, and what with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct How {
    /// Whether names that are not in the manifest matter.
    pub exact: bool,
    /// Whether to compare by content what agrees in size and time.
    pub checksum: bool,
}

/// What has to be done for a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing is there: it is made.
    #[default]
    Absent,
    /// It is there as it should be.
    Same,
    /// It is there, but mode or time are wrong.
    Metadata,
    /// A file that may have the right content.
    Compare,
    /// Something else is there that is not a directory, and is replaced.
    Replace,
    /// A directory is there where something else should be, and is removed.
    Clear,
}

/// A comparison of a manifest with a destination.
#[derive(Debug)]
pub struct Comparison {
    /// For each node, what has to be done.
    pub states: Vec<State>,
    /// Names that are at the destination but not in the manifest, by the number of the node of
    /// their directory. Only filled where they are asked for.
    pub extra: BTreeMap<u32, Vec<Vec<u8>>>,
}

impl Comparison {
    /// For a destination where nothing is.
    #[must_use]
    pub fn with_nothing(manifest: &Manifest) -> Self {
        Comparison { states: vec![State::Absent; manifest.len() as usize], extra: BTreeMap::new() }
    }

    /// Compares with a directory whose own entry is `root`.
    ///
    /// # Errors
    /// [`Error::Destination`] when it cannot be read.
    pub fn with_directory(
        manifest: &Manifest,
        tree: &impl Tree,
        root: &Entry,
        how: How,
    ) -> Result<Self, Error> {
        let mut comparer = Comparer {
            manifest,
            comparison: Comparison::with_nothing(manifest),
            links: BTreeMap::new(),
            how,
        };
        comparer.comparison.states[0] = directory_state(&manifest.node(0), root);
        let children = Children::new(manifest);
        walk(tree, |directory, entries, next| {
            let failed = |error| Error::Destination { path: directory.path.clone(), error };
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

    /// Whether nothing at all has to be done.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.extra.is_empty() && self.states.iter().all(|state| *state == State::Same)
    }
}

struct Comparer<'compare> {
    manifest: &'compare Manifest,
    comparison: Comparison,
    /// The identity of files at the destination that have several names.
    links: BTreeMap<u32, LinkId>,
    how: How,
}

impl Comparer<'_> {
    /// Compares what is in one directory. Returns the directories that are on both sides.
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
            self.comparison.states[child as usize] = state(&node, &entry, self.how);
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
        if self.how.exact {
            self.comparison.extra.entry(directory).or_default().push(name);
        }
    }

    /// A hard link stays only if it is one with its file, and that file stays.
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

fn state(node: &Node<'_>, entry: &Entry, how: How) -> State {
    match (node.content, entry.kind) {
        (Content::Directory, EntryKind::Directory) => directory_state(node, entry),
        (_, EntryKind::Directory) => State::Clear,
        (Content::File(extents), EntryKind::File) => {
            if entry.size != node.size() || entry.modified != node.modified {
                return State::Replace;
            }
            let by_clock = node.modified.nanoseconds != 0 && !how.checksum;
            let mode_differs = mode_differs(node, entry);
            if mode_differs && entry.link.is_some() {
                // Another name of the file, perhaps outside the tree, would change with it.
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

/// The nodes of each directory, which a manifest in path order does not have side by side.
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

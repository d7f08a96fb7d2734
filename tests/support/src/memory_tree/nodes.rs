//! The map behind a tree in memory.

use btdt_ports::{Entry, EntryKind, FollowLinks, IoError, IoErrorKind, LinkId, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Symbolic links that a path may lead through, as on Linux.
const MAX_LINKS: usize = 40;

/// A node of the tree.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Directory {
        mode: u32,
        modified: Timestamp,
    },
    /// The number of a file, which may have several names.
    File(u64),
    Symlink {
        target: Vec<u8>,
        modified: Timestamp,
    },
    Special {
        mode: u32,
        modified: Timestamp,
    },
}

/// A file, whatever its names.
#[derive(Clone, Debug)]
pub(super) struct FileNode {
    pub(super) content: Arc<Vec<u8>>,
    pub(super) mode: u32,
    pub(super) modified: Timestamp,
    pub(super) links: u64,
}

/// Everything in a tree by its path.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    nodes: BTreeMap<Vec<u8>, Node>,
    files: BTreeMap<u64, FileNode>,
    next_file: u64,
}

/// The nodes of a tree; clones are the same tree.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedNodes(Arc<Mutex<Nodes>>);

impl SharedNodes {
    pub(super) fn lock(&self) -> MutexGuard<'_, Nodes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn fault(kind: IoErrorKind) -> IoError {
    IoError::new(kind)
}

fn last_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// The path of the directory that something is in.
fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(b"", |slash| &path[..slash])
}

impl Nodes {
    pub(super) fn get(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The file of that path.
    pub(super) fn file(&self, path: &[u8]) -> Result<&FileNode, IoError> {
        match self.nodes.get(path) {
            Some(Node::File(number)) => self.files.get(number).ok_or(fault(IoErrorKind::NotFound)),
            Some(Node::Directory { .. }) => Err(fault(IoErrorKind::IsADirectory)),
            Some(Node::Symlink { .. }) => Err(fault(IoErrorKind::SymlinkLoop)),
            Some(Node::Special { .. }) => Err(fault(IoErrorKind::Unsupported)),
            None => Err(fault(IoErrorKind::NotFound)),
        }
    }

    fn expect_room(&self, path: &[u8]) -> Result<(), IoError> {
        if self.nodes.contains_key(path) {
            return Err(fault(IoErrorKind::AlreadyExists));
        }
        match self.nodes.get(parent(path)) {
            _ if path.is_empty() => Ok(()),
            Some(Node::Directory { .. }) => Ok(()),
            Some(Node::Symlink { .. }) => Err(fault(IoErrorKind::SymlinkLoop)),
            Some(_) => Err(fault(IoErrorKind::NotADirectory)),
            None => Err(fault(IoErrorKind::NotFound)),
        }
    }

    /// Adds a node other than a file; the path must not exist, and its parent must.
    pub(super) fn add(&mut self, path: &[u8], node: Node) -> Result<(), IoError> {
        self.expect_room(path)?;
        self.nodes.insert(path.to_vec(), node);
        Ok(())
    }

    /// Adds a file.
    pub(super) fn add_file(
        &mut self,
        path: &[u8],
        content: Vec<u8>,
        mode: u32,
        modified: Timestamp,
    ) -> Result<(), IoError> {
        self.expect_room(path)?;
        self.next_file += 1;
        let file = FileNode { content: Arc::new(content), mode, modified, links: 1 };
        self.files.insert(self.next_file, file);
        self.nodes.insert(path.to_vec(), Node::File(self.next_file));
        Ok(())
    }

    /// Adds a further name for a file.
    pub(super) fn add_link(&mut self, path: &[u8], target: &[u8]) -> Result<(), IoError> {
        self.expect_room(path)?;
        self.file(target)?;
        let Some(Node::File(number)) = self.nodes.get(target).cloned() else {
            return Err(fault(IoErrorKind::NotFound));
        };
        if let Some(file) = self.files.get_mut(&number) {
            file.links += 1;
        }
        self.nodes.insert(path.to_vec(), Node::File(number));
        Ok(())
    }

    /// Removes a name that is not a directory, if it exists.
    pub(super) fn remove_name(&mut self, path: &[u8]) -> Result<(), IoError> {
        match self.nodes.get(path).cloned() {
            Some(Node::Directory { .. }) => return Err(fault(IoErrorKind::IsADirectory)),
            Some(Node::File(number)) => {
                if let Some(file) = self.files.get_mut(&number) {
                    file.links -= 1;
                    if file.links == 0 {
                        self.files.remove(&number);
                    }
                }
            }
            Some(_) | None => {}
        }
        self.nodes.remove(path);
        Ok(())
    }

    /// Removes a path with everything below it.
    pub(super) fn remove_tree(&mut self, path: &[u8]) -> Result<(), IoError> {
        let below = self.below(path);
        let inside: Vec<Vec<u8>> = below.map(|(path, _)| path.clone()).collect();
        for path in inside.iter().rev().map(Vec::as_slice).chain([path]) {
            if matches!(self.nodes.get(path), Some(Node::Directory { .. })) {
                self.nodes.remove(path);
            }
            self.remove_name(path)?;
        }
        Ok(())
    }

    /// Sets mode and time of a node.
    pub(super) fn set_metadata(
        &mut self,
        path: &[u8],
        new_mode: Option<u32>,
        new_time: Timestamp,
    ) -> Result<(), IoError> {
        let number = match self.nodes.get_mut(path) {
            Some(Node::Directory { mode, modified } | Node::Special { mode, modified }) => {
                *mode = new_mode.unwrap_or(*mode);
                *modified = new_time;
                return Ok(());
            }
            Some(Node::Symlink { modified, .. }) => {
                *modified = new_time;
                return Ok(());
            }
            Some(Node::File(number)) => *number,
            None => return Err(fault(IoErrorKind::NotFound)),
        };
        if let Some(file) = self.files.get_mut(&number) {
            file.mode = new_mode.unwrap_or(file.mode);
            file.modified = new_time;
        }
        Ok(())
    }

    /// Everything below a directory, in the order of the paths.
    fn below(&self, path: &[u8]) -> impl Iterator<Item = (&Vec<u8>, &Node)> {
        let mut prefix = path.to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        let start = prefix.clone();
        self.nodes
            .range(start..)
            .take_while(move |(path, _)| path.starts_with(&prefix))
            .filter(|(path, _)| !path.is_empty())
    }

    /// The entry for the node at a path, under the name `name`.
    pub(super) fn entry(&self, path: &[u8], name: &[u8]) -> Option<Entry> {
        let plain = |kind, mode, modified| Entry {
            name: name.to_vec(),
            kind,
            mode: Some(mode),
            modified,
            size: 0,
            link: None,
            target: None,
        };
        match self.nodes.get(path)? {
            Node::Directory { mode, modified } => {
                Some(plain(EntryKind::Directory, *mode, *modified))
            }
            Node::Special { mode, modified } => Some(plain(EntryKind::Special, *mode, *modified)),
            Node::Symlink { target, modified } => Some(Entry {
                target: Some(target.clone()),
                ..plain(EntryKind::Symlink, 0o777, *modified)
            }),
            Node::File(number) => {
                let file = self.files.get(number)?;
                Some(Entry {
                    size: file.content.len() as u64,
                    link: (file.links > 1).then_some(LinkId { device: 0, inode: *number }),
                    ..plain(EntryKind::File, file.mode, file.modified)
                })
            }
        }
    }

    /// The entries of a directory, sorted by name.
    pub(super) fn list(&self, path: &[u8], follow: FollowLinks) -> Result<Vec<Entry>, IoError> {
        let path = self.resolve(path, follow)?;
        match self.nodes.get(&path) {
            Some(Node::Directory { .. }) => {}
            Some(_) => return Err(fault(IoErrorKind::NotADirectory)),
            None => return Err(fault(IoErrorKind::NotFound)),
        }
        let mut entries = Vec::new();
        for (child, _) in self.below(&path).filter(|(child, _)| parent(child) == path) {
            let target = match follow {
                FollowLinks::Never => child.clone(),
                FollowLinks::Always => self.resolve(child, follow)?,
            };
            let entry = self.entry(&target, last_name(child));
            entries.push(entry.ok_or(fault(IoErrorKind::NotFound))?);
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// The path with symbolic links resolved; an error if there are any and none may be followed.
    pub(super) fn resolve(&self, path: &[u8], follow: FollowLinks) -> Result<Vec<u8>, IoError> {
        let names = |path: &[u8]| -> Vec<Vec<u8>> {
            path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).rev().collect()
        };
        let mut links = 0;
        let mut left = names(path);
        let mut resolved = Vec::new();
        while let Some(name) = left.pop() {
            match &*name {
                b"" | b"." => continue,
                b".." if resolved.is_empty() => return Err(fault(IoErrorKind::NotFound)),
                b".." => resolved = parent(&resolved).to_vec(),
                name => {
                    let next = btdt_host_runtime::tree::plan_checks::join(&resolved, name);
                    match self.nodes.get(&next) {
                        Some(Node::Symlink { target, .. }) => {
                            links += 1;
                            if follow == FollowLinks::Never || links > MAX_LINKS {
                                return Err(fault(IoErrorKind::SymlinkLoop));
                            }
                            if target.starts_with(b"/") {
                                return Err(fault(IoErrorKind::NotFound));
                            }
                            left.extend(names(target));
                        }
                        Some(_) => resolved = next,
                        None => return Err(fault(IoErrorKind::NotFound)),
                    }
                }
            }
        }
        Ok(resolved)
    }
}

//! What WASI cannot do, and which files that affects.

use btdt_host_runtime::tree::filesystem::RewrittenFile;
use btdt_ports::{DirectoryState, Existing, MaterializeBatch, RemovalPlan, Tally};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Logged once when trees are stored.
pub(crate) const MODES_NOT_STORED: &str =
    "This runtime does not tell permission bits: new files are stored without them (docs/wasi.md)";

/// Any of these bits makes a file executable.
const EXECUTABLE: u32 = 0o111;
/// Without all of these bits, a file is private.
const READABLE: u32 = 0o444;
/// Without this bit, a file is read-only.
const OWNER_WRITES: u32 = 0o200;

/// What a restore cannot restore.
#[derive(Debug, Default)]
pub(crate) struct RestoreLosses {
    /// Parent and name of each directory of the plan, for paths.
    directories: Vec<(u32, Vec<u8>)>,
    /// Files that should be executable.
    executable: Tally,
    /// Files and directories that should be private or read-only.
    restricted: Tally,
    /// Symbolic links that runtimes refuse to create.
    links: Tally,
    /// Whether some of their targets are not UTF-8.
    has_foreign_targets: bool,
}

impl RestoreLosses {
    /// Notes what will be lost, and removes from the batch what no runtime can do.
    pub(crate) fn take_from(&mut self, batch: &mut MaterializeBatch) {
        for directory in &batch.directories {
            let number = self.directories.len() as u32;
            self.directories.push((directory.parent, directory.name.clone()));
            // An existing directory keeps its mode, which may well be right.
            let is_made =
                matches!(directory.state, DirectoryState::Absent | DirectoryState::Obstructed);
            if is_made && directory.mode.is_some_and(is_restricted) {
                let path = path(&self.directories, Some(number), b"");
                self.restricted.add(|| path);
            }
        }
        for file in &batch.files {
            // Files that are compared are mostly kept, with their modes. `note_rewritten` is called
            // for the others.
            if let (Some(mode), Existing::Absent | Existing::Replace) = (file.mode, file.existing) {
                self.note_mode(file.directory, &file.name, mode);
            }
        }
        self.leave_links_out(batch);
    }

    /// Notes what was lost by writing a file that was planned to be compared.
    pub(crate) fn note_rewritten(&mut self, file: &RewrittenFile) {
        self.note_mode(file.directory, &file.name, file.mode);
    }

    fn note_mode(&mut self, directory: Option<u32>, name: &[u8], mode: u32) {
        let path = || path(&self.directories, directory, name);
        if mode & EXECUTABLE != 0 {
            self.executable.add(path);
        } else if is_restricted(mode) {
            self.restricted.add(path);
        }
    }

    /// `symlink-at` of WASI must refuse absolute targets, and targets are text. What exists in the
    /// place of such a link is not removed, not even a directory: it may be the link itself, which
    /// WASI cannot read either.
    fn leave_links_out(&mut self, batch: &mut MaterializeBatch) {
        let RestoreLosses { directories, links, has_foreign_targets, .. } = self;
        let mut left_out = BTreeSet::new();
        batch.symlinks.retain_mut(|link| {
            let is_text = std::str::from_utf8(&link.target).is_ok();
            let can_be_made = is_text && !link.target.starts_with(b"/");
            if !can_be_made {
                *has_foreign_targets |= !is_text;
                links.add(|| path(directories, Some(link.directory), &link.name));
                left_out.insert((link.directory, std::mem::take(&mut link.name)));
            }
            can_be_made
        });
        if !left_out.is_empty() {
            let stays = |removal: &RemovalPlan| (removal.directory, removal.name.clone());
            batch.removals.retain(|removal| !left_out.contains(&stays(removal)));
        }
    }

    /// Messages for the user: one for each kind of loss.
    pub(crate) fn messages(&self) -> Vec<String> {
        let modes = [
            self.executable.describe(
                "file that should be executable is not",
                "files that should be executable are not",
            ),
            self.restricted.describe(
                "file or directory that should be private or read-only is not",
                "files or directories that should be private or read-only are not",
            ),
        ];
        let mut messages = Vec::new();
        let mut text = String::new();
        for part in modes.into_iter().flatten() {
            let separator = if text.is_empty() { ":" } else { "," };
            // Writing to a string cannot fail.
            let _ = write!(text, "{separator} {part}");
        }
        if !text.is_empty() {
            messages.push(format!("This runtime cannot set permission bits{text} (docs/wasi.md)"));
        }
        let (one, many) = match self.has_foreign_targets {
            false => ("symbolic link to an absolute path", "symbolic links to absolute paths"),
            true => (
                "symbolic link to an absolute path or to one that is not UTF-8",
                "symbolic links to absolute paths or to ones that are not UTF-8",
            ),
        };
        let links = self.links.describe(one, many);
        messages
            .extend(links.map(|links| format!("This runtime cannot make {links} (docs/wasi.md)")));
        messages
    }
}

/// Whether a mode forbids what the mode of new files allows.
fn is_restricted(mode: u32) -> bool {
    mode & READABLE != READABLE || mode & OWNER_WRITES == 0
}

fn path(directories: &[(u32, Vec<u8>)], directory: Option<u32>, name: &[u8]) -> Vec<u8> {
    let mut parts = vec![name];
    let mut next = directory;
    // Parents have lower numbers, and number 0 is its own parent.
    while let Some(number) = next {
        let Some((parent, name)) = directories.get(number as usize) else { break };
        parts.push(name);
        next = (*parent < number).then_some(*parent);
    }
    parts.retain(|part| !part.is_empty());
    parts.reverse();
    let path = parts.join(&b'/');
    if path.is_empty() { b".".to_vec() } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;
    use btdt_ports::{DirectoryPlan, FilePlan, SymlinkPlan, Timestamp};

    const TIME: Timestamp = Timestamp { seconds: 0, nanoseconds: 0 };

    fn directory(parent: u32, name: &str, mode: u32) -> DirectoryPlan {
        DirectoryPlan {
            parent,
            name: name.into(),
            state: DirectoryState::Absent,
            mode: Some(mode),
            modified: TIME,
        }
    }

    fn file(directory: u32, name: &str, mode: Option<u32>) -> FilePlan {
        FilePlan {
            directory: Some(directory),
            name: name.into(),
            existing: Existing::Absent,
            mode,
            modified: TIME,
            size: 0,
        }
    }

    fn link(name: &str, target: impl Into<Vec<u8>>) -> SymlinkPlan {
        SymlinkPlan {
            directory: 0,
            name: name.into(),
            replace: true,
            target: target.into(),
            modified: TIME,
        }
    }

    #[test]
    fn what_loses_nothing_is_not_mentioned() {
        let mut losses = RestoreLosses::default();
        let mut batch = MaterializeBatch {
            directories: vec![directory(0, "", 0o755), directory(0, "a", 0o775)],
            files: vec![file(0, "b", Some(0o644)), file(1, "c", Some(0o664)), file(1, "d", None)],
            symlinks: vec![link("e", "../b")],
            ..MaterializeBatch::default()
        };
        let before = batch.clone();
        losses.take_from(&mut batch);
        assert_eq!(losses.messages(), Vec::<String>::new());
        assert_eq!(batch, before);
    }

    #[test]
    fn paths_go_over_batches_and_three_are_named() {
        let mut losses = RestoreLosses::default();
        let mut batch = MaterializeBatch {
            directories: vec![directory(0, "", 0o755), directory(0, "bin", 0o755)],
            files: vec![file(1, "a", Some(0o755)), file(1, "b", Some(0o700))],
            ..MaterializeBatch::default()
        };
        losses.take_from(&mut batch);
        let mut batch = MaterializeBatch {
            directories: vec![directory(1, "x", 0o700)],
            files: vec![
                file(2, "c", Some(0o100)),
                file(2, "d", Some(0o111)),
                file(0, "secret", Some(0o600)),
                file(0, "fixed", Some(0o444)),
            ],
            ..MaterializeBatch::default()
        };
        losses.take_from(&mut batch);
        let expected = "This runtime cannot set permission bits: 4 files that should be executable \
                        are not (bin/a, bin/b, bin/x/c, …), 3 files or directories that should be \
                        private or read-only are not (bin/x, secret, fixed) (docs/wasi.md)";
        assert_eq!(losses.messages(), [expected]);
    }

    #[test]
    fn a_file_as_the_root_is_named() {
        let mut losses = RestoreLosses::default();
        let root = FilePlan { directory: None, ..file(0, "", Some(0o755)) };
        let mut batch = MaterializeBatch { files: vec![root], ..MaterializeBatch::default() };
        losses.take_from(&mut batch);
        let expected = "This runtime cannot set permission bits: 1 file that should be executable \
                        is not (.) (docs/wasi.md)";
        assert_eq!(losses.messages(), [expected]);
    }

    #[test]
    fn what_is_there_already_is_left_out() {
        let mut losses = RestoreLosses::default();
        let kept = FilePlan { existing: Existing::Compare, ..file(0, "a", Some(0o755)) };
        let present = DirectoryPlan { state: DirectoryState::Outdated, ..directory(0, "", 0o700) };
        let mut batch = MaterializeBatch {
            directories: vec![present],
            files: vec![kept],
            ..MaterializeBatch::default()
        };
        losses.take_from(&mut batch);
        assert_eq!(losses.messages(), Vec::<String>::new());
    }

    #[test]
    fn absolute_links_are_left_out_of_the_plan() {
        let mut losses = RestoreLosses::default();
        let mut batch = MaterializeBatch {
            directories: vec![directory(0, "", 0o755)],
            symlinks: vec![link("python", "/usr/bin/python3"), link("l", "x")],
            ..MaterializeBatch::default()
        };
        losses.take_from(&mut batch);
        assert_eq!(batch.symlinks, [link("l", "x")]);
        let expected = "This runtime cannot make 1 symbolic link to an absolute path (python) \
                        (docs/wasi.md)";
        assert_eq!(losses.messages(), [expected]);
    }

    #[test]
    fn links_that_are_not_text_are_left_out_too() {
        let mut losses = RestoreLosses::default();
        let mut batch = MaterializeBatch {
            directories: vec![directory(0, "", 0o755)],
            symlinks: vec![
                link("bad", b"t\xff"),
                link("l", "x"),
                link("python", "/usr/bin/python3"),
            ],
            ..MaterializeBatch::default()
        };
        losses.take_from(&mut batch);
        assert_eq!(batch.symlinks, [link("l", "x")]);
        let expected = "This runtime cannot make 2 symbolic links to absolute paths or to ones that \
                        are not UTF-8 (bad, python) (docs/wasi.md)";
        assert_eq!(losses.messages(), [expected]);
    }

    #[test]
    fn what_is_in_the_place_of_a_link_that_is_left_out_stays() {
        let mut losses = RestoreLosses::default();
        let removal = |directory, name: &str| RemovalPlan { directory, name: name.into() };
        let mut batch = MaterializeBatch {
            directories: vec![directory(0, "", 0o755), directory(0, "a", 0o755)],
            removals: vec![removal(0, "python"), removal(1, "python"), removal(0, "l")],
            symlinks: vec![link("python", "/usr/bin/python3"), link("l", "x")],
            ..MaterializeBatch::default()
        };
        losses.take_from(&mut batch);
        assert_eq!(batch.symlinks, [link("l", "x")]);
        assert_eq!(batch.removals, [removal(1, "python"), removal(0, "l")]);
    }

    #[test]
    fn what_was_compared_and_written_is_named() {
        let mut losses = RestoreLosses::default();
        let compared = |name, mode| FilePlan { existing: Existing::Compare, ..file(0, name, mode) };
        let mut batch = MaterializeBatch {
            directories: vec![directory(0, "", 0o755), directory(0, "bin", 0o755)],
            files: vec![compared("kept", Some(0o755)), compared("key", Some(0o600))],
            ..MaterializeBatch::default()
        };
        losses.take_from(&mut batch);
        let rewritten = |directory, name: &str, mode| RewrittenFile {
            directory: Some(directory),
            name: name.into(),
            mode,
        };
        losses.note_rewritten(&rewritten(1, "run", 0o755));
        losses.note_rewritten(&rewritten(0, "key", 0o600));
        losses.note_rewritten(&rewritten(0, "text", 0o644));
        let expected = "This runtime cannot set permission bits: 1 file that should be executable \
                        is not (bin/run), 1 file or directory that should be private or read-only \
                        is not (key) (docs/wasi.md)";
        assert_eq!(losses.messages(), [expected]);
    }
}

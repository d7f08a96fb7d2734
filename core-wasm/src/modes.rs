//! Permission bits that the host cannot tell.
//!
//! WASI 0.2 knows none. A tree that was stored by a host that does, restored under WASI and stored
//! there again under the same key would lose them all, so they are taken over from the entry that
//! is replaced: what has the same path and is the same kind of thing keeps the bits that it had.

use crate::cache::{Cache, Wanted};
use crate::key::Key;
use crate::manifest::{Content, Manifest};
use std::collections::{BTreeMap, BTreeSet};

/// Completes the modes of `manifest` from the entry that the first of `keys` has so far. Where
/// that cannot be read, they stay unknown: a token may allow to write and not to read.
pub(crate) fn adopt<C: Cache>(manifest: &mut Manifest, keys: &[Key], cache: &C) {
    let keys = &keys[..keys.len().min(1)];
    let wanted = Wanted { keys, prefixes: &[] };
    if let Ok(Some(earlier)) = cache.candidate(wanted, &mut BTreeSet::new()) {
        let modes = known_modes(manifest, &earlier.manifest);
        manifest.complete_modes(|number| modes.get(&number).copied());
    }
}

/// The modes of `earlier` by the number of the node of `manifest` at the same path.
fn known_modes(manifest: &Manifest, earlier: &Manifest) -> BTreeMap<u32, u32> {
    let names: BTreeMap<(u32, &[u8]), u32> =
        earlier.nodes().map(|(number, node)| ((node.parent, node.name), number)).collect();
    let mut modes = BTreeMap::new();
    let mut twins: BTreeMap<u32, u32> = BTreeMap::new();
    for (number, node) in manifest.nodes() {
        let twin = match number {
            0 => Some(0),
            _ => {
                twins.get(&node.parent).and_then(|parent| names.get(&(*parent, node.name)).copied())
            }
        };
        let Some(twin) = twin else { continue };
        let found = earlier.node(twin);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Builder, Node};
    use btdt_ports::Timestamp;

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
        let earlier = manifest(&[
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
        let modes = known_modes(&now, &earlier);
        completed.complete_modes(|number| modes.get(&number).copied());
        let found: Vec<Option<u32>> = completed.nodes().map(|(_, node)| node.mode).collect();
        let run = Some(0o755);
        assert_eq!(found, [Some(0o700), Some(0o750), None, run, None, Some(0o644)]);
        assert!(now.lacks_modes() && completed.lacks_modes() && !earlier.lacks_modes());
    }
}

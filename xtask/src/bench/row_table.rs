//! What is measured: one row of the table for each operation, with what btdt has to reach.

use self::Limit::{Added, Cache, Cost, Times};
use self::Step::{
    DownloadChunks, DownloadEntry, Hash, RequestEntry, Restore, RestoreOver, StartServer, Store,
};
use self::Unit::{BytesPerSecond, Memory, RequestsPerSecond, Seconds};
use super::figures;
use super::generated_trees::Tree;

/// Rows that share their trees. Each contestant goes through all rows of a group before the next
/// one does, so that only one cache and one destination exist at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Group {
    /// One small file.
    SmallFile,
    /// `base` and `bumped`, the two trees from npm.
    NodeModules,
    /// The same two, and `small`, through a server on this machine.
    Server,
    /// `base` is generated.
    Generated(Tree),
    /// The same, measured once and without a warm-up, for peak memory.
    PeakMemory(Tree),
}

impl Group {
    pub(super) fn is_for_memory(self) -> bool {
        matches!(self, Self::PeakMemory(_))
    }

    pub(super) fn is_quick(self) -> bool {
        matches!(self, Self::SmallFile | Self::NodeModules)
    }

    /// An upper bound on the bytes of trees, cache and destination together.
    pub(super) fn space(self) -> u64 {
        match self {
            Self::SmallFile => 1 << 20,
            Self::NodeModules | Self::Server => 5_000_000_000,
            Self::Generated(tree) | Self::PeakMemory(tree) => tree.space() * 33 / 10,
        }
    }
}

/// Trees are named by their directories, which are also their keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    Hash,
    Store(&'static str),
    /// `base`, into an empty directory.
    Restore,
    /// `base`, over this tree, which the same contestant has just restored.
    RestoreOver(&'static str),
    /// GET requests for this entry as an archive, on this many connections for this many seconds.
    RequestEntry(&'static str, u32, u32),
    /// Downloads `base` as an archive, this many times.
    DownloadEntry(usize),
    /// Downloads all chunks in stored form, this many times.
    DownloadChunks(usize),
    /// A server starts and answers one request.
    StartServer,
}

/// What is compared in a row. All costs: less is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit {
    Seconds,
    /// The cost is seconds per request.
    RequestsPerSecond,
    /// The cost is seconds per byte.
    BytesPerSecond,
    /// The cost is bytes of memory.
    Memory,
}

impl Unit {
    pub(super) fn show(self, cost: f64) -> String {
        match self {
            Seconds => figures::seconds(cost),
            RequestsPerSecond => format!("{}/s", figures::count((1.0 / cost).round() as u64)),
            BytesPerSecond => format!("{:.2} GB/s", 1e-9 / cost),
            Memory => figures::bytes(cost),
        }
    }
}

/// What btdt must not exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    /// A multiple of the cost of a rival in the same run.
    Times(f64, &'static str),
    /// A cost in the [`Unit`] of the row.
    Cost(f64),
    /// Bytes in the cache afterwards.
    Cache(f64),
    /// Bytes by which the cache grew.
    Added(f64),
    /// Bytes of peak memory, in every run.
    Peak(f64),
}

#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) group: Group,
    pub(super) name: &'static str,
    /// The earlier row of the group that leaves behind what this one needs.
    pub(super) after: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: Unit,
    pub(super) step: Step,
    /// Separated by spaces. Programs of our own take part in all rows.
    rivals: &'static str,
    limits: &'static [Limit],
}

impl Row {
    /// Whether a contestant is measured in this row.
    pub(super) fn measures(&self, name: &str) -> bool {
        match name {
            "btdt" | "btdt-before" => true,
            "btdt-wasi" => matches!(self.group, Group::NodeModules | Group::Generated(_)),
            _ => self.rivals.split(' ').any(|rival| rival == name),
        }
    }

    pub(super) fn limits(&self) -> impl Iterator<Item = &Limit> {
        self.limits.iter().chain((self.unit == Seconds).then_some(&PEAK))
    }

    /// The program that sends the requests of the row.
    pub(super) fn needs(&self) -> Option<&'static str> {
        match self.step {
            RequestEntry(..) => Some("wrk"),
            DownloadEntry(_) | DownloadChunks(_) => Some("curl"),
            _ => None,
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "the columns of a table")]
const fn row(
    group: Group,
    name: &'static str,
    after: &'static str,
    title: &'static str,
    unit: Unit,
    step: Step,
    rivals: &'static str,
    limits: &'static [Limit],
) -> Row {
    Row { group, name, after, title, unit, step, rivals, limits }
}

/// For every command.
const PEAK: Limit = Limit::Peak(160e6);

const NODE: Group = Group::NodeModules;
const SERVER: Group = Group::Server;
const MANY: Group = Group::Generated(Tree::SmallFiles { count: 307_000 });
const LARGE: Group = Group::Generated(Tree::LargeFiles { count: 4, size: 500_000_000 });
const MEMORY_MANY: Group = Group::PeakMemory(Tree::SmallFiles { count: 400_000 });
const MEMORY_LARGE: Group = Group::PeakMemory(Tree::LargeFiles { count: 1, size: 10_000_000_000 });

const STORE_RIVALS: &str = "btdt-0.4.4 tar+zstd tar+zstd-1 tar rsync restic";
const RESTORE_RIVALS: &str = "btdt-0.4.4 tar+zstd tar rsync restic cp";
/// Without restic, which stops at symlinks that exist already.
const OVER_RIVALS: &str = "btdt-0.4.4 tar+zstd tar rsync git";
const MANY_RIVALS: &str = "btdt-0.4.4 tar+zstd tar";
const LARGE_RIVALS: &str = "btdt-0.4.4 tar+zstd tar+zstd-1 cp";
const MEMORY_RIVALS: &str = "btdt-0.4.4 tar+zstd";
const ORIGINAL: &str = "btdt-0.4.4";

/// Group, name, the row that it needs, title; unit, step, rivals, limits. The rows of one group are
/// together, and each comes behind the one that it needs.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row(Group::SmallFile, "hash", "", "hash of a small file",
        Seconds, Hash, "btdt-0.4.4 sha256sum", &[Cost(0.005)]),
    row(NODE, "store", "", "store into an empty cache",
        Seconds, Store("base"), STORE_RIVALS, &[Times(0.75, "tar+zstd"), Cache(135e6)]),
    row(NODE, "store-again", "store", "store again, 5 packages bumped",
        Seconds, Store("bumped"), STORE_RIVALS, &[Times(0.4, "tar+zstd"), Added(62e6)]),
    row(NODE, "restore", "store", "restore, empty destination",
        Seconds, Restore, RESTORE_RIVALS, &[Times(1.0, "cp")]),
    row(NODE, "restore-identical", "store", "restore over an identical tree",
        Seconds, RestoreOver("base"), OVER_RIVALS, &[Times(1.2, "git")]),
    row(NODE, "restore-different", "store-again", "restore over a tree with 5 packages different",
        Seconds, RestoreOver("bumped"), OVER_RIVALS, &[Times(0.5, "rsync")]),
    row(MANY, "files-store", "", "307,000 files of at most 4 KB: store",
        Seconds, Store("base"), MANY_RIVALS, &[Times(0.7, "tar+zstd")]),
    row(MANY, "files-restore", "files-store", "307,000 files of at most 4 KB: restore",
        Seconds, Restore, MANY_RIVALS, &[Times(0.9, "tar")]),
    row(LARGE, "large-store", "", "4 x 500 MB, half random: store",
        Seconds, Store("base"), LARGE_RIVALS, &[Times(0.7, "tar+zstd"), Cache(1410e6)]),
    row(LARGE, "large-restore", "large-store", "4 x 500 MB, half random: restore",
        Seconds, Restore, LARGE_RIVALS, &[Times(0.7, "tar+zstd")]),
    row(SERVER, "server-memory-idle", "", "server: memory at rest",
        Memory, StartServer, ORIGINAL, &[Cost(64e6)]),
    row(SERVER, "remote-store", "", "store to a server with an empty cache",
        Seconds, Store("base"), ORIGINAL, &[Cost(1.9)]),
    row(SERVER, "remote-store-again", "remote-store", "store to a server again, 5 packages bumped",
        Seconds, Store("bumped"), ORIGINAL, &[Times(0.5, ORIGINAL)]),
    row(SERVER, "remote-store-small", "", "store a small file to a server",
        Seconds, Store("small"), ORIGINAL, &[]),
    row(SERVER, "remote-restore", "remote-store", "restore from a server, empty destination",
        Seconds, Restore, ORIGINAL, &[Times(0.85, ORIGINAL)]),
    row(SERVER, "server-small", "remote-store-small", "server: GET of a small entry, 32 connections",
        RequestsPerSecond, RequestEntry("small", 32, 2), ORIGINAL, &[Times(0.05, ORIGINAL)]),
    row(SERVER, "server-archive", "remote-store", "server: GET of node_modules as an archive",
        BytesPerSecond, DownloadEntry(3), ORIGINAL, &[Cost(1.0 / 1.2e9)]),
    row(SERVER, "server-chunks", "remote-store", "server: GET of all stored chunks, 8 connections",
        BytesPerSecond, DownloadChunks(10), "", &[Cost(1.0 / 2e9)]),
    row(SERVER, "server-memory-busy", "remote-store", "server: most memory, 64 archives at once",
        Memory, RequestEntry("base", 64, 4), ORIGINAL, &[Cost(256e6)]),
    row(MEMORY_MANY, "memory-files-store", "", "400,000 files: store",
        Seconds, Store("base"), MEMORY_RIVALS, &[]),
    row(MEMORY_MANY, "memory-files-restore", "memory-files-store", "400,000 files: restore",
        Seconds, Restore, MEMORY_RIVALS, &[]),
    row(MEMORY_LARGE, "memory-large-store", "", "one file of 10 GB: store",
        Seconds, Store("base"), MEMORY_RIVALS, &[]),
    row(MEMORY_LARGE, "memory-large-restore", "memory-large-store", "one file of 10 GB: restore",
        Seconds, Restore, MEMORY_RIVALS, &[]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::contestants::CONTESTANTS;

    #[test]
    fn rows_have_names_of_their_own_and_need_earlier_rows_of_their_group() {
        for (index, row) in ROWS.iter().enumerate() {
            let earlier = &ROWS[..index];
            assert!(earlier.iter().all(|other| other.name != row.name), "{}", row.name);
            let is_needed = |other: &Row| other.name == row.after && other.group == row.group;
            assert!(row.after.is_empty() || earlier.iter().any(is_needed), "{}", row.name);
        }
        let groups: Vec<Group> =
            ROWS.chunk_by(|a, b| a.group == b.group).map(|rows| rows[0].group).collect();
        for (index, group) in groups.iter().enumerate() {
            assert!(!groups[..index].contains(group), "{group:?} is in two places");
        }
    }

    #[test]
    fn rivals_are_known_and_limits_refer_to_those_of_the_row() {
        let is_known = |name: &str| CONTESTANTS.iter().any(|known| known.name == name);
        for row in ROWS {
            assert!(row.rivals.split_whitespace().all(is_known), "{}", row.name);
            for limit in row.limits() {
                if let Times(_, rival) = limit {
                    assert!(row.measures(rival), "{} lacks {rival}", row.name);
                }
            }
        }
    }
}

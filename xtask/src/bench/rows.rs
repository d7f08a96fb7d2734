//! What is measured: one row of the table for each operation, with what is to be reached.
//!
//! The figures in seconds are medians from the machine on which the targets were set. What counts
//! is the ratio to the rivals in one run, so a target is scaled by how much faster or slower the
//! rivals of its row are on the machine at hand ([`Row::scale`]).

use super::numbers;
use super::tools::Tool;
use super::trees::Generated;
use crate::readable;

/// Rows that share their trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// `hash` of one small file.
    Hash,
    /// The two `node_modules`.
    Node,
    /// The same two and a server.
    Remote,
    /// A generated tree, which each tool stores and restores in turn.
    Generated(Generated),
    /// The same, once and without a warm-up, for peak memory.
    Memory(Generated),
}

impl Group {
    pub(super) fn is_for_memory(self) -> bool {
        matches!(self, Self::Memory(_))
    }

    pub(super) fn is_quick(self) -> bool {
        matches!(self, Self::Hash | Self::Node)
    }

    /// The bytes that trees, caches and destinations take at the same time, generously.
    pub(super) fn space(self) -> u64 {
        match self {
            Self::Hash => 1 << 20,
            // Two trees, one destination, one filled cache per tool and a copy of one of them.
            Self::Node | Self::Remote => 6_000_000_000,
            Self::Generated(tree) | Self::Memory(tree) => tree.space() * 33 / 10,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Hash,
    Store,
    /// The tree with bumped packages into a cache that has the other one.
    StoreAgain,
    Restore,
    RestoreOverIdentical,
    /// Over the tree with bumped packages.
    RestoreOverDifferent,
    /// Small requests to a server, many at once.
    SmallRequests,
    /// The archive of an entry from a server.
    Archive,
    /// The chunks of an entry from a server, in stored form.
    Chunks,
    /// The memory of a server that has answered one request.
    MemoryIdle,
    /// The most memory of a server that sends many archives at once.
    MemoryTransfers,
}

/// What is compared in a row. All of them are costs: less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// The time of a process.
    Seconds,
    /// Seconds for one request, shown as requests for one second.
    Requests,
    /// Seconds for one byte, shown as bytes for one second.
    Bytes,
    /// Bytes of memory.
    Memory,
}

impl Unit {
    pub(super) fn show(self, cost: f64) -> String {
        match self {
            Self::Seconds => numbers::seconds(cost),
            Self::Requests => format!("{}/s", readable::count((1.0 / cost).round() as u64)),
            Self::Bytes => format!("{:.2} GB/s", 1e-9 / cost),
            Self::Memory => numbers::bytes(cost as u64),
        }
    }
}

/// What btdt is to reach in a row: nothing may be larger.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Target {
    /// In seconds, seconds for one request or byte, or bytes: see [`Unit`].
    pub(super) cost: Option<f64>,
    /// Bytes in the cache afterwards.
    pub(super) cache: Option<u64>,
    /// Bytes that the cache grew by.
    pub(super) added: Option<u64>,
    /// Peak memory in bytes.
    pub(super) peak: Option<u64>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) group: Group,
    pub(super) step: Step,
    pub(super) unit: Unit,
    pub(super) tools: &'static [Tool],
    pub(super) target: Target,
    /// Costs of rivals on the machine where the target was set.
    pub(super) figures: &'static [(Tool, f64)],
}

impl Row {
    /// How much slower than the machine of the targets this one is, from the medians of the same
    /// rivals: the geometric mean of the ratios, `None` without a rival to compare.
    pub(super) fn scale(&self, median: impl Fn(Tool) -> Option<f64>) -> Option<f64> {
        let logs: Vec<f64> = self
            .figures
            .iter()
            .filter_map(|(tool, there)| Some((median(*tool)? / there).ln()))
            .collect();
        let count = logs.len() as f64;
        (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / count).exp())
    }
}

const MB: u64 = 1_000_000;
const PEAK: u64 = 160 * MB;

const MANY: Group = Group::Generated(Generated::Small { count: 307_000 });
const LARGE: Group = Group::Generated(Generated::Large { count: 4, size: 500 * MB });
const MEMORY_MANY: Group = Group::Memory(Generated::Small { count: 400_000 });
const MEMORY_LARGE: Group = Group::Memory(Generated::Large { count: 1, size: 10_000 * MB });

const STORE_TOOLS: &[Tool] = &[
    Tool::Ours,
    Tool::Wasi,
    Tool::Original,
    Tool::TarZstd,
    Tool::TarZstd1,
    Tool::Tar,
    Tool::Rsync,
    Tool::Restic,
];
const RESTORE_TOOLS: &[Tool] = &[
    Tool::Ours,
    Tool::Wasi,
    Tool::Original,
    Tool::TarZstd,
    Tool::Tar,
    Tool::Rsync,
    Tool::Restic,
    Tool::Cp,
];
/// Without restic, which stops at symlinks that exist already.
const OVER_TOOLS: &[Tool] =
    &[Tool::Ours, Tool::Wasi, Tool::Original, Tool::TarZstd, Tool::Tar, Tool::Rsync, Tool::Git];
const MANY_TOOLS: &[Tool] = &[Tool::Ours, Tool::Wasi, Tool::Original, Tool::TarZstd, Tool::Tar];
const LARGE_TOOLS: &[Tool] =
    &[Tool::Ours, Tool::Wasi, Tool::Original, Tool::TarZstd, Tool::TarZstd1, Tool::Cp];
const SERVER_TOOLS: &[Tool] = &[Tool::Ours, Tool::Original];
const MEMORY_TOOLS: &[Tool] = &[Tool::Ours, Tool::Original, Tool::TarZstd];

/// All rows; those of one group stand together, and of a generated tree the store comes first.
pub(super) const ALL: &[Row] = &[
    Row {
        name: "hash",
        title: "hash of a small file",
        group: Group::Hash,
        step: Step::Hash,
        tools: &[Tool::Ours, Tool::Original, Tool::Sha256sum],
        unit: Unit::Seconds,
        target: Target { cost: Some(0.015), ..NO_TARGET },
        figures: &[],
    },
    Row {
        name: "store",
        title: "store into an empty cache",
        group: Group::Node,
        step: Step::Store,
        tools: STORE_TOOLS,
        unit: Unit::Seconds,
        target: Target { cost: Some(1.2), cache: Some(135 * MB), ..NO_TARGET },
        figures: &[(Tool::Original, 0.74), (Tool::TarZstd, 2.13), (Tool::TarZstd1, 1.67)],
    },
    Row {
        name: "store-again",
        title: "store again, 5 packages bumped",
        group: Group::Node,
        step: Step::StoreAgain,
        tools: STORE_TOOLS,
        unit: Unit::Seconds,
        target: Target { cost: Some(0.5), added: Some(62 * MB), ..NO_TARGET },
        figures: &[(Tool::Original, 0.77), (Tool::TarZstd, 2.19), (Tool::Restic, 4.3)],
    },
    Row {
        name: "restore",
        title: "restore, empty destination",
        group: Group::Node,
        step: Step::Restore,
        tools: RESTORE_TOOLS,
        unit: Unit::Seconds,
        target: Target { cost: Some(0.8), ..NO_TARGET },
        figures: &[(Tool::Original, 1.51), (Tool::TarZstd, 1.26), (Tool::Tar, 0.85)],
    },
    Row {
        name: "restore-identical",
        title: "restore over an identical tree",
        group: Group::Node,
        step: Step::RestoreOverIdentical,
        tools: OVER_TOOLS,
        unit: Unit::Seconds,
        target: Target { cost: Some(0.15), ..NO_TARGET },
        figures: &[
            (Tool::Original, 2.1),
            (Tool::TarZstd, 1.9),
            (Tool::Rsync, 0.45),
            (Tool::Git, 0.10),
        ],
    },
    Row {
        name: "restore-different",
        title: "restore over a tree with 5 packages different",
        group: Group::Node,
        step: Step::RestoreOverDifferent,
        tools: OVER_TOOLS,
        unit: Unit::Seconds,
        target: Target { cost: Some(0.35), ..NO_TARGET },
        figures: &[
            (Tool::Original, 2.1),
            (Tool::TarZstd, 1.8),
            (Tool::Rsync, 0.80),
            (Tool::Git, 0.76),
        ],
    },
    Row {
        name: "files-store",
        title: "307,000 files of at most 4 KB: store",
        group: MANY,
        step: Step::Store,
        tools: MANY_TOOLS,
        unit: Unit::Seconds,
        target: Target { cost: Some(3.0), ..NO_TARGET },
        figures: &[(Tool::Original, 3.0), (Tool::TarZstd, 3.9), (Tool::Tar, 2.2)],
    },
    Row {
        name: "files-restore",
        title: "307,000 files of at most 4 KB: restore",
        group: MANY,
        step: Step::Restore,
        tools: MANY_TOOLS,
        unit: Unit::Seconds,
        target: Target { cost: Some(2.8), ..NO_TARGET },
        figures: &[(Tool::Original, 10.0), (Tool::TarZstd, 4.8), (Tool::Tar, 4.1)],
    },
    Row {
        name: "large-store",
        title: "4 x 500 MB, half random: store",
        group: LARGE,
        step: Step::Store,
        tools: LARGE_TOOLS,
        unit: Unit::Seconds,
        target: Target { cost: Some(2.0), cache: Some(1410 * MB), ..NO_TARGET },
        figures: &[(Tool::Original, 1.3), (Tool::TarZstd, 2.9), (Tool::TarZstd1, 2.7)],
    },
    Row {
        name: "large-restore",
        title: "4 x 500 MB, half random: restore",
        group: LARGE,
        step: Step::Restore,
        tools: LARGE_TOOLS,
        unit: Unit::Seconds,
        target: Target { cost: Some(1.2), ..NO_TARGET },
        figures: &[(Tool::Original, 1.3), (Tool::TarZstd, 2.2), (Tool::TarZstd1, 2.2)],
    },
    Row {
        name: "remote-store",
        title: "store to a server with an empty cache",
        group: Group::Remote,
        step: Step::Store,
        tools: SERVER_TOOLS,
        unit: Unit::Seconds,
        target: Target { cost: Some(1.6), ..NO_TARGET },
        figures: &[(Tool::Original, 5.1)],
    },
    Row {
        name: "remote-store-again",
        title: "store to a server again, 5 packages bumped",
        group: Group::Remote,
        step: Step::StoreAgain,
        tools: SERVER_TOOLS,
        unit: Unit::Seconds,
        target: Target { cost: Some(0.7), ..NO_TARGET },
        figures: &[(Tool::Original, 5.1)],
    },
    Row {
        name: "remote-restore",
        title: "restore from a server, empty destination",
        group: Group::Remote,
        step: Step::Restore,
        tools: SERVER_TOOLS,
        unit: Unit::Seconds,
        target: Target { cost: Some(1.0), ..NO_TARGET },
        figures: &[(Tool::Original, 2.1)],
    },
    Row {
        name: "server-small",
        title: "server: GETs of a small entry, 32 connections",
        group: Group::Remote,
        step: Step::SmallRequests,
        tools: SERVER_TOOLS,
        unit: Unit::Requests,
        target: Target { cost: Some(1.0 / 10_000.0), ..NOTHING },
        figures: &[(Tool::Original, 1.0 / 1_400.0)],
    },
    Row {
        name: "server-archive",
        title: "server: GET of node_modules as an archive",
        group: Group::Remote,
        step: Step::Archive,
        tools: SERVER_TOOLS,
        unit: Unit::Bytes,
        target: Target { cost: Some(1.0 / 2.4e9), ..NOTHING },
        figures: &[(Tool::Original, 1.0 / 2.4e9)],
    },
    Row {
        name: "server-chunks",
        title: "server: GETs of all chunks as stored, 8 connections",
        group: Group::Remote,
        step: Step::Chunks,
        tools: &[Tool::Ours],
        unit: Unit::Bytes,
        target: Target { cost: Some(1.0 / 1.5e9), ..NOTHING },
        figures: &[],
    },
    Row {
        name: "server-memory-idle",
        title: "server: memory at rest",
        group: Group::Remote,
        step: Step::MemoryIdle,
        tools: SERVER_TOOLS,
        unit: Unit::Memory,
        target: Target { cost: Some(64e6), ..NOTHING },
        figures: &[],
    },
    Row {
        name: "server-memory-busy",
        title: "server: most memory, 64 archives sent at once",
        group: Group::Remote,
        step: Step::MemoryTransfers,
        tools: SERVER_TOOLS,
        unit: Unit::Memory,
        target: Target { cost: Some(256e6), ..NOTHING },
        figures: &[],
    },
    memory_row("memory-files-store", "400,000 files: store", MEMORY_MANY, Step::Store),
    memory_row("memory-files-restore", "400,000 files: restore", MEMORY_MANY, Step::Restore),
    memory_row("memory-large-store", "one file of 10 GB: store", MEMORY_LARGE, Step::Store),
    memory_row("memory-large-restore", "one file of 10 GB: restore", MEMORY_LARGE, Step::Restore),
];

/// For a server: the bound on memory is that of the command line's program.
const NOTHING: Target = Target { peak: None, ..NO_TARGET };
const NO_TARGET: Target = Target { cost: None, cache: None, added: None, peak: Some(PEAK) };

const fn memory_row(name: &'static str, title: &'static str, group: Group, step: Step) -> Row {
    let unit = Unit::Seconds;
    Row { name, title, group, step, unit, tools: MEMORY_TOOLS, target: NO_TARGET, figures: &[] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_row_measures_btdt() {
        for (index, row) in ALL.iter().enumerate() {
            assert_eq!(row.tools[0], Tool::Ours, "{}", row.name);
            assert!(ALL[index + 1..].iter().all(|other| other.name != row.name));
            for (tool, _) in row.figures {
                assert!(row.tools.contains(tool), "{} lacks {tool:?}", row.name);
            }
        }
    }

    #[test]
    fn generated_trees_are_stored_before_they_are_restored() {
        let generated = |row: &&Row| matches!(row.group, Group::Generated(_) | Group::Memory(_));
        let rows: Vec<&Row> = ALL.iter().filter(generated).collect();
        for pair in rows.chunks(2) {
            assert_eq!(pair[0].group, pair[1].group);
            assert_eq!((pair[0].step, pair[1].step), (Step::Store, Step::Restore));
            assert_eq!(pair[0].tools, pair[1].tools);
        }
    }

    #[test]
    fn a_machine_twice_as_slow_doubles_the_target() {
        let row = ALL.iter().find(|row| row.name == "restore").unwrap();
        let there = |tool| Some(row.figures.iter().find(|(other, _)| *other == tool)?.1);
        let scale = row.scale(|tool| Some(there(tool)? * 2.0)).unwrap();
        assert!((scale - 2.0).abs() < 1e-9);
        assert_eq!(row.scale(|_| None), None);
    }
}

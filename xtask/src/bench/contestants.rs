//! The programs that are compared, and the command line of each for each operation.

/// One way to store and restore a directory.
///
/// Commands are lines for a shell with placeholders: `{program}`, `{tree}` is what is stored,
/// `{cache}` where it goes, `{key}` its name there, and `{to}` the directory it is restored to.
#[derive(Debug)]
pub(super) struct Contestant {
    /// In the table, after `--tools` and in file names.
    pub(super) name: &'static str,
    /// Programs in `PATH`; none for those that are found in other ways.
    pub(super) programs: &'static [&'static str],
    /// Makes a cache from an empty directory.
    pub(super) init: &'static str,
    pub(super) store: &'static str,
    pub(super) restore: &'static str,
    pub(super) hash: &'static str,
}

const NOTHING: Contestant =
    Contestant { name: "", programs: &[], init: "", store: "", restore: "", hash: "" };

/// What all versions of btdt have in common.
pub(super) const BTDT: Contestant = Contestant {
    name: "btdt",
    store: "{program} store -c {cache} -k {key} {tree}",
    restore: "{program} restore -c {cache} -k {key} {to}",
    hash: "{program} hash {tree}",
    ..NOTHING
};

const TAR_ZSTD: Contestant = Contestant {
    name: "tar+zstd",
    programs: &["tar", "zstd"],
    store: "tar -C {tree} -cf - . | zstd -q -T0 -3 -o {cache}/{key}.tar.zst",
    restore: "zstd -q -dc {cache}/{key}.tar.zst | tar -C {to} -xpf -",
    ..NOTHING
};

/// In the order of the table's columns.
pub(super) const CONTESTANTS: &[Contestant] = &[
    BTDT,
    Contestant { name: "btdt-before", ..BTDT },
    Contestant { name: "btdt-wasi", ..BTDT },
    Contestant { name: "btdt-0.4.4", ..BTDT },
    TAR_ZSTD,
    Contestant {
        name: "tar+zstd-1",
        store: "tar -C {tree} -cf - . | zstd -q -T0 -1 -o {cache}/{key}.tar.zst",
        ..TAR_ZSTD
    },
    Contestant {
        name: "tar",
        programs: &["tar"],
        store: "tar -C {tree} -cf {cache}/{key}.tar .",
        restore: "tar -C {to} -xpf {cache}/{key}.tar",
        ..NOTHING
    },
    Contestant {
        name: "rsync",
        programs: &["rsync"],
        // Unchanged files become hard links: the usual way to keep several states.
        store: "rsync -a --link-dest={cache}/base {tree}/ {cache}/{key}/",
        restore: "rsync -a {cache}/{key}/ {to}/",
        ..NOTHING
    },
    Contestant {
        name: "restic",
        programs: &["restic"],
        init: "restic -q --no-cache -r {cache} init",
        store: "cd {tree} && restic -q --no-cache -r {cache} backup --tag {key} .",
        restore: "restic -q --no-cache -r {cache} restore latest --tag {key} --target {to}",
        ..NOTHING
    },
    Contestant {
        name: "git",
        programs: &["git"],
        init: "git init -q --bare -b main {cache}",
        // Ignored files too; a branch is the key.
        store: "cd {tree} && export GIT_DIR={cache} GIT_WORK_TREE=. && git add -f -A . && \
                git commit -q -m {key} && git branch -f {key}",
        restore: "git -C {to} --git-dir={cache} --work-tree=. checkout -q -f --detach {key}",
        ..NOTHING
    },
    Contestant {
        name: "cp",
        programs: &["cp"],
        store: "cp -a {tree} {cache}/{key}",
        restore: "cp -a {cache}/{key}/. {to}",
        ..NOTHING
    },
    Contestant { name: "sha256sum", programs: &["sha256sum"], hash: "sha256sum {tree}", ..NOTHING },
];

/// For all commands; git without the settings of the person who runs this.
pub(super) const ENVIRONMENT: &[(&str, &str)] = &[
    ("RESTIC_PASSWORD", "bench"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    // Git would clean up in the background while others are measured.
    ("GIT_CONFIG_PARAMETERS", "'gc.auto=0'"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_AUTHOR_NAME", "bench"),
    ("GIT_AUTHOR_EMAIL", "bench@localhost"),
    ("GIT_COMMITTER_NAME", "bench"),
    ("GIT_COMMITTER_EMAIL", "bench@localhost"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (index, contestant) in CONTESTANTS.iter().enumerate() {
            let mut later = CONTESTANTS[index + 1..].iter();
            assert!(later.all(|other| other.name != contestant.name), "{}", contestant.name);
        }
    }
}

//! A damaged cache: every kind of object, flipped, cut short and removed.
//!
//! A warning and a miss, the next key, or an error; never success with other content. A store
//! afterwards makes things right again. `BTDT_DAMAGES` chooses how many are done to each object.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{
    ERROR, Kind, NOT_FOUND, OTHER_KEY, Outcome, Rng, SUCCESS, Sandbox, assert_same,
    number_from_env, sandbox, vandal,
};

/// The ways to damage one object.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// Some bits of the byte at this place (modulo the size).
    Flip {
        place: u64,
        mask: u8,
    },
    /// Cut to this length (modulo the size).
    Truncate(u64),
    Empty,
    Remove,
    /// Bytes of no format, of the same size.
    Garbage(u64),
    /// One byte more at the end.
    Longer,
    /// A directory stands in its place.
    Directory,
}

impl Damage {
    fn apply(self, object: &Path) {
        let size = fs::metadata(object).unwrap().len() as usize;
        match self {
            Self::Flip { place, mask } => vandal::flip(object, place, mask),
            Self::Truncate(length) => vandal::truncate(object, length),
            Self::Empty => vandal::replace(object, b""),
            Self::Remove => vandal::remove(object),
            Self::Garbage(seed) => vandal::replace(object, &Rng::new(seed).bytes(size)),
            Self::Longer => {
                let mut bytes = fs::read(object).unwrap();
                bytes.push(0);
                vandal::replace(object, &bytes);
            }
            Self::Directory => {
                vandal::remove(object);
                fs::create_dir(object).unwrap();
            }
        }
    }

    /// Whether no reader can find the right content in what is left. A flip in an unused bit of a
    /// compressed frame, or a byte after its end, may do no harm: the digest decides.
    fn is_certain(self) -> bool {
        match self {
            Self::Remove | Self::Empty | Self::Garbage(_) | Self::Directory => true,
            Self::Truncate(length) => length == 1,
            Self::Flip { .. } | Self::Longer => false,
        }
    }

    /// What is done to each object; flips at seeded places and at both ends.
    fn all(seed: u64) -> Vec<Self> {
        let mut rng = Rng::new(seed);
        let mut all = vec![
            Self::Flip { place: 0, mask: 0xFF },
            Self::Flip { place: 4, mask: 0x01 },
            Self::Flip { place: 5, mask: 0x80 },
            Self::Flip { place: u64::MAX, mask: 0x01 },
            Self::Truncate(1),
            Self::Truncate(u64::MAX),
            Self::Empty,
            Self::Remove,
            Self::Garbage(seed),
            Self::Longer,
            Self::Directory,
        ];
        for _ in 0..6 {
            let place = rng.next();
            let mask = 1 << rng.below(8);
            all.push(Self::Flip { place, mask });
            all.push(Self::Truncate(rng.next()));
        }
        // The first few are all of one kind: take those from everywhere.
        let wanted = number_from_env("BTDT_DAMAGES", all.len() as u64) as usize;
        let step = all.len().div_ceil(wanted.max(1));
        all.into_iter().step_by(step).collect()
    }
}

/// A cache with the tree `src` under `k` and the tree `other`, which shares nothing, under `other`.
struct Victim {
    sandbox: Sandbox,
    /// The objects that only `k` needs.
    objects: Vec<(Kind, PathBuf)>,
}

impl Victim {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        sandbox.tree("other").file("something", Rng::new(77).bytes(3_000));
        sandbox.store("other", "other").expect(SUCCESS);
        let before = sandbox.view();
        let large = Rng::new(78).bytes(5 << 20);
        sandbox.tree("src").sample(1).file("large", large);
        sandbox.store("k", "src").expect(SUCCESS);
        let mut objects = Vec::new();
        for kind in Kind::DATA {
            let old = before.objects(kind);
            let new = sandbox.view().objects(kind);
            let mut new: Vec<_> = new.into_iter().filter(|path| !old.contains(path)).collect();
            assert!(!new.is_empty(), "an entry has at least one {kind:?}");
            // Two objects of a kind are as good as twenty.
            new.truncate(2);
            objects.extend(new.into_iter().map(|path| (kind, path)));
        }
        Self { sandbox, objects }
    }

    /// The cache as it was, without what an earlier damage left.
    fn reset(&self, saved: &Path) {
        fs::remove_dir_all(self.sandbox.cache()).unwrap();
        copy_tree(saved, &self.sandbox.cache());
    }

    fn save(&self) -> PathBuf {
        let saved = self.sandbox.path("saved");
        copy_tree(&self.sandbox.cache(), &saved);
        saved
    }

    /// Restores to a new place; success must mean the right content, a miss no destination.
    #[track_caller]
    fn restore_is_right_or_fails(&self, keys: &str, what: &str) -> Outcome {
        let out = self.sandbox.path("out");
        let _ = fs::remove_dir_all(&out);
        let outcome = self.sandbox.restore(keys, "out");
        match outcome.code {
            Some(SUCCESS) => {
                let source = self.sandbox.snapshot("src");
                assert_same(&source, &self.sandbox.snapshot("out"), what);
            }
            Some(OTHER_KEY) => {
                let source = self.sandbox.snapshot("other");
                assert_same(&source, &self.sandbox.snapshot("out"), what);
            }
            Some(ERROR | NOT_FOUND) => {
                assert!(!out.exists(), "{what}: half a destination\n{outcome}");
            }
            _ => panic!("{what}: a crash, not an answer\n{outcome}"),
        }
        outcome
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every damage to every object of one kind, with `check` after each.
fn for_each_damage(kind: Kind, check: impl Fn(&Victim, &str, Damage)) {
    let victim = Victim::new();
    let saved = victim.save();
    for (object_kind, object) in &victim.objects {
        if *object_kind != kind {
            continue;
        }
        for damage in Damage::all(42) {
            victim.reset(&saved);
            damage.apply(object);
            check(&victim, &format!("{damage:?} of {}", object.display()), damage);
        }
    }
}

/// A damaged object of this kind: without a second key a warning and a miss, with one that key.
fn warns_and_misses(kind: Kind) {
    for_each_damage(kind, |victim, what, damage| {
        let outcome = victim.restore_is_right_or_fails("k", what);
        if outcome.code == Some(SUCCESS) {
            assert!(!damage.is_certain(), "{what}: cannot have been right\n{outcome}");
            return;
        }
        let warns = outcome.stderr.to_lowercase().contains("warning");
        assert!(warns, "{what}: a miss without a warning:\n{outcome}");
        // The damaged object may have been set aside: the answer is the same, with or without it.
        let outcome = victim.restore_is_right_or_fails("k,other", what);
        assert_eq!(outcome.code, Some(OTHER_KEY), "{what}:\n{outcome}");
    });
}

#[test]
fn a_damaged_chunk_is_a_miss_with_a_warning() {
    warns_and_misses(Kind::Chunk);
}

#[test]
fn a_damaged_manifest_is_a_miss_with_a_warning() {
    warns_and_misses(Kind::Manifest);
}

#[test]
fn a_damaged_record_is_right_or_a_miss() {
    for_each_damage(Kind::Record, |victim, what, damage| {
        let outcome = victim.restore_is_right_or_fails("k", what);
        // A removed record is no damage: there is no such key. A flip in a time changes no content.
        if !matches!(damage, Damage::Remove) && outcome.code != Some(SUCCESS) {
            outcome.warns();
        }
        let outcome = victim.restore_is_right_or_fails("k,other", what);
        assert!(matches!(outcome.code, Some(SUCCESS | OTHER_KEY)), "{what}:\n{outcome}");
    });
}

#[test]
fn a_damaged_format_file_never_crashes_or_restores_wrongly() {
    let victim = Victim::new();
    let saved = victim.save();
    for damage in Damage::all(43) {
        victim.reset(&saved);
        let objects = victim.sandbox.view().objects(Kind::Format);
        assert_eq!(objects.len(), 1, "a cache has one file that says its format");
        damage.apply(&objects[0]);
        let what = format!("{damage:?} of the format file");
        let outcome = victim.restore_is_right_or_fails("k", &what);
        if outcome.code != Some(SUCCESS) {
            assert!(!outcome.stderr.is_empty(), "{what}: says why");
        }
        let store = victim.sandbox.store("k", "src");
        store.expect_one_of(&[SUCCESS, ERROR]);
        let clean = victim.sandbox.clean(&["--grace-period", "0s"]);
        clean.expect_one_of(&[SUCCESS, ERROR]);
        victim.restore_is_right_or_fails("k", &what);
    }
}

#[test]
fn a_cache_of_a_future_format_is_refused_and_left_alone() {
    let victim = Victim::new();
    let format = victim.sandbox.view().objects(Kind::Format).remove(0);
    let text = fs::read_to_string(&format).unwrap();
    let newer: String =
        text.chars().map(|letter| if letter.is_ascii_digit() { '9' } else { letter }).collect();
    assert_ne!(text, newer, "the format file has a version number");
    vandal::replace(&format, newer.as_bytes());
    let before = victim.sandbox.view().content();
    victim.sandbox.restore("k", "out").expect(ERROR);
    victim.sandbox.store("k", "src").expect(ERROR);
    victim.sandbox.clean(&["--max-age", "0s"]).expect(ERROR);
    assert_eq!(victim.sandbox.view().content(), before);
}

/// After a restore noticed the damage, a store makes the entry whole again.
fn heals(kind: Kind) {
    for_each_damage(kind, |victim, what, _| {
        victim.restore_is_right_or_fails("k", what);
        victim.sandbox.store("k", "src").expect(SUCCESS);
        let outcome = victim.restore_is_right_or_fails("k", what);
        assert_eq!(outcome.code, Some(SUCCESS), "{what} was not healed:\n{outcome}");
    });
}

#[test]
fn a_store_heals_a_damaged_chunk() {
    heals(Kind::Chunk);
}

#[test]
fn a_store_heals_a_damaged_manifest() {
    heals(Kind::Manifest);
}

#[test]
fn a_store_heals_a_damaged_record() {
    heals(Kind::Record);
}

#[test]
fn a_store_heals_missing_objects_that_nobody_noticed() {
    let victim = Victim::new();
    let saved = victim.save();
    for (_, object) in &victim.objects {
        victim.reset(&saved);
        vandal::remove(object);
        victim.sandbox.store("k", "src").expect(SUCCESS);
        let what = format!("without {}", object.display());
        let outcome = victim.restore_is_right_or_fails("k", &what);
        assert_eq!(outcome.code, Some(SUCCESS), "{what}:\n{outcome}");
    }
}

#[test]
fn clean_survives_every_damage_and_keeps_the_rest() {
    for kind in Kind::DATA {
        for_each_damage(kind, |victim, what, _| {
            for _ in 0..2 {
                let outcome = victim.sandbox.clean(&["--grace-period", "0s"]);
                assert_eq!(outcome.code, Some(SUCCESS), "{what}:\n{outcome}");
            }
            victim.sandbox.restore("other", "other-out").expect(SUCCESS);
            let source = victim.sandbox.snapshot("other");
            assert_same(&source, &victim.sandbox.snapshot("other-out"), what);
            victim.restore_is_right_or_fails("k", what);
        });
    }
}

#[test]
fn a_damaged_entry_never_spoils_a_destination_that_exists() {
    for_each_damage(Kind::Chunk, |victim, what, damage| {
        let dest = victim.sandbox.tree("out");
        dest.file("large", "older").file("mine", "mine");
        let outcome = victim.sandbox.restore("k", "out");
        let noticed = matches!(outcome.code, Some(ERROR | NOT_FOUND));
        assert!(noticed || !damage.is_certain(), "{what}:\n{outcome}");
        let mine = fs::read_to_string(dest.path("mine")).unwrap();
        assert_eq!(mine, "mine", "{what}");
        // The next store and restore over the remains must end right.
        victim.sandbox.store("k", "src").expect(SUCCESS);
        let args = ["restore", "-c", "cache", "-k", "k", "--exact", "out"];
        victim.sandbox.run(args).expect(SUCCESS);
        let source = victim.sandbox.snapshot("src");
        assert_same(&source, &victim.sandbox.snapshot("out"), what);
        fs::remove_dir_all(dest.path("")).unwrap();
    });
}

#[test]
fn objects_that_changed_places_are_noticed() {
    let victim = Victim::new();
    let saved = victim.save();
    for kind in [Kind::Chunk, Kind::Manifest] {
        victim.reset(&saved);
        // A right object under a wrong name: its header is fine, its digest is not.
        let objects = victim.sandbox.view().objects(kind);
        let contents: Vec<_> = objects.iter().map(|path| fs::read(path).unwrap()).collect();
        for (index, object) in objects.iter().enumerate() {
            vandal::replace(object, &contents[(index + 1) % contents.len()]);
        }
        let outcome = victim.restore_is_right_or_fails("k,other", &format!("{kind:?}s swapped"));
        assert_eq!(outcome.code, Some(NOT_FOUND), "{outcome}");
        outcome.warns();
    }
}

#[test]
fn a_file_where_a_directory_of_the_cache_belongs() {
    for place in ["chunks", "manifests", "keys", "tmp"] {
        let victim = Victim::new();
        let path = victim.sandbox.cache().join(place);
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, "in the way").unwrap();
        let what = format!("{place} is a file");
        victim.restore_is_right_or_fails("k", &what);
        let store = sandbox::store_args("cache", "k", "src");
        let outcome = victim.sandbox.run(store).expect_one_of(&[SUCCESS, ERROR]);
        if outcome.code == Some(ERROR) {
            outcome.says("Error: ");
        }
        victim.sandbox.clean(&[]).expect_one_of(&[SUCCESS, ERROR]);
    }
}

//! The sizes that a cleanup reports, by which a server enforces its quota.

use crate::support::{Server, call, chunk, noise, tree};
use btdt_core::operations::clean::clean;
use btdt_core::storage::retention::Limits;
use btdt_ports::client::{CleanRequest, CleanSummary};
use btdt_ports::{ObjectKind, Objects};

const GRACE: u64 = 3600;

/// A cleanup by a server, which never has the cache to itself.
fn clean_after(server: &Server, seconds: u64, limits: Limits) -> CleanSummary {
    server.pass(i64::try_from(seconds).unwrap());
    let storage = server.storage();
    let _at_work = storage.lock(btdt_ports::LockMode::Shared).unwrap();
    let request =
        CleanRequest { max_age: limits.max_age, max_size: limits.max_size, grace_period: GRACE };
    let summary = clean(&request, storage, storage, &server.environment).unwrap();
    assert_eq!(summary.occupied_bytes, occupied(server));
    summary
}

/// The stored size of all objects.
fn occupied(server: &Server) -> u64 {
    let storage = server.storage();
    let aside = Objects::list_aside(storage).unwrap();
    let live = [ObjectKind::Manifest, ObjectKind::Chunk].into_iter().flat_map(|kind| {
        (0..=u8::MAX).flat_map(move |shard| Objects::list(storage, kind, shard).unwrap())
    });
    live.map(|object| object.stored_size).sum::<u64>()
        + aside.iter().map(|object| object.stored_size).sum::<u64>()
}

#[test]
fn what_nothing_refers_to_counts_until_it_is_gone() {
    let server = Server::new();
    let mut garbage = 0;
    for seed in 0..3 {
        let (digest, stored) = chunk(&noise(seed, 10_000));
        let url = format!("/api/caches/main/chunks/{}", digest.to_hex());
        server.expect(201, &call("PUT", &url).bytes(stored.clone()));
        garbage += stored.len() as u64;
    }
    server.store(&["k"], &tree(&noise(9, 5000)));
    let first = clean_after(&server, 0, Limits::default());
    assert!(first.kept_bytes > 5000 && first.kept_bytes < 10_000, "{first:?}");
    assert_eq!(first.occupied_bytes, first.kept_bytes + garbage);
    // It still exists while it is set aside.
    let second = clean_after(&server, GRACE, Limits::default());
    assert_eq!(second.swept.unwrap().set_aside, 3);
    assert_eq!(second.occupied_bytes, first.occupied_bytes);
    let third = clean_after(&server, GRACE, Limits::default());
    assert_eq!(third.swept.unwrap().deleted, 3);
    assert_eq!((third.occupied_bytes, third.kept_bytes), (first.kept_bytes, first.kept_bytes));
    assert_eq!(clean_after(&server, 0, Limits::default()).occupied_bytes, first.kept_bytes);
}

#[test]
fn a_cache_that_is_full_of_garbage_gets_empty_in_the_end() {
    let server = Server::new();
    for seed in 0..3 {
        server.store(&[&format!("k{seed}")], &tree(&noise(seed, 5000)));
    }
    let nothing = Limits { max_size: Some(0), ..Limits::default() };
    let removed = clean_after(&server, 0, nothing);
    assert_eq!((removed.removed, removed.kept_bytes), (3, 0));
    assert!(removed.occupied_bytes > 15_000, "entries are gone, their content is not");
    clean_after(&server, GRACE, nothing);
    assert_eq!(clean_after(&server, GRACE, nothing).occupied_bytes, 0);
}

#[test]
fn without_a_grace_period_the_size_is_that_of_the_end() {
    let server = Server::new();
    server.store(&["k"], &tree(&noise(1, 5000)));
    server.pass(1);
    let limits = Limits { max_size: Some(0), ..Limits::default() };
    let request =
        CleanRequest { max_age: limits.max_age, max_size: limits.max_size, grace_period: 0 };
    let summary = clean(&request, server.storage(), server.storage(), &server.environment).unwrap();
    assert_eq!((summary.removed, summary.occupied_bytes, occupied(&server)), (1, 0, 0));
}

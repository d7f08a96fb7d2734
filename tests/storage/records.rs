//! Records.

use crate::backends::{Backend, is_young};
use btdt_host_runtime::codec::sha256;
use btdt_ports::{IoErrorKind, Records, StoredRecord};

fn get<B: Backend>(backend: &B, name: &str) -> Option<StoredRecord> {
    Records::get(backend.storage(), &[name.to_owned()]).pop().unwrap().unwrap()
}

fn put<B: Backend>(backend: &B, name: &str, value: &[u8]) {
    Records::put(backend.storage(), name, value).unwrap();
}

fn value<B: Backend>(backend: &B, name: &str) -> Option<Vec<u8>> {
    get(backend, name).map(|record| record.value)
}

pub(crate) fn a_record_that_is_put_can_be_got(backend: &impl Backend) {
    assert_eq!(get(backend, "key"), None);
    for expected in [&b"the value"[..], b"", &[0; 1000]] {
        put(backend, "key", expected);
        let record = get(backend, "key").unwrap();
        assert_eq!(record.value, expected);
        assert_eq!(record.version, sha256(expected));
        assert!(is_young(record.last_access, backend.now()));
    }
}

pub(crate) fn a_record_is_replaced(backend: &impl Backend) {
    put(backend, "key", b"a long value");
    backend.pass_an_hour();
    put(backend, "key", b"short");
    assert_eq!(value(backend, "key").unwrap(), b"short");
    assert!(is_young(get(backend, "key").unwrap().last_access, backend.now()));
    assert_eq!(Records::list(backend.storage(), "", None, 10).unwrap(), ["key"]);
}

pub(crate) fn records_are_answered_in_their_order(backend: &impl Backend) {
    put(backend, "a", b"1");
    put(backend, "c", b"3");
    let names = ["c", "b", "../a", "a", "c"].map(str::to_owned);
    let answers = Records::get(backend.storage(), &names);
    let values: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().ok().map(|record| record.as_ref().map(|it| &it.value[..])))
        .collect();
    let expected: [Option<Option<&[u8]>>; 5] =
        [Some(Some(b"3")), Some(None), None, Some(Some(b"1")), Some(Some(b"3"))];
    assert_eq!(values, expected);
}

pub(crate) fn touch_changes_the_time_and_not_the_value(backend: &impl Backend) {
    put(backend, "key", b"value");
    backend.pass_an_hour();
    let before = get(backend, "key").unwrap();
    assert!(!is_young(before.last_access, backend.now()));
    Records::touch(backend.storage(), "key");
    let after = get(backend, "key").unwrap();
    assert!(is_young(after.last_access, backend.now()));
    assert_eq!(StoredRecord { last_access: before.last_access, ..after }, before);
}

pub(crate) fn touch_creates_nothing(backend: &impl Backend) {
    for name in ["key", "", "..", "a/b"] {
        Records::touch(backend.storage(), name);
    }
    assert_eq!(get(backend, "key"), None);
    assert_eq!(Records::list(backend.storage(), "", None, 10), Ok(vec![]));
}

pub(crate) fn a_record_is_deleted_only_in_its_version(backend: &impl Backend) {
    let delete = |value: &[u8]| Records::delete(backend.storage(), "key", &sha256(value));
    assert_eq!(delete(b"old"), Ok(false));
    put(backend, "key", b"old");
    put(backend, "key", b"new");
    assert_eq!(delete(b"old"), Ok(false));
    assert_eq!(value(backend, "key").unwrap(), b"new");
    assert_eq!(delete(b"new"), Ok(true));
    assert_eq!(get(backend, "key"), None);
    assert_eq!(delete(b"new"), Ok(false));
}

pub(crate) fn lists_are_sorted_and_paged(backend: &impl Backend) {
    // Byte order: digits, upper case, underscore, lower case.
    let names = ["%2Fx", "-x", "0", "10", "9", "A", "Z", "_", "a", "a.b", "ab", "~"];
    for name in names.iter().rev() {
        put(backend, name, name.as_bytes());
    }
    assert_eq!(Records::list(backend.storage(), "", None, 100).unwrap(), names);
    assert_eq!(Records::list(backend.storage(), "", None, 0), Ok(vec![]));
    for size in [1, 5, 12] {
        let mut paged: Vec<String> = Vec::new();
        loop {
            let after = paged.last().map(String::as_str);
            let page = Records::list(backend.storage(), "", after, size).unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= size as usize);
            paged.extend(page);
        }
        assert_eq!(paged, names);
    }
    let after_absent = Records::list(backend.storage(), "", Some("aa"), 1).unwrap();
    assert_eq!(after_absent, ["ab"]);
}

pub(crate) fn lists_observe_the_prefix(backend: &impl Backend) {
    for name in ["ab", "abc", "abd", "ac", "b", "a"] {
        put(backend, name, b"");
    }
    let list = |prefix, after| Records::list(backend.storage(), prefix, after, 10).unwrap();
    assert_eq!(list("ab", None), ["ab", "abc", "abd"]);
    assert_eq!(list("ab", Some("ab")), ["abc", "abd"]);
    assert_eq!(list("ab", Some("a")), ["ab", "abc", "abd"]);
    assert_eq!(list("ab", Some("b")), [""; 0]);
    assert_eq!(list("x", None), [""; 0]);
    assert_eq!(list("../", None), [""; 0]);
}

pub(crate) fn only_proper_names_are_taken(backend: &impl Backend) {
    let longest = "x".repeat(250);
    for name in ["A-Za-z0-9%_-.~", "-", "a.", "a..b", &longest] {
        put(backend, name, b"value");
        let version = get(backend, name).unwrap().version;
        assert_eq!(Records::delete(backend.storage(), name, &version), Ok(true), "{name}");
    }
    let too_long = "x".repeat(251);
    for name in
        ["", ".", "..", ".hidden", "a/b", "/", "../a", "a b", "ä", "a\0b", "a\\b", &too_long]
    {
        assert!(Records::put(backend.storage(), name, b"value").is_err(), "{name}");
        assert!(Records::get(backend.storage(), &[name.to_owned()])[0].is_err(), "{name}");
        assert!(Records::delete(backend.storage(), name, &sha256(b"value")).is_err(), "{name}");
        Records::touch(backend.storage(), name);
    }
    assert_eq!(Records::list(backend.storage(), "", None, 10), Ok(vec![]));
}

pub(crate) fn records_have_a_largest_size(backend: &impl Backend) {
    let largest = vec![b'x'; 64 * 1024];
    put(backend, "key", &largest);
    let too_large = [&largest[..], b"x"].concat();
    let refused = Records::put(backend.storage(), "key", &too_large).unwrap_err();
    assert_eq!(refused.kind, IoErrorKind::TooLarge);
    assert_eq!(value(backend, "key"), Some(largest));
}

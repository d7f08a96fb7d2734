//! The transfer of chunks.

use super::server::{Received, Reply, Server, answer, chunked, read_head};
use super::*;
use crate::chunk_io::{Sink, Source};
use crate::codec::{Codec, sha256};
use btdt_ports::{
    ChunkEndpoint, Damage, Digest, IoError, IoErrorKind, ObjectFault, PutOutcome, Refusal,
    TransferFault,
};
use std::collections::HashMap;
use std::io::{BufReader, Read, Write};

const RAW: &[u8] = b"some content of a chunk, some content of a chunk, some content of a chunk.";

fn stored(raw: &[u8]) -> Vec<u8> {
    Codec::new().encode(raw).unwrap().to_vec()
}

fn endpoint(server: &Server) -> ChunkEndpoint {
    ChunkEndpoint {
        missing: server.url("/c/chunks/missing"),
        chunk: server.url("/c/chunks/"),
        query: "?key=k".to_owned(),
        verify_query: "?key=k&verify=true".to_owned(),
        retries: thrice(),
    }
}

fn source(remote: &HttpRemote, server: &Server) -> Source {
    remote.source(&endpoint(server))
}

fn sink(remote: &HttpRemote, server: &Server) -> Sink {
    remote.sink(&endpoint(server))
}

fn read(source: &Source, raw: &[u8]) -> Result<Vec<u8>, ObjectFault> {
    let size = u32::try_from(raw.len()).unwrap();
    source.read(&sha256(raw), size, &mut Codec::new()).map(<[u8]>::to_vec)
}

fn is_verifying(request: &Received) -> bool {
    request.line.contains("verify=true")
}

const UNREADABLE: ObjectFault = ObjectFault::Unreadable(IoError::new(IoErrorKind::Transfer));

#[test]
fn a_chunk_arrives() {
    let random: Vec<u8> = (0..3_000_000_u64).map(|at| (at * at % 257) as u8).collect();
    for raw in [RAW, &random, b""] {
        for size in [None, Some(1000)] {
            let bytes = match size {
                None => answer(200, "", &stored(raw)),
                Some(size) => chunked(200, "", &stored(raw), size),
            };
            let server = Server::new(move |_, _| Reply::Keep(bytes.clone()));
            let remote = remote();
            assert!(read(&source(&remote, &server), raw).unwrap() == raw);
            let expected = format!("GET /c/chunks/{}?key=k HTTP/1.1", sha256(raw).to_hex());
            assert_eq!(server.received()[0].line, expected);
            assert_eq!(remote.failure(), None);
        }
    }
}

#[test]
fn an_early_answer_to_a_chunk_is_not_lost() {
    // A server that reads no body and closes: the first time without, then with an answer.
    let connections = Mutex::new(0);
    let server = Server::raw(move |mut stream| {
        read_head(&mut BufReader::new(&stream)).unwrap();
        let mut number = connections.lock().unwrap();
        *number += 1;
        if *number % 2 == 0 {
            stream.write_all(&answer(507, "", b"the disk is full")).unwrap();
        }
    });
    let mut raw = vec![0; 4_000_000];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut raw).unwrap();
    let digest = sha256(&raw);
    let mut endpoint = endpoint(&server);
    endpoint.retries.attempts = 2;
    for round in 0..20 {
        let remote = remote();
        let put = remote.sink(&endpoint).put(&digest, &raw, &mut Codec::new());
        assert_eq!(put.unwrap_err().kind, IoErrorKind::NoSpace, "{round}: {:?}", remote.failure());
        let refusal = Refusal { status: 507, body: b"the disk is full".to_vec() };
        assert_eq!(remote.failure().unwrap().reason, TransferFault::Refused(refusal));
    }
}

#[test]
fn a_chunk_that_broke_off_is_sent_again_as_it_was() {
    let server = Server::new(|request, number| match number {
        0 => Reply::Close(Vec::new()),
        1 => Reply::Keep(answer(503, "", &request.body[..1])),
        _ => Reply::Keep(answer(201, "", b"")),
    });
    let raw: Vec<u8> = (0..600_000_u64).map(|at| (at * at * at % 65_521) as u8).collect();
    let put = sink(&remote(), &server).put(&sha256(&raw), &raw, &mut Codec::new());
    assert!(put.unwrap().new);
    let received = server.received();
    assert_eq!(received.len(), 3);
    for request in received {
        assert!(request.complete && request.body == stored(&raw), "{}", request.line);
        assert_eq!(request.line, format!("PUT /c/chunks/{}?key=k HTTP/1.1", sha256(&raw).to_hex()));
        let length = stored(&raw).len().to_string();
        assert_eq!(request.header("content-length"), Some(&*length));
        assert_eq!(request.header("authorization"), Some("Bearer tok-secret"));
        assert_eq!(request.header("content-type"), Some("application/octet-stream"));
    }
}

#[test]
fn a_chunk_that_is_cut_off_anywhere_never_arrives() {
    let remote = remote();
    for whole in [answer(200, "", &stored(RAW)), chunked(200, "", &stored(RAW), 10)] {
        let length = whole.len();
        let cut = Arc::new(Mutex::new(0));
        let now = Arc::clone(&cut);
        let server = Server::new(move |_, _| Reply::Close(whole[..*now.lock().unwrap()].to_vec()));
        let mut endpoint = endpoint(&server);
        endpoint.retries = ONCE;
        let source = remote.source(&endpoint);
        for at in 0..length {
            *cut.lock().unwrap() = at;
            let before = server.received().len();
            assert_eq!(read(&source, RAW), Err(UNREADABLE), "{at} of {length}");
            let asked = server.received().split_off(before);
            // What is no HTTP at all is no matter of the chunk.
            assert!(asked.len() == 1 || (asked.len() == 2 && is_verifying(&asked[1])));
        }
        *cut.lock().unwrap() = length;
        assert_eq!(read(&source, RAW).unwrap(), RAW);
    }
    let failure = remote.failure().unwrap();
    assert!(failure.url.ends_with("?key=k&verify=true") || failure.url.ends_with("?key=k"));
    assert!(matches!(failure.reason, TransferFault::NoAnswer(_)));
}

#[test]
fn an_altered_chunk_is_healed_by_the_server() {
    let whole = stored(RAW);
    for at in 0..whole.len() {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        let whole = whole.clone();
        let server = Server::new(move |request, _| {
            Reply::Keep(answer(200, "", if is_verifying(request) { &whole } else { &altered }))
        });
        let result = read(&source(&remote(), &server), RAW);
        assert_eq!(result.unwrap(), RAW, "{at}");
        assert_eq!(server.received().len(), 2, "{at}");
    }
}

#[test]
fn a_chunk_that_stays_damaged_or_is_gone() {
    let other = stored(b"another content");
    let server = Server::new(move |_, _| Reply::Keep(answer(200, "", &other)));
    let result = read(&source(&remote(), &server), RAW);
    assert_eq!(result, Err(ObjectFault::Damaged(Damage::Content)));
    assert_eq!(server.received().len(), 2);

    let server = Server::new(|request, _| {
        let status = if is_verifying(request) { 404 } else { 200 };
        Reply::Keep(answer(status, "", b"damaged"))
    });
    assert_eq!(read(&source(&remote(), &server), RAW), Err(ObjectFault::Missing));

    let server = Server::new(|_, _| Reply::Keep(answer(404, "", b"")));
    let remote = remote();
    assert_eq!(read(&source(&remote, &server), RAW), Err(ObjectFault::Missing));
    assert_eq!((server.received().len(), remote.failure()), (1, None));
}

#[test]
fn a_chunk_that_is_longer_than_possible() {
    let long = vec![0; 1 << 20];
    for bytes in [answer(200, "", &long), chunked(200, "", &long, 5000)] {
        let server = Server::new(move |_, _| Reply::Keep(bytes.clone()));
        let result = read(&source(&remote(), &server), RAW);
        assert_eq!(result, Err(ObjectFault::Damaged(Damage::Length)));
    }
    // A stored form that is intact, but not of the size that the manifest has.
    let more = [RAW, RAW].concat();
    let bytes = answer(200, "", &stored(&more));
    let server = Server::new(move |_, _| Reply::Keep(bytes.clone()));
    let source = source(&remote(), &server);
    for size in [RAW.len(), more.len() + 1] {
        let size = u32::try_from(size).unwrap();
        source.read(&sha256(&more), size, &mut Codec::new()).map(<[u8]>::to_vec).unwrap_err();
    }
}

#[test]
fn a_refused_chunk_and_its_message() {
    let body = vec![b'm'; 10_000];
    let bytes = answer(403, "", &body);
    let server = Server::new(move |_, _| Reply::Keep(bytes.clone()));
    let remote = remote();
    assert_eq!(read(&source(&remote, &server), RAW), Err(UNREADABLE));
    let failure = remote.failure().unwrap();
    let expected = TransferFault::Refused(Refusal { status: 403, body: body[..4096].to_vec() });
    assert_eq!(failure.reason, expected);
    assert_eq!(failure.url, server.url(&format!("/c/chunks/{}?key=k", sha256(RAW).to_hex())));
    assert_eq!(server.received().len(), 1);
}

#[test]
fn a_busy_server_gives_the_chunk_in_the_end() {
    let server = Server::new(|_, number| match number {
        0 => Reply::Keep(answer(503, "", b"busy")),
        1 => Reply::Close(answer(200, "", &stored(RAW))[..60].to_vec()),
        _ => Reply::Keep(answer(200, "", &stored(RAW))),
    });
    let pauses = Arc::new(Pauses::default());
    assert_eq!(read(&source(&patient(&pauses), &server), RAW).unwrap(), RAW);
    assert_eq!(pauses.count(), 2);
    assert!(!server.received().iter().any(is_verifying));
}

#[test]
fn chunks_are_put() {
    for (status, new) in [(201, true), (200, false), (204, false)] {
        let server = Server::new(move |_, number| match number {
            0 => Reply::Keep(answer(503, "", b"busy")),
            _ if status == 204 => Reply::Keep(b"HTTP/1.1 204\r\n\r\n".to_vec()),
            _ => Reply::Keep(answer(status, "", b"")),
        });
        let digest = sha256(RAW);
        let outcome = sink(&remote(), &server).put(&digest, RAW, &mut Codec::new()).unwrap();
        let stored_size = stored(RAW).len() as u64;
        assert_eq!(outcome, PutOutcome { digest, stored_size, new });
        let received = server.received().pop().unwrap();
        assert_eq!(received.line, format!("PUT /c/chunks/{}?key=k HTTP/1.1", digest.to_hex()));
        assert_eq!(received.header("content-type"), Some("application/octet-stream"));
        assert_eq!(received.body, stored(RAW));
    }
}

#[test]
fn chunks_that_are_not_taken() {
    use IoErrorKind::{AccessDenied, NoSpace, TooLarge, Transfer};
    let cases = [
        (507, NoSpace),
        (401, AccessDenied),
        (403, AccessDenied),
        (413, TooLarge),
        (500, Transfer),
        (503, Transfer),
        (202, Transfer),
    ];
    for (status, kind) in cases {
        let server = Server::new(move |_, _| Reply::Keep(answer(status, "", b"because")));
        let remote = remote();
        let result = sink(&remote, &server).put(&sha256(RAW), RAW, &mut Codec::new());
        assert_eq!(result, Err(IoError::new(kind)), "{status}");
        let reason = remote.failure().unwrap().reason;
        assert!(matches!(reason, TransferFault::Refused(Refusal { status: s, .. }) if s == status));
    }
    let server = Server::new(|_, _| Reply::Close(Vec::new()));
    let remote = remote();
    let result = sink(&remote, &server).put(&sha256(RAW), RAW, &mut Codec::new());
    assert_eq!(result, Err(IoError::new(Transfer)));
    assert_eq!(server.received().len(), 3);
}

#[test]
fn missing_chunks_are_asked_for_together() {
    let digests: Vec<Digest> = (0..200_u32).map(|number| sha256(&number.to_le_bytes())).collect();
    let present: HashMap<Digest, bool> =
        digests.iter().enumerate().map(|(at, digest)| (*digest, at % 3 == 0)).collect();
    let known = present.clone();
    let server = Server::new(move |request, _| {
        let text = std::str::from_utf8(&request.body).unwrap();
        let missing = |line: &&str| !known[&Digest::from_hex(line).unwrap()];
        let missing = text.lines().filter(missing).map(|line| format!("{line}\n"));
        Reply::Keep(answer(200, "", missing.collect::<String>().as_bytes()))
    });
    let sink = sink(&remote(), &server);
    std::thread::scope(|scope| {
        for digest in &digests {
            let (sink, present) = (&sink, &present);
            scope.spawn(move || {
                let outcome = sink.existing(digest).unwrap();
                let expected = PutOutcome { digest: *digest, stored_size: 0, new: false };
                assert_eq!(outcome, present[digest].then_some(expected));
            });
        }
    });
    let received = server.received();
    assert!(received.len() <= digests.len());
    let asked: usize = received.iter().map(|request| request.body.len() / 65).sum();
    assert_eq!(asked, digests.len(), "each once");
    assert_eq!(received[0].line, "POST /c/chunks/missing HTTP/1.1");
    assert_eq!(received[0].header("content-type"), Some("text/plain"));
}

#[test]
fn answers_about_missing_chunks_that_make_no_sense() {
    let digest = sha256(RAW);
    let hex = digest.to_hex();
    let wrong = [
        sha256(b"not asked for").to_hex() + "\n",
        hex[1..].to_owned() + "\n",
        hex.to_uppercase() + "\n",
        hex.clone(),
        "<html>\n".to_owned(),
        format!("{hex}\n").repeat(3),
    ];
    for body in wrong {
        let server = Server::new(move |_, _| Reply::Keep(answer(200, "", body.as_bytes())));
        let remote = remote();
        let result = sink(&remote, &server).existing(&digest);
        assert_eq!(result, Err(IoError::new(IoErrorKind::Transfer)));
        assert!(remote.failure().unwrap().url.ends_with("/missing"));
    }
    // Nobody can tell whether that is all.
    let server = Server::new(|_, _| Reply::Close(b"HTTP/1.1 200 X\r\n\r\n".to_vec()));
    sink(&remote(), &server).existing(&digest).unwrap_err();
    let server = Server::new(|_, _| Reply::Keep(b"HTTP/1.1 204\r\n\r\n".to_vec()));
    assert!(sink(&remote(), &server).existing(&digest).unwrap().is_some());
}

#[test]
fn more_workers_than_cores() {
    let server = Server::new(|_, _| Reply::Keep(Vec::new()));
    assert!(sink(&remote(), &server).suitable_workers() >= 8);
    assert!(source(&remote(), &server).suitable_workers() >= 8);
}

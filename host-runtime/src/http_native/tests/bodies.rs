//! Bodies that are cut off, too large, or compressed.

use super::super::hyper_response::BodyReader;
use super::server::{Reply, Server, answer, chunked, read_request};
use super::*;
use std::io::{BufReader, Read, Write};
use std::sync::mpsc;

const BODY: &[u8] = b"The quick brown fox jumps over the lazy dog.";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One answer in each form that there is.
fn forms() -> Vec<Vec<u8>> {
    let zstd = zstd::bulk::compress(BODY, 1).unwrap();
    vec![
        answer(200, "", BODY),
        chunked(200, "", BODY, 7),
        answer(200, "Content-Encoding: gzip\r\n", &gzip(BODY)),
        chunked(200, "Content-Encoding: zstd\r\n", &zstd, 5),
    ]
}

#[test]
fn whole_bodies() {
    for form in forms() {
        let server = Server::new(move |_, _| Reply::Keep(form.clone()));
        let answer = remote().send(&get(&server.url("/"))).unwrap();
        assert_eq!(answer.body.bytes(BODY.len() as u64).unwrap(), BODY);
    }
}

#[test]
fn a_body_that_is_cut_off_anywhere_never_succeeds() {
    let remote = remote();
    for form in forms() {
        let whole = form.len();
        let server = Server::new(move |_, number| Reply::Close(form[..number].to_vec()));
        for length in 0..whole {
            let result =
                remote.send(&get(&server.url("/"))).and_then(|answer| answer.body.bytes(1000));
            let error = result.unwrap_err();
            let expected = [HttpErrorKind::Interrupted, HttpErrorKind::Protocol];
            assert!(expected.contains(&error.kind), "{length} of {whole}: {error:?}");
        }
    }
}

#[test]
fn a_reader_never_takes_a_cut_for_the_end() {
    let remote = remote();
    let head = "HTTP/1.1 200 X\r\n".len();
    for form in forms().into_iter().take(2) {
        let start = form.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        assert!(start > head);
        let whole = form.len();
        let server = Server::new(move |_, number| Reply::Close(form[..start + number].to_vec()));
        for length in start..=whole {
            let answer = remote.send(&get(&server.url("/"))).unwrap();
            let mut read = Vec::new();
            let mut reader =
                BodyReader::start(&remote.shared.network, answer.body.into_response()).unwrap();
            let result = reader.read_to_end(&mut read);
            assert!(BODY.starts_with(&read));
            assert_eq!(result.is_ok(), length == whole, "{length} of {whole}");
            let again = reader.read(&mut [0; 10]);
            assert_eq!(again.is_ok(), length == whole, "an error stays one");
        }
    }
}

#[test]
fn a_body_that_is_cut_off_is_asked_for_again() {
    let server = Server::new(|_, number| match number {
        0 => Reply::Close(answer(200, "Btdt-Cache-Key: a\r\n", BODY)[..70].to_vec()),
        1 => Reply::Keep(answer(503, "", b"")),
        _ => Reply::Keep(answer(200, "Btdt-Cache-Key: a\r\n", BODY)),
    });
    let mut asked = get(&server.url("/"));
    asked.retries = thrice();
    let answer = remote().send(&asked).unwrap();
    assert_eq!(answer.body.bytes(1000).unwrap(), BODY);
    assert_eq!(server.received().len(), 3);
}

#[test]
fn a_body_of_another_answer_is_not_taken() {
    let server = Server::new(|_, number| {
        let key = format!("Btdt-Cache-Key: {number}\r\n");
        let bytes = answer(200, &key, BODY);
        if number == 0 { Reply::Close(bytes[..70].to_vec()) } else { Reply::Keep(bytes) }
    });
    let mut asked = get(&server.url("/"));
    asked.retries = thrice();
    let answer = remote().send(&asked).unwrap();
    assert_eq!(answer.body.bytes(1000).unwrap_err().kind, HttpErrorKind::Interrupted);
}

#[test]
fn bodies_that_are_too_large() {
    let limit = BODY.len() as u64 - 1;
    let bomb = zstd::bulk::compress(&vec![0; 1 << 20], 1).unwrap();
    let mut all = forms();
    all.push(answer(200, "Content-Encoding: zstd\r\n", &bomb));
    all.push(b"HTTP/1.1 200 X\r\nContent-Length: 99999999999\r\n\r\n".to_vec());
    for form in all {
        let server = Server::new(move |_, _| Reply::Keep(form.clone()));
        let answer = remote().send(&get(&server.url("/"))).unwrap();
        assert_eq!(answer.body.bytes(limit).unwrap_err().kind, HttpErrorKind::TooLarge);
    }
}

#[test]
fn unknown_or_wrong_compression() {
    for (encoding, body) in [("br", BODY), ("gzip", BODY), ("zstd", BODY), ("gzip", b"")] {
        let headers = format!("Content-Encoding: {encoding}\r\n");
        let server = Server::new(move |_, _| Reply::Keep(answer(200, &headers, body)));
        let answer = remote().send(&get(&server.url("/"))).unwrap();
        answer.body.bytes(1000).unwrap_err();
    }
    let mut window = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    window.window_log(27).unwrap();
    window.write_all(&vec![1; 1 << 10]).unwrap();
    window.flush().unwrap();
    let window = window.finish().unwrap();
    let server =
        Server::new(move |_, _| Reply::Keep(answer(200, "Content-Encoding: zstd\r\n", &window)));
    let answer = remote().send(&get(&server.url("/"))).unwrap();
    answer.body.bytes(1 << 20).unwrap_err();
}

#[test]
fn a_body_without_a_length_is_good_enough_for_errors_only() {
    for (status, good) in [(200, false), (500, true)] {
        let server = Server::new(move |_, _| {
            Reply::Close(format!("HTTP/1.1 {status} X\r\n\r\nmessage").into_bytes())
        });
        let answer = remote().send(&get(&server.url("/"))).unwrap();
        assert_eq!(answer.body.bytes(100).is_ok(), good, "{status}");
    }
}

/// Writes the head of an answer with 100 bytes, then one of them every 20 ms.
fn trickling(status: u16) -> Server {
    Server::raw(move |mut stream| {
        read_request(&mut BufReader::new(&stream));
        let whole = answer(status, "", &[b'x'; 100]);
        let (head, body) = whole.split_at(whole.len() - 100);
        let (_keep, never) = mpsc::channel::<()>();
        let _ = stream.write_all(head);
        for byte in body {
            let _ = never.recv_timeout(Duration::from_millis(20));
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_body_that_trickles() {
    let server = trickling(200);
    let answer = hasty().send(&get(&server.url("/"))).unwrap();
    let error = answer.body.bytes(1000).unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::TimedOut, "{error:?}");
    let remote = hasty();
    let answer = remote.send(&get(&server.url("/"))).unwrap();
    let mut reader =
        BodyReader::start(&remote.shared.network, answer.body.into_response()).unwrap();
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{error:?}");
}

/// A remote that takes what a refusal says at once.
fn curt() -> HttpRemote {
    let refusal = Duration::from_millis(300);
    let timeouts = Timeouts { refusal, ..options().timeouts };
    HttpRemote::new(Options { timeouts, ..options() }).unwrap()
}

#[test]
fn a_message_that_does_not_end_is_as_long_as_it_has_come() {
    let message = text(curt().send(&get(&trickling(500).url("/"))).unwrap());
    assert!(message.len() < 100 && message.bytes().all(|byte| byte == b'x'), "{message:?}");
    let (_keep, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let server = Server::new(move |_, number| {
        if number == 0 {
            return Reply::Keep(b"HTTP/1.1 500 X\r\nContent-Length: 999\r\n\r\nno room".to_vec());
        }
        let _ = wait.lock().unwrap().recv();
        Reply::Close(Vec::new())
    });
    assert_eq!(text(curt().send(&get(&server.url("/"))).unwrap()), "no room");
    let server = Server::new(|_, _| Reply::Keep(answer(500, "", b"a long message")));
    let answer = curt().send(&get(&server.url("/"))).unwrap();
    assert_eq!(answer.body.bytes(6).unwrap(), b"a long");
}

#[test]
fn answers_without_a_body() {
    let server = Server::new(|request, _| {
        if request.line.starts_with("HEAD") {
            Reply::Keep(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n".to_vec())
        } else {
            Reply::Keep(b"HTTP/1.1 204\r\n\r\n".to_vec())
        }
    });
    let remote = remote();
    for method in [Method::Head, Method::Get, Method::Delete, Method::Head] {
        let answer = remote.send(&request(method, &server.url("/"))).unwrap();
        assert_eq!(answer.body.bytes(0).unwrap(), b"");
    }
    assert_eq!(*server.connections.lock().unwrap(), 1);
}

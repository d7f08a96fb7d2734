//! Answers, silence, retries and redirections.

use super::server::{Reply, Server, answer};
use super::*;
use std::net::TcpListener;
use std::sync::mpsc;

#[test]
fn a_status_line_without_a_reason_phrase() {
    for line in ["HTTP/1.1 200\r\n", "HTTP/1.1 200 \r\n", "HTTP/1.0 200 Fine\r\n"] {
        let server = Server::new(move |_, _| {
            Reply::Close(format!("{line}Content-Length: 2\r\nX-Y: z\r\n\r\nok").into_bytes())
        });
        let answer = remote().send(&get(&server.url("/a?b=c%2Fd"))).unwrap();
        assert_eq!((answer.status, answer.header("x-y")), (200, Some("z")), "{line:?}");
        assert_eq!(text(answer), "ok");
        let received = server.received();
        assert_eq!(received[0].line, "GET /a?b=c%2Fd HTTP/1.1");
        assert_eq!(received[0].header("authorization"), Some("Bearer tok-secret"));
        assert!(received[0].header("user-agent").unwrap().starts_with("btdt/"));
    }
}

#[test]
fn an_ipv6_literal() {
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let server = Server::new_at("[::1]:0", |_, _| Reply::Keep(answer(200, "", b"six")));
    assert_eq!(text(remote().send(&get(&server.url("/"))).unwrap()), "six");
    let host = server.received()[0].header("host").unwrap().to_owned();
    assert_eq!(host, server.address.to_string());
}

#[test]
fn a_connection_is_used_again() {
    let server = Server::new(|_, _| Reply::Keep(answer(200, "", b"x")));
    let remote = remote();
    for _ in 0..5 {
        assert_eq!(text(remote.send(&get(&server.url("/"))).unwrap()), "x");
    }
    assert_eq!(*server.connections.lock().unwrap(), 1);
}

#[test]
fn a_request_with_headers_and_a_large_body() {
    let server = Server::new(|request, _| Reply::Keep(answer(201, "", &request.body)));
    let mut asked = request(Method::Post, &server.url("/"));
    asked.headers = vec![("X-One".to_owned(), "1".to_owned())];
    asked.body = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    let answer = remote().send(&asked).unwrap();
    assert_eq!(answer.status, 201);
    assert_eq!(answer.body.bytes(1 << 20).unwrap(), asked.body);
    let received = server.received();
    assert_eq!(received[0].header("content-length"), Some("1000000"));
    assert_eq!(received[0].header("x-one"), Some("1"));
}

#[test]
fn nobody_listens() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let pauses = Arc::new(Pauses::default());
    let mut asked = get(&format!("http://{address}/"));
    asked.retries = thrice();
    let error = failure(patient(&pauses).send(&asked));
    assert_eq!(error.kind, HttpErrorKind::Unreachable);
    assert_eq!(error.detail, format!("could not connect to {address}: connection refused"));
    assert_eq!(pauses.count(), 2);
}

#[test]
fn an_unknown_host() {
    let error = failure(remote().send(&get("http://no-such-host.invalid:8707/")));
    assert_eq!(error.kind, HttpErrorKind::Unresolved);
    assert!(error.detail.starts_with("unknown host no-such-host.invalid: "), "{}", error.detail);
}

#[test]
fn urls_that_cannot_be_asked() {
    for url in ["", "host/path", "ftp://h/", "http://", "http://u:pass-word@h/", "http://[::1/"] {
        let error = failure(remote().send(&get(url)));
        assert_eq!(error.kind, HttpErrorKind::Url, "{url}");
        assert!(!error.detail.contains("pass-word"), "{}", error.detail);
    }
}

#[test]
fn a_silent_server() {
    let server = Server::raw(|stream| {
        let mut stream = stream;
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let error = failure(hasty().send(&get(&server.url("/"))));
    assert_eq!(error.kind, HttpErrorKind::TimedOut);
    let expected = format!("{} did not answer within 0.2 s", server.address);
    assert_eq!(error.detail, expected);
}

#[test]
fn a_server_that_falls_silent() {
    let (_keep, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let server = Server::new(move |_, number| {
        if number == 0 {
            return Reply::Keep(b"HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nhalf".to_vec());
        }
        let _ = wait.lock().unwrap().recv();
        Reply::Close(Vec::new())
    });
    let answer = hasty().send(&get(&server.url("/"))).unwrap();
    let error = answer.body.bytes(100).unwrap_err();
    assert_eq!(error.kind, HttpErrorKind::TimedOut, "{}", error.detail);
}

#[test]
fn not_http() {
    for bytes in ["SSH-2.0-x\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/9 200\r\n\r\n"] {
        let server = Server::new(move |_, _| Reply::Close(bytes.as_bytes().to_vec()));
        let error = failure(remote().send(&get(&server.url("/"))));
        assert_eq!(error.kind, HttpErrorKind::Protocol, "{}", error.detail);
    }
}

#[test]
fn a_busy_server_is_asked_again() {
    let server = Server::new(|_, number| match number {
        0 => Reply::Keep(answer(503, "", b"busy")),
        1 => Reply::Keep(answer(429, "Retry-After: 7\r\n", b"")),
        _ => Reply::Keep(answer(200, "", b"done")),
    });
    let pauses = Arc::new(Pauses::default());
    let mut asked = request(Method::Put, &server.url("/"));
    asked.body = b"content".to_vec();
    asked.retries = thrice();
    assert_eq!(text(patient(&pauses).send(&asked).unwrap()), "done");
    let waited = pauses.0.lock().unwrap().clone();
    assert_eq!(waited[1], Duration::from_secs(7));
    assert!((50..=150).contains(&waited[0].as_millis()), "{waited:?}");
    assert!(server.received().iter().all(|request| request.body == b"content"));
}

#[test]
fn the_last_answer_of_a_busy_server_is_given_out() {
    let server = Server::new(|_, _| Reply::Keep(answer(503, "Retry-After: 50\r\n", b"full")));
    let pauses = Arc::new(Pauses::default());
    let remote = patient(&pauses);
    let mut asked = get(&server.url("/"));
    asked.retries = thrice();
    let answer = remote.send(&asked).unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(text(answer), "full");
    assert_eq!(*pauses.0.lock().unwrap(), [Duration::from_secs(50); 2]);
    assert_eq!(server.received().len(), 3);
    asked.retries.statuses.clear();
    assert_eq!(remote.send(&asked).unwrap().status, 503);
    assert_eq!(server.received().len(), 4);
}

#[test]
fn a_server_that_asks_for_too_much_patience_is_not_asked_again() {
    let server = Server::new(|_, _| Reply::Keep(answer(503, "Retry-After: 3600\r\n", b"later")));
    let pauses = Arc::new(Pauses::default());
    let mut asked = get(&server.url("/"));
    asked.retries = thrice();
    assert_eq!(text(patient(&pauses).send(&asked).unwrap()), "later");
    assert_eq!((pauses.count(), server.received().len()), (0, 1));
}

#[test]
fn redirections_that_take_long_are_not_followed_for_ever() {
    let pauses = Arc::new(Pauses::default());
    let clock = Arc::clone(&pauses);
    let server = Server::new(move |_, _| {
        // By the clock of the client.
        clock.pause(Duration::from_secs(59));
        Reply::Keep(answer(302, "Location: /\r\n", b""))
    });
    let mut asked = get(&server.url("/"));
    asked.retries = thrice();
    let error = failure(patient(&pauses).send(&asked));
    assert_eq!(error.kind, HttpErrorKind::TimedOut, "{error:?}");
    assert_eq!(server.received().len(), 3);
}

#[test]
fn a_connection_that_breaks_before_the_answer() {
    let server = Server::new(|_, number| match number {
        0 => Reply::Close(Vec::new()),
        1 => Reply::Close(b"HTTP/1.1 20".to_vec()),
        _ => Reply::Keep(answer(200, "", b"third")),
    });
    let mut asked = get(&server.url("/"));
    asked.retries = thrice();
    assert_eq!(text(remote().send(&asked).unwrap()), "third");
    let server = Server::new(|_, _| Reply::Close(Vec::new()));
    let error = failure(remote().send(&get(&server.url("/"))));
    assert_eq!(error.kind, HttpErrorKind::Interrupted);
    assert!(error.detail.contains(&server.address.to_string()), "{}", error.detail);
}

#[test]
fn a_refusal_with_a_message() {
    let server = Server::new(|_, _| Reply::Close(answer(403, "", b"{\"detail\":\"no\"}")));
    let answer = remote().send(&get(&server.url("/"))).unwrap();
    assert_eq!(answer.status, 403);
    assert_eq!(text(answer), "{\"detail\":\"no\"}");
}

#[test]
fn redirections_within_the_origin() {
    let server = Server::new(|request, _| {
        let to = |status, location: &str| {
            Reply::Keep(answer(status, &format!("Location: {location}\r\n"), b"moved"))
        };
        match request.line.split(' ').nth(1).unwrap() {
            "/a" => to(301, "/b?x=y"),
            "/b?x=y" => to(307, "c"),
            "/c" => Reply::Keep(answer(200, "", &request.body)),
            "/d" => to(308, "/c"),
            "/e" => to(303, "/c"),
            _ => to(302, "/loop"),
        }
    });
    let remote = remote();
    assert_eq!(remote.send(&get(&server.url("/a"))).unwrap().status, 200);
    let mut put = request(Method::Put, &server.url("/d"));
    put.body = b"kept".to_vec();
    assert_eq!(text(remote.send(&put).unwrap()), "kept");
    let last = server.received().pop().unwrap();
    assert!(last.line.starts_with("PUT /c "), "{}", last.line);
    assert_eq!(last.header("authorization"), Some("Bearer tok-secret"));
    put.url = server.url("/e");
    let error = failure(remote.send(&put));
    assert_eq!(error.kind, HttpErrorKind::Redirect);
    let before = server.received().len();
    let error = failure(remote.send(&get(&server.url("/loop"))));
    assert_eq!(error.kind, HttpErrorKind::Redirect);
    assert_eq!(server.received().len() - before, 6, "the request and five redirections");
}

#[test]
fn no_redirection_to_another_origin() {
    let other = Server::new(|_, _| Reply::Keep(answer(200, "", b"stolen")));
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}\r\n", other.url("/x?token=abc"));
        let server = Server::new(move |_, _| Reply::Keep(answer(status, &location, b"")));
        let mut asked = get(&server.url("/"));
        asked.retries = thrice();
        let error = failure(remote().send(&asked));
        assert_eq!(error.kind, HttpErrorKind::Redirect);
        assert!(error.detail.contains(&other.url("/x")), "{}", error.detail);
        assert_eq!(server.received().len(), 1, "not tried again");
    }
    assert_eq!(*other.connections.lock().unwrap(), 0);
}

#[test]
fn debug_output_has_no_token() {
    let remote = remote();
    let server = Server::new(|_, _| Reply::Keep(answer(200, "", b"")));
    remote.send(&get(&server.url("/"))).unwrap();
    assert!(!format!("{remote:?}").contains(TOKEN));
}

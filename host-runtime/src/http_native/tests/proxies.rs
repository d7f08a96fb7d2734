//! Requests through proxies.

use super::server::{Reply, Server, answer, read_head};
use super::*;
use std::io::{BufReader, Write};
use std::net::TcpListener;

fn through(http: &str, https: &str, no: &str) -> HttpRemote {
    let own = |text: &str| text.to_owned();
    let proxies = Proxies { http: own(http), https: own(https), no: own(no) };
    HttpRemote::new(Options { proxies, ..options() }).unwrap()
}

#[test]
fn plain_http_through_a_proxy_with_a_password() {
    let proxy = Server::new(|_, _| Reply::Keep(answer(200, "", b"by proxy")));
    let remote = through(&format!("http://me:pass-word@{}", proxy.address), "", "direct.invalid");
    assert_eq!(text(remote.send(&get("http://cache.invalid:8707/x")).unwrap()), "by proxy");
    let received = proxy.received();
    assert_eq!(received[0].line, "GET http://cache.invalid:8707/x HTTP/1.1");
    assert_eq!(received[0].header("proxy-authorization"), Some("Basic bWU6cGFzcy13b3Jk"));
    let error = failure(remote.send(&get("http://direct.invalid/")));
    assert_eq!(error.kind, HttpErrorKind::Unresolved, "not through the proxy");
    assert_eq!(proxy.received().len(), 1);
}

#[test]
fn https_through_a_tunnel() {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&lines);
    let proxy = Server::raw(move |mut stream| {
        let request = read_head(&mut BufReader::new(&stream)).unwrap();
        let authorization = request.header("proxy-authorization").unwrap_or("-").to_owned();
        assert_eq!(request.header("authorization"), None, "the token is not for the proxy");
        seen.lock().unwrap().push(format!("{} {authorization}", request.line));
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").unwrap();
    });
    let address = proxy.address;
    let remote = through("", &format!("http://me:pass-word@{address}"), "");
    let error = failure(remote.send(&get("https://cache.invalid/x")));
    assert_eq!(error.kind, HttpErrorKind::Proxy);
    let expected = format!("the proxy {address} refuses connections to cache.invalid:443");
    assert_eq!(error.detail, expected);
    let expected = "CONNECT cache.invalid:443 HTTP/1.1 Basic bWU6cGFzcy13b3Jk";
    assert_eq!(*lines.lock().unwrap(), [expected]);
}

#[test]
fn proxies_of_the_environment() {
    let of = |variables: &[(&str, &str)]| {
        let variable = |name: &str| {
            let mut found = variables.iter().filter(|(other, _)| *other == name);
            found.next().map(|(_, value)| (*value).to_owned())
        };
        let Proxies { http, https, no } = Proxies::of_environment(variable);
        format!("{http} {https} {no}")
    };
    assert_eq!(of(&[]), "  ");
    assert_eq!(of(&[("HTTP_PROXY", "a"), ("NO_PROXY", "c")]), "a  c");
    assert_eq!(of(&[("https_proxy", "b"), ("no_proxy", "c")]), " b c");
    assert_eq!(of(&[("all_proxy", "d"), ("HTTPS_PROXY", "b")]), "d b ");
    assert_eq!(of(&[("ALL_PROXY", "d"), ("http_proxy", "")]), "d d ");
    assert_eq!(of(&[("HTTP_PROXY", "a"), ("http_proxy", "b")]), "a  ");
    assert_eq!(of(&[("ALL_PROXY", "a"), ("REQUEST_METHOD", "GET")]), "  ");
}

#[test]
fn what_is_asked_directly() {
    let direct = Server::new(|_, _| Reply::Keep(answer(200, "", b"direct")));
    let proxy = Server::new(|_, _| Reply::Keep(answer(200, "", b"by proxy")));
    let by = format!("http://{}", proxy.address);
    let port = direct.address.port();
    let here = direct.url("/");
    let named = format!("http://localhost:{port}/");
    let other = port ^ 1;
    for (url, list, expected) in [
        (&here, "*".to_owned(), "direct"),
        (&here, "a.invalid *".to_owned(), "direct"),
        (&here, "127.0.0.1".to_owned(), "direct"),
        (&here, "a.invalid,127.0.0.0/8".to_owned(), "direct"),
        (&here, format!("127.0.0.1:{port}"), "direct"),
        (&here, format!("127.0.0.1:{other}"), "by proxy"),
        (&here, "127.0.0.2, localhost".to_owned(), "by proxy"),
        (&here, "127.0.0.1.invalid".to_owned(), "by proxy"),
        (&here, ",,".to_owned(), "by proxy"),
        (&named, "localhost".to_owned(), "direct"),
        (&named, "LocalHost.".to_owned(), "direct"),
        (&named, ".localhost".to_owned(), "direct"),
        (&named, format!("a.invalid,localhost:{port}"), "direct"),
        (&named, format!("localhost:{other}"), "by proxy"),
        (&named, "host, 127.0.0.1".to_owned(), "by proxy"),
    ] {
        let remote = through(&by, "", &list);
        assert_eq!(text(remote.send(&get(url)).unwrap()), expected, "{url} {list}");
        assert_eq!(text(upload(&remote, url).unwrap()), expected, "an upload to {url} {list}");
    }
    // Nobody answers for these names.
    for (host, list, is_direct) in [
        ("a.localhost.invalid", "*.localhost.invalid", true),
        ("a.b.localhost.invalid", "localhost.invalid", true),
        ("alocalhost.invalid", "*.localhost.invalid", false),
        ("dotted.invalid.", "dotted.invalid", true),
        ("dotted.invalid", "dotted.invalid.", true),
    ] {
        let result = through(&by, "", list).send(&get(&format!("http://{host}/")));
        assert_eq!(result.is_err(), is_direct, "{host} {list}");
    }
}

#[test]
fn addresses_of_ipv6_that_are_asked_directly() {
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let direct = Server::new_at("[::1]:0", |_, _| Reply::Keep(answer(200, "", b"direct")));
    let proxy = Server::new(|_, _| Reply::Keep(answer(200, "", b"by proxy")));
    let by = format!("http://{}", proxy.address);
    let port = direct.address.port();
    for (list, expected) in [
        ("::1".to_owned(), "direct"),
        ("[::1]".to_owned(), "direct"),
        (format!("[::1]:{port}"), "direct"),
        ("::/64".to_owned(), "direct"),
        (format!("[::1]:{}", port ^ 1), "by proxy"),
        ("[::2]".to_owned(), "by proxy"),
    ] {
        let answer = through(&by, "", &list).send(&get(&direct.url("/"))).unwrap();
        assert_eq!(text(answer), expected, "{list}");
    }
}

#[test]
fn a_setting_that_is_no_proxy_is_refused_where_it_is_needed() {
    let server = Server::new(|_, _| Reply::Keep(answer(200, "", b"direct")));
    for value in ["::garbage::", "ftp://127.0.0.1:1", "http://", "http://me:pass-word@:x", "a b"] {
        for result in [
            through(value, "", "").send(&get(&server.url("/"))),
            upload(&through(value, "", ""), &server.url("/")),
        ] {
            let error = failure(result);
            assert_eq!(error.kind, HttpErrorKind::Proxy, "{value}: {error:?}");
            assert!(error.detail.contains("HTTP_PROXY"), "{value}: {error:?}");
            assert!(!error.detail.contains("pass-word"), "{value}: {error:?}");
        }
        for remote in [through("", value, ""), through(value, "", "127.0.0.1")] {
            assert_eq!(text(remote.send(&get(&server.url("/"))).unwrap()), "direct", "{value}");
        }
    }
    // Without a scheme it is one of HTTP.
    let proxy = Server::new(|_, _| Reply::Keep(answer(200, "", b"by proxy")));
    let remote = through(&format!("me:pass-word@{}", proxy.address), "", "");
    assert_eq!(text(remote.send(&get("http://cache.invalid/")).unwrap()), "by proxy");
}

fn upload(remote: &HttpRemote, url: &str) -> Result<HttpResponse<HttpBody>, HttpError> {
    remote.upload_from(&request(Method::Put, url), &b"archive"[..])
}

#[test]
fn uploads_through_a_proxy() {
    let proxy = Server::new(|request, _| Reply::Keep(answer(200, "", &request.body)));
    let remote = through(&format!("http://me:pass-word@{}", proxy.address), "", "");
    let answer = upload(&remote, "http://cache.invalid:8707/x?key=k").unwrap();
    assert_eq!(text(answer), "archive");
    let received = proxy.received();
    assert_eq!(received[0].line, "PUT http://cache.invalid:8707/x?key=k HTTP/1.1");
    assert_eq!(received[0].header("host"), Some("cache.invalid:8707"));
    assert_eq!(received[0].header("proxy-authorization"), Some("Basic bWU6cGFzcy13b3Jk"));
}

/// Opens tunnels to `target`, whatever is asked for.
fn tunnel_to(target: std::net::SocketAddr) -> Server {
    Server::raw(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let request = read_head(&mut reader).unwrap();
        assert_eq!(request.line, "CONNECT localhost:443 HTTP/1.1");
        assert_eq!(request.header("authorization"), None, "the token is not for the proxy");
        let mut onward = std::net::TcpStream::connect(target).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n").unwrap();
        let mut back = onward.try_clone().unwrap();
        std::thread::spawn(move || std::io::copy(&mut back, &mut stream));
        let _ = std::io::copy(&mut reader, &mut onward);
    })
}

#[test]
fn tls_through_a_tunnel() {
    let authority = super::tls::authority("ours");
    let server = super::tls::issued(&authority, "localhost");
    let proxy = tunnel_to(server.address);
    let https = format!("http://{}", proxy.address);
    let proxies = Proxies { https, ..Proxies::default() };
    let root_certificates = vec![authority.pem().into_bytes()];
    let remote = HttpRemote::new(Options { proxies, root_certificates, ..options() }).unwrap();
    assert_eq!(text(remote.send(&get("https://localhost/x")).unwrap()), "secure");
    assert_eq!(text(upload(&remote, "https://localhost/x").unwrap()), "secure");
}

#[test]
fn proxies_that_do_not_help() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = format!("http://me:pass-word@{closed}");
    for url in ["http://cache.invalid/", "https://cache.invalid/"] {
        let error = failure(through(&proxy, &proxy, "").send(&get(url)));
        assert_eq!(failure(upload(&through(&proxy, &proxy, ""), url)), error);
        assert_eq!(error.kind, HttpErrorKind::Proxy, "{}", error.detail);
        let expected = format!("through the proxy {closed}: connection refused");
        assert!(error.detail.ends_with(&expected), "{}", error.detail);
        assert!(!error.detail.contains("pass-word"));
    }
    let strict = Server::new(|_, _| Reply::Close(answer(407, "", b"")));
    let proxy = format!("http://{}", strict.address);
    for url in ["http://cache.invalid/", "https://cache.invalid/"] {
        let error = failure(through(&proxy, &proxy, "").send(&get(url)));
        assert_eq!(error.kind, HttpErrorKind::Proxy);
        assert!(error.detail.contains("asks for a name and a password"), "{}", error.detail);
        assert_eq!(failure(upload(&through(&proxy, &proxy, ""), url)), error);
    }
    let error = failure(through("socks5://127.0.0.1:1", "", "").send(&get("http://h.invalid/")));
    assert_eq!(error.kind, HttpErrorKind::Proxy);
    assert!(error.detail.contains("SOCKS"), "{}", error.detail);
}

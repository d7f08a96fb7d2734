//! Requests through proxies.

use super::server::{Reply, Server, answer, read_head};
use super::*;
use std::io::{BufReader, Write};
use std::net::TcpListener;

fn through(http: &str, https: &str, no: &str) -> HttpRemote {
    let own = |text: &str| text.to_owned();
    let proxies = Proxies::Fixed(FixedProxies { http: own(http), https: own(https), no: own(no) });
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
fn proxies_that_do_not_help() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = format!("http://me:pass-word@{closed}");
    for url in ["http://cache.invalid/", "https://cache.invalid/"] {
        let error = failure(through(&proxy, &proxy, "").send(&get(url)));
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
    }
    let error = failure(through("socks5://127.0.0.1:1", "", "").send(&get("http://h.invalid/")));
    assert_eq!(error.kind, HttpErrorKind::Proxy);
    assert!(error.detail.contains("SOCKS"), "{}", error.detail);
}

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

/// Not a test of its own: [`proxies_of_the_environment`] runs it in a process that has them.
#[test]
#[ignore = "needs an environment that another test makes"]
fn in_an_environment() {
    let remote = HttpRemote::new(Options { proxies: Proxies::Environment, ..options() }).unwrap();
    for url in ["http://cache.invalid/", "https://cache.invalid/", "http://direct.invalid/"] {
        let result = remote.send(&get(url)).map(|answer| answer.status);
        println!("{url} {:?}", result.map_err(|error| error.kind));
    }
}

#[test]
fn proxies_of_the_environment() {
    // A tunnel to nowhere, and an answer to everything else.
    let proxy = Server::new(|request, _| {
        Reply::Keep(answer(if request.line.starts_with("CONNECT") { 502 } else { 200 }, "", b""))
    });
    let url = format!("http://{}", proxy.address);
    let (by_http, by_https) =
        ("http://cache.invalid/ Ok(200)", "https://cache.invalid/ Err(Proxy)");
    let cases: [(&[&str], &[&str]); 6] = [
        (&["HTTP_PROXY"], &[by_http]),
        (&["http_proxy"], &[by_http]),
        (&["HTTPS_PROXY"], &[by_https]),
        (&["https_proxy"], &[by_https]),
        (&["ALL_PROXY"], &[by_http, by_https]),
        (&["all_proxy"], &[by_http, by_https]),
    ];
    for (at, (names, by_proxy)) in cases.into_iter().enumerate() {
        let no_proxy = if at % 2 == 0 { "NO_PROXY" } else { "no_proxy" };
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "http::tests::proxies::in_an_environment",
                "--ignored",
                "--nocapture",
            ])
            .env_clear()
            .envs(names.iter().map(|name| (name, &url)))
            .env(no_proxy, "other.invalid, direct.invalid")
            .output()
            .unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        for line in [by_http, by_https] {
            assert_eq!(output.contains(line), by_proxy.contains(&line), "{names:?}: {output}");
        }
        assert!(output.contains("http://direct.invalid/ Err(Unresolved)"), "{names:?}: {output}");
    }
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
    let proxies = Proxies::Fixed(FixedProxies { https, ..FixedProxies::default() });
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

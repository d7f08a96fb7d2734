//! The binary itself: `check-config`, `health-check` and the rest of the command line.

use btdt_server::config::TlsConfig;
use btdt_server::tls::Tls;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;
use tempfile::TempDir;

fn server(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_btdt-server"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

/// A server that answers one request with this, and gives what it was asked.
fn answering(answer: &'static str) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    (port, thread)
}

#[test]
fn check_config_says_what_it_found() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let config = format!(
        "auth_private_key = '{}'\n[caches]\nmain = {{ type = 'Filesystem', path = '{}' }}\n",
        path("key.pem"),
        path("cache")
    );
    fs::write(path("config.toml"), config).unwrap();
    let file = path("config.toml");
    let output = server(&["check-config"], &[("BTDT_SERVER_CONFIG_FILE", &file)]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let printed = text(&output.stdout).replace(&directory.path().display().to_string(), "DIR");
    assert_eq!(
        printed,
        "Configuration: DIR/config.toml\n\
         Address: http://0.0.0.0:8707\n\
         TLS: off\n\
         Private key: DIR/key.pem\n\
         Cleanup: every 10m\n\
         Cache main: DIR/cache, entries expire after 7days, cleaned down to 50.0 GiB\n\
         The configuration is valid.\n"
    );
    assert!(output.stderr.is_empty());
    assert!(!directory.path().join("cache").exists(), "a check creates nothing");
}

#[test]
fn check_config_and_start_refuse_what_is_wrong() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("config.toml");
    fs::write(&file, "bind_addr = []\n").unwrap();
    let file = file.display().to_string();
    for arguments in [&["check-config"][..], &["start"], &[], &["--log-format", "json"]] {
        let output = server(arguments, &[("BTDT_SERVER_CONFIG_FILE", &file)]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let message = text(&output.stderr);
        let start = format!(
            "Error: The configuration cannot be used.\n{file}:1: bind_addr: unknown key; did you"
        );
        assert!(message.starts_with(&start), "{message}");
        assert!(message.contains("\nthere is no key to check tokens with"), "{message}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn check_config_refuses_what_start_could_not_use() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::os::unix::fs::symlink("nowhere", path("link")).unwrap();
    let (key, file) = (path("key.pem"), path("config.toml"));
    for (lines, expected) in [
        (
            "bind_addrs = ['name.invalid:0']".to_owned(),
            "Error: Could not listen on name.invalid:0: ".to_owned(),
        ),
        (
            "[limits]\nmax_transfers = 1000000".to_owned(),
            "limits.max_transfers: a whole number from 1 to 4096 was expected".to_owned(),
        ),
        (
            format!("[caches]\na = {{ type = 'Filesystem', path = '{}' }}", path("link/cache")),
            format!("the symbolic link {} leads to a place that does not exist", path("link")),
        ),
    ] {
        fs::write(&file, format!("auth_private_key = '{key}'\n{lines}\n")).unwrap();
        for command in ["check-config", "start"] {
            let output = server(&[command], &[("BTDT_SERVER_CONFIG_FILE", &file)]);
            assert_eq!(output.status.code(), Some(1), "{command}: {output:?}");
            let message = text(&output.stderr);
            assert!(message.contains(&expected), "{command}: {message}");
        }
    }
    // The largest number works.
    fs::write(
        &file,
        format!(
            "bind_addrs = ['127.0.0.1:0']\nauth_private_key = '{key}'\n[limits]\nmax_transfers = 4096\n"
        ),
    )
    .unwrap();
    let mut started = Command::new(env!("CARGO_BIN_EXE_btdt-server"))
        .env_clear()
        .env("BTDT_SERVER_CONFIG_FILE", &file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(started.stdout.take().unwrap()).lines();
    let listens = lines.any(|line| line.is_ok_and(|line| line.contains("Listening")));
    started.kill().unwrap();
    started.wait().unwrap();
    assert!(listens);
}

#[test]
fn a_password_that_is_wrong_is_not_shown() {
    let directory = TempDir::new().unwrap();
    let keystore = directory.path().join("k.p12").display().to_string();
    fs::write(&keystore, "no keystore").unwrap();
    let key = directory.path().join("key").display().to_string();
    let output = server(
        &["check-config"],
        &[
            ("BTDT_TLS_KEYSTORE", &keystore),
            ("BTDT_TLS_KEYSTORE_PASSWORD", "hunter2"),
            ("BTDT_AUTH_PRIVATE_KEY", &key),
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(message.starts_with(&format!("Error: TLS cannot be used: {keystore}")), "{message}");
    assert!(!message.contains("hunter2"));
}

#[test]
fn a_healthy_server() {
    for url in ["http://127.0.0.1:PORT", "http://localhost:PORT/", "http://127.0.0.1:PORT/x/y?z"] {
        let (port, asked) = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK");
        let url = url.replace("PORT", &port.to_string());
        let output = server(&["health-check", &url], &[]);
        assert_eq!(text(&output.stdout), "Server is healthy.\n", "{output:?}");
        assert_eq!(output.status.code(), Some(0));
        let asked = asked.join().unwrap();
        assert!(asked.starts_with("GET /api/health HTTP/1.1\r\n"), "{asked}");
        assert!(asked.to_lowercase().contains(&format!(":{port}\r\n")), "{asked}");
    }
}

/// A server that speaks TLS as `name`, answers one request, if it gets one, and is healthy. Gives
/// the file of its root certificate too.
fn answering_with_tls(directory: &TempDir, name: &str) -> (u16, String, JoinHandle<()>) {
    let issued = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let (certificate, private_key) = (directory.path().join("crt"), directory.path().join("key"));
    fs::write(&certificate, issued.cert.pem()).unwrap();
    fs::write(&private_key, issued.signing_key.serialize_pem()).unwrap();
    let root = certificate.display().to_string();
    let tls = Tls::load(&TlsConfig::Pem { certificate, private_key }).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(tls.server_config()).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            // The client hangs up where it does not trust the certificate.
            if stream.read(&mut byte).unwrap_or(0) == 0 {
                return;
            }
            request.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").unwrap();
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    (port, root, thread)
}

#[test]
fn certificates_have_to_be_trusted() {
    let directory = TempDir::new().unwrap();
    let other = TempDir::new().unwrap();
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other_root = other.path().join("crt").display().to_string();
    fs::write(&other_root, issued.cert.pem()).unwrap();
    for (name, host, root, by_variable, healthy) in [
        ("localhost", "localhost", "own", false, true),
        ("localhost", "localhost", "own", true, true),
        ("127.0.0.1", "127.0.0.1", "own", false, true),
        ("localhost", "127.0.0.1", "own", false, false),
        ("localhost", "localhost", "other", false, false),
        ("localhost", "localhost", "none", false, false),
    ] {
        let (port, own_root, thread) = answering_with_tls(&directory, name);
        let url = format!("https://{host}:{port}");
        let mut arguments = vec!["health-check", url.as_str()];
        let mut variables = Vec::new();
        let file = if root == "own" { own_root.as_str() } else { other_root.as_str() };
        if by_variable {
            variables.push(("BTDT_TRUSTED_ROOT_CERTS", file));
        } else if root != "none" {
            arguments.extend(["--root-cert", file]);
        }
        let output = server(&arguments, &variables);
        assert_eq!(output.status.success(), healthy, "{host} {output:?}");
        thread.join().unwrap();
    }
}

#[test]
fn a_server_that_is_not_healthy() {
    for (answer, expected) in [
        (
            "HTTP/1.1 503 Nope\r\nContent-Length: 5\r\n\r\nfull\n",
            "Error: Server health check failed with status: 503\nfull\n",
        ),
        ("HTTP/1.1 404\r\n\r\n", "Error: Server health check failed with status: 404\n"),
        (
            "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
            "Error: Server health check failed with status: 302\n",
        ),
    ] {
        let (port, asked) = answering(answer);
        let output = server(&["health-check", &format!("http://127.0.0.1:{port}")], &[]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(text(&output.stderr), expected);
        assert!(output.stdout.is_empty());
        asked.join().unwrap();
    }
    let (port, asked) = answering("SSH-2.0-hello\r\n");
    let output = server(&["health-check", &format!("http://127.0.0.1:{port}")], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("cannot be reached: "), "{output:?}");
    asked.join().unwrap();
}

#[test]
fn nobody_there() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let output = server(&["health-check", &format!("http://127.0.0.1:{port}")], &[]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(message.starts_with("Error: The server at 127.0.0.1:"), "{message}");
}

#[test]
fn addresses_that_are_none() {
    for url in ["localhost", "ftp://x", "http://", "http://user:secret@host/", "http://h:99999", ""]
    {
        let output = server(&["health-check", url], &[]);
        assert_eq!(output.status.code(), Some(1), "{url}: {output:?}");
        let message = text(&output.stderr);
        assert!(message.contains("is not the address of a server"), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    let output = server(&["health-check", "http://x", "--root-cert", "/does/not/exist"], &[]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn version_help_and_mistakes() {
    let version = server(&["--version"], &[]);
    assert_eq!(text(&version.stdout), concat!("btdt-server ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = server(&["--help"], &[]);
    assert_eq!(help.status.code(), Some(0));
    for word in ["check-config", "health-check", "--log-format", "BTDT_SERVER_CONFIG_FILE"] {
        assert!(text(&help.stdout).contains(word), "{word}");
    }
    for wrong in [&["stop"][..], &["health-check"], &["--log-format", "xml"]] {
        assert_eq!(server(wrong, &[]).status.code(), Some(2), "{wrong:?}");
    }
}

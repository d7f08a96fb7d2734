//! Keys and tokens in files.

use super::super::{
    KeyFault, KeyOrigin, Token, TokenFile, TokenFileError, create_key_files, load_or_create,
    read_public_keys,
};
use super::*;
use biscuit_auth::{Algorithm, KeyPair};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

fn write(directory: &Path, text: &str, mode: u32) -> PathBuf {
    let path = directory.join("file");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_missing_private_key_is_made_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    let (key, origin) = load_or_create(&path).unwrap();
    assert_eq!((origin, mode(&path)), (KeyOrigin::Created, 0o600));
    let (again, origin) = load_or_create(&path).unwrap();
    assert_eq!((origin, again.public()), (KeyOrigin::Loaded, key.public()));
    let other = directory.path().join("other.pem");
    assert_ne!(load_or_create(&other).unwrap().0.public(), key.public());
}

#[test]
fn servers_that_start_together_share_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    let keys: Vec<PublicKey> = std::thread::scope(|scope| {
        let make = || load_or_create(&path).map(|(key, _)| key.public());
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn private_keys_that_are_refused_stay_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let pem = PrivateKey::generate().to_pem().unwrap();
    for (text, mode_bits, expected) in [
        (pem.as_str(), 0o640, "its mode is 0640; run: chmod 600"),
        (pem.as_str(), 0o604, "its mode is 0604; run: chmod 600"),
        ("garbage", 0o600, "not an Ed25519 private key in PEM"),
        ("", 0o600, "not an Ed25519 private key in PEM"),
        (&pem[..60], 0o600, "not an Ed25519 private key in PEM"),
    ] {
        let path = write(directory.path(), text, mode_bits);
        let message = load_or_create(&path).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains(&path.display().to_string()), "{message}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(mode(&path), mode_bits);
    }
    let message = load_or_create(directory.path()).unwrap_err().to_string();
    assert!(message.contains("is a directory"), "{message}");
    let message = load_or_create(&directory.path().join("none/key")).unwrap_err().to_string();
    assert!(message.contains("cannot create"), "{message}");
    let dangling = directory.path().join("dangling");
    symlink("none", &dangling).unwrap();
    let message = load_or_create(&dangling).unwrap_err().to_string();
    assert!(message.contains("cannot create"), "{message}");
}

#[test]
fn messages_do_not_tell_what_is_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(directory.path(), "hunter2", 0o600);
    for message in [
        format!("{0} {0:?}", load_or_create(&path).unwrap_err()),
        format!("{0} {0:?}", TokenFile::read(&path, false).unwrap_err()),
        format!("{0} {0:?}", read_public_keys(&path).unwrap_err()),
    ] {
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn private_keys_as_text() {
    let key = PrivateKey::generate();
    let pem = key.to_pem().unwrap();
    for text in [pem.clone(), pem.trim_end().to_owned(), format!("\n{pem}\n\n")] {
        assert_eq!(PrivateKey::from_pem(&text).unwrap().public(), key.public());
    }
    let public = key.public();
    let fault = |text: &str| PrivateKey::from_pem(text).unwrap_err();
    assert_eq!(fault(&public.to_pem().unwrap()), KeyFault::PublicInstead);
    assert_eq!(fault(&public.to_string()), KeyFault::PublicInstead);
    let ecdsa = KeyPair::new_with_algorithm(Algorithm::Secp256r1);
    assert_eq!(fault(&ecdsa.to_private_key_pem().unwrap()), KeyFault::OtherAlgorithm);
}

#[test]
fn public_keys_as_text() {
    let (one, two) = (PrivateKey::generate().public(), PrivateKey::generate().public());
    let text = format!("# old\n{one}\n\n# new\n{}", two.to_pem().unwrap());
    assert_eq!(PublicKey::parse_all(&text).unwrap(), [one, two]);
    let pem = two.to_pem().unwrap();
    assert_eq!(PublicKey::parse_all(pem.trim_end()).unwrap(), [two]);

    let fault = |text: &str| PublicKey::parse_all(text).unwrap_err();
    assert_eq!(fault(""), KeyFault::NotPublic);
    assert_eq!(fault("ed25519/00"), KeyFault::NotPublic);
    assert_eq!(fault(&pem[..50]), KeyFault::NotPublic);
    assert_eq!(fault(&format!("{one}\nrubbish")), KeyFault::NotPublic);
    let private = PrivateKey::generate();
    assert_eq!(fault(&private.to_pem().unwrap()), KeyFault::PrivateInstead);
    assert_eq!(fault(&private.pair().private().to_prefixed_string()), KeyFault::PrivateInstead);
    let ecdsa = KeyPair::new_with_algorithm(Algorithm::Secp256r1).public();
    assert_eq!(fault(&ecdsa.to_pem().unwrap()), KeyFault::OtherAlgorithm);
    assert_eq!(fault(&ecdsa.to_string()), KeyFault::OtherAlgorithm);
}

#[test]
fn a_pair_of_key_files_never_replaces_anything() {
    let directory = tempfile::tempdir().unwrap();
    let (private, public) = (directory.path().join("private"), directory.path().join("public"));
    let key = create_key_files(Some(&private), Some(&public)).unwrap();
    assert_eq!(PrivateKey::read(&private).unwrap().public(), key.public());
    assert_eq!(read_public_keys(&public).unwrap(), [key.public()]);
    assert_eq!(mode(&private), 0o600);
    let before = fs::read(&private).unwrap();
    let other = directory.path().join("other");
    assert!(create_key_files(Some(&private), Some(&other)).is_err());
    assert!(!other.exists(), "no public key without its private key");
    assert!(create_key_files(Some(&other), Some(&public)).is_err());
    assert!(!other.exists());
    assert_eq!(fs::read(&private).unwrap(), before);
}

#[test]
fn token_files_and_their_modes() {
    let directory = tempfile::tempdir().unwrap();
    let token = Server::new().issue(&Restrictions::default());
    // mode, alone, with the group allowed to read
    for (mode, alone, with_group) in
        [(0o600, true, true), (0o440, false, true), (0o660, false, false), (0o644, false, false)]
    {
        let path = write(directory.path(), &token, mode);
        assert_eq!(TokenFile::read(&path, false).is_ok(), alone, "{mode:o}");
        assert_eq!(TokenFile::read(&path, true).is_ok(), with_group, "{mode:o}");
    }
    let path = write(directory.path(), &token, 0o440);
    let message = TokenFile::read(&path, false).unwrap_err().to_string();
    assert!(message.contains("its mode is 0440"), "{message}");
    assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
    // A secret of Kubernetes is a link to a file in another directory.
    let link = directory.path().join("token");
    symlink("file", &link).unwrap();
    assert!(matches!(TokenFile::read(&link, false), Err(TokenFileError::GroupReadable { .. })));
    assert!(TokenFile::read(&link, true).is_ok());
}

#[test]
fn token_files_as_pipes_make_them() {
    let token =
        Server::new().issue_datalog("user(\"somebody with a long name, so that lines wrap\")");
    let wrap = |text: &str| {
        let lines = text.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap());
        lines.collect::<Vec<_>>().join("\n") + "\n"
    };
    let again = |text: &str| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    for text in [
        token.clone(),
        format!("  {token}\r\n"),
        wrap(&token),
        wrap(&again(&format!("{token}\n"))),
        again(&wrap(&token)),
    ] {
        assert_eq!(Token::parse(&text).unwrap().to_text(), token, "{text}");
    }
    for text in ["", "hunter2", &again("hunter2"), &again(&again(&token)), &token[4..]] {
        assert!(Token::parse(text).is_err(), "{text}");
    }
}

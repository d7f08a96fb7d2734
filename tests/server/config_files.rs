//! Which file is read, and what the configuration names on the disk.

use super::{AnyFiles, KEY, sources};
use btdt_server::config::{Files, Sources, SystemFiles, create_cache_directories, load};
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

fn expiry(sources: &Sources) -> u64 {
    load(sources, &AnyFiles).unwrap().config.cleanup_interval.as_secs()
}

#[test]
fn one_file_is_read_and_the_variable_comes_first() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    for (name, minutes) in [("named", 1), ("etc", 2), ("root", 3)] {
        fs::write(path(name), format!("[cleanup]\ninterval = '{minutes}min'\n")).unwrap();
    }
    let mut sources = sources(&directory, None, &[KEY]);
    sources.default_files = vec![path("etc"), path("root")];
    assert_eq!(expiry(&sources), 120);
    let warnings = load(&sources, &AnyFiles).unwrap().warnings;
    assert!(warnings[0].contains("root is not read, because another file comes first"));

    let variable = OsString::from("BTDT_SERVER_CONFIG_FILE");
    sources.variables.push((variable.clone(), path("named").into()));
    assert_eq!(expiry(&sources), 60);
    fs::remove_file(path("named")).unwrap();
    let error = load(&sources, &AnyFiles).unwrap_err().to_string();
    assert!(error.contains("named: the configuration cannot be read: No such file"), "{error}");

    sources.variables.pop();
    sources.variables.push((variable, OsString::new()));
    fs::remove_file(path("etc")).unwrap();
    assert_eq!(expiry(&sources), 180);
    fs::remove_file(path("root")).unwrap();
    assert_eq!(expiry(&sources), 600);
}

#[test]
fn files_that_are_no_configuration_are_refused() {
    let directory = TempDir::new().unwrap();
    let sources = sources(&directory, None, &[KEY]);
    let path = &sources.default_files[0];
    let error = || {
        let error = load(&sources, &AnyFiles).unwrap_err().to_string();
        error.strip_prefix(&format!("{}", path.display())).unwrap().to_owned()
    };
    fs::write(path, b"a = 1\n# \xff").unwrap();
    assert_eq!(error(), ":2: this is not valid UTF-8");
    fs::write(path, "#".repeat((1 << 20) + 1)).unwrap();
    assert_eq!(error(), ": the file is larger than 1 MiB");
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
    assert!(error().starts_with(": the configuration cannot be read: "));
}

#[test]
fn named_files_have_to_be_readable() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing").display().to_string();
    for key in ["tls_keystore", "tls_certificate", "auth_revocation_list"] {
        let file = format!("# first line\n{key} = '{missing}'\n");
        let sources = sources(&directory, Some(&file), &[KEY]);
        let error = load(&sources, &SystemFiles).unwrap_err().to_string();
        let line = format!("config.toml:2: {key}: {missing} cannot be read: No such file");
        assert!(error.contains(&line), "{error}");
    }
    let sources = sources(&directory, Some(""), &[("BTDT_AUTH_PUBLIC_KEYS", &missing)]);
    let error = load(&sources, &SystemFiles).unwrap_err().to_string();
    assert!(error.starts_with("BTDT_AUTH_PUBLIC_KEYS: "), "{error}");
    assert!(!error.contains("no key to check tokens with"), "one thing is wrong, not two: {error}");
}

#[test]
fn a_private_key_may_be_missing_where_it_can_be_created() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    SystemFiles.check_private_key(&path.join("key.pem")).unwrap();
    let error = SystemFiles.check_private_key(&path.join("no/key.pem")).unwrap_err();
    assert!(error.starts_with("neither the file ") && error.ends_with("nor its directory exists"));
    let error = SystemFiles.check_private_key(path).unwrap_err();
    assert!(error.ends_with("is not a file"), "{error}");
}

#[test]
fn cache_directories_are_used_or_created() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a/b");
    SystemFiles.check_cache_directory(directory.path()).unwrap();
    SystemFiles.check_cache_directory(&path).unwrap();
    assert!(!path.exists(), "a check creates nothing");
    let file = format!("[caches]\nb = {{ type = 'Filesystem', path = '{}' }}\n", path.display());
    let key = directory.path().join("key").display().to_string();
    let variables = [("BTDT_AUTH_PRIVATE_KEY", key.as_str())];
    let loaded = load(&sources(&directory, Some(&file), &variables), &SystemFiles).unwrap();
    create_cache_directories(&loaded.config).unwrap();
    assert!(path.is_dir());
    let error = SystemFiles.check_cache_directory(&directory.path().join("config.toml"));
    assert!(error.unwrap_err().ends_with("is not a directory"));
    let below = directory.path().join("config.toml/c");
    assert!(SystemFiles.check_cache_directory(&below).is_err());
}

#[test]
fn directories_without_permission_say_whose_they_are() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("cache");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o555)).unwrap();
    // To root, everything is allowed.
    if rustix_is_root(&path) {
        return;
    }
    let error = SystemFiles.check_cache_directory(&path).unwrap_err();
    assert!(error.contains("cannot be written: it belongs to user "), "{error}");
    assert!(error.contains("with mode 0555, and the server runs as user "), "{error}");
    let error = SystemFiles.check_cache_directory(&path.join("new")).unwrap_err();
    assert!(error.contains("does not exist and cannot be created: "), "{error}");
}

fn rustix_is_root(path: &Path) -> bool {
    fs::write(path.join("probe"), "").is_ok()
}

#[test]
fn links_to_the_same_directory_are_seen() {
    let directory = TempDir::new().unwrap();
    let real = directory.path().join("real");
    fs::create_dir(&real).unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    assert_eq!(SystemFiles.canonical(&link), SystemFiles.canonical(&real));
    assert_eq!(SystemFiles.canonical(&link.join("x/y")), SystemFiles.canonical(&real).join("x/y"));
}

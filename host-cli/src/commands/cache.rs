//! The cache that the user named: a directory, or a server with credentials.

use crate::arguments::CacheArguments;
use crate::backend::{self, Cache, Connection};
use crate::failure::Failure;
use crate::messages;
use btdt_host_runtime::auth::TokenFile;
use std::path::{Path, PathBuf};

/// Opens the cache.
pub(super) fn open(arguments: &CacheArguments) -> Result<Cache, Failure> {
    let path = &arguments.cache;
    if let Some(url) = url(path) {
        return remote(arguments, &url);
    }
    if let Some(scheme) = scheme(path) {
        return Err(messages::unknown_scheme(path, &scheme));
    }
    backend::open_cache(path).map_err(|error| messages::unusable_cache(path, &error))
}

/// The URL of a cache on a server; `None` for a directory.
pub(super) fn url(path: &Path) -> Option<String> {
    let scheme = scheme(path)?;
    (scheme == "http" || scheme == "https").then(|| path.to_string_lossy().into_owned())
}

/// The scheme of something that begins like a URL, in lower case.
fn scheme(path: &Path) -> Option<String> {
    let text = path.to_string_lossy();
    let (scheme, _) = text.split_once("://")?;
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let begins = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    (begins && scheme.chars().all(valid)).then(|| scheme.to_ascii_lowercase())
}

fn remote(arguments: &CacheArguments, url: &str) -> Result<Cache, Failure> {
    let token = match &arguments.auth_token_file {
        None => None,
        Some(path) => {
            let token = TokenFile::read(path, arguments.allow_group_readable_token);
            Some(token.map_err(|error| messages::unusable_token(url, &error))?)
        }
    };
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| messages::unreadable_certificates(path, &error))
    };
    let root_certificates = arguments.root_cert.iter().map(read).collect::<Result<_, _>>()?;
    backend::connect(url, Connection { token, root_certificates })
        .map_err(|error| messages::unusable_certificates(&arguments.root_cert, &error))
}

/// The relative path of the cache in a tree of the user, with symbolic links resolved; empty if the
/// tree is the cache itself, `None` if the cache is elsewhere.
pub(super) fn place_in(tree: &Path, cache: &Path) -> Option<PathBuf> {
    let (tree, cache) = (backend::real_path(tree)?, backend::real_path(cache)?);
    cache.strip_prefix(tree).ok().map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_begins_with_a_scheme_is_no_directory() {
        let scheme = |path: &str| scheme(Path::new(path));
        for (path, expected) in [
            ("http://h", "http"),
            ("HTTPS://h", "https"),
            ("ftp://127.0.0.1:9/", "ftp"),
            ("s3://bucket", "s3"),
            ("git+ssh://h", "git+ssh"),
        ] {
            assert_eq!(scheme(path).as_deref(), Some(expected), "{path}");
        }
        for path in
            ["cache", "/a/b", "./ftp://h", "a/b://c", "C:/x", "ftp:/h", "://h", "3s://h", "a b://h"]
        {
            assert_eq!(scheme(path), None, "{path}");
        }
        assert_eq!(url(Path::new("HTTP://h/x")).as_deref(), Some("HTTP://h/x"));
        assert_eq!(url(Path::new("ftp://h/x")), None);
    }

    #[test]
    fn another_scheme_is_refused_as_such() {
        let arguments = CacheArguments {
            cache: PathBuf::from("ftp://me:sekret@127.0.0.1:18907/"),
            auth_token_file: None,
            allow_group_readable_token: false,
            root_cert: Vec::new(),
        };
        let failure = open(&arguments).err().unwrap();
        assert_eq!(failure.what, "Could not access cache: ftp://127.0.0.1:18907/");
        assert_eq!(failure.causes, ["There are no caches behind ftp://"]);
        let hint = failure.hint.unwrap();
        assert!(hint.contains("http(s)://") && !hint.contains("mkdir"), "{hint}");
    }
}

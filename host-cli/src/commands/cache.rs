//! The cache that the user named: a directory, or a server with what it takes to talk to it.

use crate::arguments::CacheArguments;
use crate::backend::{self, Cache, Connection};
use crate::messages::{self, Failure};
use btdt_host_runtime::auth::TokenFile;
use std::path::{Path, PathBuf};

/// Opens the cache.
pub(super) fn open(arguments: &CacheArguments) -> Result<Cache, Failure> {
    let path = &arguments.cache;
    match url(path) {
        Some(url) => remote(arguments, &url),
        None => backend::open_cache(path).map_err(|error| messages::unusable_cache(path, &error)),
    }
}

/// The URL of a cache on a server; `None` for a directory.
pub(super) fn url(path: &Path) -> Option<String> {
    let text = path.to_string_lossy();
    let scheme = text.split_once("://")?.0.to_ascii_lowercase();
    (scheme == "http" || scheme == "https").then(|| text.into_owned())
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

/// Where the cache lies in a tree of the user; empty where the tree is the cache itself, `None`
/// where it lies elsewhere. Relative, with symbolic links resolved on both sides.
pub(super) fn place_in(tree: &Path, cache: &Path) -> Option<PathBuf> {
    let (tree, cache) = (backend::real_path(tree)?, backend::real_path(cache)?);
    cache.strip_prefix(tree).ok().map(Path::to_path_buf)
}

//! The cache that the user named: a directory, or a server with what it takes to talk to it.

use crate::arguments::CacheArguments;
use crate::messages::{self, Failure};
use btdt_host_runtime::auth::{Token, TokenFile};
use btdt_host_runtime::clock;
use btdt_host_runtime::engine::{Cache, LocalCache};
use btdt_host_runtime::http::{HttpRemote, Options, TokenSource};
use btdt_host_runtime::storage::FilesystemStorage;
use btdt_ports::{HttpError, HttpErrorKind, Scope};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens the cache.
pub(super) fn open(arguments: &CacheArguments) -> Result<Cache, Failure> {
    let path = &arguments.cache;
    if is_url(path) {
        return remote(arguments, &path.to_string_lossy());
    }
    let storage =
        FilesystemStorage::open(path).map_err(|error| messages::unusable_cache(path, &error))?;
    Ok(Cache::Local(LocalCache::new(storage)))
}

fn is_url(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| scheme == "http" || scheme == "https")
}

fn remote(arguments: &CacheArguments, url: &str) -> Result<Cache, Failure> {
    let token = match &arguments.auth_token_file {
        None => None,
        Some(path) => {
            let token = TokenFile::read(path, arguments.allow_group_readable_token)
                .map_err(|error| messages::unusable_token(url, &error))?;
            Some(Arc::new(UserToken(token)) as Arc<dyn TokenSource>)
        }
    };
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| messages::unreadable_certificates(path, &error))
    };
    let root_certificates = arguments.root_cert.iter().map(read).collect::<Result<_, _>>()?;
    let options = Options { root_certificates, token, ..Options::default() };
    let server = HttpRemote::new(options)
        .map_err(|error| messages::unusable_certificates(&arguments.root_cert, &error))?;
    Ok(Cache::Remote { server, url: url.to_owned() })
}

/// The user's token, which leaves this machine only narrowed down.
struct UserToken(Token);

impl TokenSource for UserToken {
    fn bearer(&self, scope: Option<&Scope>) -> Result<String, HttpError> {
        let error = |detail: String| HttpError { kind: HttpErrorKind::Token, detail };
        let Some(scope) = scope else {
            return Err(error("the token is sent to servers only narrowed down".to_owned()));
        };
        self.0.attenuate(scope, clock::now()).map_err(|fault| error(fault.to_string()))
    }
}

/// Where the cache lies in a tree of the user; empty where the tree is the cache itself, `None`
/// where it lies elsewhere. Relative, with symbolic links resolved on both sides.
pub(super) fn place_in(tree: &Path, cache: &Path) -> Option<PathBuf> {
    let (tree, cache) = (tree.canonicalize().ok()?, cache.canonicalize().ok()?);
    cache.strip_prefix(tree).ok().map(Path::to_path_buf)
}

//! Error messages for users: what failed, why, and what to do about it.

use crate::backend::{CoreError, client};
use crate::failure::Failure;
use btdt_host_runtime::auth::TokenFileError;
use btdt_host_runtime::storage::OpenError;
use btdt_ports::{HttpError, IoErrorKind};
use std::path::{Path, PathBuf};

/// The attempted operation, for messages about its failure.
pub(crate) struct Attempt<'attempt> {
    /// What failed, in a few words.
    pub what: String,
    /// The cache.
    pub cache: &'attempt Path,
}

/// The name of a cache for messages: a URL without user name and password.
pub(crate) fn cache_name(cache: &Path) -> String {
    let shown = cache.display().to_string();
    let Some((scheme, rest)) = shown.split_once("://") else { return shown };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    // An unencoded password may contain those characters itself: then what precedes them is not a
    // host with a port.
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let is_host = authority.ends_with(']') || port.bytes().all(|byte| byte.is_ascii_digit());
    let secret = if is_host { authority } else { rest };
    match secret.rfind('@') {
        Some(end) => format!("{scheme}://{}", &rest[end + 1..]),
        None => shown,
    }
}

/// The URL of a cache has an unknown scheme.
pub(crate) fn unknown_scheme(cache: &Path, scheme: &str) -> Failure {
    let what = format!("Could not access cache: {}", cache_name(cache));
    let cause = format!("There are no caches behind {scheme}://");
    Failure::new(what, vec![cause]).hint(
        "a cache is a directory, or a URL of the form http(s)://HOST:PORT/api/caches/NAME; the \
         path of a directory with such a name can begin with ./",
    )
}

/// The core component cannot be loaded.
pub(crate) fn unusable_core(error: &CoreError) -> Failure {
    Failure::new("Could not start", vec![error.to_string()])
}

/// A directory cannot be used as a cache.
pub(crate) fn unusable_cache(path: &Path, error: &OpenError) -> Failure {
    let shown = path.display();
    let failure = Failure::new(format!("Could not access cache: {shown}"), vec![error.to_string()]);
    match error {
        OpenError::Io(error) if error.kind == IoErrorKind::NotFound => {
            failure.hint(format!("create the directory first: mkdir -p {shown}"))
        }
        OpenError::Io(_) => failure,
        OpenError::UnsupportedFormat { .. } => {
            failure.hint("use the version of btdt that made the cache, or another directory")
        }
        OpenError::UnknownFormat => failure.hint("remove that file, or use another directory"),
    }
}

/// The result cannot be written to standard output: a script would continue with an empty one.
pub(crate) fn output(error: std::io::Error) -> Failure {
    Failure::new("Could not write to standard output", vec![error.to_string()])
}

/// The token for a server cannot be used.
pub(crate) fn unusable_token(url: &str, error: &TokenFileError) -> Failure {
    let what = format!("Could not access cache: {}", cache_name(Path::new(url)));
    let failure = Failure::new(what, vec![error.to_string()]);
    match error {
        TokenFileError::GroupReadable { .. } => failure.hint(
            "in a pod with an fsGroup, where the mode cannot be changed, add: \
             --allow-group-readable-token",
        ),
        _ => failure,
    }
}

/// A file of certificates cannot be read.
pub(crate) fn unreadable_certificates(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("Could not open: {}", path.display()), vec![error.to_string()])
}

/// A file contains no certificate or an unusable one.
pub(crate) fn unusable_certificates(paths: &[PathBuf], error: &HttpError) -> Failure {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    Failure::new(
        format!("Could not use the certificates in: {}", paths.join(", ")),
        vec![error.to_string()],
    )
}

/// A cache on a server cannot be verified from here.
pub(crate) fn verify_on_server(url: &str) -> Failure {
    let cause = "Only a cache in a directory can be verified as a whole".to_owned();
    Failure::new(format!("Could not verify: {}", cache_name(Path::new(url))), vec![cause]).hint(
        "run btdt verify --cache DIRECTORY where the server runs, with the directory of the cache; \
         the server can go on meanwhile",
    )
}

/// All entries would be deleted, probably because a variable is not set.
pub(crate) fn empty_prefix() -> Failure {
    let what = "invalid value '' for '--prefix <PREFIX>': every key begins with it; to delete \
                everything, remove the directory of the cache";
    Failure::usage(what)
}

/// The source of a store is the cache.
pub(crate) fn cache_in_itself(source: &Path) -> Failure {
    let cause = "This is the cache itself".to_owned();
    Failure::new(format!("Could not cache: {}", source.display()), vec![cause])
}

/// An exact restore would delete the cache.
pub(crate) fn cache_in_destination(destination: &Path) -> Failure {
    let cause =
        "The cache and the destination overlap, and --exact would delete from the cache".to_owned();
    Failure::new(format!("Could not restore to: {}", destination.display()), vec![cause])
        .hint("move the cache elsewhere, or leave out --exact")
}

impl Attempt<'_> {
    /// The core has trapped.
    pub(crate) fn stopped(self, error: &CoreError) -> Failure {
        Failure::new(self.what, vec![error.to_string()]).hint(
            "this is a defect of btdt, please report it; the cache and its entries are not harmed",
        )
    }

    /// The core reported an error.
    pub(crate) fn failed(self, error: client::Error) -> Failure {
        use client::Error;
        let what = self.what;
        match error {
            Error::NoKeys => Failure::usage("no key was given, only empty ones"),
            Error::InvalidKey(invalid) => Failure::usage(format!(
                "invalid key {:?}: {}",
                invalid.key,
                key_fault(invalid.fault)
            )),
            Error::InvalidExclude(invalid) => Failure::usage(format!(
                "invalid value {:?} for '--exclude <PATTERN>': {}",
                invalid.pattern, invalid.reason
            )),
            Error::Source(failure) => Failure::new(what, path_causes("read", &failure)),
            Error::SourceKind => {
                Failure::new(what, vec!["It is neither a file nor a directory".to_owned()])
            }
            Error::SourceUnstable(paths) => {
                let cause = format!("These files change while they are read: {}", list(&paths));
                Failure::new(what, vec![cause])
                    .hint("stop what writes to them, or leave them out with --exclude")
            }
            Error::SourceTooLarge => {
                Failure::new(what, vec!["It is too large for one entry".to_owned()])
                    .hint("leave files out with --exclude, or store its parts one by one")
            }
            Error::Cache(failure) => cache_failure(what, self.cache, &failure),
            Error::Server(failure) => server_failure(what, self.cache, &failure),
            Error::NotRemote(reason) => Failure::new(what, vec![capitalized(&reason)]),
            Error::CacheUnstable => {
                let cause = "What was written to the cache was gone again, several times";
                Failure::new(what, vec![cause.to_owned()])
                    .hint("find out what else deletes files in the directory of the cache")
            }
            Error::Destination(failure) => Failure::new(what, path_causes("write", &failure)),
            Error::Incomplete => {
                let cause = "The entry is damaged, and the destination has been changed in part";
                Failure::new(what, vec![cause.to_owned()])
                    .hint("remove the destination, and build what it should hold anew")
            }
        }
    }
}

fn cache_failure(what: String, cache: &Path, failure: &client::CacheFailure) -> Failure {
    let action = match failure.action {
        client::CacheAction::Read => "read",
        client::CacheAction::Write => "write to",
        client::CacheAction::Delete => "delete from",
        client::CacheAction::Spool => {
            let error = failure.error;
            let cause = "Could not write to the directory for temporary files".to_owned();
            return Failure::new(what, vec![cause, error.to_string()])
                .hint("make room there, or name another directory in the variable TMPDIR");
        }
    };
    let error = failure.error;
    let cause = format!("Could not {action} the cache: {}", cache.display());
    let shown = Failure::new(what, vec![cause, error.to_string()]);
    match error.kind {
        IoErrorKind::NoSpace => shown.hint(format!(
            "make room, for example with: btdt clean --cache {} --max-age 1d --grace-period 0s",
            cache.display()
        )),
        IoErrorKind::AccessDenied => shown.hint("look at owner and permissions of the directory"),
        _ => shown,
    }
}

fn server_failure(what: String, cache: &Path, failure: &client::ServerFailure) -> Failure {
    let asked = format!("Could not access cache: {}", cache_name(cache));
    match &failure.fault {
        client::ServerFault::NoAnswer(error) => {
            Failure::new(what, vec![asked, capitalized(&error.detail)])
        }
        client::ServerFault::Unexpected(reason) => {
            let cause = format!("The server's answer is not one that btdt knows: {reason}");
            Failure::new(what, vec![asked, cause]).hint(
                "make sure that the URL is that of a cache: http(s)://HOST:PORT/api/caches/NAME",
            )
        }
        client::ServerFault::Refused(refusal) => {
            let cause = format!("The server answered {}: {}", refusal.status, refusal.message);
            let shown = Failure::new(what, vec![asked, cause]);
            match refusal.status {
                // The token sent expires after minutes, by the clock of this machine.
                401 if refusal.message.contains("expired") => shown.hint(
                    "give a token that has not expired, `btdt token inspect` shows until when it \
                     is valid; if it has not, look at the clock of this machine, which may be slow",
                ),
                401 => shown.hint("give a valid token with --auth-token-file"),
                403 => {
                    shown.hint("use a token that allows it; `btdt token inspect` shows its limits")
                }
                404 => shown
                    .hint("look at the name of the cache, which the server's configuration has"),
                _ => shown,
            }
        }
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters).collect()
}

fn path_causes(action: &str, failure: &client::PathFailure) -> Vec<String> {
    let error = failure.error;
    if failure.path.is_empty() {
        return vec![error.to_string()];
    }
    let path = String::from_utf8_lossy(&failure.path);
    vec![format!("Could not {action}: {path}"), error.to_string()]
}

fn list(paths: &[Vec<u8>]) -> String {
    const SHOWN: usize = 5;
    let mut names: Vec<String> = paths
        .iter()
        .take(SHOWN)
        .map(|path| match path.is_empty() {
            true => "the file itself".to_owned(),
            false => String::from_utf8_lossy(path).into_owned(),
        })
        .collect();
    if paths.len() > SHOWN {
        names.push(format!("and {} more", paths.len() - SHOWN));
    }
    names.join(", ")
}

fn key_fault(fault: client::KeyFault) -> &'static str {
    match fault {
        client::KeyFault::Empty => "a key must not be empty",
        client::KeyFault::TooLong => "a key must not be longer than 512 bytes",
        client::KeyFault::Control => "a key must not contain control characters",
        client::KeyFault::Comma => "a key must not contain a comma",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let shown = |cache: &str| cache_name(Path::new(cache));
        for secret in [
            "http://user:sekret@host/api/caches/c",
            "http://sekret@host/api/caches/c",
            "http://user:sek/ret@host/api/caches/c",
            "http://user:sek?ret@host/api/caches/c",
            "http://user:sekr@et@host/api/caches/c",
            "http://user:sek#@ret@host/api/caches/c",
        ] {
            assert_eq!(shown(secret), "http://host/api/caches/c", "{secret}");
        }
        assert_eq!(shown("ftp://user:sekret@[::1]:9/x"), "ftp://[::1]:9/x");
        for plain in [
            "/a/directory@night",
            "me@directory",
            "http://host:8707/api/caches/me@c",
            "https://[::1]/api/caches/me@c",
            "http://host/x?a:b@c",
        ] {
            assert_eq!(shown(plain), plain);
        }
    }

    #[test]
    fn no_message_about_a_server_has_its_password() {
        const CACHE: &str = "http://user:sekret@host/api/caches/c";
        let url = CACHE.to_owned();
        let refusal = client::ServerRefusal { status: 403, message: "no".to_owned() };
        let fault = client::ServerFault::Refused(refusal);
        let failure = client::ServerFailure { url, fault };
        let missing = TokenFileError::Malformed { path: PathBuf::from("t") };
        for failure in [
            server_failure(String::new(), Path::new(CACHE), &failure),
            unusable_token(CACHE, &missing),
            verify_on_server(CACHE),
            unknown_scheme(Path::new(CACHE), "http"),
        ] {
            assert!(!format!("{failure:?}").contains("sekret"), "{failure:?}");
            assert!(format!("{failure:?}").contains("http://host/api/caches/c"), "{failure:?}");
        }
    }

    #[test]
    fn only_an_expired_token_leads_to_the_clock() {
        let hint = |status, message: &str| {
            let refusal = client::ServerRefusal { status, message: message.to_owned() };
            let (url, fault) = (String::new(), client::ServerFault::Refused(refusal));
            let failure = client::ServerFailure { url, fault };
            server_failure(String::new(), Path::new("http://h/"), &failure).hint.unwrap()
        };
        assert!(hint(401, "The token has expired.").contains("clock of this machine"));
        assert!(!hint(401, "There is no token.").contains("clock"));
        assert!(!hint(403, "expired").contains("clock"));
    }
}

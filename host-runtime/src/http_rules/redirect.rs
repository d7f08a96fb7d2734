//! Where a redirection may lead: no further than the origin, because the token goes along.

use super::failure::{Failure, place};
use btdt_ports::HttpErrorKind;
use url::Url;

/// More in a row than this are a circle.
pub const MAX_REDIRECTS: u32 = 5;

/// Whether a status asks to go elsewhere.
#[must_use]
pub const fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The URL that comes next.
///
/// It has to be of the same scheme, host and port. The one exception: a request without a body
/// may go from port 80 to TLS on port 443 of the same host, where the token is safer.
///
/// # Errors
/// [`HttpErrorKind::Redirect`], where the URL that is not followed is named.
pub fn follow(
    status: u16,
    method: &str,
    has_body: bool,
    from: &Url,
    location: &str,
) -> Result<Url, Failure> {
    let refuse = |why: String| Failure::lasting(HttpErrorKind::Redirect, why);
    let target = from
        .join(location)
        .map_err(|_| refuse(format!("{} redirects to something that is no URL", place(from))))?;
    let whither = shown(&target);
    let reads = matches!(method, "GET" | "HEAD");
    if !reads && !matches!(status, 307 | 308) {
        let from = place(from);
        return Err(refuse(format!("{from} redirects a {method} request to {whither} ({status})")));
    }
    let upgrade = !has_body
        && (from.scheme(), target.scheme()) == ("http", "https")
        && from.host() == target.host()
        && (from.port_or_known_default(), target.port_or_known_default()) == (Some(80), Some(443));
    if from.origin() == target.origin() || upgrade {
        return Ok(target);
    }
    Err(refuse(format!(
        "{} redirects to {whither}, which is not followed because the token is not for it; if \
         that is where the cache is, use that URL",
        place(from)
    )))
}

/// A URL without what may be secret in it.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// The next one after so many redirections would be one too many.
///
/// # Errors
/// [`HttpErrorKind::Redirect`]
pub fn count(redirects: u32, from: &Url) -> Result<(), Failure> {
    if redirects < MAX_REDIRECTS {
        return Ok(());
    }
    let detail = format!("{} redirects more than {MAX_REDIRECTS} times", place(from));
    Err(Failure::lasting(HttpErrorKind::Redirect, detail))
}

/// Why an upload is not followed to where the answer of this status leads.
#[must_use]
pub fn of_upload(status: u16, method: &str, from: &Url, location: &str) -> Failure {
    match follow(status, method, true, from, location) {
        Err(failure) => failure,
        Ok(target) => {
            let detail =
                format!("{} redirects an upload, which cannot be repeated", place(&target));
            Failure::lasting(HttpErrorKind::Redirect, detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_origin() {
        let go = |status, method: &str, body, from: &str, to: &str| {
            follow(status, method, body, &from.parse().unwrap(), to).map(String::from)
        };
        for status in [301, 302, 303, 307, 308] {
            let target = go(status, "GET", false, "http://h:1/a/b?c", "../d");
            assert_eq!(target.unwrap(), "http://h:1/d");
        }
        assert!(go(307, "PUT", true, "http://h:1/a", "/b").is_ok());
        assert!(go(302, "PUT", true, "http://h:1/a", "/b").is_err());
        assert!(go(302, "GET", false, "http://h/a", "https://h/b").is_ok());
        assert!(go(307, "PUT", true, "http://h/a", "https://h/b").is_err());
        let elsewhere = [
            ("http://h/", "http://h:81/"),
            ("http://h/", "http://g/"),
            ("http://h/", "https://h:444/"),
            ("http://h:8080/", "https://h/"),
            ("https://h/", "http://h/"),
            ("https://h/", "//g/"),
            ("https://h/", "file:///etc/passwd"),
            ("https://h/", "https://[/"),
        ];
        for (from, to) in elsewhere {
            let failure = go(302, "GET", false, from, to).unwrap_err();
            assert_eq!(failure.error.kind, HttpErrorKind::Redirect, "{from} -> {to}");
        }
        let named = go(302, "GET", false, "https://h/", "https://u:secret@g/x?token=secret");
        let detail = named.unwrap_err().error.detail;
        assert!(detail.contains("https://g/x") && !detail.contains("secret"), "{detail}");
    }
}

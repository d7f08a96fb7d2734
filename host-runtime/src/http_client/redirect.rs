//! Follows redirects: no further than the origin, because the token goes along.

use super::client_request::Request;
use super::request_error::{RequestError, host_and_port};
use super::retry::BUDGET;
use super::transport::{Response, Transport};
use btdt_ports::HttpErrorKind;
use std::sync::Arc;
use url::Url;

/// More redirects in a row than this are a loop.
pub(super) const MAX_REDIRECTS: u32 = 5;

/// Sends a request once and follows redirects, up to the headers of the response.
pub(super) fn send_following<T: Transport>(
    transport: &Arc<T>,
    request: &Request,
) -> Result<T::Response, RequestError> {
    let mut url = request.url.clone();
    let mut redirects = 0;
    let since = transport.now();
    loop {
        let response = transport.send_once(request, &url)?;
        let Some(location) = location(&response) else { return Ok(response) };
        if redirects == MAX_REDIRECTS {
            let from = host_and_port(&url);
            return Err(refuse(format!("{from} redirects more than {MAX_REDIRECTS} times")));
        }
        if transport.now().saturating_duration_since(since) >= BUDGET {
            return Err(RequestError::silence(&url, BUDGET));
        }
        redirects += 1;
        let has_body = !request.body.is_empty();
        url = target(response.status(), request.method_name(), has_body, &url, &location)?;
    }
}

/// The response to an upload, which cannot be sent a second time: not a redirect.
pub(super) fn refuse_redirect<R: Response>(
    request: &Request,
    response: R,
) -> Result<R, RequestError> {
    let Some(location) = location(&response) else { return Ok(response) };
    let target = target(response.status(), request.method_name(), true, &request.url, &location)?;
    let target = host_and_port(&target);
    Err(refuse(format!("{target} redirects an upload, which cannot be repeated")))
}

/// Where a response redirects to, if it does.
fn location(response: &impl Response) -> Option<String> {
    let is_redirect = matches!(response.status(), 301 | 302 | 303 | 307 | 308);
    let location = response.header("location").filter(|_| is_redirect)?;
    Some(String::from_utf8_lossy(location).into_owned())
}

/// The URL that a redirect leads to.
///
/// It must have the same scheme, host and port. The one exception: a request without a body may go
/// from port 80 to TLS on port 443 of the same host, where the token is safer.
///
/// # Errors
/// [`HttpErrorKind::Redirect`], with the URL that is not followed.
fn target(
    status: u16,
    method: &str,
    has_body: bool,
    from: &Url,
    location: &str,
) -> Result<Url, RequestError> {
    let server = host_and_port(from);
    let target = from
        .join(location)
        .map_err(|_| refuse(format!("{server} redirects to something that is no URL")))?;
    let shown = without_secrets(&target);
    let reads = matches!(method, "GET" | "HEAD");
    if !reads && !matches!(status, 307 | 308) {
        return Err(refuse(format!("{server} redirects a {method} request to {shown} ({status})")));
    }
    let upgrade = !has_body
        && (from.scheme(), target.scheme()) == ("http", "https")
        && from.host() == target.host()
        && (from.port_or_known_default(), target.port_or_known_default()) == (Some(80), Some(443));
    if from.origin() == target.origin() || upgrade {
        return Ok(target);
    }
    Err(refuse(format!(
        "{server} redirects to {shown}, which is not followed because the token is not for it; if \
         that is where the cache is, use that URL"
    )))
}

fn refuse(why: String) -> RequestError {
    RequestError::permanent(HttpErrorKind::Redirect, why)
}

fn without_secrets(url: &Url) -> Url {
    let mut url = url.clone();
    // Fails only for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_origin() {
        let go = |status, method: &str, body, from: &str, to: &str| {
            target(status, method, body, &from.parse().unwrap(), to).map(String::from)
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
            let error = go(302, "GET", false, from, to).unwrap_err();
            assert_eq!(error.error.kind, HttpErrorKind::Redirect, "{from} -> {to}");
        }
        let named = go(302, "GET", false, "https://h/", "https://u:secret@g/x?token=secret");
        let detail = named.unwrap_err().error.detail;
        assert!(detail.contains("https://g/x") && !detail.contains("secret"), "{detail}");
    }
}

//! Which URLs can be asked.

use super::Failure;
use btdt_ports::HttpErrorKind;
use url::Url;

/// Reads a URL.
///
/// # Errors
/// [`HttpErrorKind::Url`], without repeating any of it.
pub fn parse(text: &str) -> Result<Url, Failure> {
    let refuse = |why: &str| Failure::lasting(HttpErrorKind::Url, why);
    // A URL that is not valid may contain a password, so that none is repeated here.
    let url =
        Url::parse(text).map_err(|error| refuse(&format!("the URL is not valid: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refuse("the URL does not begin with http:// or https:// and a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse(
            "the URL contains a user name or password, of which there are none here",
        ));
    }
    Ok(url)
}

//! What the servers have in common, the native one and the component: what they say when the core
//! cannot be asked, and which variables of the environment are theirs. Nothing here does anything.

pub mod damage;
pub mod pages;
mod refusal;
mod suggest;
pub mod variables;

pub use refusal::Refusal;
pub use suggest::{longer, nearest};

/// Header that names a request in the log. Whatever a client sends there is replaced.
pub const REQUEST_ID: &str = "x-request-id";

/// Largest body of a request that stores an archive, unless the configuration says otherwise.
pub const MAX_BODY_SIZE: u64 = 64 << 30;

/// Largest encoded manifest, in bytes, unless the configuration says otherwise.
pub const MAX_MANIFEST_SIZE: u64 = 64 << 20;

/// Largest head of a request, in bytes, unless the configuration says otherwise.
pub const MAX_HEADER_SIZE: u64 = 32 << 10;

/// Longest name of a cache: it is part of URLs, tokens, metrics and log lines.
const MAX_CACHE_NAME: usize = 100;

/// Whether a cache may be called that: names of caches stand in URLs as they are.
///
/// # Errors
/// What a name has to look like, for whoever configured it.
pub fn check_cache_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
    if !name.is_empty()
        && name.len() <= MAX_CACHE_NAME
        && !name.starts_with('.')
        && name.chars().all(allowed)
    {
        return Ok(());
    }
    Err(format!(
        "this cannot be the name of a cache; a name has 1 to {MAX_CACHE_NAME} letters a-z and A-Z, \
         digits, and - _ . ~, and does not begin with a dot"
    ))
}

/// Reads yes or no, as variables have it.
///
/// # Errors
/// What was expected, for whoever configured it.
pub fn parse_switch(text: &str) -> Result<bool, String> {
    match text.trim().to_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("true or false was expected, this is {text:?}")),
    }
}

/// The parts of a list in a variable: separated by commas, blanks around them do not count.
pub fn parse_list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

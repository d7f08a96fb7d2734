//! Pages about the API, for people and for programs.

/// A page that shows the API without anything from elsewhere.
pub(crate) const DOCS: &str = include_str!("docs.html");

/// The API as an OpenAPI document.
pub(crate) const OPENAPI: &str = include_str!("openapi.json");

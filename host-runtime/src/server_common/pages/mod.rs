//! Pages about the API, for people and for programs.

/// A page that shows the API and loads nothing from other hosts.
pub const DOCS: &str = include_str!("docs.html");

/// The API as an OpenAPI document.
pub const OPENAPI: &str = include_str!("openapi.json");

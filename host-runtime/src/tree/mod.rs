//! Backends for the user's files.

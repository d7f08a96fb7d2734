//! The stored form of an object: a header and a compressed payload.

/// Compresses and decompresses objects, reusing its contexts and buffers. One per worker.
pub struct Codec {}

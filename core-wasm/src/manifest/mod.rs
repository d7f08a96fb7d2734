//! The manifest: a tree, and which chunks hold the content of its files.
//!
//! Nodes are in path order: directories before their contents, names within a directory in byte
//! order. Each node refers to its parent by number and has a single name, so a manifest cannot
//! express a path that leaves the tree, leads through a symbolic link or occurs twice. [`Builder`],
//! the only way to make a [`Manifest`], refuses what remains unsafe. A manifest takes about 80 bytes
//! per file, in a handful of vectors, because trees of hundreds of thousands of files have to fit in
//! a component's memory.

mod builder;
mod encoding;
mod model;

pub use builder::Builder;
pub use encoding::{decode, decode_chunks, encode};
pub use model::{
    ChunkRef, Content, Extent, MAX_CHUNK, MAX_ENCODED, MAX_TARGET, MODE_MASK, Manifest,
    ManifestFault, Node, is_safe_name,
};

#[cfg(test)]
mod tests;

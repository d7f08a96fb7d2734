//! The C library.

use std::io::{self, BufRead, Cursor, Read, Write};
use zstd::zstd_safe::{self, CCtx, CParameter, DCtx};

/// Tables smaller than those of level 3 (2^17 and 2^16 entries), so that they fit into the cache of
/// a core beside the content: measured on 626 chunks of a `node_modules`, 14 % less time for 1 %
/// more bytes. Binary logarithms.
const HASH_LOG: u32 = 16;
const CHAIN_LOG: u32 = 14;

/// The level whose tables are shrunk.
const TUNED_LEVEL: i32 = 3;

/// Compresses.
pub(crate) struct Compressor(CCtx<'static>);

impl Compressor {
    /// A compressor for a level; `None` if there is no memory for it.
    pub(crate) fn new(level: i32) -> Option<Self> {
        let mut context = CCtx::try_create()?;
        context.set_parameter(CParameter::CompressionLevel(level)).ok()?;
        if level == TUNED_LEVEL {
            context.set_parameter(CParameter::HashLog(HASH_LOG)).ok()?;
            context.set_parameter(CParameter::ChainLog(CHAIN_LOG)).ok()?;
        }
        // The digest is the checksum; the content size lets a reader that has only the payload
        // allocate once.
        context.set_parameter(CParameter::ChecksumFlag(false)).ok()?;
        context.set_parameter(CParameter::ContentSizeFlag(true)).ok()?;
        Some(Compressor(context))
    }

    /// Appends the frame of `raw`; returns its size, or `None` on failure.
    pub(crate) fn append(&mut self, raw: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        let start = output.len();
        output.reserve(zstd_safe::compress_bound(raw.len()));
        let mut target = Cursor::new(&mut *output);
        target.set_position(start as u64);
        let size = self.0.compress2(&mut target, raw).ok()?;
        output.truncate(start + size);
        Some(size)
    }
}

/// Decompresses.
pub(crate) struct Decompressor(DCtx<'static>);

impl Decompressor {
    /// A decompressor; `None` if there is no memory for it.
    pub(crate) fn new() -> Option<Self> {
        DCtx::try_create().map(Decompressor)
    }

    /// Decompresses `frames` into the empty `output`, whose content should have `size` bytes.
    /// Returns another size or `None` for invalid frames.
    pub(crate) fn decompress(
        &mut self,
        frames: &[u8],
        size: usize,
        output: &mut Vec<u8>,
    ) -> Option<()> {
        output.reserve_exact(size);
        self.0.decompress(output, frames).ok().map(drop)
    }
}

/// The content size in the first frame header, if present; an error if there is no frame.
pub(crate) fn stated_size(frames: &[u8]) -> Result<Option<u64>, ()> {
    zstd_safe::get_frame_content_size(frames).map_err(drop)
}

/// Reads the content of frames whose windows have at most two to the power of `max_window_log`
/// bytes.
pub(crate) fn reader<R: BufRead>(frames: R, max_window_log: u32) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(frames)?;
    decoder.window_log_max(max_window_log)?;
    Ok(decoder)
}

/// Writes a frame of what `fill` writes, at a level of zstd.
pub(crate) fn write_frame<W: Write, E: From<io::Error>>(
    to: W,
    level: i32,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let mut encoder = zstd::Encoder::new(to, level)?;
    fill(&mut encoder)?;
    encoder.finish()?;
    Ok(())
}

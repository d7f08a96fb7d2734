//! A library in Rust.

use std::io::{self, BufRead, Read, Write};
use structured_zstd::decoding::{
    ContentChecksum, FrameContentSize, FrameDecoder, StreamingDecoder, read_frame_content_size,
};
use structured_zstd::encoding::{CompressionLevel, FrameCompressor, StreamingEncoder};

/// Makes a value with unsynchronized reference counts [`Send`].
struct OnlyThread<T>(T);

#[cfg(target_feature = "atomics")]
compile_error!("`OnlyThread` is for targets without threads");

// SAFETY: there is one thread only, as the check above says.
unsafe impl<T> Send for OnlyThread<T> {}

impl<T: Read> Read for OnlyThread<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// Compresses.
pub(crate) struct Compressor {
    frames: OnlyThread<FrameCompressor>,
    /// The latest frame.
    frame: Vec<u8>,
}

impl Compressor {
    /// A compressor for a level.
    pub(crate) fn new(level: i32) -> Option<Self> {
        let mut frames: FrameCompressor = FrameCompressor::new(CompressionLevel::Level(level));
        // The digest is the checksum; the content size lets a reader that has only the payload
        // allocate once.
        frames.set_content_checksum(false);
        frames.set_content_size_flag(true);
        Some(Compressor { frames: OnlyThread(frames), frame: Vec::new() })
    }

    /// Appends the frame of `raw`; returns its size.
    pub(crate) fn append(&mut self, raw: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        self.frames.0.compress_independent_frame_into(raw, &mut self.frame);
        output.extend_from_slice(&self.frame);
        Some(self.frame.len())
    }
}

/// Decompresses.
pub(crate) struct Decompressor(OnlyThread<FrameDecoder>);

impl Decompressor {
    /// A decompressor.
    pub(crate) fn new() -> Option<Self> {
        Some(Decompressor(OnlyThread(verifying())))
    }

    /// Decompresses `frames` into the empty `output`, whose content should have `size` bytes.
    /// Returns another size or `None` for invalid frames.
    pub(crate) fn decompress(
        &mut self,
        frames: &[u8],
        size: usize,
        output: &mut Vec<u8>,
    ) -> Option<()> {
        output.resize(size, 0);
        let written = self.0.0.decode_all(frames, output).ok()?;
        output.truncate(written);
        Some(())
    }
}

fn verifying() -> FrameDecoder {
    let mut decoder = FrameDecoder::new();
    decoder.set_content_checksum(ContentChecksum::Verify);
    decoder
}

/// The content size in the first frame header, if present; an error if there is no frame.
pub(crate) fn stated_size(frames: &[u8]) -> Result<Option<u64>, ()> {
    match read_frame_content_size(frames).map_err(drop)? {
        FrameContentSize::Known(size) => Ok(Some(size)),
        FrameContentSize::Unknown => Ok(None),
    }
}

/// Reads the content of frames whose windows have at most two to the power of `max_window_log`
/// bytes.
pub(crate) fn reader<R>(frames: R, max_window_log: u32) -> io::Result<impl Read>
where
    R: BufRead,
{
    let mut decoder = verifying();
    decoder.set_max_window_size(1 << max_window_log).map_err(io::Error::other)?;
    Ok(OnlyThread(StreamingDecoder::new_with_decoder(frames, decoder)))
}

/// Writes a frame of what `fill` writes, at a level of zstd.
pub(crate) fn write_frame<W: Write, E: From<io::Error>>(
    to: W,
    level: i32,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let mut encoder = StreamingEncoder::new(to, CompressionLevel::Level(level));
    fill(&mut encoder)?;
    encoder.finish()?;
    Ok(())
}

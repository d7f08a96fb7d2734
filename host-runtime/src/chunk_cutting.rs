//! Cuts content into chunks and stores them in a sink.

use crate::chunk_io::Sink;
use crate::codec::{Codec, sha256};
use btdt_ports::{CutSizes, IoError, IoErrorKind, PackedChunk};
use fastcdc::v2020::{self, FastCDC};

/// Whether the crate accepts the sizes, which it checks only in debug builds.
pub fn are_usable(sizes: CutSizes) -> bool {
    let within = |size: u32, least: usize, most: usize| {
        (least..=most).contains(&(size as usize)) && size.is_multiple_of(2)
    };
    within(sizes.minimum, v2020::MINIMUM_MIN, v2020::MINIMUM_MAX)
        && within(sizes.average, v2020::AVERAGE_MIN, v2020::AVERAGE_MAX)
        && within(sizes.maximum, v2020::MAXIMUM_MIN, v2020::MAXIMUM_MAX)
        && sizes.minimum <= sizes.average
        && sizes.average <= sizes.maximum
}

/// Cuts the next `length` bytes by content. `read` appends exactly the requested number of bytes to
/// the buffer, which holds at most a maximal and an average chunk; `take` receives the chunks.
pub fn cut<E>(
    buffer: &mut Vec<u8>,
    sizes: CutSizes,
    length: u64,
    mut read: impl FnMut(&mut Vec<u8>, usize) -> Result<(), E>,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let [minimum, average, maximum] =
        [sizes.minimum, sizes.average, sizes.maximum].map(|size| size as usize);
    let mut left = length;
    let mut start = 0;
    buffer.clear();
    while start < buffer.len() || left > 0 {
        let rest = &buffer[start..];
        let (_, end) = FastCDC::new(rest, minimum, average, maximum).cut(0, rest.len());
        // No cut in the buffered bytes: search again with more. The search starts over and finds
        // the same cut as over the whole range.
        if end == rest.len() && end < maximum && left > 0 {
            buffer.drain(..start);
            start = 0;
            let room = maximum + average - buffer.len();
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(room);
            read(buffer, wanted)?;
            left -= wanted as u64;
            continue;
        }
        take(&rest[..end])?;
        start += end;
    }
    Ok(())
}

/// Stores a chunk unless the sink has it.
pub fn keep(sink: &Sink, raw: &[u8], codec: &mut Codec) -> Result<PackedChunk, IoError> {
    let digest = sha256(raw);
    let outcome = match sink.existing(&digest)? {
        Some(outcome) => outcome,
        None => sink.put(&digest, raw, codec)?,
    };
    let narrow = |size| u32::try_from(size).map_err(|_| IoError::new(IoErrorKind::TooLarge));
    Ok(PackedChunk {
        digest,
        raw_size: narrow(raw.len() as u64)?,
        stored_size: narrow(outcome.stored_size)?,
        new: outcome.new,
    })
}

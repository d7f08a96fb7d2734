//! Archives that are cut off, altered, or whose transfer fails.

use super::support::{Outgoing, content, gzip, receive, receive_into, storage, zstd};
use crate::archive::{Compression, TransportError};
use btdt_ports::{ArchiveFault, HttpError, HttpErrorKind, Objects};
use std::io::{self, Cursor, ErrorKind, Read};

/// A small archive with all kinds of records.
fn small() -> Vec<u8> {
    let mut tree = Outgoing::new();
    let directory = tree.directory(0, &[b'd'; 200]);
    tree.file(directory, b"empty", b"");
    let file = tree.file(directory, b"file", &content(1, 700));
    tree.batch.nodes[file as usize].modified.nanoseconds = 5;
    tree.node(0, b"link", btdt_ports::ArchiveNodeContent::Symlink(vec![b't'; 150]));
    tree.node(0, b"hard", btdt_ports::ArchiveNodeContent::HardLink(file));
    tree.file(0, b"last", &content(2, 512));
    tree.stream()
}

fn forms(bytes: &[u8]) -> [(Compression, Vec<u8>); 3] {
    [
        (Compression::None, bytes.to_vec()),
        (Compression::Gzip, gzip(bytes)),
        (Compression::Zstd, zstd(bytes)),
    ]
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_truncated() {
    let bytes = small();
    for (compression, compressed) in forms(&bytes) {
        let whole = receive(&compressed, compression).unwrap();
        assert_eq!(whole.len(), 7);
        for length in 0..compressed.len() {
            let received = receive(&compressed[..length], compression);
            if compression == Compression::None && length == bytes.len() - 512 {
                // One block of zeros is enough: all members are there.
                assert_eq!(received.as_ref(), Ok(&whole));
            } else {
                let truncated = Err(ArchiveFault::Truncated);
                assert_eq!(received, truncated, "{compression:?}, {length} bytes");
            }
        }
    }
}

#[test]
fn altered_bits_never_panic_and_never_go_unnoticed_where_there_is_a_checksum() {
    let bytes = small();
    let whole = receive(&bytes, Compression::None).unwrap();
    for (compression, compressed) in forms(&bytes) {
        for at in 0..compressed.len() {
            let mut altered = compressed.clone();
            altered[at] ^= [0x01, 0x10, 0x80][at % 3];
            let received = receive(&altered, compression);
            // Of gzip's header, some fields mean nothing; nor does one bit of zstd's.
            let checked = compression != Compression::None;
            if checked && let Ok(received) = received {
                assert_eq!(received, whole, "{compression:?}, byte {at}");
            }
        }
    }
}

#[test]
fn what_is_no_archive_is_refused() {
    for bytes in [&b""[..], b"x", &[b'x'; 512], &[0; 511], &[b'x'; 5000], b"\x1f\x8b", &[0xff; 600]]
    {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let fault = receive(bytes, compression).unwrap_err();
            let expected = [ArchiveFault::Truncated, ArchiveFault::Malformed];
            assert!(expected.contains(&fault), "{bytes:?}: {fault}");
        }
    }
    let bytes = small();
    let wrong = [(Compression::None, gzip(&bytes)), (Compression::Zstd, bytes.clone())];
    for (compression, bytes) in wrong {
        assert_eq!(receive(&bytes, compression), Err(ArchiveFault::Malformed));
    }
    assert_eq!(receive(&bytes, Compression::Gzip), Err(ArchiveFault::Malformed));
}

#[test]
fn what_follows_the_end_is_read() {
    let bytes = small();
    let whole = receive(&bytes, Compression::None).unwrap();
    for (tail, ok) in [(vec![0; 10_240], true), (vec![7; 512 * 300], true), (vec![0; 1], false)] {
        let longer = [bytes.clone(), tail].concat();
        for (compression, compressed) in forms(&longer) {
            let received = receive(&compressed, compression);
            assert_eq!(received.ok(), ok.then(|| whole.clone()));
        }
    }
    // What follows the compressed form is part of the stream too.
    for (compression, mut compressed) in forms(&bytes).into_iter().skip(1) {
        compressed.extend_from_slice(b"something else that is not compressed");
        assert_eq!(receive(&compressed, compression), Err(ArchiveFault::Malformed));
    }
}

/// Gives some bytes, in pieces, and then an error again and again.
struct Failing {
    bytes: Cursor<Vec<u8>>,
    error: fn() -> io::Error,
    interrupted: bool,
}

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(ErrorKind::Interrupted.into());
        }
        let most = buffer.len().min(300);
        match self.bytes.read(&mut buffer[..most])? {
            0 => Err((self.error)()),
            length => Ok(length),
        }
    }
}

#[test]
fn an_error_of_the_transport_is_told_even_at_the_very_end() {
    let bytes = small();
    type Case = (fn() -> io::Error, HttpErrorKind, &'static str);
    let cases: [Case; 3] = [
        (|| ErrorKind::TimedOut.into(), HttpErrorKind::TimedOut, "timed out"),
        (|| ErrorKind::UnexpectedEof.into(), HttpErrorKind::Interrupted, "unexpected end of file"),
        (
            || {
                let detail = "the request is larger than announced".to_owned();
                io::Error::other(TransportError(HttpError {
                    kind: HttpErrorKind::Protocol,
                    detail,
                }))
            },
            HttpErrorKind::Protocol,
            "the request is larger than announced",
        ),
    ];
    for (compression, compressed) in forms(&bytes) {
        for length in (0..compressed.len()).step_by(97).chain([compressed.len()]) {
            for (error, kind, detail) in cases {
                let bytes = Cursor::new(compressed[..length].to_vec());
                let failing = Failing { bytes, error, interrupted: false };
                let sink = storage().sink();
                let fault = receive_into(Box::new(failing), compression, sink, 1 << 40).err();
                let expected = HttpError { kind, detail: detail.to_owned() };
                let expected = Some(ArchiveFault::Interrupted(expected));
                assert_eq!(fault, expected, "{compression:?}, {length} bytes");
            }
        }
    }
}

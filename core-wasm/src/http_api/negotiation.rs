//! Reads the headers that choose a representation: content types, encodings, ranges and entity tags.

use super::answer::Encoding;
use super::problem::Problem;
use super::request::Request;
use crate::protocol::{MANIFEST_TYPE, TAR_TYPE};
use btdt_ports::StoredCodec;

pub(super) const BYTES_TYPE: &str = "application/octet-stream";

/// Types that are never tar archives. All others are tried: `curl` sends
/// `application/x-www-form-urlencoded` by default.
const NO_ARCHIVES: &[&str] =
    &["text", "image", "audio", "video", "font", "multipart", "message", "model"];
const NO_ARCHIVE_SUBTYPES: &[&str] = &["json", "xml", "zip", "pdf", "javascript", "cbor"];

/// The requested form of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Its manifest.
    Manifest,
    /// Its tree, under this content type.
    Archive(&'static str),
}

/// The elements of all headers with that name: values without parameters, and weights from 0 to
/// 1000. Invalid elements are left out.
fn weighted<'request>(
    request: &'request Request,
    name: &'static str,
) -> impl Iterator<Item = (&'request str, u16)> {
    let elements = request.values(name).flat_map(|value| value.split(','));
    elements.filter_map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let value = parts.next().filter(|value| !value.is_empty())?;
        let mut weight = 1000;
        for parameter in parts {
            if let Some(text) = parameter.strip_prefix("q=").or(parameter.strip_prefix("Q=")) {
                weight = parse_weight(text)?;
            }
        }
        Some((value, weight))
    })
}

/// Parses a weight such as `0.75`, as thousandths.
fn parse_weight(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// The requested form of an entry. A manifest is sent only on explicit request, and an archive is
/// the default.
///
/// # Errors
/// 406 if neither is acceptable.
pub(super) fn form(request: &Request) -> Result<Form, Problem> {
    let mut manifest = 0;
    let mut named = [None, None];
    let mut wildcards = [None, None];
    let mut any = false;
    for (range, weight) in weighted(request, "accept") {
        any = true;
        let place = if range.eq_ignore_ascii_case(MANIFEST_TYPE) {
            manifest = weight;
            continue;
        } else if range.eq_ignore_ascii_case(TAR_TYPE) {
            &mut named[0]
        } else if range.eq_ignore_ascii_case(BYTES_TYPE) {
            &mut named[1]
        } else if range.eq_ignore_ascii_case("application/*") {
            &mut wildcards[0]
        } else if range == "*/*" {
            &mut wildcards[1]
        } else {
            continue;
        };
        *place = Some(weight);
    }
    if !any {
        return Ok(Form::Archive(TAR_TYPE));
    }
    let wildcard = wildcards[0].or(wildcards[1]).unwrap_or(0);
    let [tar, bytes] = named.map(|weight| weight.unwrap_or(wildcard));
    if manifest > 0 && manifest >= tar.max(bytes) {
        return Ok(Form::Manifest);
    }
    if tar > 0 && tar >= bytes {
        return Ok(Form::Archive(TAR_TYPE));
    }
    if bytes > 0 {
        return Ok(Form::Archive(BYTES_TYPE));
    }
    let detail = format!("Entries are sent as {MANIFEST_TYPE} or {TAR_TYPE}.");
    Err(Problem::new(406, detail))
}

/// The weights of encodings that the client accepts; 0 if it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encodings {
    identity: u16,
    gzip: u16,
    zstd: u16,
}

impl Encodings {
    pub(super) fn of(request: &Request) -> Self {
        let (mut identity, mut gzip, mut zstd, mut wildcard) = (None, None, None, None);
        for (coding, weight) in weighted(request, "accept-encoding") {
            let place = match coding {
                _ if coding.eq_ignore_ascii_case("identity") => &mut identity,
                _ if coding.eq_ignore_ascii_case("gzip") => &mut gzip,
                _ if coding.eq_ignore_ascii_case("x-gzip") => &mut gzip,
                _ if coding.eq_ignore_ascii_case("zstd") => &mut zstd,
                "*" => &mut wildcard,
                _ => continue,
            };
            *place = Some(weight);
        }
        // A wildcard alone does not ask for compression. `identity` is always acceptable unless
        // it, or the wildcard, has the weight 0.
        let identity = identity.or(wildcard).unwrap_or(1);
        Encodings { identity, gzip: gzip.unwrap_or(0), zstd: zstd.unwrap_or(0) }
    }

    /// Whether a payload with that codec may be sent unchanged.
    pub(super) fn accept(&self, codec: StoredCodec) -> bool {
        match codec {
            StoredCodec::None => self.identity > 0,
            StoredCodec::Zstd => self.zstd > 0,
            StoredCodec::Gzip => self.gzip > 0,
        }
    }

    /// The best encoding for an archive.
    ///
    /// # Errors
    /// 406 if none is acceptable.
    pub(super) fn best(&self) -> Result<Encoding, Problem> {
        let Encodings { identity, gzip, zstd } = *self;
        if zstd > 0 && zstd >= gzip && zstd >= identity {
            Ok(Encoding::Zstd)
        } else if gzip > 0 && gzip >= identity {
            Ok(Encoding::Gzip)
        } else if identity > 0 {
            Ok(Encoding::Identity)
        } else {
            Err(Encodings::problem())
        }
    }

    /// No encoding is acceptable.
    pub(super) fn problem() -> Problem {
        Problem::new(406, "Responses are encoded by zstd or gzip, or not at all.")
    }
}

/// The value of `Content-Encoding`; `None` if the header is not needed.
pub(super) fn content_encoding(encoding: Encoding) -> Option<&'static str> {
    match encoding {
        Encoding::Identity => None,
        Encoding::Gzip => Some("gzip"),
        Encoding::Zstd => Some("zstd"),
    }
}

/// The compression of a request's body.
///
/// # Errors
/// 415 for anything but gzip and zstd.
pub(super) fn body_encoding(request: &Request) -> Result<Encoding, Problem> {
    let mut encoding = Encoding::Identity;
    let codings = request.values("content-encoding").flat_map(|value| value.split(','));
    for coding in codings.map(str::trim).filter(|coding| !coding.is_empty()) {
        let next = match coding {
            _ if coding.eq_ignore_ascii_case("identity") => continue,
            _ if coding.eq_ignore_ascii_case("gzip") => Encoding::Gzip,
            _ if coding.eq_ignore_ascii_case("x-gzip") => Encoding::Gzip,
            _ if coding.eq_ignore_ascii_case("zstd") => Encoding::Zstd,
            _ => return Err(unsupported_encoding()),
        };
        if encoding != Encoding::Identity {
            return Err(unsupported_encoding());
        }
        encoding = next;
    }
    Ok(encoding)
}

fn unsupported_encoding() -> Problem {
    let detail = "The body may be encoded once, by gzip or zstd, or not at all.";
    Problem::new(415, detail).with_header("accept-encoding", "gzip, zstd, identity")
}

/// The kind of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyType {
    Manifest,
    Archive(Encoding),
}

/// The kind of the body of a `PUT` of an entry.
///
/// # Errors
/// 415 if it can be neither manifest nor archive.
pub(super) fn body_type(request: &Request) -> Result<BodyType, Problem> {
    let encoding = body_encoding(request)?;
    let Some(essence) = essence(request) else { return Ok(BodyType::Archive(encoding)) };
    if essence.eq_ignore_ascii_case(MANIFEST_TYPE) {
        return Ok(BodyType::Manifest);
    }
    // The type of a compressed archive may imply its encoding.
    let by_type = match essence.to_ascii_lowercase().as_str() {
        "application/gzip" | "application/x-gzip" => Encoding::Gzip,
        "application/zstd" => Encoding::Zstd,
        other if is_no_archive(other) => {
            let detail = format!("An entry is sent as {MANIFEST_TYPE} or {TAR_TYPE}.");
            return Err(Problem::new(415, detail));
        }
        _ => return Ok(BodyType::Archive(encoding)),
    };
    match encoding {
        Encoding::Identity => Ok(BodyType::Archive(by_type)),
        _ => Err(unsupported_encoding()),
    }
}

/// The content type of a request's body, without parameters.
fn essence(request: &Request) -> Option<&str> {
    let value = request.header("content-type")?;
    Some(value.split(';').next().unwrap_or_default().trim()).filter(|essence| !essence.is_empty())
}

fn is_no_archive(essence: &str) -> bool {
    let (family, subtype) = essence.split_once('/').unwrap_or((essence, ""));
    let suffix = subtype.rsplit('+').next().unwrap_or_default();
    NO_ARCHIVES.contains(&family) || NO_ARCHIVE_SUBTYPES.contains(&suffix)
}

/// # Errors
/// 415 unless the body can be plain text.
pub(super) fn require_text(request: &Request) -> Result<(), Problem> {
    let fitting = |essence: &str| {
        ["text/plain", BYTES_TYPE, "application/x-www-form-urlencoded"]
            .iter()
            .any(|fitting| essence.eq_ignore_ascii_case(fitting))
    };
    match essence(request) {
        Some(essence) if !fitting(essence) => {
            Err(Problem::new(415, "Digests are sent as text/plain, one on a line."))
        }
        _ => Ok(()),
    }
}

/// # Errors
/// 413 if the announced length of the body exceeds `limit` bytes.
pub(super) fn require_length(request: &Request, limit: u64) -> Result<(), Problem> {
    let announced = request.header("content-length").and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit) { Err(too_large(limit)) } else { Ok(()) }
}

pub(super) fn too_large(limit: u64) -> Problem {
    Problem::new(413, format!("The body may have at most {limit} bytes."))
}

/// Whether the client already has the representation with this entity tag.
pub(super) fn is_known(request: &Request, tag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let wanted = opaque(tag);
    let tags = request.values("if-none-match").flat_map(|value| value.split(','));
    tags.map(str::trim).any(|known| known == "*" || opaque(known) == wanted)
}

/// The requested part of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// All of it.
    Whole,
    /// From the first byte to the last, inclusive.
    Part(u64, u64),
    /// A part beyond its end.
    Unsatisfiable,
}

/// The requested part of a representation of `size` bytes. Multiple ranges, and ranges of anything
/// but bytes, are ignored, as RFC 9110 allows.
///
/// Conditional ranges are ignored as well: the condition is a strong entity tag or a date, and never
/// holds because the tags here are weak and there are no dates.
pub(super) fn range(request: &Request, size: u64) -> Range {
    if request.values("if-range").next().is_some() {
        return Range::Whole;
    }
    let Some((unit, range)) = request.header("range").and_then(|value| value.split_once('='))
    else {
        return Range::Whole;
    };
    if !unit.eq_ignore_ascii_case("bytes") {
        return Range::Whole;
    }
    let Some((first, last)) = range.trim().split_once('-') else { return Range::Whole };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Range::Whole,
        (Some(first), _) if first >= size && (last.is_empty() || number(last).is_some()) => {
            Range::Unsatisfiable
        }
        (Some(first), Some(last)) => Range::Part(first, last.min(size - 1)),
        (Some(first), None) if last.is_empty() => Range::Part(first, size - 1),
        (None, Some(length)) if first.is_empty() => match length.min(size) {
            0 => Range::Unsatisfiable,
            length => Range::Part(size - length, size - 1),
        },
        _ => Range::Whole,
    }
}

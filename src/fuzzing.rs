//! Entry points of the parsers that read what others wrote, for `fuzz/`. Not a part of the interface.
//! Each takes any bytes, and panics only if its parser does, or breaks a promise.

use axum::extract::Request;
use http::Uri;

use crate::auth::{self, Expression, Expressions};
use crate::cache::EntryName;
use crate::config;
use crate::protocol::gha_v1::ContentSpan;
use crate::protocol::gha_v2::{self, CreateRequest, FinalizeRequest, FindRequest, MessageForm};
use crate::protocol::{blob, key, path::DecodedPath};
use crate::range::{ByteRange, Resolved};
use crate::server::{proxy_header, source};
use crate::store::disk::probe;
use crate::store::tagged::{RecordKind, Tag, TaggedReader, TaggedWriter};
use crate::store::{Protocol, StoreKey, trailer};

/// The size of an entry (8 bytes), then the value of a `Range` header.
pub fn range(data: &[u8]) {
    let Some((size, value)) = data.split_first_chunk::<8>() else {
        return;
    };
    let size = u64::from_le_bytes(*size);
    let parsed = std::str::from_utf8(value).ok().and_then(ByteRange::parse);
    if let Some(Resolved::Part(part)) = parsed.map(|range| range.resolve(size)) {
        assert!(part.start < part.end && part.end <= size, "{part:?} of {size}");
    }
}

/// The value of an `Authorization` header.
pub fn credentials(data: &[u8]) {
    if let Err(error) = auth::read_header(data) {
        // What a log would show.
        assert!(!error.to_string().contains(char::is_control));
    }
}

/// The text of an expression; it is evaluated, too.
pub fn expression(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let expression = match Expression::compile(text) {
        Ok(expression) => expression,
        Err(error) => return assert!(!error.to_string().contains('\n'), "{error}"),
    };
    let claims = serde_json::json!({
        "sub": "repo:acme/app:ref:refs/heads/main", "ref": "refs/heads/main", "number": -1, "real": 0.5,
        "yes": true, "none": null, "list": ["a", 1, []], "deep": {"a": {"b": "c"}}, "": "",
    });
    let claims = claims.as_object().cloned().unwrap_or_default();
    expression.warnings();
    if let Ok(text) = expression.text(&claims) {
        assert!(!text.is_empty() && text.len() <= auth::Namespace::MAX_BYTES);
    }
    // Any answer is a good one.
    let _answer = expression.condition(&claims);
}

/// The target of a request.
pub fn path(data: &[u8]) {
    let Ok(uri) = Uri::try_from(data) else { return };
    let decoded = DecodedPath::of(&uri);
    assert!(!decoded.is_child_of(&["v8", "artifacts"]) || decoded.is_below(&["v8"]));
    let Some(key) = decode(uri) else { return };
    assert!(!key.iter().any(u8::is_ascii_control));
    let encoded: String = key.iter().map(|byte| format!("%{byte:02x}")).collect();
    let again = Uri::try_from(format!("/{encoded}")).ok().and_then(decode);
    // The encoded form may be too long for a target.
    assert!(
        again.is_none_or(|again| again == key),
        "decoded once, and only once"
    );
    let named = EntryName::new(Protocol::Http, key.as_slice());
    assert_eq!(named.is_some(), key.len() <= EntryName::MAX_BYTES);
}

fn decode(uri: Uri) -> Option<Vec<u8>> {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.uri = uri;
    key::decode(&parts).ok().map(Into::into)
}

/// The text of a configuration file.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(report) = config::parse("fuzz.yaml", text, &Expressions) {
        assert!(!report.errors().is_empty());
        assert_eq!(
            report.to_string().lines().count(),
            report.errors().len(),
            "{report}"
        );
    }
}

/// The end of an entry's file: as it is, and with a footer that fits.
pub fn trailer(data: &[u8]) {
    let (body, rest) = match data.split_first_chunk::<3>() {
        Some((body, rest)) => (
            u64::from(u32::from_le_bytes([body[0], body[1], body[2], 0])),
            rest,
        ),
        None => (0, data),
    };
    read_trailer(data, data.len() as u64);
    let sealed = trailer::seal(rest.to_vec(), body);
    read_trailer(&sealed, body + sealed.len() as u64);
}

fn read_trailer(tail: &[u8], length: u64) {
    if let Ok(begin) = trailer::begin(tail, length) {
        assert!(begin <= length);
    }
    let Ok(Some(key)) = trailer::key(tail, length) else {
        return;
    };
    if let Ok(described) = trailer::parse(tail, length, &key) {
        assert!(described.meta.size <= length);
        assert_eq!(described.meta.etag, described.sums.etag());
    }
}

/// A tagged record: as it is, and fields with a head and a checksum that fit.
pub fn tagged(data: &[u8]) {
    const KIND: RecordKind = RecordKind {
        magic: *b"fuzz",
        version: 1,
        tags: &[Tag::new(1), Tag::critical(2)],
    };
    let read = |reader: TaggedReader<'_>| {
        for tag in KIND.tags {
            assert_eq!(reader.get(*tag), reader.all(*tag).next());
            assert!(reader.number(*tag).is_none() || reader.get(*tag).is_some());
            assert!(reader.text(*tag).is_none_or(|text| text.len() <= data.len()));
        }
        let mut again = TaggedWriter::new(&KIND);
        again.unknown(&reader.unknown());
        let again = again.finish();
        let kept = TaggedReader::open(&KIND, &again, again.len()).map(|again| again.unknown());
        assert_eq!(kept, Ok(reader.unknown()), "unknown fields outlive a rewrite");
    };
    let opened = TaggedReader::open(&KIND, data, data.len());
    opened.into_iter().for_each(read);
    TaggedReader::bare(&KIND, data).into_iter().for_each(read);
    let mut bare = TaggedWriter::bare(Vec::new());
    bare.field(KIND.tags[0], data);
    bare.number(KIND.tags[1], data.len() as u64);
    let bare = bare.into_bytes();
    let read =
        TaggedReader::bare(&KIND, &bare).map(|read| (read.get(KIND.tags[0]), read.number(KIND.tags[1])));
    assert_eq!(read, Ok((Some(data), Some(data.len() as u64))));
}

/// The snapshot of the index: as it is, and with heads and checksums that fit.
pub fn snapshot(data: &[u8]) {
    assert!(probe::read_snapshot(data) <= data.len());
    for sealed in probe::sealed_snapshots(data) {
        assert!(probe::read_snapshot(&sealed) <= data.len());
    }
}

/// The canonical form of a key.
pub fn store_key(data: &[u8]) {
    if let Some(key) = StoreKey::from_canonical(data) {
        assert_eq!(key.canonical(), data, "one key has one form");
    }
}

/// The XML of a block list.
pub fn block_list(data: &[u8]) {
    if let Ok(ids) = blob::parse_block_list(data) {
        assert!(ids.iter().all(|id| (1..=64).contains(&id.len())));
    }
}

/// The messages of the Actions cache, in both forms.
pub fn twirp(data: &[u8]) {
    for form in [MessageForm::Json, MessageForm::Protobuf] {
        let _create: Option<CreateRequest> = gha_v2::read(form, data);
        let _finalize: Option<FinalizeRequest> = gha_v2::read(form, data);
        let _find: Option<FindRequest> = gha_v2::read(form, data);
    }
}

/// The value of a `Content-Range` header.
pub fn content_range(data: &[u8]) {
    let span = std::str::from_utf8(data).ok().and_then(ContentSpan::parse);
    if let Some(span) = span {
        assert!(span.length > 0 && span.start.checked_add(span.length - 1).is_some());
    }
}

/// What a connection of a trusted proxy begins with.
pub fn proxy_header(data: &[u8]) {
    if let Some(length) = proxy_header::header_length(data) {
        assert!(length <= data.len());
        // Nothing behind the header changes it, and nothing less is one.
        assert_eq!(proxy_header::header_length(&data[..length]), Some(length));
        assert_eq!(proxy_header::header_length(&data[..length - 1]), None);
    }
}

/// A value of `Forwarded` or `X-Forwarded-For`.
pub fn forwarded(data: &[u8]) {
    if let Ok(value) = std::str::from_utf8(data) {
        assert!(source::read_forwarded(value) <= 2 * (value.len() + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [fn(&[u8]); 14] = [
        range,
        credentials,
        expression,
        path,
        configuration,
        trailer,
        tagged,
        snapshot,
        store_key,
        block_list,
        twirp,
        content_range,
        proxy_header,
        forwarded,
    ];

    /// What gets past the first look of each parser.
    const SEEDS: [&[u8]; 17] = [
        b"\x10\0\0\0\0\0\0\0bytes=2-",
        b"Basic eDplLmUuZQ==",
        b"Bearer chacha_jt_bm9uY2Ugb2YgMTIuAAAAAAAAAAFzZWFsZWR0YWcgb2YgMTYgYnl0ZXMu_1qUyfx",
        b"default(claims.ref, \"x\") =~ \"^refs/\"",
        b"/v8/artifacts/%41%2f%25?team=a",
        b"oidc_providers:\n  - url: https://a.example\n    cache_key_exprs: [claims.sub]\ndisk: {dir: c, limit: 1GB}\n",
        b"\0\0\0{\"format\":1,\"key\":\"\",\"metadata\":{}}",
        b"\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0",
        b"\0\0\0\x01a\0\0\0\x01b\0\0\0\x04http\0\0\0\x01c",
        b"<?xml version=\"1.0\"?><BlockList><Latest>Yg&#61;=</Latest></BlockList>",
        b"{\"key\":\"k\",\"size_bytes\":\"3\",\"restore_keys\":[\"a\"],\"version\":null}",
        b"\x12\x01k\x18\xac\x02\x22\x02v1",
        b"bytes 0-9/*",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x01\x11\x5c\x01\xbbGET",
        b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 443\r\n",
        b"for=\"[2001:db8::1]:4711\";proto=https, 192.0.2.1",
        b"\x01\0\x02\0\0\0ab\x02\x80\0\0\0\0\x03\0\x01\0\0\0x",
    ];

    proptest! {
        #[test]
        fn what_strangers_write_makes_no_parser_panic(
            seed in 0..SEEDS.len(), changes in prop::collection::vec((any::<u16>(), any::<u8>()), 0..6), cut in any::<u16>(),
        ) {
            let mut data = SEEDS[seed].to_vec();
            for (at, byte) in changes {
                let at = usize::from(at) % data.len();
                data[at] = byte;
            }
            data.truncate(1 + usize::from(cut) % (2 * data.len()));
            for parser in ALL {
                parser(&data);
            }
        }

        #[test]
        fn bytes_without_any_form_make_no_parser_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
            for parser in ALL {
                parser(&data);
            }
        }
    }
}

use super::*;
use proptest::prelude::*;

const NAME: Tag = Tag::new(1);
const SIZE: Tag = Tag::new(2);
const STATE: Tag = Tag::critical(3);

/// A kind as this program knows it.
const KIND: RecordKind = RecordKind {
    magic: *b"tEST",
    version: 2,
    tags: &[NAME, SIZE, STATE],
};

/// The same as a later program knows it.
const LATER: RecordKind = RecordKind {
    magic: *b"tEST",
    version: 2,
    tags: &[NAME, SIZE, STATE, Tag::new(0x4001), Tag::critical(0x4001)],
};

const LONGEST: usize = 1 << 16;

fn record(kind: &RecordKind, fields: &[(Tag, &[u8])]) -> Vec<u8> {
    let mut writer = TaggedWriter::new(kind);
    for (tag, value) in fields {
        writer.field(*tag, value);
    }
    writer.finish()
}

fn open(bytes: &[u8]) -> Result<TaggedReader<'_>, TaggedError> {
    TaggedReader::open(&KIND, bytes, LONGEST)
}

#[test]
fn fields_come_back_as_they_were_written() {
    let mut writer = TaggedWriter::new(&KIND);
    writer.field(NAME, b"a");
    writer.number(SIZE, 7);
    writer.field(NAME, b"");
    writer.field(STATE, &[0xff]);
    let bytes = writer.finish();
    let reader = open(&bytes).expect("record");
    assert_eq!((reader.text(NAME), reader.number(SIZE)), (Some("a"), Some(7)));
    assert_eq!(reader.all(NAME).collect::<Vec<_>>(), [&b"a"[..], b""]);
    assert_eq!((reader.text(STATE), reader.number(STATE)), (None, None));
    assert_eq!(reader.unknown(), UnknownFields::default());
}

#[test]
fn the_bytes_of_a_record_are_fixed() {
    let bytes = record(&KIND, &[(NAME, b"ab"), (STATE, b"")]);
    let fields = b"tEST\x02\x01\0\x02\0\0\0ab\x03\x80\0\0\0\0";
    assert_eq!(bytes, [fields.as_slice(), &crc(fields).to_le_bytes()].concat());
}

#[test]
fn a_field_of_a_later_version_outlives_a_rewrite_by_an_older_one() {
    let later = record(&LATER, &[(NAME, b"a"), (Tag::new(0x4001), b"tenant")]);
    let read = open(&later).expect("the field is not critical");
    let mut writer = TaggedWriter::new(&KIND);
    writer.field(NAME, b"b");
    writer.unknown(&read.unknown());
    let rewritten = writer.finish();
    let read = TaggedReader::open(&LATER, &rewritten, LONGEST).expect("record");
    assert_eq!(read.get(Tag::new(0x4001)), Some(&b"tenant"[..]));
    assert_eq!(read.text(NAME), Some("b"));
}

#[test]
fn what_a_later_version_must_explain_is_refused_as_newer() {
    let critical = record(&LATER, &[(Tag::critical(0x4001), b"")]);
    assert_eq!(open(&critical).err(), Some(TaggedError::Newer));
    let version = RecordKind { version: 3, ..LATER };
    assert_eq!(open(&record(&version, &[])).err(), Some(TaggedError::Newer));
}

#[test]
fn damage_is_never_taken_for_a_newer_version() {
    let good = record(&KIND, &[(NAME, b"a")]);
    for at in 4..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert_eq!(open(&bad).err(), Some(TaggedError::Damaged), "{at} {bit}");
        }
    }
    for end in 4..good.len() {
        assert_eq!(open(&good[..end]).err(), Some(TaggedError::Damaged), "{end}");
    }
    assert_eq!(open(b"tES").err(), Some(TaggedError::Foreign));
    assert_eq!(
        open(&[b"x", &good[1..]].concat()).err(),
        Some(TaggedError::Foreign)
    );
}

#[test]
fn a_length_that_reaches_past_the_end_is_damage() {
    for length in [2, 1 << 31, u32::MAX] {
        let mut bytes = TaggedWriter::new(&KIND);
        bytes.field(NAME, b"a");
        bytes.bytes[HEAD_BYTES + 2..HEAD_BYTES + 6].copy_from_slice(&length.to_le_bytes());
        assert_eq!(
            open(&bytes.finish()).err(),
            Some(TaggedError::Damaged),
            "{length}"
        );
    }
}

#[test]
fn a_record_that_is_longer_than_the_caller_allows_is_damage() {
    let bytes = record(&KIND, &[(NAME, b"a")]);
    assert!(TaggedReader::open(&KIND, &bytes, bytes.len()).is_ok());
    let refused = TaggedReader::open(&KIND, &bytes, bytes.len() - 1);
    assert_eq!(refused.err(), Some(TaggedError::Damaged));
}

#[test]
fn bare_fields_need_no_head() {
    let mut writer = TaggedWriter::bare(b"before".to_vec());
    writer.field(NAME, b"a");
    let bytes = writer.into_bytes();
    let read = TaggedReader::bare(&KIND, &bytes[6..]).expect("fields");
    assert_eq!(read.text(NAME), Some("a"));
    assert_eq!(
        TaggedReader::bare(&KIND, &bytes[7..]).err(),
        Some(TaggedError::Damaged)
    );
}

proptest! {
    #[test]
    fn any_fields_come_back_and_unknown_ones_are_kept(
        fields in prop::collection::vec((0..0x8000_u16, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
    ) {
        let mut writer = TaggedWriter::new(&KIND);
        for (tag, value) in &fields {
            writer.field(Tag(*tag), value);
        }
        let bytes = writer.finish();
        let reader = open(&bytes).expect("record");
        for (tag, _) in &fields {
            let same = fields.iter().filter(|(other, _)| other == tag);
            let same: Vec<&[u8]> = same.map(|(_, value)| value.as_slice()).collect();
            prop_assert_eq!(reader.all(Tag(*tag)).collect::<Vec<_>>(), same);
        }
        let mut again = TaggedWriter::bare(Vec::new());
        again.unknown(&reader.unknown());
        let mut expected = TaggedWriter::bare(Vec::new());
        for (tag, value) in fields.iter().filter(|(tag, _)| !KIND.tags.contains(&Tag(*tag))) {
            expected.field(Tag(*tag), value);
        }
        prop_assert_eq!(again.into_bytes(), expected.into_bytes());
    }
}

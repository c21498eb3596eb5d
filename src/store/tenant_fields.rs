//! The fields of a [tagged](super::tagged) record that say whom an entry belongs to. They mean the same in every kind.

use super::tagged::{Tag, TaggedReader, TaggedWriter};
use super::tenant::{Rank, Tenancy, Tenant};

/// The tenant's name.
pub(crate) const TENANT: Tag = Tag::new(0x4001);
/// The name of its group.
pub(crate) const GROUP: Tag = Tag::new(0x4002);
/// The number of the rank, 1 byte.
pub(crate) const RANK: Tag = Tag::new(0x4003);

/// Longer names are none of ours: a value and an issuer, each of their characters escaped, are shorter.
const MAX_NAME_BYTES: usize = 8 * 1024;

/// Adds the fields; none where nobody is known.
pub(crate) fn write(writer: &mut TaggedWriter, tenancy: Option<&Tenancy>) {
    let Some(Tenancy { tenant, rank }) = tenancy else {
        return;
    };
    writer.field(TENANT, tenant.name().as_bytes());
    writer.field(GROUP, tenant.group().as_bytes());
    writer.field(RANK, &[rank.number()]);
}

/// Reads what [`write()`] added. Records of former versions have nobody; one without a rank has the last.
pub(crate) fn read(reader: &TaggedReader<'_>) -> Option<Tenancy> {
    let name = |tag| {
        let name = reader.text(tag)?;
        (1..=MAX_NAME_BYTES).contains(&name.len()).then_some(name)
    };
    let rank = reader.get(RANK).and_then(|rank| rank.first());
    Some(Tenancy {
        tenant: Tenant::from_names(name(TENANT)?, name(GROUP)?),
        rank: rank.map_or(Rank::Other, |rank| Rank::from_number(*rank)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tagged::RecordKind;

    const KIND: RecordKind = RecordKind {
        magic: *b"tEST",
        version: 1,
        tags: &[TENANT, GROUP, RANK],
    };

    fn read_back(fields: &[(Tag, &[u8])]) -> Option<Tenancy> {
        let mut writer = TaggedWriter::new(&KIND);
        for (tag, value) in fields {
            writer.field(*tag, value);
        }
        let bytes = writer.finish();
        read(&TaggedReader::open(&KIND, &bytes, 1 << 20).expect("record"))
    }

    #[test]
    fn every_rank_comes_back() {
        for rank in Rank::ALL {
            let tenant = Tenant::new("https://issuer.test", "4#2", Some("7")).expect("tenant");
            let tenancy = Tenancy { tenant, rank: *rank };
            let mut writer = TaggedWriter::new(&KIND);
            write(&mut writer, Some(&tenancy));
            let bytes = writer.finish();
            let reader = TaggedReader::open(&KIND, &bytes, 1 << 20).expect("record");
            assert_eq!(read(&reader), Some(tenancy));
        }
    }

    #[test]
    fn half_of_a_tenancy_belongs_to_nobody_and_unknown_ranks_are_the_last() {
        assert_eq!(read_back(&[]), None);
        assert_eq!(read_back(&[(TENANT, b"i#a"), (RANK, &[0])]), None);
        assert_eq!(read_back(&[(GROUP, b"i#a"), (RANK, &[0])]), None);
        assert_eq!(read_back(&[(TENANT, b""), (GROUP, b"i")]), None);
        assert_eq!(read_back(&[(TENANT, b"\xff"), (GROUP, b"i")]), None);
        assert_eq!(read_back(&[(TENANT, &[b'a'; 8193]), (GROUP, b"i")]), None);
        for rank in [&[][..], &[77]] {
            let read = read_back(&[(TENANT, b"i#a"), (GROUP, b"i"), (RANK, rank)]);
            assert_eq!(read.map(|read| read.rank), Some(Rank::Other));
        }
    }
}

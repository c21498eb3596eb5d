//! The body of Put Block List: XML that names the blocks of a blob in order.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};

use super::block_id;

/// Most blocks of one blob, as Azure has it.
pub(super) const MAX_BLOCKS: usize = 50_000;

/// What is wrong with a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockListError {
    /// It is not the XML of a block list.
    Syntax,
    /// An id is not base64, or too long.
    Id,
    /// It names more blocks than a blob can have.
    TooLong,
}

/// Where in the document the reader is.
enum XmlPosition {
    Before,
    List,
    Block,
    After,
}

/// The ids in their order. `Latest`, `Uncommitted` and `Committed` are one: an upload has only blocks that
/// were sent to it.
pub(crate) fn parse(xml: &[u8]) -> Result<Vec<Box<[u8]>>, BlockListError> {
    use XmlPosition::{After, Before, Block, List};
    let mut reader = Reader::from_reader(xml);
    let mut blocks = Vec::new();
    let mut position = Before;
    let mut text = Vec::new();
    loop {
        let event = reader.read_event().map_err(|_| BlockListError::Syntax)?;
        position = match (position, event) {
            (After, Event::Eof) => return Ok(blocks),
            (position, Event::Decl(_) | Event::Comment(_) | Event::PI(_)) => position,
            (Before, Event::Start(tag)) if tag.name().as_ref() == b"BlockList" => List,
            (Before, Event::Empty(tag)) if tag.name().as_ref() == b"BlockList" => After,
            (List, Event::Start(tag)) if names_a_block(tag.name().as_ref()) => Block,
            (List, Event::Empty(tag)) if names_a_block(tag.name().as_ref()) => {
                return Err(BlockListError::Id);
            }
            (List, Event::End(_)) => After,
            (Block, Event::End(_)) => {
                if blocks.len() == MAX_BLOCKS {
                    return Err(BlockListError::TooLong);
                }
                blocks.push(block_id::decode(text.trim_ascii()).ok_or(BlockListError::Id)?);
                text.clear();
                List
            }
            (Block, Event::Text(piece)) => {
                text.extend_from_slice(&piece);
                Block
            }
            (Block, Event::CData(piece)) => {
                text.extend_from_slice(&piece);
                Block
            }
            (Block, Event::GeneralRef(name)) => {
                text.extend_from_slice(resolve(&name)?.as_bytes());
                Block
            }
            (position, Event::Text(piece)) if piece.trim_ascii().is_empty() => position,
            // Another element, text where none belongs, a document type, or an early end.
            _ => return Err(BlockListError::Syntax),
        };
    }
}

fn names_a_block(name: &[u8]) -> bool {
    matches!(name, b"Latest" | b"Uncommitted" | b"Committed")
}

/// What a reference stands for. There are no declared ones, since a document type is refused.
fn resolve(name: &BytesRef<'_>) -> Result<String, BlockListError> {
    if let Some(letter) = name.resolve_char_ref().map_err(|_| BlockListError::Syntax)? {
        return Ok(letter.to_string());
    }
    let name = name.decode().map_err(|_| BlockListError::Syntax)?;
    let text = resolve_predefined_entity(&name).ok_or(BlockListError::Syntax)?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(xml: &str, expected: Result<&[&[u8]], BlockListError>) {
        let found = parse(xml.as_bytes());
        let found = found
            .as_ref()
            .map(|ids| ids.iter().map(|id| &**id).collect::<Vec<_>>());
        assert_eq!(found.as_deref().map_err(|error| **error), expected, "{xml}");
    }

    #[test]
    fn lists_of_all_clients_keep_their_order() {
        let ids: &[&[u8]] = &[b"b", b"a", b"b", b"\x01\x02\x03"];
        for xml in [
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?><BlockList><Latest>Yg==</Latest>\
             <Latest>YQ==</Latest><Latest>Yg==</Latest><Latest>AQID</Latest></BlockList>",
            "<BlockList><Uncommitted>Yg==</Uncommitted><Committed>YQ==</Committed><Latest>Yg==</Latest>\
             <Latest>AQID</Latest></BlockList>",
            "\u{feff}<?xml version=\"1.0\"?>\r\n<!-- x -->\n<BlockList a=\"b\">\n  <Latest> Yg== </Latest>\n\
             <Latest>\tYQ&#61;&#x3d;\n</Latest><Latest>Yg==</Latest><Latest><![CDATA[AQID]]></Latest>\n\
             </BlockList>\n",
        ] {
            check(xml, Ok(ids));
        }
        check("<BlockList></BlockList>", Ok(&[]));
        check("<?xml version=\"1.0\"?><BlockList/>", Ok(&[]));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for xml in [
            "",
            "x",
            "<BlockList>",
            "<BlockList><Latest>Yg==</Latest>",
            "<BlockList><Latest>Yg==</BlockList>",
            "<Blocks><Latest>Yg==</Latest></Blocks>",
            "<BlockList><Newest>Yg==</Newest></BlockList>",
            "<BlockList>Yg==</BlockList>",
            "<BlockList><Latest><Latest>Yg==</Latest></Latest></BlockList>",
            "<BlockList></BlockList><BlockList></BlockList>",
            "<BlockList></BlockList>x",
            "<!DOCTYPE x [<!ENTITY a \"Yg==\">]><BlockList><Latest>&a;</Latest></BlockList>",
            "<BlockList><Latest>&a;</Latest></BlockList>",
            "<BlockList><Latest>&#0;</Latest></BlockList>",
            "{\"Latest\":[]}",
        ] {
            check(xml, Err(BlockListError::Syntax));
        }
    }

    #[test]
    fn ids_must_be_ids() {
        for id in ["", "*", "Yg=Yg=", "Y&amp;g", &"AAAA".repeat(22)] {
            check(
                &format!("<BlockList><Latest>{id}</Latest></BlockList>"),
                Err(BlockListError::Id),
            );
        }
        check("<BlockList><Latest/></BlockList>", Err(BlockListError::Id));
    }

    #[test]
    fn fifty_thousand_blocks_are_the_most() {
        let list = |count| format!("<BlockList>{}</BlockList>", "<Latest>Yg==</Latest>".repeat(count));
        assert_eq!(parse(list(50_000).as_bytes()).map(|ids| ids.len()), Ok(50_000));
        assert_eq!(parse(list(50_001).as_bytes()), Err(BlockListError::TooLong));
    }
}

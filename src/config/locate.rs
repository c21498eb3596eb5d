//! On which line each key stands, and what must be refused before values are read.
//!
//! `serde_yaml` forgets positions, so this walks the events of a second parser once. That is also the
//! place to find duplicate keys, and to stop files that are built to expand.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_yaml::Value;

use super::field::key_name;
use super::keypath::{KeyLines, KeyPath};
use super::suggest::quoted;
use super::syntax::{self, SyntaxError};

/// No key of ours is deeper than four levels.
const MAX_DEPTH: usize = 16;
/// Values in one file, each use of an alias counted in full.
const MAX_VALUES: usize = 20_000;
/// Bytes of one key.
const MAX_KEY_BYTES: usize = 128;

/// A key that stands twice in one section.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DuplicateKey {
    /// The key.
    pub(super) path: KeyPath,
    /// The line of the second one.
    pub(super) line: usize,
    /// The line of the first one.
    pub(super) first: usize,
}

/// What is known of a file after the walk.
#[derive(Debug, Default)]
pub(super) struct LocatedKeys {
    /// Where everything stands.
    pub(super) lines: KeyLines,
    /// Keys that stand twice.
    pub(super) duplicates: Vec<DuplicateKey>,
}

/// Walks through a file.
///
/// # Errors
/// On the first fault of syntax, and for what no configuration needs: several documents, tags, keys
/// that are not plain text, and nesting, keys or aliases beyond all measure.
pub(super) fn locate(text: &str) -> Result<LocatedKeys, SyntaxError> {
    let mut walk = YamlWalk::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|error| syntax::syntax_error(text, Some(error.marker().line()), error.info()))?;
        walk.step(&event, span.start.line())?;
    }
    Ok(walk.located)
}

#[derive(Default)]
struct YamlWalk {
    located: LocatedKeys,
    open: Vec<OpenNode>,
    documents: usize,
    values: usize,
    /// Size of each finished anchor, in values.
    anchors: HashMap<usize, usize>,
}

/// A list or section that has not ended yet.
struct OpenNode {
    path: KeyPath,
    container: Container,
    anchor: usize,
    values_before: usize,
}

enum Container {
    List {
        next: usize,
    },
    Section {
        seen: HashMap<String, usize>,
        key: Option<String>,
    },
}

impl YamlWalk {
    fn step(&mut self, event: &Event<'_>, line: usize) -> Result<(), SyntaxError> {
        match event {
            Event::DocumentStart(_) => self.document(line),
            Event::Scalar(text, style, anchor, tag) => {
                self.check_tag(tag.as_deref(), line)?;
                if self.expects_key() {
                    return self.key(text, *style, line);
                }
                self.value(line, 1)?;
                self.anchors.insert(*anchor, 1);
                Ok(())
            }
            Event::Alias(anchor) => self.alias(*anchor, line),
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), line)?;
                self.begin(*anchor, line, Container::List { next: 0 })
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), line)?;
                let (seen, key) = (HashMap::new(), None);
                self.begin(*anchor, line, Container::Section { seen, key })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(frame) = self.open.pop() {
                    self.anchors
                        .insert(frame.anchor, self.values - frame.values_before);
                }
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    /// Refuses a tag of the file's own at the next value.
    fn check_tag(&self, tag: Option<&Tag>, line: usize) -> Result<(), SyntaxError> {
        let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) else {
            return Ok(());
        };
        let message = format!(
            "{} begins with an exclamation mark, which has a meaning in YAML; put the value into single quotes",
            quoted(&tag.to_string())
        );
        let key = match self.open.last() {
            None => KeyPath::default(),
            Some(OpenNode { path, container, .. }) => match container {
                Container::Section { key: Some(key), .. } => path.key(key),
                Container::Section { key: None, .. } => path.clone(),
                Container::List { next } => path.index(*next),
            },
        };
        Err(SyntaxError { line, key, message })
    }

    fn document(&mut self, line: usize) -> Result<(), SyntaxError> {
        self.documents += 1;
        if self.documents > 1 {
            let message = "a second document begins here; keep one document in the file and remove the `---`";
            return Err(SyntaxError::new(line, message));
        }
        Ok(())
    }

    fn expects_key(&self) -> bool {
        let container = self.open.last().map(|frame| &frame.container);
        matches!(container, Some(Container::Section { key: None, .. }))
    }

    /// Takes the name of the next value. The first of two equal keys keeps its line, because its
    /// value is the one that is read.
    fn key(&mut self, name: &str, style: ScalarStyle, line: usize) -> Result<(), SyntaxError> {
        if name.len() > MAX_KEY_BYTES {
            let message = format!("a key is longer than {MAX_KEY_BYTES} bytes; shorten it");
            return Err(SyntaxError::new(line, message));
        }
        let Some(frame) = self.open.last_mut() else {
            return Ok(());
        };
        if let Container::Section { seen, key } = &mut frame.container {
            let path = frame.path.key(name);
            *key = Some(name.to_owned());
            if let Some(&first) = seen.get(name) {
                self.located.duplicates.push(DuplicateKey { path, line, first });
            } else {
                seen.insert(name.to_owned(), line);
                self.located.lines.note(&path, line);
                // `~` and `0x10` are no texts: messages name them by their values.
                if let Some(shown) = shown_otherwise(name, style) {
                    self.located.lines.note(&frame.path.key(&shown), line);
                }
            }
        }
        Ok(())
    }

    /// Counts a value, notes its line and gives its path.
    fn value(&mut self, line: usize, size: usize) -> Result<KeyPath, SyntaxError> {
        self.values = self.values.saturating_add(size);
        if self.values > MAX_VALUES {
            let message =
                format!("the file holds more than {MAX_VALUES} values, aliases counted in full; remove some");
            return Err(SyntaxError::new(line, message));
        }
        let path = match self.open.last_mut() {
            None => KeyPath::default(),
            Some(OpenNode { path, container, .. }) => match container {
                Container::Section { key, .. } => path.key(&key.take().unwrap_or_default()),
                Container::List { next } => {
                    *next += 1;
                    path.index(*next - 1)
                }
            },
        };
        // A key has noted its own line already; only the entries of lists and the top are new.
        self.located.lines.note(&path, line);
        Ok(path)
    }

    fn begin(&mut self, anchor: usize, line: usize, container: Container) -> Result<(), SyntaxError> {
        if self.expects_key() {
            return Err(not_a_name(line));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(SyntaxError::new(
                line,
                format!(
                    "the file is nested deeper than {MAX_DEPTH} levels; check the brackets and the indentation"
                ),
            ));
        }
        let values_before = self.values;
        let path = self.value(line, 1)?;
        self.open.push(OpenNode {
            path,
            container,
            anchor,
            values_before,
        });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, line: usize) -> Result<(), SyntaxError> {
        if self.expects_key() {
            return Err(not_a_name(line));
        }
        let Some(&size) = self.anchors.get(&anchor) else {
            return Err(SyntaxError::new(
                line,
                "an alias stands inside of what it stands for; write the value out",
            ));
        };
        self.value(line, size).map(drop)
    }
}

/// The name of a key that is not a text, where it is not what stands in the file.
fn shown_otherwise(name: &str, style: ScalarStyle) -> Option<String> {
    let value = match style {
        ScalarStyle::Plain => serde_yaml::from_str(name).ok()?,
        _ => return None,
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(key_name(&value)),
        _ => None,
    }
}

fn not_a_name(line: usize) -> SyntaxError {
    SyntaxError::new(
        line,
        "a key is not a plain name; write `name: value`, and put values with brackets, braces or `*` in front into quotes",
    )
}

#[cfg(test)]
mod tests;

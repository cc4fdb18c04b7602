//! YAML as PyYAML loads it, as far as JSON can hold it.
//!
//! Scalars follow YAML 1.1 (`yaml_scalars`), anchors may be used anywhere,
//! `<<` merges, the last of two equal keys wins. Invariant: parsing knows the
//! lines and never fails on what nobody asks for; only the parts that are
//! turned into JSON have to make sense. Must not: read files.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::{Map, Value};
use yaml_rust2::parser::{Event, Parser, Tag};
use yaml_rust2::scanner::{Marker, TScalarStyle};

use super::lax::Fault;
use super::yaml_scalars;

/// Deeper nesting is an attack or a mistake, and would exhaust the stack.
const MAX_DEPTH: usize = 64;
/// Anchors can make few lines into many values.
const MAX_VALUES: usize = 100_000;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    /// Counted from 1.
    pub(super) line: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Scalar {
        text: String,
        plain: bool,
        tag: Option<Tag>,
    },
    List(Vec<Rc<Node>>),
    Map(Vec<Pair>),
}

/// A key and its value as they stand.
type Pair = (Rc<Node>, Rc<Node>);

/// A key that is text, and its value.
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// Where the key stands, counted from 1.
    pub(super) line: usize,
    /// The value.
    pub(super) node: Rc<Node>,
}

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct YamlFault {
    /// Counted from 1.
    pub(super) line: usize,
    /// What is wrong; reads after "it" or stands alone.
    pub(super) reason: Fault,
    /// The keys that lead there, as far as they are known.
    pub(super) path: Vec<String>,
}

impl YamlFault {
    fn at(line: usize, reason: impl Into<Fault>) -> Self {
        Self {
            line,
            reason: reason.into(),
            path: Vec::new(),
        }
    }

    fn within(mut self, key: &str) -> Self {
        self.path.insert(0, key.to_owned());
        self
    }
}

/// Parses one document; `None` when there is none, or null.
pub(super) fn parse(text: &str) -> Result<Option<Rc<Node>>, YamlFault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    loop {
        let (event, mark) = parser.next_token().map_err(|error| {
            let mark = error.marker();
            let column = mark.col() + 1;
            YamlFault::at(
                mark.line().max(1),
                format!("{} (column {column})", error.info()),
            )
        })?;
        if event == Event::StreamEnd {
            return Ok(builder.document.filter(|node| !node.is_null()));
        }
        builder.take(event, mark)?;
    }
}

impl Node {
    fn is_null(&self) -> bool {
        matches!(self.json(), Ok(Value::Null))
    }

    fn json(&self) -> Result<Value, Fault> {
        match &self.kind {
            Kind::Scalar { text, plain, tag } => scalar(text, *plain, tag.as_ref()),
            Kind::List(_) | Kind::Map(_) => Err("is no scalar".to_owned()),
        }
    }

    /// The keys and values of a mapping; keys that are not text are left out.
    /// `None` when this is no mapping.
    pub(super) fn entries(&self) -> Result<Option<Vec<Entry>>, YamlFault> {
        let Kind::Map(_) = &self.kind else {
            return Ok(None);
        };
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = HashSet::new();
        let mut left = MAX_VALUES;
        for (key, node) in self.flat(&mut left, 0)?.into_iter().rev() {
            let line = key.line;
            let Ok(Value::String(key)) = key.json() else {
                continue;
            };
            if seen.insert(key.clone()) {
                entries.push(Entry { key, line, node });
            }
        }
        entries.reverse();
        Ok(Some(entries))
    }

    /// The items of a list; `None` when this is no list.
    pub(super) fn items(&self) -> Option<&[Rc<Self>]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value as JSON.
    pub(super) fn to_json(&self) -> Result<Value, YamlFault> {
        let mut left = MAX_VALUES;
        self.to_json_within(&mut left, 0)
    }

    fn to_json_within(&self, left: &mut usize, depth: usize) -> Result<Value, YamlFault> {
        *left = left
            .checked_sub(1)
            .filter(|_| depth < MAX_DEPTH)
            .ok_or_else(|| YamlFault::at(self.line, "is too large or too deep"))?;
        match &self.kind {
            Kind::Scalar { .. } => self
                .json()
                .map_err(|reason| YamlFault::at(self.line, reason)),
            Kind::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    item.to_json_within(left, depth + 1)
                        .map_err(|fault| fault.within(&format!("[{index}]")))
                })
                .collect(),
            Kind::Map(_) => {
                let mut map = Map::new();
                for (key, value) in self.flat(left, depth)? {
                    let name = match key.json() {
                        Ok(Value::String(name)) => name,
                        Ok(other) => {
                            let reason = format!(
                                "has the key `{other}`, which is no text; put it in quotes"
                            );
                            return Err(YamlFault::at(key.line, reason));
                        }
                        Err(reason) => {
                            return Err(YamlFault::at(key.line, format!("a key {reason}")));
                        }
                    };
                    let value = value
                        .to_json_within(left, depth + 1)
                        .map_err(|fault| fault.within(&name))?;
                    map.insert(name, value);
                }
                Ok(Value::Object(map))
            }
        }
    }

    /// The pairs of a mapping after `<<`: what is merged comes first, so that
    /// the mapping's own keys win; of several merged ones the first wins. What
    /// is merged counts, empty mappings too: they can multiply like others.
    fn flat(&self, left: &mut usize, depth: usize) -> Result<Vec<Pair>, YamlFault> {
        let Kind::Map(pairs) = &self.kind else {
            return Err(YamlFault::at(
                self.line,
                "is merged with `<<` and is no mapping",
            ));
        };
        if depth >= MAX_DEPTH {
            return Err(YamlFault::at(self.line, "is too deep"));
        }
        let mut merged = Vec::new();
        let mut own = Vec::new();
        for (key, value) in pairs {
            if !key.is_merge() {
                own.push((Rc::clone(key), Rc::clone(value)));
                continue;
            }
            match &value.kind {
                Kind::List(sources) => {
                    for source in sources.iter().rev() {
                        merged.extend(source.merged_into(self, left, depth)?);
                    }
                }
                _ => merged.extend(value.merged_into(self, left, depth)?),
            }
        }
        merged.extend(own);
        Ok(merged)
    }

    fn merged_into(
        &self,
        target: &Self,
        left: &mut usize,
        depth: usize,
    ) -> Result<Vec<Pair>, YamlFault> {
        let pairs = self.flat(left, depth + 1)?;
        *left = left
            .checked_sub(pairs.len() + 1)
            .ok_or_else(|| YamlFault::at(target.line, "is too large"))?;
        Ok(pairs)
    }

    fn is_merge(&self) -> bool {
        matches!(
            &self.kind,
            Kind::Scalar { text, plain: true, tag: None } if text == "<<"
        )
    }
}

fn scalar(text: &str, plain: bool, tag: Option<&Tag>) -> Result<Value, Fault> {
    match tag {
        Some(tag) if tag.handle == "tag:yaml.org,2002:" => yaml_scalars::tagged(&tag.suffix, text),
        // `!` alone says: take it as text.
        Some(tag) if tag.handle == "!" && tag.suffix.is_empty() => {
            Ok(Value::String(text.to_owned()))
        }
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => {
            Ok(Value::String(text.to_owned()))
        }
        Some(tag) => Err(format!(
            "has the tag `{}{}`, which LiteLLM does not load",
            tag.handle, tag.suffix
        )),
        None if plain => yaml_scalars::plain(text),
        None => Ok(Value::String(text.to_owned())),
    }
}

/// Puts events together.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    document: Option<Rc<Node>>,
}

/// A list or mapping whose end has not come yet.
struct Open {
    line: usize,
    anchor: usize,
    what: Pending,
}

enum Pending {
    List(Vec<Rc<Node>>),
    Map(Vec<Pair>, Option<Rc<Node>>),
}

impl Builder {
    fn take(&mut self, event: Event, mark: Marker) -> Result<(), YamlFault> {
        let line = mark.line().max(1);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = matches!(style, TScalarStyle::Plain);
                self.done(anchor, line, Kind::Scalar { text, plain, tag })
            }
            Event::SequenceStart(anchor, _) => self.begin(line, anchor, Pending::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.begin(line, anchor, Pending::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => {
                    let kind = match open.what {
                        Pending::List(items) => Kind::List(items),
                        Pending::Map(pairs, _) => Kind::Map(pairs),
                    };
                    self.done(open.anchor, open.line, kind)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => {
                    let node = Rc::clone(node);
                    self.put(node)
                }
                None => Err(YamlFault::at(line, "refers to an anchor inside itself")),
            },
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, what: Pending) -> Result<(), YamlFault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlFault::at(line, "is nested too deep"));
        }
        self.open.push(Open { line, anchor, what });
        Ok(())
    }

    fn done(&mut self, anchor: usize, line: usize, kind: Kind) -> Result<(), YamlFault> {
        let node = Rc::new(Node { line, kind });
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.put(node)
    }

    fn put(&mut self, node: Rc<Node>) -> Result<(), YamlFault> {
        match self.open.last_mut().map(|open| &mut open.what) {
            Some(Pending::List(items)) => items.push(node),
            Some(Pending::Map(pairs, key)) => match key.take() {
                Some(key) => pairs.push((key, node)),
                None => *key = Some(node),
            },
            None if self.document.is_some() => {
                return Err(YamlFault::at(node.line, "a second document begins here"));
            }
            None => self.document = Some(node),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

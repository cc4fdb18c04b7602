//! How deep and how large a settings file may be, before a tree is made of it.
//!
//! The library that makes the tree goes down the stack for each level, copies
//! what an anchor stands for at each place that refers to it, and quotes keys
//! that are no text. Invariant: what passes is a tree of bounded depth and size
//! whose keys are scalars. Must not: look at values.

use yaml_rust2::parser::{Event, Parser};

use super::error::Wrong;

/// Our settings are five levels deep.
const MAX_DEPTH: usize = 64;

/// Values at most, each counted as often as it is referred to.
const MAX_VALUES: usize = 100_000;

/// A list or mapping whose end has not come yet.
struct Open {
    anchor: usize,
    is_map: bool,
    /// Keys and values that are directly in it.
    parts: usize,
    /// Values in it, at any depth.
    values: usize,
}

/// Says what is wrong with the form of a text. What is no YAML is not judged:
/// whoever reads it says why.
pub(super) fn check(text: &str) -> Result<(), Wrong> {
    let mut parser = Parser::new_from_str(text);
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: Vec<(usize, usize)> = Vec::new();
    loop {
        let Ok((event, mark)) = parser.next_token() else {
            return Ok(());
        };
        let refuse = |what: &str, remedy: &str| {
            Err(Wrong::new(
                format!("{what} at line {}", mark.line()),
                remedy,
            ))
        };
        let (anchor, values, is_scalar) = match event {
            Event::StreamEnd => return Ok(()),
            Event::Scalar(_, _, anchor, _) => (anchor, 1, true),
            Event::Alias(anchor) => {
                let known = anchors.iter().rev().find(|(id, _)| *id == anchor);
                let values = known.map_or(1, |(_, values)| *values);
                (0, values, values == 1)
            }
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                if open.len() >= MAX_DEPTH {
                    return refuse("is nested too deep", "correct the file");
                }
                open.push(Open {
                    anchor,
                    is_map: matches!(event, Event::MappingStart(..)),
                    parts: 0,
                    values: 1,
                });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(ended) => (ended.anchor, ended.values, false),
                None => continue,
            },
            _ => continue,
        };
        if anchor > 0 {
            anchors.push((anchor, values));
        }
        if let Some(around) = open.last_mut() {
            around.parts += 1;
            around.values = around.values.saturating_add(values);
            if around.values > MAX_VALUES {
                return refuse("holds too many values", "correct the file");
            }
            if around.is_map && around.parts % 2 == 1 && !is_scalar {
                return refuse("has a key that is no text", "put the key in quotes");
            }
        }
    }
}

//! The `include:` of LiteLLM's configuration file.
//!
//! Source: LiteLLM 1.109.1, `proxy/common_utils/config_includes.py`: an entry
//! is looked for next to the file that declares it, then next to the first
//! file; entries are read breadth first, each file once; a later file replaces
//! a top-level key as a whole, or adds to it where both hold lists. Must not:
//! look into the values.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::config_file::ConfigFileError;
use super::yaml::{self, Entry, Node};
use crate::config::files;

/// Everything of a configuration, merged.
pub(super) struct Merged {
    /// The last file that set each top-level key, and its value. For lists
    /// that were added up: every part in its order.
    pub(super) sections: BTreeMap<String, Vec<Section>>,
    /// Every file that was read, the first one first.
    pub(super) files: Vec<PathBuf>,
    /// What LiteLLM warns of as well.
    pub(super) warnings: Vec<String>,
}

/// The value of a top-level key in one file.
#[derive(Clone)]
pub(super) struct Section {
    /// The file.
    pub(super) file: PathBuf,
    /// The value.
    pub(super) node: Rc<Node>,
}

/// Reads `root` and everything that it includes.
pub(super) fn read(root: &Path) -> Result<Merged, ConfigFileError> {
    let root = absolute(root)?;
    let mut merged = Merged {
        sections: BTreeMap::new(),
        files: Vec::new(),
        warnings: Vec::new(),
    };
    let mut pending = VecDeque::from([root.clone()]);
    let mut queued_by = VecDeque::from([None]);
    let mut seen = BTreeSet::new();
    while let (Some(file), Some(declared)) = (pending.pop_front(), queued_by.pop_front()) {
        if !seen.insert(file.clone()) {
            continue;
        }
        let Some(document) = read_one(&file, declared)? else {
            if file == root {
                return Err(ConfigFileError::Empty { file });
            }
            merged.files.push(file);
            continue;
        };
        let entries = document
            .entries()
            .map_err(|fault| ConfigFileError::syntax(&file, fault))?
            .ok_or_else(|| ConfigFileError::NotAMapping { file: file.clone() })?;
        for Entry { key, node, .. } in entries {
            if key == "include" {
                for (entry, line) in include_entries(&file, &node)? {
                    let target = resolve(&entry, &file, &root, &mut merged.warnings)?;
                    pending.push_back(target);
                    queued_by.push_back(Some((file.clone(), line)));
                }
            } else {
                merge(&mut merged.sections, key, &file, node);
            }
        }
        merged.files.push(file);
    }
    Ok(merged)
}

fn merge(sections: &mut BTreeMap<String, Vec<Section>>, key: String, file: &Path, node: Rc<Node>) {
    let parts = sections.entry(key).or_default();
    let both_lists = node.items().is_some()
        && parts
            .last()
            .is_some_and(|earlier| earlier.node.items().is_some());
    if !both_lists {
        parts.clear();
    }
    parts.push(Section {
        file: file.to_owned(),
        node,
    });
}

fn read_one(
    file: &Path,
    declared: Option<(PathBuf, usize)>,
) -> Result<Option<Rc<Node>>, ConfigFileError> {
    let text = files::settings(file).map_err(|source| match declared {
        Some((by, line)) => ConfigFileError::Include {
            file: file.to_owned(),
            by,
            line,
            source,
        },
        None => ConfigFileError::Unreadable {
            file: file.to_owned(),
            source,
        },
    })?;
    yaml::parse(&text).map_err(|fault| ConfigFileError::syntax(file, fault))
}

fn include_entries(file: &Path, node: &Node) -> Result<Vec<(String, usize)>, ConfigFileError> {
    let fault = || ConfigFileError::IncludeList {
        file: file.to_owned(),
        line: node.line,
    };
    node.items()
        .ok_or_else(fault)?
        .iter()
        .map(|item| match item.to_json() {
            Ok(serde_json::Value::String(path)) => Ok((path, item.line)),
            _ => Err(fault()),
        })
        .collect()
}

/// Where an entry points to. Both places may hold such a file; then the one
/// next to the declaring file wins, which LiteLLM warns of as well.
fn resolve(
    entry: &str,
    declared_in: &Path,
    root: &Path,
    warnings: &mut Vec<String>,
) -> Result<PathBuf, ConfigFileError> {
    let beside = |file: &Path| absolute(&file.parent().unwrap_or(Path::new("/")).join(entry));
    let declared = beside(declared_in)?;
    let at_root = beside(root)?;
    if at_root == declared || !at_root.exists() {
        return Ok(declared);
    }
    let declared_in = declared_in.display();
    if declared.exists() {
        warnings.push(format!(
            "include `{entry}` of {declared_in} matches two files: {} is read, {} is not; rename \
             one of them",
            declared.display(),
            at_root.display()
        ));
        return Ok(declared);
    }
    warnings.push(format!(
        "include `{entry}` of {declared_in} is not next to it: {} is read instead; move it",
        at_root.display()
    ));
    Ok(at_root)
}

/// Python's `os.path.abspath`: `..` is taken away by name, without a look at
/// links.
fn absolute(path: &Path) -> Result<PathBuf, ConfigFileError> {
    let joined = std::path::absolute(path).map_err(|source| ConfigFileError::Unreadable {
        file: path.to_owned(),
        source,
    })?;
    let mut clean = PathBuf::new();
    for part in joined.components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            std::path::Component::CurDir => {}
            other => clean.push(other),
        }
    }
    Ok(clean)
}

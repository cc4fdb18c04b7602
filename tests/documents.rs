//! The tests that the documents name as proof are there.
//!
//! A name is `file::test`: the test's own name, and words of the path of the
//! file that has it, as `docs/SAFETY.md` explains. What is written with a
//! capital letter, without an underscore or with brackets is no test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|is| is == ending) {
            found.push(path);
        }
    }
    found
}

/// Each test with the paths of the files that have one of that name, relative to
/// the repository.
fn tests() -> BTreeMap<String, Vec<String>> {
    let mut tests: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let folders = ["src", "tests"].map(|folder| files(&root().join(folder), "rs"));
    for file in folders.into_iter().flatten() {
        let text = fs::read_to_string(&file).expect("UTF-8");
        let mut announced = false;
        let path = file.strip_prefix(root()).expect("inside").to_string_lossy();
        for line in text.lines().map(str::trim) {
            announced |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            let name = line.strip_prefix("async ").unwrap_or(line);
            if let (true, Some(name)) = (announced, name.strip_prefix("fn ")) {
                announced = false;
                let name = name.split(['(', '<']).next().expect("a name");
                tests
                    .entry(name.to_owned())
                    .or_default()
                    .push(path.to_string());
            }
        }
    }
    tests
}

/// Every `path::test` in back quotes.
fn named(text: &str) -> Vec<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_name = |word: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_/.".contains(c);
        !word.is_empty() && word.chars().all(fits)
    };
    quoted
        .filter_map(|quoted| quoted.rsplit_once("::"))
        .filter(|(path, test)| is_name(path) && is_name(test) && test.contains('_'))
        .collect()
}

/// Whether each word of a path is in the file's, in order.
fn fits(path: &str, file: &str) -> bool {
    let mut parts = file.trim_end_matches(".rs").split('/');
    let words = path.trim_end_matches(".rs").split('/');
    words.into_iter().all(|word| parts.any(|part| part == word))
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let tests = tests();
    let mut checked = 0;
    let mut documents = files(&root().join("docs"), "md");
    documents.push(root().join("SECURITY.md"));
    for document in documents {
        let text = fs::read_to_string(&document).expect("UTF-8");
        for (path, test) in named(&text) {
            checked += 1;
            let there = tests
                .get(test)
                .is_some_and(|at| at.iter().any(|at| fits(path, at)));
            assert!(there, "{}: no test {path}::{test}", document.display());
        }
    }
    assert!(checked > 100, "only {checked} names were found");
}

#[test]
fn a_name_is_told_from_other_code() {
    let text = "`guard::held_once` and `plan::guard`, `Tenant::new()`, `entra/pages::a_b`";
    assert_eq!(
        named(text),
        [("guard", "held_once"), ("entra/pages", "a_b")]
    );
    assert!(fits("entra/pages", "src/entra/tests/pages.rs"));
    assert!(fits("races", "tests/it/races/mod.rs"));
    assert!(!fits("races/lists", "tests/it/races/mod.rs"));
}

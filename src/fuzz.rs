//! Parsers of outside input against inputs that nobody thought of: genuine ones
//! with parts changed, moved, repeated, cut away and nested.
//!
//! A target is a unit test beside its parser. It tries the same two thousand
//! inputs in every run of the tests, so that a change fails by what it changed;
//! with `ENTRA_SYNC_FUZZ_SECONDS` others, for so long: `scripts/fuzz` does that
//! for all of them. A failure is made as small as it goes and shown as a byte
//! string, to be put among the seeds.
//!
//! Invariant: every seed is tried as it is before any is changed.
//! Must not: know what is parsed.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// How many inputs a runner tries.
const CASES: u32 = 64;

/// How many runners there are when nobody says otherwise.
const ROUNDS: u64 = 32;

/// Inputs do not grow beyond it: whatever is wrong shows in less.
const LARGEST: usize = 64 * 1024;

/// No input takes longer, in a debug build on a busy machine.
const SLOWEST: Duration = Duration::from_secs(20);

/// What JSON and YAML trip over, wherever it gets.
const COMMON: &[&str] = &[
    "",
    "0",
    "-1",
    "18446744073709551616",
    "1e999",
    "null",
    "true",
    "false",
    "{}",
    "[]",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\\u001b[2J",
    "\u{202e}",
    "\u{0}",
    "\n",
    ",",
    ":",
    "{",
    "}",
    "[",
    "]",
    "\"",
];

/// Tries the property on each seed, and then on what becomes of them. `words`
/// are those of the format.
///
/// # Panics
/// With the smallest input found that makes the property panic.
pub(crate) fn fuzz(seeds: &[&[u8]], words: &[&str], property: impl Fn(&[u8])) {
    for seed in seeds {
        property(seed);
    }
    let words: Vec<&str> = COMMON.iter().chain(words).copied().collect();
    let edits = prop::collection::vec(edit(), 1..8);
    let inputs =
        (any::<Index>(), edits).prop_map(|(seed, edits)| Input::of(seeds, &words, seed, &edits));
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let end = seconds().map(|seconds| Instant::now() + seconds);
    let tried = Cell::new(0_u64);
    for round in 0.. {
        // A runner counts to its number of cases once.
        let mut runner = match end {
            Some(end) if Instant::now() >= end => break,
            Some(_) => TestRunner::new(config.clone()),
            None if round >= ROUNDS => break,
            None => TestRunner::new_with_rng(config.clone(), always_the_same(round)),
        };
        let outcome = runner.run(&inputs, |input| {
            let start = Instant::now();
            property(&input.0);
            tried.set(tried.get() + 1);
            prop_assert!(start.elapsed() < SLOWEST, "it takes too long");
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("{failure}");
        }
    }
    println!("{} inputs", tried.get());
}

fn seconds() -> Option<Duration> {
    let seconds = std::env::var("ENTRA_SYNC_FUZZ_SECONDS").ok()?;
    seconds.parse().ok().map(Duration::from_secs_f64)
}

fn always_the_same(round: u64) -> TestRng {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&round.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &seed)
}

/// Shown so that it can be pasted into a test.
#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

impl Input {
    fn of(seeds: &[&[u8]], words: &[&str], seed: Index, edits: &[Edit]) -> Self {
        let mut bytes = seed.get(seeds).to_vec();
        for edit in edits {
            edit.apply(&mut bytes, seeds, words);
            bytes.truncate(LARGEST);
        }
        Self(bytes)
    }
}

/// One change of an input.
#[derive(Debug, Clone)]
enum Edit {
    Byte(Index, u8),
    Insert(Index, Index),
    /// One token of the input becomes another word.
    Token(Index, Index),
    /// One token becomes another one of the same input.
    Move(Index, Index),
    Cut(Index, Index),
    Copy(Index, Index, Index),
    /// A part of another seed.
    Splice(Index, Index, Index, Index),
    /// Brackets, many times over.
    Nest(Index, Index, u16),
    End(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    prop_oneof![
        2 => (at(), any::<u8>()).prop_map(|(place, byte)| Edit::Byte(place, byte)),
        3 => (at(), at()).prop_map(|(place, word)| Edit::Insert(place, word)),
        6 => (at(), at()).prop_map(|(token, word)| Edit::Token(token, word)),
        4 => (at(), at()).prop_map(|(token, other)| Edit::Move(token, other)),
        2 => (at(), at()).prop_map(|(from, to)| Edit::Cut(from, to)),
        3 => (at(), at(), at()).prop_map(|(from, to, place)| Edit::Copy(from, to, place)),
        2 => (at(), at(), at(), at())
            .prop_map(|(seed, from, to, place)| Edit::Splice(seed, from, to, place)),
        1 => (at(), at(), 1_u16..3_000).prop_map(|(place, what, times)| Edit::Nest(place, what, times)),
        1 => at().prop_map(Edit::End),
    ]
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>, seeds: &[&[u8]], words: &[&str]) {
        // One past the end is a place too.
        let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
        let range = |from: &Index, to: &Index, bytes: &[u8]| {
            let (from, to) = (place(from, bytes), place(to, bytes));
            from.min(to)..from.max(to)
        };
        let insert = |bytes: &mut Vec<u8>, at: usize, what: &[u8]| {
            bytes.splice(at..at, what.iter().copied());
        };
        match self {
            Self::Byte(at, byte) => {
                let at = place(at, bytes);
                if let Some(old) = bytes.get_mut(at) {
                    *old = *byte;
                }
            }
            Self::Insert(at, word) => {
                let at = place(at, bytes);
                insert(bytes, at, word.get(words).as_bytes());
            }
            Self::Token(token, word) => {
                if let Some(token) = token_of(bytes, token) {
                    bytes.splice(token, word.get(words).bytes());
                }
            }
            Self::Move(token, other) => {
                if let (Some(token), Some(other)) = (token_of(bytes, token), token_of(bytes, other))
                {
                    let other = bytes[other].to_vec();
                    bytes.splice(token, other);
                }
            }
            Self::Cut(from, to) => drop(bytes.drain(range(from, to, bytes))),
            Self::Copy(from, to, at) => {
                let part = bytes[range(from, to, bytes)].to_vec();
                let at = place(at, bytes);
                insert(bytes, at, &part);
            }
            Self::Splice(seed, from, to, at) => {
                let other = seed.get(seeds);
                let at = place(at, bytes);
                insert(bytes, at, &other[range(from, to, other)]);
            }
            Self::Nest(at, what, times) => {
                let what = what.get(&["[", "{\"a\":", "- ", "]", "{a: ", "&a ", "((", "%25"]);
                let at = place(at, bytes);
                insert(bytes, at, what.repeat((*times).into()).as_bytes());
            }
            Self::End(at) => bytes.truncate(place(at, bytes)),
        }
    }
}

/// Where a run of bytes between separators stands.
fn token_of(bytes: &[u8], which: &Index) -> Option<std::ops::Range<usize>> {
    let separates = |byte: &u8| b",:{}[] \t\r\n&?=/@;.\\".contains(byte);
    let mut tokens = Vec::new();
    let mut start = None;
    for (at, byte) in bytes.iter().enumerate() {
        match (separates(byte), start) {
            (false, None) => start = Some(at),
            (true, Some(from)) => {
                tokens.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    tokens.extend(start.map(|from| from..bytes.len()));
    (!tokens.is_empty()).then(|| which.get(&tokens).clone())
}

#[test]
fn what_is_hidden_behind_several_changes_of_a_seed_is_found_and_made_small() {
    let found = std::panic::catch_unwind(|| {
        fuzz(&[br#"{"a":[1,2],"b":"text"}"#], &["ZQX"], |input| {
            let value = serde_json::from_slice::<serde_json::Value>(input);
            let is_hit = value.is_ok_and(|value| value["b"].is_null() && value["a"].is_array());
            assert!(!is_hit, "hit");
        });
    });
    let words = found.expect_err("nothing was found");
    let words = words.downcast_ref::<String>().unwrap();
    assert!(words.contains("hit") && words.contains("b\"{"), "{words}");
}

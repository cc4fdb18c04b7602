use serde_json::json;

use super::*;

fn json_of(text: &str) -> Result<Value, YamlFault> {
    parse(text)?.map_or(Ok(Value::Null), |node| node.to_json())
}

#[test]
fn quotes_keep_text_text() {
    assert_eq!(
        json_of("a: yes\nb: \"yes\"\nc: '12:00'\nd: !!str 5\ne: |\n  30d\nf:\n").unwrap(),
        json!({"a": true, "b": "yes", "c": "12:00", "d": "5", "e": "30d\n", "f": null})
    );
}

#[test]
fn anchors_and_merges_are_followed_and_own_keys_win() {
    let text = "
base: &base {models: [a], max_budget: 1}
other: &other {max_budget: 2, rpm_limit: 3}
one: {<<: *base, max_budget: 5}
two: {<<: [*base, *other]}
three: {'<<': 1}
";
    let value = json_of(text).unwrap();
    assert_eq!(value["one"], json!({"models": ["a"], "max_budget": 5}));
    assert_eq!(
        value["two"],
        json!({"models": ["a"], "max_budget": 1, "rpm_limit": 3})
    );
    assert_eq!(value["three"], json!({"<<": 1}));
}

#[test]
fn the_last_of_two_equal_keys_wins() {
    assert_eq!(json_of("a: 1\na: 2\n").unwrap(), json!({"a": 2}));
}

#[test]
fn faults_name_line_and_keys() {
    let fault = json_of("a:\n  b:\n    - x\n    - .inf\n").unwrap_err();
    assert_eq!(fault.line, 4);
    assert_eq!(fault.path, ["a", "b", "[1]"]);
    assert_eq!(json_of("a:\n  1: x\n").unwrap_err().line, 2);
    assert_eq!(json_of("a: [1\n").unwrap_err().path, Vec::<String>::new());
    assert_eq!(json_of("a: 1\n---\nb: 1\n").unwrap_err().line, 3);
    assert!(json_of("a: &x [*x]\n").is_err());
    assert!(json_of("a: !vault x\n").is_err());
}

#[test]
fn nothing_asked_for_needs_to_make_sense() {
    let node = parse("odd: !vault x\n3: 4\nlitellm_settings: {a: 1}\n")
        .unwrap()
        .unwrap();
    let entries = node.entries().unwrap().unwrap();
    assert_eq!(entries.len(), 2);
    assert!(parse("").unwrap().is_none());
    assert!(parse("# only words\n").unwrap().is_none());
}

#[test]
fn bombs_do_not_go_off() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = level - 1;
        text.push_str(&format!(
            "a{level}: &a{level} [*a{below}, *a{below}, *a{below}, *a{below}, *a{below}, \
                 *a{below}, *a{below}, *a{below}, *a{below}, *a{below}]\n"
        ));
    }
    assert!(json_of(&text).is_err());
    assert!(json_of(&"[".repeat(100_000)).is_err());
    assert!(json_of(&"a: {".repeat(10_000)).is_err());
    assert!(json_of(&"- ".repeat(10_000)).is_err());
}

proptest::proptest! {
    #[test]
    fn any_text_is_parsed_without_panic(
        text in "[-:,?&*!|>'\"%@`#{}\\[\\]<~ \n\ta-c0-9.]{0,80}|\\PC{0,60}",
    ) {
        let _ = json_of(&text);
    }

    #[test]
    fn json_comes_back_as_it_was(value in super::super::anything::json()) {
        // JSON is YAML, but for the letters that one of them escapes, and for
        // exponents, which YAML 1.1 wants signed and after a point.
        let text = value.to_string();
        let exponent = text.contains("e+") || text.contains("e-");
        if text.is_ascii() && !text.contains('\\') && !exponent {
            proptest::prop_assert_eq!(json_of(&text).map_err(|fault| fault.reason), Ok(value));
        }
    }
}

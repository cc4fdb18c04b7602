use serde_json::json;
use tempfile::TempDir;

use super::*;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn read_in(folder: &TempDir, env: &BTreeMap<String, String>) -> Result<LitellmFile, String> {
    read(&folder.path().join("config.yaml"), env)
        .map_err(|error| error.to_string().replace(&folder_name(folder), ""))
}

fn folder_name(folder: &TempDir) -> String {
    format!("{}/", folder.path().display())
}

fn read_text(text: &str) -> Result<LitellmFile, String> {
    read_in(&folder(&[("config.yaml", text)]), &env(&[]))
}

#[test]
fn the_parameters_are_found_with_their_lines() {
    let folder = folder(&[(
        "config.yaml",
        "
model_list:
  - model_name: x
    litellm_params: {model: y}
litellm_settings:
  drop_params: true
  default_team_params:
    max_budget: 100
    models: [gpt-4o]
  max_internal_user_budget: 5
  timezone: Europe/Berlin
  budget_reset_time: \"06:00\"
  internal_user_budget_duration: 30d
  entra_groups_also_create_orgs: yes
  default_team_settings:
    - team_id: a
      max_budget: 7
    - team_id: b
      max_budget: 8
",
    )]);
    let file = read_in(&folder, &env(&[])).unwrap();
    assert_eq!(
        file.value("default_team_params"),
        &json!({"max_budget": 100, "models": ["gpt-4o"]})
    );
    assert_eq!(file.value("max_internal_user_budget"), &json!(5));
    assert_eq!(file.value("entra_groups_also_create_orgs"), &json!(true));
    assert_eq!(file.value("default_internal_user_params"), &Value::Null);
    assert_eq!(file.legacy_max_budget(), &json!(7));
    assert!(!file.params.contains_key("drop_params"));
    assert!(!file.params.contains_key("default_internal_user_params"));
    for (key, line) in [("timezone", 11), ("default_team_params", 7)] {
        let origin = file.params[key].origin.to_string();
        assert_eq!(
            origin.replace(&folder_name(&folder), ""),
            format!("config.yaml:{line}")
        );
    }
    assert_eq!(file.warnings, Vec::<String>::new());
}

#[test]
fn an_included_section_replaces_the_whole_section() {
    let folder = folder(&[
        (
            "config.yaml",
            "
include: [parts/team.yaml]
litellm_settings:
  timezone: Europe/Berlin
  max_internal_user_budget: 5
",
        ),
        (
            "parts/team.yaml",
            "
litellm_settings:
  default_team_params: {max_budget: 1}
",
        ),
    ]);
    let file = read_in(&folder, &env(&[])).unwrap();
    assert_eq!(file.value("timezone"), &Value::Null);
    assert_eq!(file.value("default_team_params"), &json!({"max_budget": 1}));
    assert_eq!(file.files.len(), 2);
}

#[test]
fn includes_are_read_breadth_first_and_once() {
    let setting = |zone: &str| format!("litellm_settings: {{timezone: {zone}}}\n");
    let folder = folder(&[
        ("config.yaml", "include: [a.yaml, sub/b.yaml]\n"),
        (
            "a.yaml",
            "include: [c.yaml, config.yaml]\nlitellm_settings: {timezone: A}\n",
        ),
        (
            "sub/b.yaml",
            "include: [c.yaml, ../a.yaml]\nlitellm_settings: {timezone: B}\n",
        ),
        ("c.yaml", &setting("C")),
        ("sub/c.yaml", &setting("SubC")),
        ("empty.yaml", ""),
    ]);
    let file = read_in(&folder, &env(&[])).unwrap();
    let names: Vec<_> = file
        .files
        .iter()
        .map(|path| {
            path.display()
                .to_string()
                .replace(&folder_name(&folder), "")
        })
        .collect();
    assert_eq!(
        names,
        [
            "config.yaml",
            "a.yaml",
            "sub/b.yaml",
            "c.yaml",
            "sub/c.yaml"
        ]
    );
    assert_eq!(file.value("timezone"), &json!("SubC"));
    // sub/c.yaml won over c.yaml, and that is said.
    assert_eq!(file.warnings.len(), 1);
    assert!(file.warnings[0].contains("matches two files"));
}

#[test]
fn an_include_may_lie_next_to_the_first_file() {
    let folder = folder(&[
        ("config.yaml", "include: [sub/a.yaml]\n"),
        ("sub/a.yaml", "include: [b.yaml]\n"),
        ("b.yaml", "litellm_settings: {timezone: UTC}\n"),
    ]);
    let file = read_in(&folder, &env(&[])).unwrap();
    assert_eq!(file.value("timezone"), &json!("UTC"));
    assert!(file.warnings[0].contains("is read instead"));
}

#[test]
fn a_missing_include_is_named_with_the_line_that_asks_for_it() {
    let folder = folder(&[
        ("config.yaml", "a: 1\ninclude:\n  - b.yaml\n  - c.yaml\n"),
        ("b.yaml", "{}"),
    ]);
    assert_eq!(
        read_in(&folder, &env(&[])).unwrap_err(),
        "config.yaml:4: the included file c.yaml cannot be read"
    );
    assert_eq!(
        read_text("a: 1\ninclude: b.yaml\n").unwrap_err(),
        "config.yaml:2: `include` must be a list of file paths"
    );
    assert!(read_text("include: [1]\n").is_err());
}

#[test]
fn environment_references_are_resolved_where_litellm_resolves_them() {
    let folder = folder(&[(
        "config.yaml",
        "
litellm_settings:
  timezone: os.environ/ZONE
  default_team_params:
    max_budget: \"os.environ/BUDGET\"
    blocked: os.environ/BLOCKED
    models: [os.environ/MODEL, other]
    budget_limits:
      - max_budget: os.environ/BUDGET
    soft_budget: os.environ/NOWHERE
",
    )]);
    let env = env(&[
        ("ZONE", "Asia/Kolkata"),
        ("BUDGET", "12.5"),
        ("BLOCKED", "False"),
        ("MODEL", "gpt"),
    ]);
    let file = read_in(&folder, &env).unwrap();
    assert_eq!(file.value("timezone"), &json!("Asia/Kolkata"));
    assert_eq!(
        file.value("default_team_params"),
        &json!({
            "max_budget": "12.5",
            "blocked": false,
            "models": ["os.environ/MODEL", "other"],
            "budget_limits": [{"max_budget": "12.5"}],
            "soft_budget": null,
        })
    );
    assert_eq!(file.warnings.len(), 1);
    assert!(file.warnings[0].contains("litellm_settings.default_team_params.soft_budget"));
    assert!(file.warnings[0].contains("`NOWHERE`"));
}

#[test]
fn what_only_a_secret_manager_knows_is_an_error() {
    assert_eq!(
        read_text(
            "general_settings: {key_management_system: azure_key_vault}\n\
             litellm_settings:\n  default_team_params:\n    max_budget: os.environ/BUDGET\n"
        )
        .unwrap_err(),
        "config.yaml:3: litellm_settings.default_team_params.max_budget refers to `BUDGET`, which \
         LiteLLM asks its secret manager for; set it in the environment as well"
    );
}

#[test]
fn errors_name_file_line_and_key() {
    for (text, expected) in [
        (
            "litellm_settings:\n  default_team_params:\n    max_budget: .inf\n",
            "config.yaml:3: litellm_settings.default_team_params.max_budget is `.inf`, which is no \
             finite number",
        ),
        (
            "litellm_settings:\n  default_team_params:\n    metadata: {since: 2026-01-31}\n",
            "config.yaml:3: litellm_settings.default_team_params.metadata.since is `2026-01-31`, \
             which YAML reads as a date; put it in quotes",
        ),
        (
            "litellm_settings: [1]\n",
            "config.yaml:1: litellm_settings must be a mapping",
        ),
        ("", "config.yaml: is empty"),
        ("- a\n", "config.yaml: must hold a mapping"),
    ] {
        assert_eq!(read_text(text).unwrap_err(), expected, "{text}");
    }
    let syntax = read_text("a: 1\nb: [\n").unwrap_err();
    assert!(syntax.starts_with("config.yaml:"), "{syntax}");
    assert_eq!(
        read(Path::new("/nowhere/config.yaml"), &env(&[]))
            .unwrap_err()
            .to_string(),
        "LiteLLM's configuration file /nowhere/config.yaml cannot be read"
    );
}

#[test]
fn a_file_that_says_nothing_about_us_is_fine() {
    for text in ["model_list: []\n", "litellm_settings:\n", "{}\n"] {
        let file = read_text(text).unwrap();
        assert_eq!(file.params, BTreeMap::new(), "{text}");
    }
}

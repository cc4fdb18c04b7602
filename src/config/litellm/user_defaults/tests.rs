use chrono::NaiveDate;
use serde_json::json;

use super::super::Terms;
use super::*;

const NULL: Value = Value::Null;

fn valid() -> Licence {
    Licence::Valid(Terms {
        max_users: None,
        max_teams: None,
        expires: NaiveDate::MAX,
        features: Vec::new(),
    })
}

fn settings(params: &Value) -> InternalUserSettings<'_> {
    InternalUserSettings {
        params,
        max_budget: &NULL,
        default_max_budget: &NULL,
        budget_duration: &NULL,
    }
}

fn free(params: Value) -> Result<UserDefaults, Vec<String>> {
    parse(settings(&params), &Licence::Absent).map_err(messages)
}

fn messages(errors: Vec<ParamError>) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// Rows that LiteLLM wrote; see the fixture's own words.
#[derive(serde::Deserialize)]
struct Oracle {
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    params: Value,
    role: Option<String>,
    max_internal_user_budget: Value,
    internal_user_budget_duration: Value,
    answer: Value,
}

impl Case {
    fn parse(&self) -> Result<UserDefaults, Vec<ParamError>> {
        let settings = InternalUserSettings {
            params: &self.params,
            max_budget: &self.max_internal_user_budget,
            default_max_budget: &NULL,
            budget_duration: &self.internal_user_budget_duration,
        };
        parse(settings, &valid())
    }
}

fn oracle() -> Vec<Case> {
    let text = include_str!("../../../../tests/fixtures/user_params.json");
    serde_json::from_str::<Oracle>(text).unwrap().cases
}

/// What LiteLLM's fixture would say of a new user with these defaults.
fn answer(defaults: &UserDefaults, from_login: Option<&str>) -> Value {
    let role = from_login
        .and_then(Role::from_stored)
        .or(defaults.role)
        .unwrap_or(Role::FALLBACK);
    let mut row = json!({
        "user_role": role.as_str(), "metadata": {"auth_provider": "microsoft"}, "models": [],
    });
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            row[key] = value;
        }
    };
    put("max_budget", json!(defaults.max_budget_for(role)));
    put("budget_duration", json!(defaults.budget_duration_for(role)));
    if role != Role::ProxyAdmin {
        put("models", json!(defaults.models));
        put("tpm_limit", json!(defaults.tpm_limit));
        put("rpm_limit", json!(defaults.rpm_limit));
        put(
            "max_parallel_requests",
            json!(defaults.max_parallel_requests),
        );
    }
    row
}

#[test]
fn what_is_taken_ends_in_the_row_that_litellm_writes() {
    let mut compared = 0;
    for case in oracle() {
        let Ok(defaults) = case.parse() else {
            continue;
        };
        let mut expected = case.answer.clone();
        // Null is handed to the database, whose column then holds nothing.
        if case.params.get("models") == Some(&NULL) {
            expected["models"] = json!([]);
        }
        assert_eq!(
            answer(&defaults, case.role.as_deref()),
            expected,
            "{} for {:?}",
            case.params,
            case.role
        );
        compared += 1;
    }
    assert!(compared > 60, "{compared}");
}

#[test]
fn what_litellm_refuses_is_refused() {
    for case in oracle().iter().filter(|case| case.answer.is_null()) {
        assert!(case.parse().is_err(), "{}", case.params);
    }
}

#[test]
fn what_litellm_takes_and_we_refuse_is_known() {
    // These LiteLLM hands to the database unchecked, which the fixture does
    // not reach.
    let unchecked = ["models", "tpm_limit", "rpm_limit", "max_parallel_requests"];
    let ours: Vec<String> = oracle()
        .iter()
        .filter(|case| unchecked.iter().all(|key| case.params.get(key).is_none()))
        .filter(|case| !case.answer.is_null() && case.parse().is_err())
        .map(|case| format!("{}\n", case.params))
        .collect();
    assert_eq!(ours.concat(), include_str!("stricter_than_litellm.txt"));
}

#[test]
fn every_refused_key_says_what_litellm_would_do() {
    assert_eq!(
        free(json!({
            "available_teams": ["a"], "user_email": "x@example.com", "metadata": {}, "odd": null,
            "guardrails": ["g"], "key_alias": null,
        }))
        .unwrap_err(),
        [
            "default_internal_user_params.guardrails: is not supported here, and users would \
             differ from those that LiteLLM makes; take it out, or set it on the users in LiteLLM",
            "default_internal_user_params.metadata: has no effect on the users that a login \
             creates; take it out",
            "default_internal_user_params.odd: is no parameter of a user; with it LiteLLM fails to \
             create any user; take it out, or correct its spelling",
            "default_internal_user_params.user_email: is each person's own and cannot be a \
             default; take it out",
        ]
    );
}

#[test]
fn default_teams_are_ids_or_mappings_but_not_both() {
    assert_eq!(
        free(json!({"teams": ["a", "b"]})).unwrap().teams,
        ["a", "b"].map(|team| DefaultTeam {
            team: TeamId::new(team),
            max_budget: None,
            role: TeamRole::User,
        })
    );
    let mapped =
        json!({"teams": [{"team_id": "a", "max_budget_in_team": "5", "user_role": "admin"}]});
    assert_eq!(
        parse(settings(&mapped), &valid()).unwrap().teams,
        [DefaultTeam {
            team: TeamId::new("a"),
            max_budget: Some(5.0),
            role: TeamRole::Admin,
        }]
    );
    for (teams, place) in [
        (
            json!(["a", {"team_id": "b"}]),
            "default_internal_user_params.teams: ",
        ),
        (json!(["a", "a"]), "default_internal_user_params.teams: "),
        (json!([" "]), "default_internal_user_params.teams[0]: "),
        (
            json!([{"max_budget_in_team": 1}]),
            "default_internal_user_params.teams[0].team_id: ",
        ),
        (
            json!([{"team_id": "a", "user_role": "admin"}]),
            "default_internal_user_params.teams[0].user_role: ",
        ),
        (
            json!([{"team_id": "a", "odd": 1}]),
            "default_internal_user_params.teams[0].odd: ",
        ),
        (json!("a"), "default_internal_user_params.teams: "),
    ] {
        let errors = free(json!({ "teams": teams })).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with(place), "{errors:?}");
    }
    assert!(free(json!({"teams": []})).unwrap().teams.is_empty());
}

#[test]
fn the_global_settings_fall_back_and_are_checked() {
    let params = NULL;
    let with = |max_budget: Value, default_max_budget: Value, budget_duration: Value| {
        parse(
            InternalUserSettings {
                params: &params,
                max_budget: &max_budget,
                default_max_budget: &default_max_budget,
                budget_duration: &budget_duration,
            },
            &Licence::Absent,
        )
        .map_err(messages)
    };
    let defaults = with(NULL, json!("7"), json!("30d")).unwrap();
    assert_eq!(defaults.max_internal_user_budget, Some(7.0));
    assert_eq!(
        defaults.internal_user_budget_duration.as_deref(),
        Some("30d")
    );
    let defaults = with(json!(3), json!(7), NULL).unwrap();
    assert_eq!(defaults.max_internal_user_budget, Some(3.0));
    let errors = with(json!(-1), json!([]), json!("2mo")).unwrap_err();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[2].starts_with("internal_user_budget_duration: is `2mo`"));
}

#[test]
fn a_key_with_null_is_not_an_absent_key() {
    let defaults = free(json!({"max_budget": null, "budget_duration": null})).unwrap();
    assert_eq!(defaults.max_budget, Setting::Null);
    assert_eq!(defaults.budget_duration, Setting::Null);
    let defaults = free(json!({})).unwrap();
    assert_eq!(defaults.max_budget, Setting::Absent);
}

proptest::proptest! {
    #[test]
    fn any_value_of_any_key_is_answered(
        key in "user_role|max_budget|budget_duration|models|tpm_limit|teams|[a-z_]{1,12}",
        value in super::super::anything::json(),
    ) {
        let _ = free(json!({ key: value }));
    }
}

use chrono::NaiveDate;
use serde_json::json;

use super::super::Terms;
use super::*;

fn valid() -> Licence {
    Licence::Valid(Terms {
        max_users: None,
        max_teams: None,
        expires: NaiveDate::MAX,
        features: Vec::new(),
    })
}

fn free(params: Value) -> Result<TeamDefaults, Vec<String>> {
    parse(&params, &Licence::Absent).map_err(messages)
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
    licence: String,
    answer: Value,
}

impl Case {
    fn licences(&self) -> Vec<Licence> {
        match self.licence.as_str() {
            "absent" => vec![Licence::Absent],
            "valid" => vec![valid()],
            _ => vec![Licence::Absent, valid()],
        }
    }
}

fn oracle() -> Vec<Case> {
    let text = include_str!("../../../../tests/fixtures/team_params.json");
    serde_json::from_str::<Oracle>(text).unwrap().cases
}

/// What LiteLLM's fixture would say of these defaults.
fn answer(defaults: &TeamDefaults) -> Value {
    let mut team = json!({
        "admins": [], "members": [], "blocked": defaults.blocked, "models": defaults.models,
        "router_settings": defaults.router_settings,
    });
    let mut answer = json!({});
    let mut put = |key: &str, value: Value| {
        if !(value.is_null() || value == json!([]) || value == json!({})) {
            team[key] = value;
        }
    };
    put("max_budget", json!(defaults.max_budget));
    put("soft_budget", json!(defaults.soft_budget));
    put("budget_duration", json!(defaults.budget_duration));
    put("tpm_limit", json!(defaults.tpm_limit));
    put("rpm_limit", json!(defaults.rpm_limit));
    put("tpd_limit", json!(defaults.tpd_limit));
    put(
        "organization_id",
        json!(defaults.organization.as_ref().map(ToString::to_string)),
    );
    put(
        "team_member_permissions",
        json!(defaults.team_member_permissions),
    );
    put("metadata", json!(defaults.metadata));
    put("model_max_budget", json!(defaults.model_max_budget));
    put("policies", json!(defaults.policies));
    put("access_group_ids", json!(defaults.access_group_ids));
    put(
        "default_team_member_models",
        json!(defaults.default_team_member_models),
    );
    if let Some(limits) = &defaults.budget_limits {
        team["budget_limits"] = limits
            .iter()
            .map(|limit| json!({"budget_duration": limit.duration, "max_budget": limit.max_budget}))
            .collect();
    }
    answer["team"] = team;
    if let Some(aliases) = &defaults.model_aliases {
        answer["model_table"] = json!({"model_aliases": aliases});
    }
    if let Some(columns) = &defaults.object_permission {
        answer["object_permission"] = json!(columns);
    }
    if let Some(budget) = &defaults.member_budget {
        let mut row = json!({});
        let mut put = |key: &str, value: Value| {
            if !value.is_null() {
                row[key] = value;
            }
        };
        put("max_budget", json!(budget.max_budget));
        put("budget_duration", json!(budget.duration));
        put("tpm_limit", json!(budget.tpm_limit));
        put("rpm_limit", json!(budget.rpm_limit));
        put("model_max_budget", json!(budget.model_max_budget));
        answer["budget"] = row;
    }
    answer
}

/// The fixture without what reads the same as its absence: empty lists and
/// mappings of a column whose default is empty.
fn without_defaults(mut answer: Value) -> Value {
    if let Some(team) = answer["team"].as_object_mut() {
        team.retain(|key, value| {
            let always = [
                "admins",
                "members",
                "models",
                "router_settings",
                "budget_limits",
            ];
            always.contains(&key.as_str()) || !(value == &json!([]) || value == &json!({}))
        });
    }
    answer
}

#[test]
fn what_is_taken_ends_in_the_row_that_litellm_writes() {
    let mut compared = 0;
    for case in oracle() {
        for licence in case.licences() {
            match parse(&case.params, &licence) {
                Ok(defaults) => {
                    assert_eq!(
                        answer(&defaults),
                        without_defaults(case.answer.clone()),
                        "{} with licence {}",
                        case.params,
                        case.licence
                    );
                    compared += 1;
                }
                Err(errors) => assert!(!errors.is_empty(), "{}", case.params),
            }
        }
    }
    assert!(compared > 300, "{compared}");
}

#[test]
fn what_litellm_refuses_is_refused() {
    for case in oracle().iter().filter(|case| case.answer.is_null()) {
        for licence in case.licences() {
            assert!(
                parse(&case.params, &licence).is_err(),
                "{} with licence {}",
                case.params,
                case.licence
            );
        }
    }
}

#[test]
fn what_litellm_takes_and_we_refuse_is_known() {
    let ours: Vec<String> = oracle()
        .iter()
        .filter(|case| !case.answer.is_null())
        .filter(|case| {
            case.licences()
                .iter()
                .any(|licence| parse(&case.params, licence).is_err())
        })
        .map(|case| format!("{}\n", case.params))
        .collect();
    assert_eq!(ours.concat(), include_str!("stricter_than_litellm.txt"));
}

#[test]
fn every_field_of_the_request_is_either_taken_or_refused() {
    let fields: std::collections::BTreeSet<String> = oracle()
        .iter()
        .filter_map(|case| case.params.as_object()?.keys().next().cloned())
        .collect();
    assert!(fields.len() > 45, "{fields:?}");
    for field in fields {
        let verdicts: Vec<bool> = oracle()
            .iter()
            .filter(|case| {
                case.params
                    .as_object()
                    .is_some_and(|params| params.len() == 1 && params.contains_key(&field))
            })
            .map(|case| parse(&case.params, &valid()).is_ok())
            .collect();
        // Nothing is both unknown and silent: each field says no to something.
        assert!(verdicts.contains(&false), "{field}");
    }
}

#[test]
fn nothing_given_means_nothing_limited() {
    for nothing in [json!(null), json!({})] {
        assert_eq!(free(nothing), Ok(TeamDefaults::default()));
    }
    assert_eq!(
        free(json!([1])).unwrap_err(),
        ["default_team_params: must be a mapping, not a list; write one key per line below it"]
    );
}

#[test]
fn all_errors_are_named_at_once() {
    assert_eq!(
        free(json!({
            "team_alias": "mine", "max_budget": -5, "budget_duration": "2mo", "odd": 1,
            "model_itpm_limit": {"m": 1}, "guardrails": ["g"],
        }))
        .unwrap_err(),
        [
            "default_team_params.team_alias: is the group's display name for every team, so \
             LiteLLM overwrites it; take it out",
            "default_team_params.max_budget: must be a finite amount that is not negative; correct \
             it or take it out",
            "default_team_params.budget_duration: is `2mo`, which LiteLLM refuses: a reset every \
             so many months is supported for one month only; correct it or take it out",
            "default_team_params.guardrails: is a LiteLLM Enterprise feature, and LITELLM_LICENSE \
             is not set; take it out, or set LITELLM_LICENSE as the proxy has it",
            "default_team_params.model_itpm_limit: is ignored by LiteLLM here; write it as \
             default_team_params.metadata.model_itpm_limit",
            "default_team_params.odd: is no parameter of a team; LiteLLM ignores it; take it out, \
             or correct its spelling",
        ]
    );
}

#[test]
fn a_licence_that_cannot_be_read_says_so_where_one_is_needed() {
    let licence = Licence::Unreadable {
        reason: "expired on 2026-11-21".to_owned(),
    };
    let errors = parse(&json!({"tags": ["a"]}), &licence).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "default_team_params.tags: is a LiteLLM Enterprise feature, and LITELLM_LICENSE expired on \
         2026-11-21; take it out, or give a signed licence that has not expired"
    );
}

#[test]
fn credentials_of_callbacks_are_refused_without_being_printed() {
    let errors = free(json!({"metadata": {
        "logging": [
            {"callback_name": "a", "callback_vars": {"langfuse_host": "h"}},
            {"callback_name": "b", "callback_vars": {"langfuse_secret_key": "hush", "x": 1}},
        ],
        "callback_settings": {"callback_vars": {
            "gcs_path_service_account": "hush", "access_cost": "5", "api-key": "litellm_enc::abc",
            "token": "",
        }},
    }}))
    .unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
    for (error, place) in errors.iter().zip([
        "default_team_params.metadata.logging[1].callback_vars.langfuse_secret_key: ",
        "default_team_params.metadata.callback_settings.callback_vars.gcs_path_service_account: ",
    ]) {
        assert!(error.starts_with(place), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn the_budget_of_members_follows_the_team_only_if_it_has_no_key_of_its_own() {
    let duration = |params: Value| free(params).unwrap().member_budget.unwrap().duration;
    let team = Some("7d".to_owned());
    assert_eq!(
        duration(json!({"team_member_budget": 1, "budget_duration": "7d"})),
        team
    );
    assert_eq!(
        duration(json!({
            "team_member_budget": 1, "budget_duration": "7d", "team_member_budget_duration": null,
        })),
        None
    );
    assert_eq!(
        free(json!({"budget_duration": "7d"}))
            .unwrap()
            .member_budget,
        None
    );
}

#[test]
fn a_fixed_organization_and_guaranteed_throughput_exclude_each_other() {
    let guaranteed = json!({"organization_id": "o", "tpm_limit_type": "guaranteed_throughput"});
    assert_eq!(free(guaranteed).unwrap_err().len(), 1);
    let in_metadata = json!({
        "organization_id": "o", "metadata": {"rpm_limit_type": "guaranteed_throughput"},
    });
    assert_eq!(free(in_metadata).unwrap_err().len(), 1);
    assert!(free(json!({"tpm_limit_type": "guaranteed_throughput"})).is_ok());
}

#[test]
fn the_legacy_budget_is_an_amount_or_nothing() {
    assert_eq!(legacy_max_budget(&json!(null)), Ok(None));
    assert_eq!(legacy_max_budget(&json!("7")), Ok(Some(7.0)));
    assert!(legacy_max_budget(&json!(-7)).is_err());
}

proptest::proptest! {
    #[test]
    fn any_value_of_any_field_is_answered(
        field in proptest::sample::select(
            oracle()
                .iter()
                .filter_map(|case| case.params.as_object()?.keys().next().cloned())
                .collect::<Vec<_>>()
        ),
        value in super::super::anything::json(),
    ) {
        let params = json!({ field: value });
        let _ = parse(&params, &Licence::Absent);
        let _ = parse(&params, &valid());
    }
}

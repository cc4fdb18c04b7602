use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::support::{Room, TENANT, origin, value};
use crate::config::{LogFormat, Overrides, ResourceUnits, StoreAuditLogs};
use crate::model::policy::{OrganizationTeamModels, Organizations};
use crate::model::role::Role;

#[test]
fn each_source_beats_the_weaker_one() {
    let key = "litellm.create_organizations";
    let litellm = "litellm_settings: {entra_groups_also_create_orgs: true}";
    let room = Room::complete();
    assert_eq!(origin(&room.loaded(), key), "default");

    let room = room.write("litellm.yaml", litellm);
    let path = room.path("litellm.yaml").display().to_string();
    let room = room.with("ENTRA_SYNC__LITELLM__CONFIG_FILE", &path);
    let loaded = room.loaded();
    assert_eq!(value(&loaded, key), json!(true));
    assert_eq!(origin(&loaded, key), format!("LiteLLM's {path}:1"));

    let room = room.file("one.yaml", "litellm: {create_organizations: false}");
    let loaded = room.loaded();
    assert_eq!(value(&loaded, key), json!(false));
    assert_eq!(
        origin(&loaded, key),
        room.path("one.yaml").display().to_string()
    );

    let room = room.file("two.yaml", "litellm: {create_organizations: true}");
    let loaded = room.loaded();
    assert_eq!(value(&loaded, key), json!(true));
    assert_eq!(
        origin(&loaded, key),
        room.path("two.yaml").display().to_string()
    );

    let room = room.with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "0");
    let loaded = room.loaded();
    assert_eq!(
        loaded.settings.litellm.policy.organizations,
        Organizations::Off
    );
    assert_eq!(
        origin(&loaded, key),
        "environment ENTRA_GROUPS_ALSO_CREATE_ORGS"
    );

    let room = room.with("ENTRA_SYNC__LITELLM__CREATE_ORGANIZATIONS", "yes");
    let loaded = room.loaded();
    assert_eq!(
        loaded.settings.litellm.policy.organizations,
        Organizations::On(OrganizationTeamModels::Mirror)
    );
    assert_eq!(
        origin(&loaded, key),
        "environment ENTRA_SYNC__LITELLM__CREATE_ORGANIZATIONS"
    );
}

#[test]
fn flags_beat_everything() {
    let mut room = Room::complete()
        .with("ENTRA_SYNC__TELEMETRY__LOG_FORMAT", "text")
        .with("ENTRA_SYNC__TELEMETRY__LOG_LEVEL", "warn");
    room.overrides = Overrides {
        log_format: Some(LogFormat::Json),
        verbosity: 1,
    };
    let loaded = room.loaded();
    assert_eq!(loaded.settings.telemetry.log_format, LogFormat::Json);
    assert_eq!(loaded.settings.telemetry.log_level, "debug");
    assert_eq!(origin(&loaded, "telemetry.log_format"), "flag --log-format");
    assert_eq!(origin(&loaded, "telemetry.log_level"), "flag -v");
}

#[test]
fn the_variable_names_files_when_no_flag_does() {
    let room = Room::complete()
        .write("a.yaml", "guard: {max_removals: 1, min_managed: 1}")
        .write("b.yaml", "guard: {max_removals: 2}");
    let list = std::env::join_paths([room.path("a.yaml"), room.path("b.yaml")]).unwrap();
    let room = room.with("ENTRA_SYNC_CONFIG", list.to_str().unwrap());
    let guard = room.loaded().settings.guard;
    assert_eq!((guard.max_removals, guard.min_managed), (2, 1));

    let room = room.file("c.yaml", "guard: {max_removals: 3}");
    let guard = room.loaded().settings.guard;
    assert_eq!((guard.max_removals, guard.min_managed), (3, 20));
}

#[test]
fn an_empty_variable_counts_as_absent() {
    let room = Room::complete()
        .with("ENTRA_SYNC__ENTRA__TENANT", "")
        .with("PROXY_ADMIN_ID", "")
        .with("ENTRA_SYNC__NO_SUCH_KEY", "");
    let loaded = room.loaded();
    assert_eq!(loaded.settings.entra.tenant, TENANT);
    assert_eq!(loaded.settings.litellm.policy.proxy_admin, None);
}

#[test]
fn null_unsets_what_a_weaker_source_gave() {
    let room = Room::complete()
        .file("one.yaml", "litellm: {proxy_admin_id: admin}")
        .file("two.yaml", "litellm: {proxy_admin_id: null}\nguard:\n");
    assert_eq!(room.loaded().settings.litellm.policy.proxy_admin, None);
}

#[test]
fn a_map_is_replaced_as_a_whole_and_may_be_json_text() {
    let room = Room::complete().file(
        "one.yaml",
        "litellm:\n  default_team_params: {max_budget: 5, model_aliases: {gpt-4.1: a.b}}",
    );
    assert_eq!(
        value(&room.loaded(), "litellm.default_team_params"),
        json!({"max_budget": 5, "model_aliases": {"gpt-4.1": "<hidden>"}})
    );
    let room = room.with(
        "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS",
        r#"{"budget_duration": "30d"}"#,
    );
    let loaded = room.loaded();
    assert_eq!(
        value(&loaded, "litellm.default_team_params"),
        json!({"budget_duration": "30d"})
    );
    let defaults = loaded.settings.litellm.policy.team_defaults;
    assert_eq!(defaults.budget_duration.as_deref(), Some("30d"));
}

#[test]
fn litellms_own_names_work_as_they_are() {
    let settings = Room::complete()
        .with(
            "MICROSOFT_GRAPH_ENDPOINT",
            "https://graph.microsoft.us/v1.0/",
        )
        .with("MICROSOFT_USER_EMAIL_ATTRIBUTE", "mail")
        .with("ALLOWED_EMAIL_DOMAINS", "a.example,b.example")
        .with("PROXY_ADMIN_ID", "boss")
        .with("LITELLM_LICENSE", "licence-text")
        .loaded()
        .settings;
    assert_eq!(
        settings.entra.graph_endpoint.as_str(),
        "https://graph.microsoft.us/v1.0"
    );
    assert_eq!(settings.entra.scope, "https://graph.microsoft.us/.default");
    assert_eq!(
        settings.entra.token_endpoint.as_str(),
        format!("https://login.microsoftonline.us/{TENANT}/oauth2/v2.0/token")
    );
    assert_eq!(settings.entra.attributes.email, "mail");
    let policy = settings.litellm.policy;
    assert_eq!(
        policy
            .email_domains
            .unwrap()
            .into_iter()
            .collect::<Vec<_>>(),
        ["a.example", "b.example"]
    );
    assert_eq!(policy.proxy_admin.unwrap().as_str(), "boss");
}

#[test]
fn the_parts_of_a_database_count_only_without_a_url() {
    let room = Room::complete()
        .with("DATABASE_HOST", "elsewhere")
        .with("DATABASE_USERNAME", "someone")
        .with("DATABASE_NAME", "other");
    let loaded = room.loaded();
    assert_eq!(
        origin(&loaded, "litellm.database_url"),
        "environment DATABASE_URL"
    );
    let loaded = room.without("DATABASE_URL").loaded();
    assert_eq!(
        origin(&loaded, "litellm.database_url"),
        "environment DATABASE_HOST, DATABASE_USERNAME, DATABASE_NAME"
    );
    let connection = &loaded.settings.litellm.database.connection;
    assert_eq!(connection.get_user(), Some("someone"));
    assert_eq!(connection.get_dbname(), Some("other"));
}

#[test]
fn loading_twice_gives_the_same() {
    let room = Room::complete().file("my.yaml", "schedule: {timezone: Europe/Zurich}");
    assert_eq!(
        format!("{:?}", room.loaded()),
        format!("{:?}", room.loaded())
    );
}

#[test]
fn values_mean_the_same_from_a_file_and_from_the_environment() {
    let from_file = Room::complete().file(
        "one.yaml",
        "entra: {concurrency: 8, resource_units: 3500, request_timeout: 5s, include_groups: [\"44444444-4444-4444-8444-444444444444\"]}",
    );
    let from_environment = Room::complete()
        .with("ENTRA_SYNC__ENTRA__CONCURRENCY", "8")
        .with("ENTRA_SYNC__ENTRA__RESOURCE_UNITS", "3500")
        .with("ENTRA_SYNC__ENTRA__REQUEST_TIMEOUT", "5s")
        .with(
            "ENTRA_SYNC__ENTRA__INCLUDE_GROUPS",
            "44444444-4444-4444-8444-444444444444,",
        );
    for room in [from_file, from_environment] {
        let entra = room.loaded().settings.entra;
        assert_eq!(entra.concurrency, 8);
        assert_eq!(entra.resource_units, ResourceUnits::Fixed(3_500));
        assert_eq!(entra.request_timeout, Duration::from_secs(5));
        assert_eq!(entra.groups.include.len(), 1);
    }
}

#[test]
fn litellms_own_file_fills_what_no_other_source_gives() {
    let yaml = "litellm_settings:
  default_team_settings: [{max_budget: 7}]
  default_max_internal_user_budget: 3
  default_team_params: {models: [gpt-4o]}
  default_internal_user_params: {user_role: internal_user}
  timezone: Europe/Zurich
  budget_reset_time: \"06:30\"
";
    let room = Room::complete().write("litellm.yaml", yaml);
    let path = room.path("litellm.yaml").display().to_string();
    let room = room
        .file("my.yaml", &format!("litellm: {{config_file: '{path}'}}"))
        .with("ENTRA_SYNC__LITELLM__TIMEZONE", "UTC");
    let loaded = room.loaded();
    let litellm = &loaded.settings.litellm;
    assert_eq!(litellm.policy.team_defaults.models, ["gpt-4o"]);
    assert_eq!(litellm.policy.team_defaults.max_budget, Some(7.0));
    let users = &litellm.policy.user_defaults;
    assert_eq!(users.role, Some(Role::InternalUser));
    assert_eq!(users.max_internal_user_budget, Some(3.0));
    assert_eq!(litellm.calendar.zone, chrono_tz::Tz::UTC);
    assert_eq!(litellm.calendar.reset_time.to_string(), "06:30:00");
    assert_eq!(
        origin(&loaded, "litellm.default_team_params"),
        format!("LiteLLM's {path}:4")
    );
    assert_eq!(
        origin(&loaded, "litellm.timezone"),
        "environment ENTRA_SYNC__LITELLM__TIMEZONE"
    );
}

#[test]
fn the_audit_log_is_switched_by_litellms_file_its_variable_and_ours() {
    let room = Room::complete().write(
        "litellm.yaml",
        "litellm_settings:\n  store_audit_logs: true\n",
    );
    let path = room.path("litellm.yaml").display().to_string();
    let room = room.with("ENTRA_SYNC__LITELLM__CONFIG_FILE", &path);
    let key = "litellm.store_audit_logs";
    let loaded = room.loaded();
    assert_eq!(loaded.settings.litellm.store_audit_logs, StoreAuditLogs::On);
    assert_eq!(origin(&loaded, key), format!("LiteLLM's {path}:2"));
    let licensed = |warnings: &[String]| warnings.iter().all(|warning| !warning.contains(key));
    let warnings = &loaded.settings.warnings;
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains(key) && warning.contains("LITELLM_LICENSE is not set")),
        "{warnings:?}"
    );

    let signed = BASE64_STANDARD.encode(r#"{"expiration_date": "2099-01-01"}.signature"#);
    let room = room.with("LITELLM_LICENSE", &signed);
    assert!(licensed(&room.loaded().settings.warnings));

    let room = room.with("LITELLM_STORE_AUDIT_LOGS", "False");
    let loaded = room.loaded();
    assert_eq!(
        loaded.settings.litellm.store_audit_logs,
        StoreAuditLogs::Off
    );
    let room = room.without("LITELLM_LICENSE");
    assert!(licensed(&room.loaded().settings.warnings), "off: no word");

    let room = room.with("ENTRA_SYNC__LITELLM__STORE_AUDIT_LOGS", "true");
    let loaded = room.loaded();
    assert_eq!(loaded.settings.litellm.store_audit_logs, StoreAuditLogs::On);
    assert_eq!(value(&loaded, key), json!("true"));

    let text = room.with("ENTRA_SYNC__LITELLM__STORE_AUDIT_LOGS", "sometimes");
    let text = text.wrong();
    assert!(
        text.contains(key) && text.contains("true or false"),
        "{text}"
    );
}

#[test]
fn what_litellms_file_has_wrong_is_said_with_its_line() {
    let room = Room::complete().write(
        "litellm.yaml",
        "litellm_settings:\n  default_team_params:\n    max_budget: plenty\n",
    );
    let path = room.path("litellm.yaml").display().to_string();
    let room = room.with("ENTRA_SYNC__LITELLM__CONFIG_FILE", &path);
    let text = room.wrong();
    assert!(
        text.starts_with(
            "the configuration has a problem: LiteLLM's litellm.yaml:2: \
             `litellm.default_team_params.max_budget` "
        ),
        "{text}"
    );
    let room = room.with("ENTRA_SYNC__LITELLM__CONFIG_FILE", "/no/such/file.yaml");
    assert_eq!(
        room.wrong(),
        "the configuration has a problem: environment ENTRA_SYNC__LITELLM__CONFIG_FILE: \
         `litellm.config_file` cannot be used: LiteLLM's configuration file /no/such/file.yaml \
         cannot be read: No such file or directory (os error 2); correct that file, or remove the \
         key"
    );
}

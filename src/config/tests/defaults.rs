use std::time::Duration;

use super::support::{Room, TENANT, today};
use crate::config::schema::Schema;
use crate::config::{
    Cloud, DEFAULTS, GonePersonPolicy, LogFormat, Membership, MembershipPolicy, NotifyWhen,
    OnStart, ResourceUnits, StoreAuditLogs, UnassignedGroupPolicy, layers, reader, sections,
};
use crate::config::{Overrides, Sources, schema};
use crate::model::policy::{EmailAdoption, Limit, Organizations};

#[test]
fn the_embedded_file_parses_to_the_defaults_of_the_design() {
    let settings = Room::complete().loaded().settings;
    let entra = &settings.entra;
    assert_eq!(entra.cloud, Cloud::Global);
    assert_eq!(
        entra.graph_endpoint.as_str(),
        "https://graph.microsoft.com/v1.0"
    );
    assert_eq!(
        entra.token_endpoint.as_str(),
        format!("https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token")
    );
    assert_eq!(entra.scope, "https://graph.microsoft.com/.default");
    assert_eq!(entra.membership, Membership::Direct);
    assert_eq!((entra.concurrency, entra.attempts), (16, 4));
    assert_eq!(entra.resource_units, ResourceUnits::Auto);
    assert_eq!(entra.request_timeout, Duration::from_secs(60));
    assert_eq!(entra.attributes, crate::config::AttributeNames::default());
    assert!(entra.groups.include.is_empty() && entra.groups.exclude.is_empty());

    let policy = &settings.litellm.policy;
    assert_eq!(policy.organizations, Organizations::Off);
    assert_eq!(policy.email_adoption, EmailAdoption::Allowed);
    assert_eq!(policy.seats, Limit::AtMost(5));
    assert_eq!(policy.teams, Limit::Unlimited);
    assert_eq!(policy.email_domains, None);
    assert_eq!(settings.litellm.calendar.zone, chrono_tz::Tz::UTC);
    assert_eq!(settings.litellm.calendar.reset_time, chrono::NaiveTime::MIN);
    assert!(settings.litellm.redis_url.is_none());
    assert_eq!(settings.litellm.store_audit_logs, StoreAuditLogs::Off);

    let schedule = &settings.schedule;
    assert_eq!(schedule.cron, "*/15 * * * *");
    assert_eq!(schedule.full_cron, "0 3 * * *");
    assert_eq!(schedule.drift_every, Duration::from_secs(3_600));
    assert_eq!(schedule.timezone, chrono_tz::Tz::UTC);
    assert_eq!(schedule.jitter, Duration::from_secs(30));
    assert_eq!(schedule.on_start, OnStart::Pass);
    assert_eq!(schedule.lease, Duration::from_secs(15));

    let deprovision = &settings.deprovision;
    assert_eq!(deprovision.membership, MembershipPolicy::Remove);
    assert_eq!(deprovision.unassigned_group, UnassignedGroupPolicy::Detach);
    assert_eq!(deprovision.disabled_user, GonePersonPolicy::Deactivate);
    assert_eq!(deprovision.deleted_user, GonePersonPolicy::Deactivate);
    assert_eq!(deprovision.grace, Duration::ZERO);

    let guard = &settings.guard;
    assert_eq!(
        (
            guard.max_removals,
            guard.max_removal_percent,
            guard.min_managed
        ),
        (500, 20, 20)
    );
    assert_eq!(guard.window, Duration::from_secs(86_400));
    assert_eq!(settings.history.keep, Duration::from_secs(90 * 86_400));
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
    assert!(settings.server.token.is_none());
    assert!(settings.notify.webhook_url.is_none());
    assert_eq!(
        settings.notify.when.into_iter().collect::<Vec<_>>(),
        [
            NotifyWhen::Failure,
            NotifyWhen::Held,
            NotifyWhen::Quarantine,
            NotifyWhen::Recovery
        ]
    );
    assert_eq!(settings.telemetry.log_format, LogFormat::Text);
    assert_eq!(settings.telemetry.log_level, "info");
    assert!(settings.telemetry.otlp_endpoint.is_none());
}

#[test]
fn the_printed_defaults_are_a_valid_file_of_their_own() {
    let plain = Room::complete().without("DATABASE_URL").with(
        "ENTRA_SYNC__LITELLM__DATABASE_URL",
        "postgresql://litellm:db-password@localhost/litellm",
    );
    // Its nulls must not undo what LiteLLM's names gave: they are stronger.
    plain.file("defaults.yaml", DEFAULTS).loaded();
}

#[test]
fn every_key_of_the_embedded_file_is_read_and_no_other() {
    let schema = Schema::embedded().unwrap();
    let room = Room::complete();
    let sources = Sources {
        files: Vec::new(),
        environment: room.environment.clone(),
        overrides: Overrides::default(),
        today: today(),
    };
    let gathered = layers::merge(&schema, &sources);
    let mut reader = reader::Reader::new(&gathered);
    sections::settings(&mut reader, &gathered.fallbacks, today()).unwrap();
    let known: Vec<&str> = schema.keys().map(|(key, _)| key).collect();
    let read: Vec<&str> = reader.seen.into_iter().collect();
    assert_eq!(read, known);
}

#[test]
fn every_environment_name_in_the_comments_belongs_to_a_key() {
    let schema = Schema::embedded().unwrap();
    let azures = crate::config::azure_environment::NAMES;
    for (name, key) in crate::config::litellm_environment::NAMES
        .into_iter()
        .chain(azures)
    {
        assert!(schema.keys().any(|(known, _)| known == key), "{key}");
        assert!(DEFAULTS.contains(name), "{name} is not documented");
    }
    assert_eq!(
        schema::environment_name("litellm.user_attributes.id"),
        "ENTRA_SYNC__LITELLM__USER_ATTRIBUTES__ID"
    );
}

#[test]
fn the_page_for_operators_names_every_key_and_its_examples_load() {
    let page = include_str!("../../../docs/CONFIGURATION.md");
    for (key, _) in Schema::embedded().unwrap().keys() {
        let (_, name) = key.split_once('.').unwrap();
        assert!(page.contains(&format!("`{name}`")), "{key}");
    }
    for (name, key) in crate::config::litellm_environment::NAMES {
        assert!(page.contains(&format!("| `{name}`")), "{name}");
        assert!(page.contains(&format!("`{key}`")), "{key}");
    }
    let mut examples = page
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    let room = Room::empty()
        .write("contoso", "value")
        .write("fabrikam-eu", "value")
        .write("database-url", "postgresql://u:p@localhost/litellm");
    let here = room.path("").display().to_string();
    let several = examples.next().unwrap().replace("/run/secrets/", &here);
    assert_eq!(room.file("config.yaml", &several).loaded().sources.len(), 2);
    let file = examples.next().unwrap();
    let room = Room::empty()
        .write("client-secret", "value")
        .write("database-url", "postgresql://u:p@localhost/litellm")
        .write("litellm.yaml", "litellm_settings: {}");
    let here = room.path("").display().to_string();
    let file = file
        .replace("/run/credentials/entra-sync.service/", &here)
        .replace("/etc/litellm/config.yaml", &format!("{here}litellm.yaml"));
    room.file("config.yaml", &file).loaded();
}

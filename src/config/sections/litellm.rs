//! `litellm.*`: which database, and what is written there.

use std::collections::BTreeSet;

use chrono::NaiveTime;
use serde_json::{Value, json};

use crate::config::database;
use crate::config::dialect::LitellmDialect;
use crate::config::error::Wrong;
use crate::config::reader::{Read, Reader, Reported};
use crate::config::settings::{BudgetCalendar, DatabaseTarget, LitellmSettings};
use crate::config::values::{self, Switch};
use crate::model::defaults::{TeamDefaults, UserDefaults};
use crate::model::ids::UserId;
use crate::model::policy::{
    EmailAdoption, GroupFilter, Limit, OrganizationTeamModels, Organizations, Policy,
};

/// Users that LiteLLM admits without a licence (litellm-contract 2c).
const UNLICENSED_SEATS: u64 = 5;

pub(super) fn read(reader: &mut Reader<'_>, dialect: &dyn LitellmDialect) -> Read<LitellmSettings> {
    let database = database(reader);
    // Read while the sources were gathered; here only its form is checked.
    let config_file = reader.optional("litellm.config_file", values::text);
    let organizations = organizations(reader);
    let email_adoption = reader.required("litellm.adopt_by_email", |value| {
        values::boolean(value).map(|on| on.choose(EmailAdoption::Allowed, EmailAdoption::Forbidden))
    });
    let limits = limits(reader, dialect);
    let proxy_admin = reader.optional("litellm.proxy_admin_id", values::text);
    let email_domains = email_domains(reader);
    let team_defaults = team_defaults(reader, dialect);
    let user_defaults = user_defaults(reader, dialect);
    let calendar = calendar(reader);
    let redis_url = reader.secret("litellm.redis_url", "litellm.redis_url_file");

    let organizations = check_organization(reader, organizations, &team_defaults);
    config_file?;
    let limits = limits?;
    Ok(LitellmSettings {
        database: database?,
        redis_url: redis_url?,
        calendar: calendar?,
        policy: Policy {
            organizations: organizations?,
            email_adoption: email_adoption?,
            seats: limits.seats,
            teams: limits.teams,
            proxy_admin: proxy_admin?.map(UserId::new),
            // Filled in from `entra.*` by the caller, who read it.
            groups: GroupFilter::default(),
            email_domains: email_domains?,
            team_defaults: team_defaults?,
            user_defaults: user_defaults?,
        },
    })
}

fn database(reader: &mut Reader<'_>) -> Read<DatabaseTarget> {
    let Some(url) = reader.secret("litellm.database_url", "litellm.database_url_file")? else {
        return Err(reader.missing("litellm.database_url"));
    };
    match database::parse(url) {
        Ok((target, warnings)) => {
            for warning in warnings {
                reader.warn(format!("`litellm.database_url`: {warning}"));
            }
            Ok(target)
        }
        Err(wrong) => {
            let key = if reader.is_given("litellm.database_url") {
                "litellm.database_url"
            } else {
                "litellm.database_url_file"
            };
            Err(reader.wrong(key, wrong))
        }
    }
}

fn organizations(reader: &mut Reader<'_>) -> Read<Organizations> {
    let create = reader.required("litellm.create_organizations", values::boolean);
    let models = reader.required("litellm.organization_team_models", |value| {
        values::one_of(
            value,
            &[
                ("mirror", OrganizationTeamModels::Mirror),
                ("all-org-models", OrganizationTeamModels::AllOrgModels),
            ],
        )
    });
    let (create, models) = (create?, models?);
    if (create, models) == (Switch::On, OrganizationTeamModels::AllOrgModels) {
        reader.warn(
            "`litellm.organization_team_models` is all-org-models: LiteLLM 1.79 to 1.109 refuses \
             every model to a team that holds it",
        );
    }
    Ok(create.choose(Organizations::On(models), Organizations::Off))
}

/// A team has one organization: its own or the one that all share.
fn check_organization(
    reader: &mut Reader<'_>,
    organizations: Read<Organizations>,
    team_defaults: &Read<TeamDefaults>,
) -> Read<Organizations> {
    let organizations = organizations?;
    if let (Organizations::On(_), Ok(defaults)) = (organizations, team_defaults)
        && defaults.organization.is_some()
    {
        return Err(reader.wrong(
            "litellm.create_organizations",
            Wrong::new(
                "contradicts `organization_id` in `litellm.default_team_params`: a team has one \
                 organization",
                "remove organization_id or set create_organizations to false",
            ),
        ));
    }
    Ok(organizations)
}

struct Limits {
    seats: Limit,
    teams: Limit,
}

fn limits(reader: &mut Reader<'_>, dialect: &dyn LitellmDialect) -> Read<Limits> {
    let seats = reader.required("litellm.seats", seats);
    let licence = reader.secret("litellm.license", "litellm.license_file");
    let (seats, licence) = (seats?, licence?);
    let read = licence
        .as_ref()
        .and_then(|licence| dialect.licence(licence.value()));
    let teams = read.map_or(Limit::Unlimited, |limits| limits.teams);
    let seats = match (seats, read) {
        (Some(seats), _) => seats,
        (None, Some(limits)) => limits.users,
        (None, None) => {
            let why = if licence.is_some() {
                "the limits of the licence cannot be read"
            } else {
                "there is no licence"
            };
            reader.warn(format!(
                "`litellm.seats` is auto and {why}: no user is created beyond {UNLICENSED_SEATS}; \
                 set `litellm.seats` to a number or unlimited if LiteLLM admits more"
            ));
            Limit::AtMost(UNLICENSED_SEATS)
        }
    };
    Ok(Limits { seats, teams })
}

/// `None` is `auto`.
fn seats(value: &Value) -> Result<Option<Limit>, Wrong> {
    match value.as_str() {
        Some("auto") => Ok(None),
        Some("unlimited") => Ok(Some(Limit::Unlimited)),
        _ => match values::whole(value, 0, u64::MAX) {
            Ok(seats) => Ok(Some(Limit::AtMost(seats))),
            Err(wrong) => Err(Wrong::new(wrong.what, "give auto, unlimited or a number")),
        },
    }
}

fn email_domains(reader: &mut Reader<'_>) -> Read<Option<BTreeSet<String>>> {
    let domains = reader.optional("litellm.allowed_email_domains", |value| match value {
        // LiteLLM splits at commas and compares what is between them, blanks
        // and all.
        Value::String(line) => Ok(line.split(',').map(str::to_owned).collect::<Vec<_>>()),
        other => values::list(other),
    })?;
    let Some(domains) = domains.filter(|domains| !domains.is_empty()) else {
        return Ok(None);
    };
    for domain in &domains {
        if domain.trim() != domain || domain.to_lowercase() != *domain {
            reader.warn(format!(
                "`litellm.allowed_email_domains` holds `{domain}`, which no e-mail equals: LiteLLM \
                 compares in lower case and keeps blanks; write `{}`",
                domain.trim().to_lowercase()
            ));
        }
    }
    Ok(Some(domains.into_iter().collect()))
}

fn team_defaults(reader: &mut Reader<'_>, dialect: &dyn LitellmDialect) -> Read<TeamDefaults> {
    const KEY: &str = "litellm.default_team_params";
    let Some(params) = reader.optional(KEY, values::map)? else {
        return Ok(TeamDefaults::default());
    };
    dialect
        .team_defaults(&params)
        .map_err(|reasons| refused(reader, KEY, reasons))
}

fn user_defaults(reader: &mut Reader<'_>, dialect: &dyn LitellmDialect) -> Read<UserDefaults> {
    const KEY: &str = "litellm.default_internal_user_params";
    let params = reader.optional(KEY, values::map);
    let max_internal_user_budget =
        reader.optional("litellm.max_internal_user_budget", values::dollars);
    let internal_user_budget_duration =
        reader.optional("litellm.internal_user_budget_duration", values::text);
    let params = params?.unwrap_or_else(|| json!({}));
    let defaults = dialect
        .user_defaults(&params)
        .map_err(|reasons| refused(reader, KEY, reasons));
    Ok(UserDefaults {
        max_internal_user_budget: max_internal_user_budget?,
        internal_user_budget_duration: internal_user_budget_duration?,
        ..defaults?
    })
}

fn refused(reader: &mut Reader<'_>, key: &'static str, reasons: Vec<String>) -> Reported {
    for reason in reasons {
        reader.wrong(
            key,
            Wrong::new(reason, "correct it as LiteLLM would have to"),
        );
    }
    Reported
}

fn calendar(reader: &mut Reader<'_>) -> Read<BudgetCalendar> {
    let zone = reader.optional("litellm.timezone", values::text);
    let reset_time = reader.optional("litellm.budget_reset_time", |value| {
        let text = values::text(value)?;
        NaiveTime::parse_from_str(&text, "%H:%M:%S")
            .or_else(|_| NaiveTime::parse_from_str(&text, "%H:%M"))
            .map_err(|_| {
                Wrong::new(
                    format!("is `{text}`, no time of day"),
                    "give HH:MM or HH:MM:SS in quotes",
                )
            })
    });
    let zone = match zone? {
        None => chrono_tz::Tz::UTC,
        Some(name) => name.parse().unwrap_or_else(|_| {
            reader.warn(format!(
                "`litellm.timezone` is `{name}`, which is no IANA zone: LiteLLM takes UTC then, \
                 and so does entra-sync"
            ));
            chrono_tz::Tz::UTC
        }),
    };
    Ok(BudgetCalendar {
        zone,
        reset_time: reset_time?.unwrap_or(NaiveTime::MIN),
    })
}

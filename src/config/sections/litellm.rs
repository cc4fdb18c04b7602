//! `litellm.*`: which database, and what is written there.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::database_auth;
use crate::config::database;
use crate::config::error::Wrong;
use crate::config::layers::Fallbacks;
use crate::config::litellm::{
    self as params, Ceilings, InternalUserSettings, Licence, ParamError, Seats,
};
use crate::config::reader::{Read, Reader, Reported};
use crate::config::secret::Secret;
use crate::config::settings::{BudgetCalendar, DatabaseTarget, LitellmSettings, StoreAuditLogs};
use crate::config::values::{self, Switch};
use crate::model::defaults::{TeamDefaults, UserDefaults};
use crate::model::ids::UserId;
use crate::model::policy::{
    EmailAdoption, GroupFilter, OrganizationTeamModels, Organizations, Policy,
};

pub(super) fn read(
    reader: &mut Reader<'_>,
    fallbacks: &Fallbacks,
    today: NaiveDate,
) -> Read<LitellmSettings> {
    let database = database(reader);
    let database_auth = database_auth::read(reader, &database);
    // Read while the sources were gathered; here only its form is checked.
    let config_file = reader.optional("litellm.config_file", values::text);
    let organizations = organizations(reader);
    let email_adoption = reader.required("litellm.adopt_by_email", |value| {
        values::boolean(value).map(|on| on.choose(EmailAdoption::Allowed, EmailAdoption::Forbidden))
    });
    let licence = licence(reader, today);
    let ceilings = ceilings(reader, &licence);
    let proxy_admin = reader.optional("litellm.proxy_admin_id", values::text);
    let email_domains = email_domains(reader);
    let team_defaults = team_defaults(reader, &licence, fallbacks);
    let user_defaults = user_defaults(reader, &licence, fallbacks);
    let calendar = calendar(reader);
    let redis_url = redis_url(reader);
    let store_audit_logs = store_audit_logs(reader, &licence);

    let organizations = check_organization(reader, organizations, &team_defaults);
    config_file?;
    let ceilings = ceilings?;
    Ok(LitellmSettings {
        database: database?,
        database_auth: database_auth?,
        redis_url: redis_url?,
        calendar: calendar?,
        store_audit_logs: store_audit_logs?,
        policy: Policy {
            organizations: organizations?,
            email_adoption: email_adoption?,
            seats: ceilings.users,
            teams: ceilings.teams,
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
            Err(reader.wrong_secret("litellm.database_url", "litellm.database_url_file", wrong))
        }
    }
}

fn redis_url(reader: &mut Reader<'_>) -> Read<Option<Secret>> {
    const KEYS: [&str; 2] = ["litellm.redis_url", "litellm.redis_url_file"];
    let [key, file_key] = KEYS;
    let Some(url) = reader.secret(key, file_key)? else {
        return Ok(None);
    };
    let text = url.value().expose_secret();
    let fits = ["redis://", "rediss://", "unix://", "redis+unix://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    if fits {
        return Ok(Some(url));
    }
    let wrong = Wrong::new(
        "gives no Redis URL",
        "give redis://:password@host:6379/0, or rediss:// with TLS",
    );
    Err(reader.wrong_secret(key, file_key, wrong))
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
        reader.warn(format!(
            "`{}` is all-org-models: LiteLLM 1.79 to 1.109 refuses every model to a team that \
             holds it",
            reader.named("litellm.organization_team_models")
        ));
    }
    Ok(create.choose(Organizations::On(models), Organizations::Off))
}

/// The setting decides, because a licence that LiteLLM checks online cannot be
/// read here; but where LiteLLM has none it keeps no audit log.
fn store_audit_logs(reader: &mut Reader<'_>, licence: &Read<Licence>) -> Read<StoreAuditLogs> {
    const KEY: &str = "litellm.store_audit_logs";
    let store = reader.required(KEY, |value| {
        values::boolean(value).map(|on| on.choose(StoreAuditLogs::On, StoreAuditLogs::Off))
    })?;
    if let (StoreAuditLogs::On, Ok(licence)) = (store, licence)
        && let Some(cause) = licence.no_premium()
    {
        reader.warn(format!(
            "`{KEY}` is on, and LITELLM_LICENSE {cause}: LiteLLM itself writes and shows audit \
             rows with a licence only; if the proxy has one, give it here as well, else set {KEY} \
             to false"
        ));
    }
    Ok(store)
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

fn licence(reader: &mut Reader<'_>, today: NaiveDate) -> Read<Licence> {
    let text = reader.secret("litellm.license", "litellm.license_file")?;
    let text = text.as_ref().map(|text| text.value().expose_secret());
    Ok(Licence::read(text, today))
}

fn ceilings(reader: &mut Reader<'_>, licence: &Read<Licence>) -> Read<Ceilings> {
    const KEY: &str = "litellm.seats";
    let seats = Seats::parse(&reader.raw(KEY)).map_err(|error| reader.refused(KEY, error))?;
    let ceilings = params::ceilings(seats, licence.as_ref().map_err(|reported| *reported)?);
    if let Some(notice) = &ceilings.notice {
        reader.warn(notice);
    }
    Ok(ceilings)
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
                "`{}` holds `{domain}`, which no e-mail equals: LiteLLM \
                 compares in lower case and keeps blanks; write `{}`",
                reader.named("litellm.allowed_email_domains"),
                domain.trim().to_lowercase()
            ));
        }
    }
    Ok(Some(domains.into_iter().collect()))
}

/// A map, or the text of a JSON object; null when it is not set.
fn params(reader: &mut Reader<'_>, key: &'static str) -> Read<Value> {
    Ok(reader.optional(key, values::map)?.unwrap_or_default())
}

fn team_defaults(
    reader: &mut Reader<'_>,
    licence: &Read<Licence>,
    fallbacks: &Fallbacks,
) -> Read<TeamDefaults> {
    const KEY: &str = "litellm.default_team_params";
    let given = params(reader, KEY)?;
    let licence = licence.as_ref().map_err(|reported| *reported)?;
    let mut defaults =
        params::team_defaults(&given, licence).map_err(|errors| all(reader, |_| KEY, errors))?;
    let last_resort = params::legacy_max_budget(&fallbacks.team_max_budget)
        .map_err(|error| reader.refused("litellm.config_file", error))?;
    defaults.max_budget = defaults.max_budget.or(last_resort);
    Ok(defaults)
}

fn user_defaults(
    reader: &mut Reader<'_>,
    licence: &Read<Licence>,
    fallbacks: &Fallbacks,
) -> Read<UserDefaults> {
    const PARAMS: &str = "litellm.default_internal_user_params";
    const BUDGET: &str = "litellm.max_internal_user_budget";
    const DURATION: &str = "litellm.internal_user_budget_duration";
    let given = params(reader, PARAMS);
    let max_budget = reader.raw(BUDGET);
    let budget_duration = reader.raw(DURATION);
    let settings = InternalUserSettings {
        params: &given?,
        max_budget: &max_budget,
        default_max_budget: &fallbacks.max_internal_user_budget,
        budget_duration: &budget_duration,
    };
    let licence = licence.as_ref().map_err(|reported| *reported)?;
    params::user_defaults(settings, licence).map_err(|errors| {
        let key = |error: &ParamError| match error.param.as_str() {
            "max_internal_user_budget" => BUDGET,
            "internal_user_budget_duration" => DURATION,
            "default_max_internal_user_budget" => "litellm.config_file",
            _ => PARAMS,
        };
        all(reader, key, errors)
    })
}

/// Reports every error of a parameter under the key that gave it.
fn all(
    reader: &mut Reader<'_>,
    key: impl Fn(&ParamError) -> &'static str,
    errors: Vec<ParamError>,
) -> Reported {
    for error in errors {
        reader.refused(key(&error), error);
    }
    Reported
}

fn calendar(reader: &mut Reader<'_>) -> Read<BudgetCalendar> {
    const TIME: &str = "litellm.budget_reset_time";
    let timezone = reader.raw("litellm.timezone");
    let reset_time = reader.raw(TIME);
    let read =
        params::calendar(&timezone, &reset_time).map_err(|error| reader.refused(TIME, error))?;
    if let Some(warning) = read.warning {
        reader.warn(format!("litellm.{warning}"));
    }
    Ok(read.calendar)
}

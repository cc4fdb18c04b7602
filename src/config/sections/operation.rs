//! `deprovision.*`, `guard.*`, `history.*`, `server.*`, `notify.*` and
//! `telemetry.*`.

use std::time::Duration;

use base64::Engine;
use secrecy::ExposeSecret;
use serde_json::Value;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::endpoint::{self, Locality};
use crate::config::error::Wrong;
use crate::config::reader::{Read, Reader};
use crate::config::settings::{
    DeprovisionSettings, GonePersonPolicy, GuardSettings, HistorySettings, LogFormat,
    MembershipPolicy, NotifySettings, NotifyWhen, ServerSettings, TelemetrySettings,
    UnassignedGroupPolicy, WebhookForm,
};
use crate::config::values;

const DAY: Duration = Duration::from_secs(86_400);
/// A hundred years: beyond it a date no longer fits where it is stored.
const EVER: Duration = Duration::from_secs(86_400 * 36_525);

pub(super) fn deprovision(reader: &mut Reader<'_>) -> Read<DeprovisionSettings> {
    let membership = reader.required("deprovision.membership", |value| {
        values::one_of(
            value,
            &[
                ("remove", MembershipPolicy::Remove),
                ("keep", MembershipPolicy::Keep),
            ],
        )
    });
    let unassigned_group = reader.required("deprovision.unassigned_group", |value| {
        values::one_of(
            value,
            &[
                ("detach", UnassignedGroupPolicy::Detach),
                ("keep", UnassignedGroupPolicy::Keep),
                ("block", UnassignedGroupPolicy::Block),
                ("delete", UnassignedGroupPolicy::Delete),
            ],
        )
    });
    let disabled_user = reader.required("deprovision.disabled_user", gone_person);
    let deleted_user = reader.required("deprovision.deleted_user", gone_person);
    let grace = reader.required("deprovision.grace", |value| {
        values::duration(value, Duration::ZERO, EVER)
    });
    Ok(DeprovisionSettings {
        membership: membership?,
        unassigned_group: unassigned_group?,
        disabled_user: disabled_user?,
        deleted_user: deleted_user?,
        grace: grace?,
    })
}

fn gone_person(value: &Value) -> Result<GonePersonPolicy, Wrong> {
    values::one_of(
        value,
        &[
            ("deactivate", GonePersonPolicy::Deactivate),
            ("keep", GonePersonPolicy::Keep),
        ],
    )
}

pub(super) fn guard(reader: &mut Reader<'_>) -> Read<GuardSettings> {
    let most = u64::from(u32::MAX);
    let max_removals = reader.required("guard.max_removals", |value| values::whole(value, 0, most));
    let percent = reader.required("guard.max_removal_percent", |value| {
        values::whole(value, 0, 100)
    });
    let min_managed = reader.required("guard.min_managed", |value| values::whole(value, 0, most));
    let window = reader.required("guard.window", |value| {
        values::duration(value, Duration::ZERO, EVER)
    });
    Ok(GuardSettings {
        max_removals: max_removals?,
        max_removal_percent: u8::try_from(percent?).unwrap_or(100),
        min_managed: min_managed?,
        window: window?,
    })
}

pub(super) fn history(reader: &mut Reader<'_>) -> Read<HistorySettings> {
    let keep = reader.required("history.keep", |value| values::duration(value, DAY, EVER))?;
    Ok(HistorySettings { keep })
}

/// The guard counts the removals of its window from the history.
pub(super) fn check_history_covers_the_window(
    reader: &mut Reader<'_>,
    guard: &GuardSettings,
    history: &HistorySettings,
) -> Read<()> {
    if history.keep >= guard.window {
        return Ok(());
    }
    Err(reader.wrong(
        "history.keep",
        Wrong::new(
            "is shorter than `guard.window`, whose removals are counted from the history",
            "make it at least as long",
        ),
    ))
}

/// Where the daemon takes Graph's posts.
const NOTIFICATIONS: &str = "/graph/notifications";

pub(super) fn server(reader: &mut Reader<'_>) -> Read<ServerSettings> {
    let listen = reader.required("server.listen", |value| {
        // A bare port is a number.
        let text = value
            .as_u64()
            .map_or_else(|| values::text(value), |port| Ok(port.to_string()))?;
        text.parse().map_err(|_| {
            Wrong::new(
                format!("is `{text}`, no address with a port"),
                "give one such as 127.0.0.1:8080 or [::]:8080",
            )
        })
    });
    let token = reader.secret("server.token", "server.token_file");
    let token = match token {
        Ok(Some(token)) if token.value().expose_secret().chars().count() < 16 => {
            let wrong = Wrong::new(
                "gives a token that can be guessed (under 16 characters)",
                "make one with `openssl rand -hex 32`",
            );
            Err(reader.wrong_secret("server.token", "server.token_file", wrong))
        }
        other => other,
    };
    let notifications_url = reader.optional("server.notifications_url", |value| {
        reachable_by_graph(&values::text(value)?)
    });
    if let Ok(Some(url)) = &notifications_url
        && !url.path().ends_with(NOTIFICATIONS)
    {
        reader.warn(format!(
            "`{}` does not end in {NOTIFICATIONS}, where this daemon takes notifications: whatever \
             stands before it must lead there",
            reader.named("server.notifications_url")
        ));
    }
    Ok(ServerSettings {
        listen: listen?,
        token: token?,
        notifications_url: notifications_url?,
    })
}

/// With notifications a pass runs seconds after a change, so that it also sees
/// what a script or a slip undoes a moment later.
pub(super) fn warn_of_hasty_removals(
    reader: &mut Reader<'_>,
    server: &ServerSettings,
    deprovision: &DeprovisionSettings,
) {
    if server.notifications_url.is_some()
        && deprovision.grace.is_zero()
        && deprovision.membership == MembershipPolicy::Remove
    {
        reader.warn(format!(
            "with `server.notifications_url` and without `{}`, whoever is taken out of a group and \
             put back a moment later loses keys and spend of that team; set it, for example to 15m",
            reader.named("deprovision.grace")
        ));
    }
}

/// Graph posts to https only; plain http is for a stand-in on this machine.
fn reachable_by_graph(text: &str) -> Result<url::Url, Wrong> {
    let url = endpoint::plain_url(text)?;
    let fits = match url.scheme() {
        "https" => true,
        _ => endpoint::locality(&url) == Locality::Loopback,
    };
    if fits && url.path() != "/" {
        return Ok(url);
    }
    Err(Wrong::new(
        "is not where Graph can post",
        "give the https URL under which Graph reaches /graph/notifications of this daemon",
    ))
}

pub(super) fn notify(reader: &mut Reader<'_>) -> Read<NotifySettings> {
    let webhook_url = reader.secret("notify.webhook_url", "notify.webhook_url_file");
    let webhook_url = match webhook_url {
        Ok(Some(url)) => match webhook(url.value().expose_secret()) {
            Ok(()) => Ok(Some(url)),
            Err(wrong) => {
                Err(reader.wrong_secret("notify.webhook_url", "notify.webhook_url_file", wrong))
            }
        },
        other => other,
    };
    let form = reader.required("notify.form", |value| {
        values::one_of(
            value,
            &[
                ("auto", WebhookForm::Auto),
                ("json", WebhookForm::Json),
                ("slack", WebhookForm::Slack),
                ("teams", WebhookForm::Teams),
            ],
        )
    });
    let secret = reader.secret("notify.secret", "notify.secret_file");
    let secret = match secret {
        Ok(Some(secret)) if signing_key(secret.value().expose_secret()).is_none() => {
            let wrong = Wrong::new(
                "gives no signing secret (`whsec_` and 24 to 64 bytes in base64)",
                "make one with `echo whsec_$(openssl rand -base64 32)`",
            );
            Err(reader.wrong_secret("notify.secret", "notify.secret_file", wrong))
        }
        other => other,
    };
    if let (Ok(None), Ok(Some(_))) = (&webhook_url, &secret) {
        reader.warn(format!(
            "`{}` signs nothing: notify.webhook_url is not set",
            reader.named("notify.secret")
        ));
    }
    let when = reader.required("notify.when", |value| {
        values::list(value)?
            .iter()
            .map(|name| {
                values::choose(
                    name,
                    &[
                        ("failure", NotifyWhen::Failure),
                        ("held", NotifyWhen::Held),
                        ("quarantine", NotifyWhen::Quarantine),
                        ("recovery", NotifyWhen::Recovery),
                    ],
                )
            })
            .collect()
    });
    Ok(NotifySettings {
        webhook_url: webhook_url?,
        form: form?,
        secret: secret?,
        when: when?,
    })
}

/// The key in a secret of the form that Standard Webhooks has; `None` when it is
/// of another, or of another length than that allows.
pub fn signing_key(secret: &str) -> Option<Vec<u8>> {
    let key = secret.strip_prefix("whsec_")?;
    let key = base64::engine::general_purpose::STANDARD.decode(key).ok()?;
    (24..=64).contains(&key.len()).then_some(key)
}

/// Unlike an endpoint it may have a query, which is where some services put
/// their key.
fn webhook(text: &str) -> Result<(), Wrong> {
    let remedy = "give an https URL; plain http is for loopback only";
    let url = url::Url::parse(text)
        .map_err(|error| Wrong::new(format!("gives no URL: {error}"), remedy))?;
    let fits = match url.scheme() {
        "https" => url.host().is_some(),
        "http" => endpoint::locality(&url) == Locality::Loopback,
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(Wrong::new(
            "gives a URL that would show its key to the network",
            remedy,
        ))
    }
}

const LEVELS: &str =
    "give error, warn, info, debug, trace or a filter such as info,entra_sync=debug";

pub(super) fn telemetry(reader: &mut Reader<'_>) -> Read<TelemetrySettings> {
    let log_format = reader.required("telemetry.log_format", |value| {
        values::one_of(
            value,
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        )
    });
    let log_level = reader.required("telemetry.log_level", |value| {
        let filter = values::text(value)?;
        // A word alone would be taken for the name of a module.
        if !filter.contains(['=', ',']) && filter.parse::<LevelFilter>().is_err() {
            return Err(Wrong::new(format!("is `{filter}`, no level"), LEVELS));
        }
        EnvFilter::try_new(&filter)
            .map(|_| filter)
            .map_err(|error| Wrong::new(format!("is no log filter: {error}"), LEVELS))
    });
    let otlp_endpoint = reader.optional("telemetry.otlp_endpoint", |value| {
        endpoint::plain_url(&values::text(value)?)
    });
    let otlp_endpoint = otlp_endpoint?;
    if let Some(url) = &otlp_endpoint
        && url.scheme() == "http"
        && endpoint::locality(url) == Locality::Elsewhere
    {
        reader.warn(format!(
            "`telemetry.otlp_endpoint` is plain http: traces with run ids and counts cross the \
             network to {} unencrypted",
            url.host_str().unwrap_or_default()
        ));
    }
    Ok(TelemetrySettings {
        log_format: log_format?,
        log_level: log_level?,
        otlp_endpoint,
    })
}

use super::support::Room;

/// The one thing that is wrong when a complete configuration gets this file.
fn wrong(yaml: &str) -> String {
    let text = Room::complete().file("my.yaml", yaml).wrong();
    let prefix = "the configuration has a problem: ";
    text.strip_prefix(prefix).unwrap_or(&text).to_owned()
}

#[test]
fn everything_that_is_missing_is_named_at_once_with_its_variables() {
    assert_eq!(
        Room::empty().wrong(),
        "the configuration has 5 problems:
  - `entra.tenant` is not set; set MICROSOFT_TENANT or ENTRA_SYNC__ENTRA__TENANT, or `entra.tenant` in a --config file
  - `entra.client_id` is not set; set MICROSOFT_CLIENT_ID or ENTRA_SYNC__ENTRA__CLIENT_ID, or `entra.client_id` in a --config file
  - `entra.client_secret` is not set; set MICROSOFT_CLIENT_SECRET or ENTRA_SYNC__ENTRA__CLIENT_SECRET, or `entra.client_secret` in a --config file, or name a file in `entra.client_secret_file`
  - `entra.service_principal_id` is not set; set MICROSOFT_SERVICE_PRINCIPAL_ID or ENTRA_SYNC__ENTRA__SERVICE_PRINCIPAL_ID, or `entra.service_principal_id` in a --config file
  - `litellm.database_url` is not set; set DATABASE_URL or ENTRA_SYNC__LITELLM__DATABASE_URL, or `litellm.database_url` in a --config file, or name a file in `litellm.database_url_file`"
    );
}

#[test]
fn problems_of_all_sections_and_sources_come_in_one_run() {
    let room = Room::complete()
        .file(
            "my.yaml",
            "entra: {concurrency: 65}\nguard: {max_removal_percent: 101}\nentre: {}",
        )
        .with("ENTRA_SYNC__SCHEDULE__LEASE", "15");
    assert_eq!(
        room.wrong(),
        "the configuration has 4 problems:
  - my.yaml: `entre` is not a known key; did you mean `entra`?
  - my.yaml: `entra.concurrency` is out of range: 65; give a whole number from 1 to 64
  - environment ENTRA_SYNC__SCHEDULE__LEASE: `schedule.lease` is no duration: `15` (time unit needed, for example 15sec or 15ms); give a duration such as 15s, 5m, 1h or 90d
  - my.yaml: `guard.max_removal_percent` is out of range: 101; give a whole number from 0 to 100"
    );
}

#[test]
fn an_unknown_key_is_named_with_its_file_and_the_nearest_one() {
    for (yaml, message) in [
        (
            "entra: {tennant: x}",
            "my.yaml: `entra.tennant` is not a known key; did you mean `entra.tenant`?",
        ),
        (
            "tenant: x",
            "my.yaml: `tenant` is not a known key; did you mean `entra.tenant`?",
        ),
        (
            "litellm: {user_attributes: {phone_number_of_a_person: x}}",
            "my.yaml: `litellm.user_attributes.phone_number_of_a_person` is not a known key; remove it; `entra-sync config --defaults` lists every key",
        ),
        (
            "entra: 5",
            "my.yaml: `entra` is a section; put its keys below it, indented",
        ),
    ] {
        assert_eq!(wrong(yaml), message);
    }
}

#[test]
fn an_unknown_variable_is_named_with_the_nearest_one() {
    for (name, message) in [
        (
            "ENTRA_SYNC__ENTRA__TENNANT",
            "names no known key; did you mean ENTRA_SYNC__ENTRA__TENANT?",
        ),
        (
            "ENTRA_SYNC__DEPROVISION",
            "names a section; name a key of it, ENTRA_SYNC__DEPROVISION__KEY; `entra-sync config --defaults` lists every key",
        ),
        (
            "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS__MAX_BUDGET",
            "names no known key; give the whole map as a JSON object in ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS",
        ),
    ] {
        assert_eq!(
            Room::complete().with(name, "1").wrong(),
            format!("the configuration has a problem: environment {name}: {message}")
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_or_parsed_is_named() {
    let mut room = Room::complete();
    room.files.push(room.path("missing.yaml"));
    assert_eq!(
        room.wrong(),
        "the configuration has a problem: missing.yaml: cannot be read: No such file or directory (os error 2); check the path and who may read it"
    );
    assert!(wrong("entra: [").starts_with("my.yaml: is not valid YAML: "));
    // The file of a secret, given where settings belong.
    let said = wrong("|\n  hush-hush\n");
    assert!(
        said.starts_with("my.yaml: is no map of settings; "),
        "{said}"
    );
    assert!(!said.contains("hush"), "{said}");
    let said = wrong("hush-hush");
    assert!(!said.contains("hush"), "{said}");
    assert!(wrong("entra: {tenant: a, tenant: b}").contains("duplicated key"));
}

#[test]
fn every_value_that_cannot_be_used_says_so_with_its_remedy() {
    let guid = "give a GUID such as 6f9619ff-8b86-d011-b42d-00cf4fc964ff";
    for (yaml, message) in [
        ("entra: {credential: certificate}", "`entra.credential` is `certificate`, which is not known; give one of auto, client_secret, client_certificate, workload_identity, managed_identity".to_owned()),
        ("entra: {cloud: germany}", "`entra.cloud` is `germany`, which is not known; give one of global, usgov, usgov_dod, china, us_gov, us_gov_dod".to_owned()),
        ("entra: {exclude_groups: [x]}", format!("`entra.exclude_groups` is wrong: `x` is not a GUID: expected 8-4-4-4-12 hexadecimal digits; {guid}")),
        ("entra: {attempts: 0}", "`entra.attempts` is out of range: 0; give a whole number from 1 to 20".to_owned()),
        ("entra: {resource_units: 99}", "`entra.resource_units` is out of range: 99; give auto, or a whole number from 100 to 1000000".to_owned()),
        ("entra: {resource_units: L}", "`entra.resource_units` is `L`, not a whole number; give auto, or a whole number from 100 to 1000000".to_owned()),
        ("entra: {request_timeout: 0s}", "`entra.request_timeout` is too short: `0s`; give at least 1s".to_owned()),
        ("entra: {membership: null}", "`entra.membership` is set to null; set ENTRA_SYNC__ENTRA__MEMBERSHIP, or `entra.membership` in a --config file".to_owned()),
        ("schedule: {cron: \"0 0 30 2 *\"}", "`schedule.cron` never fires: `0 0 30 2 *`; give a day that the month has".to_owned()),
        ("schedule: {cron: \"61 * * * *\"}", "`schedule.cron` is no schedule: `61 * * * *`: its minute (0 to 59) `61` cannot be read; give 5 fields such as \"*/15 * * * *\", or 6 with seconds first".to_owned()),
        ("schedule: {cron: \"0 0 0 * 13 *\"}", "`schedule.cron` is no schedule: `0 0 0 * 13 *`: its month (1 to 12) `13` cannot be read; give 5 fields such as \"*/15 * * * *\", or 6 with seconds first".to_owned()),
        ("schedule: {full_cron: \"hourly\"}", "`schedule.full_cron` is no schedule: `hourly`: it has 1 fields instead of 5 or 6; give 5 fields such as \"*/15 * * * *\", or 6 with seconds first".to_owned()),
        ("schedule: {timezone: Mars/Base}", "`schedule.timezone` is `Mars/Base`, which is no IANA time zone; give a zone such as UTC or Europe/Zurich".to_owned()),
        ("schedule: {on_start: maybe}", "`schedule.on_start` is `maybe`, neither true nor false; give true or false".to_owned()),
        ("litellm: {seats: many}", "`litellm.seats` must be `auto`, `unlimited` or a number that is not negative; write `auto` to go by the licence".to_owned()),
        ("litellm: {budget_reset_time: noon}", "`litellm.budget_reset_time` is `noon`, which is no time of day; write the 24-hour time in quotes, for example \"12:00\"".to_owned()),
        ("litellm: {user_attributes: {email: \"mail,id\"}}", "`litellm.user_attributes.email` is `mail,id`, which is no property of a Graph user; give a property's name such as mail".to_owned()),
        ("server: {listen: 8080}", "`server.listen` is `8080`, no address with a port; give one such as 127.0.0.1:8080 or [::]:8080".to_owned()),
        ("server: {listen: localhost}", "`server.listen` is `localhost`, no address with a port; give one such as 127.0.0.1:8080 or [::]:8080".to_owned()),
        ("server: {token: short}", "`server.token` gives a token that can be guessed (under 16 characters); make one with `openssl rand -hex 32`".to_owned()),
        ("notify: {when: [always]}", "`notify.when` is `always`, which is not known; give one of failure, held, quarantine, recovery".to_owned()),
        ("notify: {webhook_url: \"http://example.org/x\"}", "`notify.webhook_url` gives a URL that would show its key to the network; give an https URL; plain http is for loopback only".to_owned()),
        ("notify: {form: xml}", "`notify.form` is `xml`, which is not known; give one of auto, json, slack, teams".to_owned()),
        ("notify: {secret: \"whsec_c2hvcnQ=\"}", "`notify.secret` gives no signing secret (`whsec_` and 24 to 64 bytes in base64); make one with `echo whsec_$(openssl rand -base64 32)`".to_owned()),
        ("telemetry: {log_level: eror}", "`telemetry.log_level` is `eror`, no level; give error, warn, info, debug, trace or a filter such as info,entra_sync=debug".to_owned()),
        ("telemetry: {log_format: xml}", "`telemetry.log_format` is `xml`, which is not known; give one of text, json".to_owned()),
        ("history: {keep: 1d}\nguard: {window: 2d}", "`history.keep` is shorter than `guard.window`, whose removals are counted from the history; make it at least as long".to_owned()),
    ] {
        assert_eq!(wrong(yaml), format!("my.yaml: {message}"));
    }
}

#[test]
fn only_a_single_tenant_is_accepted() {
    for tenant in ["common", "Organizations", "consumers"] {
        assert_eq!(
            Room::complete().with("MICROSOFT_TENANT", tenant).wrong(),
            format!(
                "the configuration has a problem: environment MICROSOFT_TENANT: `entra.tenant` is `{tenant}`, which stands for no single tenant; give the tenant's GUID or a verified domain such as contoso.onmicrosoft.com"
            )
        );
    }
    for tenant in ["contoso", "a/b.example", "../x.example", "-a.example"] {
        let text = Room::complete().with("MICROSOFT_TENANT", tenant).wrong();
        assert!(text.contains("neither a GUID nor a domain"), "{text}");
    }
    let domain = Room::complete().with("MICROSOFT_TENANT", "contoso.onmicrosoft.com");
    assert_eq!(
        domain.loaded().settings.entra.tenant,
        "contoso.onmicrosoft.com"
    );
}

#[test]
fn what_is_allowed_but_odd_is_a_warning() {
    let warnings = |room: Room| room.loaded().settings.warnings.join("\n");
    let quiet = || Room::complete().with("ENTRA_SYNC__LITELLM__SEATS", "unlimited");
    assert_eq!(warnings(quiet()), "");
    assert_eq!(
        warnings(Room::complete()),
        "LITELLM_LICENSE is not set: LiteLLM admits 5 users without a licence, and none are created beyond that; if the proxy has a licence, give it here as well, or set litellm.seats to `unlimited`, or to the number that your licence admits"
    );
    for (name, text, warning) in [
        (
            "ENTRA_SYNC__LITELLM__TIMEZONE",
            "Mars/Base",
            "litellm.timezone is `Mars/Base`, which is no IANA zone: budgets are reset in UTC, as LiteLLM does it",
        ),
        (
            "ALLOWED_EMAIL_DOMAINS",
            "a.example, B.example",
            "`litellm.allowed_email_domains` holds ` B.example`, which no e-mail equals: LiteLLM compares in lower case and keeps blanks; write `b.example`",
        ),
        (
            "ENTRA_SYNC__SCHEDULE__CRON",
            "0 0 1 * MON",
            "`schedule.cron` restricts day of month and day of week: it fires only on days that match both (crontab: either)",
        ),
        (
            "MICROSOFT_GRAPH_ENDPOINT",
            "https://gateway.example.org/graph/v1.0",
            "`entra.graph_endpoint` is no Microsoft host: the token and every request go to gateway.example.org",
        ),
        (
            "MICROSOFT_TOKEN_ENDPOINT",
            "http://127.0.0.1:9/token",
            "`entra.token_endpoint` is on this machine (127.0.0.1): Microsoft is not asked",
        ),
        (
            "ENTRA_SYNC__TELEMETRY__OTLP_ENDPOINT",
            "http://collector:4318",
            "`telemetry.otlp_endpoint` is plain http: traces with run ids and counts cross the network to collector unencrypted",
        ),
        (
            "AZURE_POSTGRESQL_AUTH",
            "true",
            "AZURE_POSTGRESQL_AUTH makes LiteLLM log in to its database with cloud tokens, and litellm.database_auth is password: the password of environment DATABASE_URL is used; if that is refused, set litellm.database_auth to azure, or give ENTRA_SYNC__LITELLM__DATABASE_URL with a user that has one",
        ),
        (
            "DATABASE_URL",
            "postgresql://u:p@db.example.org/litellm?sslmode=require",
            "`litellm.database_url`: the server's certificate is not checked; use sslmode=verify-full",
        ),
    ] {
        assert_eq!(warnings(quiet().with(name, text)), warning);
    }
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert_eq!(
        warnings(quiet().with("ENTRA_SYNC__NOTIFY__SECRET", secret)),
        "`notify.secret` signs nothing: notify.webhook_url is not set"
    );
    let url = |path: &str| format!("https://example.org{path}");
    let led = |path| {
        warnings(quiet().with("ENTRA_SYNC__SERVER__NOTIFICATIONS_URL", &url(path)))
            .contains("does not end in /graph/notifications")
    };
    assert!(led("/hook") && !led("/sync/graph/notifications"));
}

#[test]
fn the_graph_endpoint_needs_its_version_and_a_safe_way() {
    for (endpoint, message) in [
        (
            "https://graph.microsoft.com",
            "lacks the version of Microsoft Graph; end it with /v1.0, for example https://graph.microsoft.com/v1.0",
        ),
        (
            "https://graph.microsoft.com/beta",
            "is the beta of Microsoft Graph, which may change any day; end it with /v1.0",
        ),
        (
            "http://graph.microsoft.com/v1.0",
            "uses plain http beyond this machine, which would show the token to the network; use https; plain http is for 127.0.0.0/8, ::1 and localhost only",
        ),
    ] {
        assert_eq!(
            Room::complete()
                .with("MICROSOFT_GRAPH_ENDPOINT", endpoint)
                .wrong(),
            format!(
                "the configuration has a problem: environment MICROSOFT_GRAPH_ENDPOINT: `entra.graph_endpoint` {message}"
            )
        );
    }
    assert!(
        Room::complete()
            .with("MICROSOFT_TOKEN_ENDPOINT", "https://login.microsoftonline.com/common/oauth2/v2.0/token")
            .wrong()
            .ends_with("`entra.token_endpoint` names no single tenant (common, organizations or consumers); put the tenant's GUID or domain in its place")
    );
}

#[test]
fn notifications_without_a_grace_are_warned_of() {
    let told = |yaml: &str| {
        let room = Room::complete().file("my.yaml", yaml);
        let warnings = room.loaded().settings.warnings;
        let about = |warning: &&String| warning.contains("put back a moment later");
        warnings.iter().filter(about).cloned().collect::<Vec<_>>()
    };
    let url = "notifications_url: \"https://sync.example.org/graph/notifications\"";
    assert_eq!(
        told(&format!("server: {{{url}}}")),
        [
            "with `server.notifications_url` and without `deprovision.grace`, whoever is taken out \
             of a group and put back a moment later loses keys and spend of that team; set it, for \
             example to 15m"
        ]
    );
    for quiet in [
        "deprovision: {grace: 0s}".to_owned(),
        format!("server: {{{url}}}\ndeprovision: {{grace: 15m}}"),
        format!("server: {{{url}}}\ndeprovision: {{membership: keep}}"),
    ] {
        assert_eq!(told(&quiet), Vec::<String>::new(), "{quiet}");
    }
}

//! LiteLLM's own environment names, so that the environment of a LiteLLM
//! deployment can be shared as it is.
//!
//! Must not: parse values; that is the same for every source.

use super::error::Wrong;
use super::layers::Environment;

/// LiteLLM's name and the key it sets.
pub(super) const NAMES: [(&str, &str); 18] = [
    ("MICROSOFT_TENANT", "entra.tenant"),
    ("MICROSOFT_CLIENT_ID", "entra.client_id"),
    ("MICROSOFT_CLIENT_SECRET", "entra.client_secret"),
    (
        "MICROSOFT_SERVICE_PRINCIPAL_ID",
        "entra.service_principal_id",
    ),
    ("MICROSOFT_GRAPH_ENDPOINT", "entra.graph_endpoint"),
    ("MICROSOFT_TOKEN_ENDPOINT", "entra.token_endpoint"),
    ("MICROSOFT_USER_ID_ATTRIBUTE", "litellm.user_attributes.id"),
    (
        "MICROSOFT_USER_EMAIL_ATTRIBUTE",
        "litellm.user_attributes.email",
    ),
    (
        "MICROSOFT_USER_DISPLAY_NAME_ATTRIBUTE",
        "litellm.user_attributes.display_name",
    ),
    (
        "MICROSOFT_USER_FIRST_NAME_ATTRIBUTE",
        "litellm.user_attributes.first_name",
    ),
    (
        "MICROSOFT_USER_LAST_NAME_ATTRIBUTE",
        "litellm.user_attributes.last_name",
    ),
    ("ALLOWED_EMAIL_DOMAINS", "litellm.allowed_email_domains"),
    ("PROXY_ADMIN_ID", "litellm.proxy_admin_id"),
    ("DATABASE_URL", "litellm.database_url"),
    ("AWS_RDS_REGION", "litellm.database_region"),
    ("LITELLM_LICENSE", "litellm.license"),
    (
        "ENTRA_GROUPS_ALSO_CREATE_ORGS",
        "litellm.create_organizations",
    ),
    ("LITELLM_STORE_AUDIT_LOGS", "litellm.store_audit_logs"),
];

/// LiteLLM's name for a key, if it has one.
pub(super) fn name_of(key: &str) -> Option<&'static str> {
    NAMES
        .iter()
        .find(|(_, mapped)| *mapped == key)
        .map(|(name, _)| *name)
}

/// Key, variable and text of each variable that is there and not empty.
pub(super) fn values(
    environment: &Environment,
) -> impl Iterator<Item = (&'static str, String, String)> + '_ {
    NAMES.iter().filter_map(|(name, key)| {
        let text = given(environment, name)?;
        Some((*key, (*name).to_owned(), text.to_owned()))
    })
}

fn given<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    environment
        .get(name)
        .map(String::as_str)
        .filter(|text| !text.is_empty())
}

/// What `DATABASE_HOST` and friends are read for: LiteLLM reads them in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartsFor {
    /// The login is by what is in them.
    Password,
    /// The login is by a token, so there is no password, and the token goes over
    /// TLS where nobody says how.
    Token,
}

/// A database URL from `DATABASE_HOST` and friends, with the variables that it
/// was made from; `None` without `DATABASE_HOST`.
pub(super) fn database_url(
    environment: &Environment,
    login: PartsFor,
) -> Option<Result<(String, String), (String, Wrong)>> {
    let host = given(environment, "DATABASE_HOST")?;
    let mut used = vec!["DATABASE_HOST"];
    let mut take = |name: &'static str| {
        let text = given(environment, name)?;
        used.push(name);
        Some(text)
    };
    let users = match login {
        PartsFor::Password => ["DATABASE_USERNAME", "DATABASE_USER"],
        PartsFor::Token => ["DATABASE_USER", "DATABASE_USERNAME"],
    };
    let user = users.into_iter().find_map(&mut take);
    let password = match login {
        PartsFor::Password => take("DATABASE_PASSWORD"),
        PartsFor::Token => None,
    };
    let port = take("DATABASE_PORT");
    let name = take("DATABASE_NAME");
    let schema = take("DATABASE_SCHEMA");
    let mode = take("DATABASE_SSLMODE");
    let root = take("DATABASE_SSLROOTCERT");
    let unprepared = take("DATABASE_DISABLE_PREPARED_STATEMENTS").is_some_and(is_true);
    let used = used.join(", ");

    let missing: Vec<&str> = [
        (user.is_none(), users[0]),
        (name.is_none(), "DATABASE_NAME"),
    ]
    .into_iter()
    .filter_map(|(missing, name)| missing.then_some(name))
    .collect();
    let (Some(user), Some(name)) = (user, name) else {
        let wrong = Wrong::new(
            format!("needs {} too", missing.join(" and ")),
            "set it, or give the whole URL in DATABASE_URL",
        );
        return Some(Err((used, wrong)));
    };

    let mut url = format!("postgresql://{}", encoded(user));
    if let Some(password) = password {
        url.push(':');
        url.push_str(&encoded(password));
    }
    url.push('@');
    // LiteLLM allows `host:port` in DATABASE_HOST; DATABASE_PORT is for a host
    // without one. An IPv6 address has colons of its own.
    let bare_ipv6 = host.parse::<std::net::Ipv6Addr>().is_ok();
    if bare_ipv6 {
        url.push_str(&format!("[{host}]"));
    } else {
        url.push_str(host);
    }
    let has_port = !bare_ipv6
        && host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if let Some(port) = port.filter(|_| !has_port) {
        url.push(':');
        url.push_str(port);
    }
    url.push('/');
    url.push_str(&encoded(name));
    let unsaid = match login {
        PartsFor::Password => None,
        PartsFor::Token => Some("require"),
    };
    let parameters = [
        ("schema", schema),
        // A root certificate alone means that it is to be used.
        ("sslmode", mode.or(root.map(|_| "verify-full")).or(unsaid)),
        ("sslrootcert", root),
        ("pgbouncer", unprepared.then_some("true")),
    ];
    let mut mark = '?';
    for (key, value) in parameters {
        if let Some(value) = value {
            url.push_str(&format!("{mark}{key}={}", encoded(value)));
            mark = '&';
        }
    }
    Some(Ok((used, url)))
}

/// LiteLLM's own notion of a true variable.
pub(super) fn is_true(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "1" | "on" | "t" | "true" | "y" | "yes"
    )
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Made = Option<Result<(String, String), (String, Wrong)>>;

    fn url_for(login: PartsFor, pairs: &[(&str, &str)]) -> Made {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        database_url(&pairs.collect(), login)
    }

    fn url(pairs: &[(&str, &str)]) -> Made {
        url_for(PartsFor::Password, pairs)
    }

    #[test]
    fn for_a_token_there_is_tls_and_no_password() {
        let parts = [
            ("DATABASE_HOST", "db.example.org"),
            ("DATABASE_PORT", "5432"),
            ("DATABASE_USER", "entra_sync"),
            ("DATABASE_USERNAME", "litellm"),
            ("DATABASE_PASSWORD", "stale"),
            ("DATABASE_NAME", "litellm"),
            ("DATABASE_SCHEMA", "proxy"),
        ];
        let (names, url) = url_for(PartsFor::Token, &parts).unwrap().unwrap();
        assert_eq!(
            url,
            "postgresql://entra_sync@db.example.org:5432/litellm?schema=proxy&sslmode=require"
        );
        assert!(!names.contains("PASSWORD"), "{names}");
        let (_, wrong) = url_for(PartsFor::Token, &parts[..2]).unwrap().unwrap_err();
        assert_eq!(wrong.what, "needs DATABASE_USER and DATABASE_NAME too");
    }

    #[test]
    fn the_parts_of_a_database_make_one_url() {
        let (names, url) = url(&[
            ("DATABASE_HOST", "db:6432"),
            ("DATABASE_PORT", "5432"),
            ("DATABASE_USERNAME", "lite@llm"),
            ("DATABASE_PASSWORD", "p/w?#@é"),
            ("DATABASE_NAME", "litellm"),
            ("DATABASE_SSLROOTCERT", "/ca.pem"),
        ])
        .unwrap()
        .unwrap();
        assert_eq!(
            url,
            "postgresql://lite%40llm:p%2Fw%3F%23%40%C3%A9@db:6432/litellm?sslmode=verify-full&sslrootcert=%2Fca.pem"
        );
        assert_eq!(
            names,
            "DATABASE_HOST, DATABASE_USERNAME, DATABASE_PASSWORD, DATABASE_PORT, DATABASE_NAME, DATABASE_SSLROOTCERT"
        );
    }

    #[test]
    fn an_ipv6_host_gets_brackets_and_the_port() {
        let (_, url) = url(&[
            ("DATABASE_HOST", "::1"),
            ("DATABASE_PORT", "5433"),
            ("DATABASE_USER", "u"),
            ("DATABASE_NAME", "d"),
        ])
        .unwrap()
        .unwrap();
        assert_eq!(url, "postgresql://u@[::1]:5433/d");
    }

    #[test]
    fn a_host_without_user_and_name_says_what_is_missing() {
        assert!(url(&[("DATABASE_NAME", "x")]).is_none());
        let (names, wrong) = url(&[("DATABASE_HOST", "db")]).unwrap().unwrap_err();
        assert_eq!(names, "DATABASE_HOST");
        assert_eq!(wrong.what, "needs DATABASE_USERNAME and DATABASE_NAME too");
    }
}

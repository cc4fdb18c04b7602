//! The parameters of a database URL, by both dialects.
//!
//! Invariant: what is not known, or cannot be honoured, is refused by name; no
//! value is ever quoted.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::{
    ChannelBinding, Host, LoadBalanceHosts, SslNegotiation, TargetSessionAttrs,
};

use super::tls_mode::{Accept, CertMode, Reach, TlsWishes};
use super::url::{Parts, parse_port, split_hosts};
use super::{DatabaseTarget, Pooler};
use crate::config::error::Wrong;

/// Parameters that are honoured and hold nothing secret.
const PUBLIC: [&str; 30] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "connection_limit",
    "dbname",
    "fallback_application_name",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "pgbouncer",
    "pool_timeout",
    "port",
    "schema",
    "socket_timeout",
    "sslaccept",
    "sslcert",
    "sslcertmode",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// Parameters that change nothing here: Prisma's own pool and what we do
/// anyway.
const IGNORED: [&str; 5] = [
    "client_encoding",
    "max_connection_lifetime",
    "max_idle_connection_lifetime",
    "sslsni",
    "statement_cache_size",
];

/// Parameters that ask for a key which a password protects, and what to do.
const PROTECTED_KEY: [(&str, &str); 2] = [
    (
        "sslpassword",
        "decrypt the key with `openssl pkey -in FILE -out NEW_FILE`, name it in sslkey, and remove it",
    ),
    (
        "sslidentity",
        "take the PKCS#12 file apart with `openssl pkcs12 -nodes -in FILE -out NEW_FILE`, and name \
         the new file in both sslcert and sslkey instead",
    ),
];

/// Whether the value of a parameter may be shown.
pub(super) fn is_public(name: &str) -> bool {
    PUBLIC.contains(&name) || IGNORED.contains(&name)
}

/// Whether the name of a parameter may be shown.
pub(super) fn is_known(name: &str) -> bool {
    is_public(name) || protected_key(name).is_some() || name == "password"
}

fn protected_key(name: &str) -> Option<&'static str> {
    let mut known = PROTECTED_KEY.into_iter();
    known
        .find(|(key, _)| *key == name)
        .map(|(_, remedy)| remedy)
}

/// Fills in the target; the result holds what is worth a warning.
pub(super) fn apply(mut parts: Parts, target: &mut DatabaseTarget) -> Result<Vec<String>, Wrong> {
    let mut wishes = TlsWishes::default();
    let mut ports = Vec::new();
    // A raw & in a password that stands here makes the rest of it look like a
    // parameter's name, which must not be told then.
    let has_password = |(name, _): &(String, String)| name.contains("password");
    if parts.parameters.iter().any(has_password)
        && parts.parameters.iter().any(|(name, _)| !is_known(name))
    {
        return Err(Wrong::new(
            "holds a password as a parameter, and one that is not known",
            "put the password before the host; percent-encode & as %26",
        ));
    }
    for (name, value) in std::mem::take(&mut parts.parameters) {
        match name.as_str() {
            "user" => parts.user = Some(value),
            "password" => parts.password = Some(value),
            "dbname" => parts.database = Some(value),
            "host" => {
                // As in libpq a parameter replaces the hosts and leaves the
                // ports; inside it an IPv6 address stands without brackets.
                let own_ports: Vec<_> = parts.hosts.iter().map(|(_, port)| *port).collect();
                parts.hosts = value
                    .split(',')
                    .filter(|host| !host.is_empty())
                    .map(|host| match host.parse::<std::net::Ipv6Addr>() {
                        Ok(_) => Ok(vec![(host.to_owned(), None)]),
                        Err(_) => split_hosts(host),
                    })
                    .collect::<Result<Vec<_>, Wrong>>()?
                    .concat();
                if own_ports.len() == parts.hosts.len() {
                    for ((_, port), own) in parts.hosts.iter_mut().zip(own_ports) {
                        *port = port.or(own);
                    }
                }
            }
            "port" => {
                ports = value
                    .split(',')
                    .map(parse_port)
                    .collect::<Result<Vec<_>, Wrong>>()?;
            }
            "sslmode" => wishes.mode = Some(value),
            "sslrootcert" => wishes.root = Some(value.into()),
            "sslcert" => wishes.cert = file(value),
            "sslkey" => wishes.key = file(value),
            "sslcertmode" => {
                wishes.cert_mode = choice(
                    &name,
                    &value,
                    &[
                        ("disable", CertMode::Disable),
                        ("allow", CertMode::Allow),
                        ("require", CertMode::Require),
                    ],
                )?;
            }
            "sslaccept" => {
                wishes.accept = Some(choice(
                    &name,
                    &value,
                    &[
                        ("strict", Accept::Strict),
                        ("accept_invalid_certs", Accept::Anything),
                    ],
                )?);
            }
            _ => one(target, &name, &value)?,
        }
    }
    let reach = identity(parts, ports, target)?;
    wishes.decide(reach, target)
}

/// A parameter that stands for itself.
fn one(target: &mut DatabaseTarget, name: &str, value: &str) -> Result<(), Wrong> {
    let connection = &mut target.connection;
    let seconds = || number(name, value).map(Duration::from_secs);
    // Both dialects take 0 for "no limit".
    let limit = || seconds().map(|time| Some(time).filter(|time| !time.is_zero()));
    match name {
        "schema" => target.schema = not_empty(name, value)?,
        "connection_limit" => {
            let connections = number(name, value)?;
            if connections == 0 {
                return Err(wrong_value(name, "give at least 1"));
            }
            target.pool_size = usize::try_from(connections).unwrap_or(usize::MAX);
        }
        "pool_timeout" => target.pool_timeout = limit()?,
        "socket_timeout" => target.socket_timeout = limit()?,
        "pgbouncer" => {
            target.pooler = choice(
                name,
                value,
                &[("true", Pooler::Transaction), ("false", Pooler::None)],
            )?;
        }
        // tokio-postgres would take zero for "at once".
        "connect_timeout" => {
            if let Some(limit) = limit()? {
                connection.connect_timeout(limit);
            }
        }
        // libpq counts it in milliseconds, tokio-postgres's own URLs do not.
        "tcp_user_timeout" => {
            connection.tcp_user_timeout(Duration::from_millis(number(name, value)?));
        }
        "keepalives" => {
            connection.keepalives(number(name, value)? != 0);
        }
        "keepalives_idle" => drop(connection.keepalives_idle(seconds()?)),
        "keepalives_interval" => drop(connection.keepalives_interval(seconds()?)),
        "keepalives_count" | "keepalives_retries" => {
            let count = u32::try_from(number(name, value)?)
                .map_err(|_| wrong_value(name, "give a smaller number"))?;
            connection.keepalives_retries(count);
        }
        "application_name" | "fallback_application_name" => {
            connection.application_name(not_empty(name, value)?);
        }
        "options" => {
            connection.options(value);
        }
        "target_session_attrs" => {
            connection.target_session_attrs(choice(
                name,
                value,
                &[
                    ("any", TargetSessionAttrs::Any),
                    ("read-write", TargetSessionAttrs::ReadWrite),
                    // A primary is what takes writes, which is what counts here.
                    ("primary", TargetSessionAttrs::ReadWrite),
                ],
            )?);
        }
        "channel_binding" => {
            connection.channel_binding(choice(
                name,
                value,
                &[
                    ("disable", ChannelBinding::Disable),
                    ("prefer", ChannelBinding::Prefer),
                    ("require", ChannelBinding::Require),
                ],
            )?);
        }
        "load_balance_hosts" => {
            connection.load_balance_hosts(choice(
                name,
                value,
                &[
                    ("disable", LoadBalanceHosts::Disable),
                    ("random", LoadBalanceHosts::Random),
                ],
            )?);
        }
        "sslnegotiation" => {
            connection.ssl_negotiation(choice(
                name,
                value,
                &[
                    ("postgres", SslNegotiation::Postgres),
                    ("direct", SslNegotiation::Direct),
                ],
            )?);
        }
        "hostaddr" => {
            for address in value.split(',') {
                let address = address
                    .parse()
                    .map_err(|_| wrong_value(name, "give IP addresses"))?;
                connection.hostaddr(address);
            }
        }
        "statement_cache_size" if value == "0" => target.pooler = Pooler::Transaction,
        name if IGNORED.contains(&name) => {}
        name => {
            if let Some(remedy) = protected_key(name) {
                return Err(Wrong::new(
                    format!(
                        "names a key that a password protects (`{name}`), which is not supported"
                    ),
                    remedy,
                ));
            }
            let plain =
                name.len() <= 40 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let what = if plain {
                format!("holds the parameter `{name}`, which is not known")
            } else {
                "holds a parameter with an odd name".to_owned()
            };
            return Err(Wrong::new(
                what,
                "remove it; docs/CONFIGURATION.md lists those that are",
            ));
        }
    }
    Ok(())
}

/// Hosts, user, password and database.
fn identity(parts: Parts, ports: Vec<u16>, target: &mut DatabaseTarget) -> Result<Reach, Wrong> {
    let connection = &mut target.connection;
    if let Some(user) = parts.user {
        connection.user(user);
    }
    if let Some(password) = parts.password {
        connection.password(password);
    }
    let Some(database) = parts.database else {
        // libpq would take the user's name, Prisma another one.
        return Err(Wrong::new(
            "names no database",
            "add its name after the host, for example /litellm",
        ));
    };
    connection.dbname(database);
    if parts.hosts.is_empty() && connection.get_hostaddrs().is_empty() {
        return Err(Wrong::new(
            "names no host",
            "add one before the database, or ?host=/run/postgresql for a socket",
        ));
    }
    if !matches!(ports.len(), 0 | 1) && ports.len() != parts.hosts.len() {
        return Err(Wrong::new(
            "gives more or fewer ports than hosts",
            "give one port for all, or one for each host",
        ));
    }
    let addresses = connection.get_hostaddrs().len();
    if addresses > 0 && !parts.hosts.is_empty() && addresses != parts.hosts.len() {
        return Err(Wrong::new(
            "gives more or fewer addresses in hostaddr than hosts",
            "give one address for each host",
        ));
    }
    let mut reach = Reach::Socket;
    for (at, (host, own_port)) in parts.hosts.iter().enumerate() {
        // tokio-postgres takes a leading slash for a socket directory too.
        connection.host(host);
        let port = ports.get(at).or(ports.first()).copied();
        connection.port(port.or(*own_port).unwrap_or(5432));
        let is_socket = matches!(connection.get_hosts().last(), Some(Host::Unix(_)));
        let is_loopback = host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        reach = reach.max(match (is_socket, is_loopback) {
            (true, _) => Reach::Socket,
            (false, true) => Reach::Loopback,
            (false, false) => Reach::Remote,
        });
    }
    if parts.hosts.is_empty() {
        reach = Reach::Remote;
        for port in ports {
            connection.port(port);
        }
    }
    Ok(reach)
}

/// As in libpq an empty name is none.
fn file(value: String) -> Option<PathBuf> {
    Some(value)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

/// Values are never quoted: the caller cannot know what somebody put there.
fn wrong_value(name: &str, remedy: &str) -> Wrong {
    Wrong::new(
        format!("has a wrong value for the parameter `{name}`"),
        remedy,
    )
}

fn number(name: &str, value: &str) -> Result<u64, Wrong> {
    value
        .parse()
        .map_err(|_| wrong_value(name, "give a whole number"))
}

fn not_empty(name: &str, value: &str) -> Result<String, Wrong> {
    if value.is_empty() {
        return Err(wrong_value(name, "give a value or remove it"));
    }
    Ok(value.to_owned())
}

pub(super) fn choice<T: Copy>(name: &str, value: &str, names: &[(&str, T)]) -> Result<T, Wrong> {
    names
        .iter()
        .find(|(known, _)| *known == value)
        .map(|(_, choice)| *choice)
        .ok_or_else(|| {
            let known: Vec<&str> = names.iter().map(|(known, _)| *known).collect();
            wrong_value(name, &format!("give one of {}", known.join(", ")))
        })
}

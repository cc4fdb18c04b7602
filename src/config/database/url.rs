//! Takes a database URL apart: libpq allows what a URL parser refuses (several
//! hosts, a host of its own in the query, a socket directory).
//!
//! Invariant: an error quotes nothing but parameter names, and those only once
//! it is sure that no part of a password got there.

use crate::config::error::Wrong;

/// A database URL in pieces, percent-decoded.
pub(super) struct Parts {
    pub user: Option<String>,
    pub password: Option<String>,
    /// Hosts with their ports; empty when the query names them.
    pub hosts: Vec<(String, Option<u16>)>,
    pub database: Option<String>,
    /// In the order given.
    pub parameters: Vec<(String, String)>,
}

const EXAMPLE: &str = "give postgresql://user:password@host:5432/database";
const ENCODE: &str = "percent-encode special characters of the password (@ is %40, / is %2F, # is %23, ? is %3F, % is %25)";

/// Takes a URL apart.
pub(super) fn split(url: &str) -> Result<Parts, Wrong> {
    let url = url.trim();
    let rest = ["postgresql://", "postgres://"]
        .into_iter()
        .find_map(|scheme| url.strip_prefix(scheme))
        .ok_or_else(|| {
            let what = if url.starts_with("prisma") {
                "is a Prisma Accelerate URL, which only Prisma can use"
            } else {
                "does not begin with postgresql://"
            };
            Wrong::new(what, EXAMPLE)
        })?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    // A raw / ? or # in the password ends the host part too early, and the
    // rest of the password would pass for a path or a parameter.
    if tail.contains(['@', '#']) {
        return Err(Wrong::new("holds an @ or # after the host", ENCODE));
    }
    let (credentials, hosts) = authority
        .rsplit_once('@')
        .map_or((None, authority), |(credentials, hosts)| {
            (Some(credentials), hosts)
        });
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    // With another mark in the place of the first ?, a password that is given
    // as a parameter would pass for a part of a name, and names are shown.
    let user = credentials.map_or("", |both| both.split(':').next().unwrap_or_default());
    if path.contains(['&', '=']) || hosts.contains(['&', '=']) || user.contains("password=") {
        return Err(Wrong::new(
            "holds an & or = before the first ?",
            "begin the parameters with ?; percent-encode & as %26 and = as %3D elsewhere",
        ));
    }
    let (user, password) = match credentials.map(|both| both.split_once(':').unwrap_or((both, "")))
    {
        None => (None, None),
        Some((user, password)) => (
            Some(decode(user)?).filter(|user| !user.is_empty()),
            Some(decode(password)?).filter(|password| !password.is_empty()),
        ),
    };
    let database = decode(path.trim_start_matches('/'))?;
    Ok(Parts {
        user,
        password,
        hosts: split_hosts(hosts)?,
        database: Some(database).filter(|database| !database.is_empty()),
        parameters: query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(name)?, decode(value)?))
            })
            .collect::<Result<_, Wrong>>()?,
    })
}

/// `a:1,b,[::1]:2`, each with its port if it has one.
pub(super) fn split_hosts(hosts: &str) -> Result<Vec<(String, Option<u16>)>, Wrong> {
    hosts
        .split(',')
        .filter(|host| !host.is_empty())
        .map(|host| {
            let (name, port) = match host.strip_prefix('[') {
                Some(rest) => {
                    let (name, after) = rest
                        .split_once(']')
                        .ok_or_else(|| Wrong::new("holds a [ without its ]", EXAMPLE))?;
                    match after.strip_prefix(':') {
                        Some(port) => (name, port),
                        None if after.is_empty() => (name, ""),
                        None => return Err(Wrong::new("has something after its ]", EXAMPLE)),
                    }
                }
                None => host.split_once(':').unwrap_or((host, "")),
            };
            let port = match port {
                "" => None,
                port => Some(parse_port(port)?),
            };
            Ok((decode(name)?, port))
        })
        .collect()
}

/// A port between 1 and 65535.
pub(super) fn parse_port(port: &str) -> Result<u16, Wrong> {
    port.parse()
        .ok()
        .filter(|port| *port > 0)
        // Not quoted: after a raw @ this is a piece of the password.
        .ok_or_else(|| Wrong::new("has a port that is no number from 1 to 65535", ENCODE))
}

fn decode(text: &str) -> Result<String, Wrong> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        match (digit(), digit()) {
            (Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
            }
            _ => {
                return Err(Wrong::new(
                    "holds a % without two hexadecimal digits",
                    ENCODE,
                ));
            }
        }
    }
    if decoded.contains(&0) {
        return Err(Wrong::new("holds a NUL character", EXAMPLE));
    }
    String::from_utf8(decoded).map_err(|_| Wrong::new("is not UTF-8 once percent-decoded", ENCODE))
}

/// The URL without its password; `None` when it cannot be taken apart, as
/// then nobody knows where the password is.
pub(in crate::config) fn redacted(url: &str) -> Option<String> {
    let url = url.trim();
    let parts = split(url).ok()?;
    let (scheme, rest) = url.split_once("://")?;
    let rest = match (rest.rsplit_once('@'), &parts.password) {
        (Some((credentials, rest)), Some(_)) => {
            let (user, _) = credentials.split_once(':')?;
            format!("{user}:***@{rest}")
        }
        _ => rest.to_owned(),
    };
    let Some((start, query)) = rest.split_once('?') else {
        return Some(format!("{scheme}://{rest}"));
    };
    // Only names that are known to be harmless keep their value.
    let query: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            // With an & missing, the value holds the next parameter, which may
            // be the password.
            Some((name, value)) if super::parameters::is_public(name) && !value.contains('=') => {
                format!("{name}={value}")
            }
            Some((name, _)) if super::parameters::is_known(name) => format!("{name}=***"),
            _ => "***".to_owned(),
        })
        .collect();
    Some(format!("{scheme}://{start}?{}", query.join("&")))
}

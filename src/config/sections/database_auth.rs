//! `litellm.database_auth`: by what connections log in.
//!
//! Invariant: a token is as good as a password, and longer: it goes over TLS or
//! not at all. Must not: ask anybody for one.

use tokio_postgres::config::Host;

use crate::config::aws_environment::AwsRegion;
use crate::config::error::Wrong;
use crate::config::reader::{Read, Reader};
use crate::config::settings::{DatabaseAuth, DatabaseTarget, DatabaseTls};
use crate::config::values;

const KEY: &str = "litellm.database_auth";
const REGION: &str = "litellm.database_region";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Password,
    Azure,
    Aws,
}

pub(super) fn read(reader: &mut Reader<'_>, database: &Read<DatabaseTarget>) -> Read<DatabaseAuth> {
    let by = reader.required(KEY, |value| {
        values::one_of(
            value,
            &[
                ("password", By::Password),
                ("azure", By::Azure),
                ("aws", By::Aws),
            ],
        )
    });
    let region = reader.optional(REGION, |value| {
        let text = values::text(value)?;
        AwsRegion::parse(&text)
            .ok_or_else(|| Wrong::new("is no region of AWS", "give one such as eu-central-1"))
    });
    let (by, region) = (by?, region?);
    match by {
        By::Password => Ok(DatabaseAuth::Password),
        By::Azure => {
            if let Ok(database) = database {
                check(reader, "azure", database)?;
            }
            Ok(DatabaseAuth::Azure)
        }
        By::Aws => {
            let database = database.as_ref().map_err(|reported| *reported)?;
            check(reader, "aws", database)?;
            let host = only_host(reader, database)?;
            Ok(DatabaseAuth::Aws(choose(reader, region, &host)?))
        }
    }
}

fn check(reader: &mut Reader<'_>, by: &str, database: &DatabaseTarget) -> Read<()> {
    if matches!(database.tls, DatabaseTls::Disable | DatabaseTls::Prefer) {
        let wrong = Wrong::new(
            format!("is `{by}`, and the database URL lets the token go unencrypted"),
            "add sslmode=verify-full to the URL",
        );
        return Err(reader.wrong(KEY, wrong));
    }
    if database.connection.get_password().is_some() {
        reader.warn(format!(
            "the password in `litellm.database_url` is not used, because `{KEY}` is {by}"
        ));
    }
    Ok(())
}

/// A token is good for one host, port and user.
fn only_host(reader: &mut Reader<'_>, database: &DatabaseTarget) -> Read<String> {
    let user = database.connection.get_user();
    match (database.connection.get_hosts(), user) {
        ([Host::Tcp(host)], Some(_)) => Ok(host.clone()),
        ([Host::Tcp(_)], None) => Err(reader.wrong(
            KEY,
            Wrong::new("is `aws`, and the database URL names no user", "name the role in it"),
        )),
        _ => Err(reader.wrong(
            KEY,
            Wrong::new(
                "is `aws`, and the database URL does not name one host",
                "name the one endpoint of the cluster or instance, as AWS does: a token is for one host",
            ),
        )),
    }
}

/// What somebody set, else what the host's name tells, else where this runs.
fn choose(reader: &mut Reader<'_>, set: Option<AwsRegion>, host: &str) -> Read<AwsRegion> {
    let told = AwsRegion::of_host(host);
    if let Some(set) = set {
        if let Some(told) = told.filter(|told| *told != set) {
            reader.warn(format!(
                "`{REGION}` is {set}, and the name of the database's host says {told}: RDS \
                 refuses tokens of another region"
            ));
        }
        return Ok(set);
    }
    if let Some(told) = told {
        return Ok(told);
    }
    let remedy = format!(
        "set {REGION} (AWS_RDS_REGION, or AWS_REGION) to the region of the database, for example \
         eu-central-1"
    );
    let what = match &reader.aws().region {
        Some((name, text)) => match AwsRegion::parse(text) {
            Some(region) => return Ok(region),
            None => format!("is `aws`, and {name} holds no region of AWS"),
        },
        None => "is `aws`, and nothing tells the region of the database".to_owned(),
    };
    Err(reader.wrong(KEY, Wrong::new(what, remedy)))
}

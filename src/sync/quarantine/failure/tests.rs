//! Whose trouble an error is, and where it ended the pass.

use super::*;
use crate::entra::NetworkCause;
use crate::model::ids::ServicePrincipalId;

fn at() -> DateTime<Utc> {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

fn judged(phase: Phase, error: impl Into<Error>) -> Option<(Stage, Option<Trouble>)> {
    let error = error.into();
    let ended = ended(phase, Some(&error), at(), None)?;
    Some((ended.stage, ended.failure.map(|failure| failure.trouble)))
}

fn unreachable(call: Call) -> entra::Error {
    entra::Error::Unreachable {
        call,
        host: "host:443".to_owned(),
        cause: NetworkCause::Refused,
        detail: String::new(),
    }
}

fn hint() -> String {
    "AADSTS0".to_owned()
}

#[test]
fn what_the_token_endpoint_says_is_told_apart_from_its_silence() {
    let refused = entra::Error::SecretRejected {
        client_id: "id".to_owned(),
        hint: hint(),
        file: None,
    };
    let authentication = Some((Stage::Token, Some(Trouble::Authentication)));
    assert_eq!(judged(Phase::Reading, refused), authentication);
    let expired = entra::Error::SecretExpired {
        client_id: "id".to_owned(),
        hint: hint(),
        file: None,
    };
    assert_eq!(judged(Phase::Reading, expired), authentication);
    let silent = Some((Stage::Token, Some(Trouble::Outage)));
    assert_eq!(judged(Phase::Reading, unreachable(Call::Token)), silent);
    let busy = entra::Error::TokenUnavailable { hint: hint() };
    assert_eq!(judged(Phase::Reading, busy), silent);
}

#[test]
fn what_graph_says_shows_that_there_was_a_token() {
    let trace = String::new;
    let reading = |trouble| Some((Stage::Reading, Some(trouble)));
    let missing = entra::Error::PermissionMissing {
        call: Call::Groups,
        permission: Call::Groups.permission(),
        trace: trace(),
    };
    assert_eq!(
        judged(Phase::Reading, missing),
        reading(Trouble::Permission)
    );
    let unknown = entra::Error::ServicePrincipalNotFound {
        id: ServicePrincipalId::new(uuid::Uuid::nil()),
        trace: trace(),
    };
    assert_eq!(
        judged(Phase::Reading, unknown),
        reading(Trouble::Permission)
    );
    let away = unreachable(Call::Members);
    assert_eq!(judged(Phase::Reading, away), reading(Trouble::Outage));
    let refused = entra::Error::Unauthorized {
        call: Call::Groups,
        trace: trace(),
    };
    assert_eq!(
        judged(Phase::Reading, refused),
        reading(Trouble::Authentication)
    );
}

#[test]
fn the_pause_that_graph_last_asked_for_goes_on() {
    let error = Error::from(entra::Error::ThrottledOut {
        call: Call::Members,
        waited: Duration::from_secs(300),
        asked: Duration::from_secs(120),
        trace: String::new(),
    });
    let ended = ended(Phase::Reading, Some(&error), at(), None).unwrap();
    assert_eq!(ended.failure.unwrap().asked, Duration::from_secs(120));
}

#[test]
fn the_database_fails_in_the_stage_that_used_it() {
    let busy = || db::Error::Exhausted {
        after: Duration::from_secs(1),
    };
    for (phase, stage) in [
        (Phase::Opening, Stage::Opening),
        (Phase::Comparing, Stage::Comparing),
        (Phase::Writing, Stage::Writing),
    ] {
        let expected = Some((stage, Some(Trouble::Database)));
        assert_eq!(judged(phase, busy()), expected);
        assert_eq!(judged(phase, ledger::Error::Database(busy())), expected);
        assert_eq!(judged(phase, litellm::Error::Database(busy())), expected);
    }
    let login = db::Error::Connect {
        cause: db::ConnectError::Login {
            place: "u@h/d".to_owned(),
            reason: "no".to_owned(),
        },
    };
    assert_eq!(
        judged(Phase::Opening, login),
        Some((Stage::Opening, Some(Trouble::DatabaseLogin)))
    );
}

#[test]
fn another_instance_or_a_stop_is_nobodys_trouble() {
    let held = ledger::Error::LeaseHeld {
        holder: "other".to_owned(),
        remaining_seconds: 3,
    };
    // The database was reached, and no more is known.
    assert_eq!(judged(Phase::Opening, held), Some((Stage::Token, None)));
    let lost = ledger::Error::LeaseLost { epoch: 1 };
    assert_eq!(judged(Phase::Writing, lost), Some((Stage::Token, None)));
    assert_eq!(judged(Phase::Writing, Error::Stopped), None);
    let not_assigned = entra::Error::NotAssigned { groups: Vec::new() };
    assert_eq!(
        judged(Phase::Reading, not_assigned),
        Some((Stage::Reading, None))
    );
}

#[test]
fn a_pass_without_an_error_is_done() {
    let ended = ended(Phase::Writing, None, at(), None).unwrap();
    assert_eq!(ended.stage, Stage::Done);
    assert!(ended.failure.is_none());
}

//! `entra-sync check` against one missing permission after the other.

use serde_json::json;

use super::stub::{
    Reply, Stub, TOKEN, assigned_group, assignments_path, group_id, members_path, person,
    person_id, service_principal_path, transitive_path,
};
use crate::config::Membership;
use crate::entra::{Outcome, Probe, Reader};

const DELETED: &str = "/v1.0/directory/deletedItems/microsoft.graph.user";

async fn healthy() -> Stub {
    let stub = Stub::start().await;
    stub.assign(&[assigned_group(group_id(1)), assigned_group(group_id(2))]);
    stub.group(group_id(1), &[]);
    stub.group(group_id(2), &[person(1)]);
    stub.set(DELETED, [Reply::page(&[])]);
    stub
}

fn short(probes: &[Probe]) -> Vec<String> {
    probes
        .iter()
        .map(|probe| {
            let outcome = match probe.outcome {
                Outcome::Pass(_) => "PASS",
                Outcome::Warn(_) => "WARN",
                Outcome::Fail(_) => "FAIL",
            };
            format!("{outcome} {}", probe.name)
        })
        .collect()
}

fn text(probes: &[Probe], name: &str) -> String {
    match &probes
        .iter()
        .find(|probe| probe.name == name)
        .unwrap()
        .outcome
    {
        Outcome::Pass(text) | Outcome::Warn(text) | Outcome::Fail(text) => text.clone(),
    }
}

#[tokio::test]
async fn a_healthy_tenant_passes_everything() {
    let stub = healthy().await;
    assert_eq!(
        short(&stub.reader().probe().await),
        [
            "PASS token",
            "PASS service principal",
            "PASS assignments",
            "PASS groups",
            "PASS members",
            "PASS user attributes",
            "PASS deleted items"
        ]
    );
}

/// What a pass asks is what is tried.
#[tokio::test]
async fn transitive_members_are_tried_when_they_are_what_is_read() {
    let stub = healthy().await;
    for group in [group_id(1), group_id(2)] {
        stub.set(&transitive_path(group), [Reply::page(&[person(1)])]);
    }
    let mut settings = stub.settings();
    settings.membership = Membership::Transitive;
    let probes = Reader::new(&settings).unwrap().probe().await;
    assert!(short(&probes).contains(&"PASS members".to_owned()));
    assert!(!stub.seen_at(&transitive_path(group_id(1))).is_empty());
    assert!(stub.seen_at(&members_path(group_id(1))).is_empty());
}

#[tokio::test]
async fn each_missing_permission_is_named() {
    let cases = [
        (
            service_principal_path(),
            "service principal",
            "Application.Read.All",
        ),
        (assignments_path(), "assignments", "Application.Read.All"),
        ("/v1.0/groups".to_owned(), "groups", "GroupMember.Read.All"),
        (members_path(group_id(1)), "members", "GroupMember.Read.All"),
        (DELETED.to_owned(), "deleted items", "User.Read.All"),
    ];
    for (path, name, permission) in cases {
        let stub = healthy().await;
        stub.set(&path, [Reply::error(403, "Authorization_RequestDenied")]);
        let probes = stub.reader().probe().await;
        let expected = if name == "deleted items" {
            "WARN"
        } else {
            "FAIL"
        };
        assert!(
            short(&probes).contains(&format!("{expected} {name}")),
            "{probes:?}"
        );
        assert!(text(&probes, name).contains(permission), "{probes:?}");
    }
}

#[tokio::test]
async fn withheld_attributes_fail_and_name_the_permission() {
    let stub = healthy().await;
    let bare = json!({ "@odata.type": "#microsoft.graph.user",
        "id": person_id(1).to_string(), "userPrincipalName": null });
    stub.set(&members_path(group_id(2)), [Reply::page(&[bare])]);
    let probes = stub.reader().probe().await;
    assert!(short(&probes).contains(&"FAIL user attributes".to_owned()));
    assert!(text(&probes, "user attributes").contains("User.Read.All"));
}

#[tokio::test]
async fn hidden_members_are_a_warning_that_names_the_permission() {
    let stub = healthy().await;
    stub.assign(&[assigned_group(group_id(1))]);
    stub.group_object(group_id(1), json!({ "visibility": "HiddenMembership" }));
    let probes = stub.reader().probe().await;
    assert!(short(&probes).contains(&"WARN members".to_owned()));
    assert!(text(&probes, "members").contains("Member.Read.Hidden"));
}

#[tokio::test]
async fn without_a_token_nothing_else_is_tried() {
    let stub = healthy().await;
    stub.set(
        TOKEN,
        [Reply::json(
            401,
            &json!({ "error": "invalid_client", "error_codes": [7_000_215] }),
        )],
    );
    let probes = stub.reader().probe().await;
    assert_eq!(short(&probes), ["FAIL token"]);
    assert!(text(&probes, "token").contains("not its id"));
}

#[tokio::test]
async fn an_application_nobody_is_assigned_to_is_a_warning() {
    let stub = healthy().await;
    stub.assign(&[]);
    let probes = stub.reader().probe().await;
    assert_eq!(
        short(&probes)[2..],
        [
            "WARN assignments",
            "WARN groups",
            "WARN members",
            "WARN user attributes",
            "PASS deleted items"
        ]
    );
}

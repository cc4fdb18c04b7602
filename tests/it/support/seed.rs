//! Rows as LiteLLM writes them, to be there before a pass.
//!
//! Each builder starts from LiteLLM's own values (a test compares them with
//! rows that LiteLLM wrote); `with` replaces one column.

use serde_json::{Map, Value, json};

use super::TestDatabase;

/// LiteLLM's name for itself in `created_by` and `updated_by`.
const LITELLM: &str = "default_user_id";

/// A row that is not in the database yet.
#[derive(Debug, Clone)]
#[must_use]
pub struct Row {
    table: &'static str,
    columns: Map<String, Value>,
}

impl Row {
    fn new(table: &'static str, columns: Value) -> Self {
        match columns {
            Value::Object(columns) => Self { table, columns },
            other => panic!("a row is an object, not {other}"),
        }
    }

    /// The same row with another value in this column.
    pub fn with(mut self, column: &str, value: impl Into<Value>) -> Self {
        self.columns.insert(column.to_owned(), value.into());
        self
    }

    /// Writes the row; columns that were not named get the table's default.
    pub async fn insert(self, database: &TestDatabase) {
        let names = self
            .columns
            .keys()
            .map(|name| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(", ");
        let table = self.table;
        let statement = format!(
            "INSERT INTO \"{table}\" ({names}) \
             SELECT {names} FROM json_populate_record(NULL::\"{table}\", $1::text::json)"
        );
        let row = Value::Object(self.columns).to_string();
        database
            .admin()
            .execute(&statement, &[&row])
            .await
            .unwrap_or_else(|error| panic!("{table} {row}: {error:?}"));
    }
}

/// A user as a first Microsoft login makes one.
pub fn user(id: &str) -> Row {
    Row::new(
        "LiteLLM_UserTable",
        json!({
            "user_id": id,
            "sso_user_id": id,
            "user_role": "internal_user_viewer",
            "teams": [],
            "models": [],
            "metadata": { "auth_provider": "microsoft" },
        }),
    )
}

/// A team as LiteLLM makes one for a group, without default parameters.
pub fn team(id: &str) -> Row {
    Row::new(
        "LiteLLM_TeamTable",
        json!({
            "team_id": id,
            "team_alias": id,
            "admins": [],
            "members": [],
            "members_with_roles": [],
            "models": [],
        }),
    )
}

/// A budget without any limit.
pub fn budget(id: &str) -> Row {
    Row::new(
        "LiteLLM_BudgetTable",
        json!({ "budget_id": id, "created_by": LITELLM, "updated_by": LITELLM }),
    )
}

/// An organization; its budget row must be there.
pub fn organization(id: &str, budget: &str) -> Row {
    Row::new(
        "LiteLLM_OrganizationTable",
        json!({
            "organization_id": id,
            "organization_alias": id,
            "budget_id": budget,
            "models": [],
            "created_by": LITELLM,
            "updated_by": LITELLM,
        }),
    )
}

/// The membership row alone; [`join`] writes all copies of a membership.
pub fn team_membership(user: &str, team: &str) -> Row {
    Row::new(
        "LiteLLM_TeamMembership",
        json!({ "user_id": user, "team_id": team }),
    )
}

/// A membership of an organization.
pub fn organization_membership(user: &str, organization: &str) -> Row {
    Row::new(
        "LiteLLM_OrganizationMembership",
        json!({ "user_id": user, "organization_id": organization, "user_role": "internal_user" }),
    )
}

/// A virtual key; `token` stands for its hash.
pub fn key(token: &str, user: &str) -> Row {
    Row::new(
        "LiteLLM_VerificationToken",
        json!({ "token": token, "user_id": user, "models": [] }),
    )
}

/// Makes a user a member of a team in all three places, as LiteLLM does.
pub async fn join(database: &TestDatabase, user: &str, team: &str) {
    let client = database.admin();
    let joined = client
        .execute(
            "UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = members_with_roles || \
                 (SELECT jsonb_build_object('user_id', user_id, 'user_email', user_email, 'role', 'user') \
                  FROM \"LiteLLM_UserTable\" WHERE user_id = $1) \
             WHERE team_id = $2",
            &[&user, &team],
        )
        .await
        .expect("the roster takes the member");
    assert_eq!(joined, 1, "there is no team {team}");
    client
        .execute(
            "UPDATE \"LiteLLM_UserTable\" SET teams = array_append(teams, $2) WHERE user_id = $1",
            &[&user, &team],
        )
        .await
        .expect("the user lists the team");
    team_membership(user, team).insert(database).await;
}

/// What a Microsoft login leaves behind: this object id has logged in as this
/// user.
pub fn verified_subject(oid: &str, user: &str) -> Row {
    Row::new(
        "LiteLLM_VerifiedSubject",
        json!({
            "subject_id": format!("verified-{oid}"),
            "issuer": "https://login.microsoftonline.com/contoso/v2.0",
            "tenant_id": "contoso",
            "oid": oid,
            "user_id": user,
        }),
    )
}

/// An access group that names no team yet.
pub fn access_group(id: &str) -> Row {
    Row::new(
        "LiteLLM_AccessGroupTable",
        json!({ "access_group_id": id, "access_group_name": id, "assigned_team_ids": [] }),
    )
}

/// A row that LiteLLM wrote somewhere else, as it was.
pub fn recorded(table: &'static str, row: Value) -> Row {
    Row::new(table, row)
}

//! Looks at LiteLLM's rows, which tests name by the tenant's keys, and brings
//! about in the database what a pass may meet there.

use entra_sync::simulator::{group_id, person_id};
use entra_sync::sync::Report;
use serde_json::Value;

use super::World;
use super::database::connect;

/// `team_id` and `organization_id` of the group with this key.
pub fn group(key: &str) -> String {
    group_id(key).to_string()
}

/// `user_id` of the person with this key, unless matched to another row.
pub fn person(key: &str) -> String {
    person_id(key).to_string()
}

/// The ids of these people, sorted as rows are.
pub fn people<const N: usize>(keys: [&str; N]) -> Vec<String> {
    let mut ids: Vec<String> = keys.into_iter().map(person).collect();
    ids.sort();
    ids
}

/// Id and reason of everything that was left out.
pub fn skipped(report: &Report) -> Vec<(&str, &str)> {
    let mut list: Vec<_> = report
        .skipped
        .iter()
        .map(|skipped| (skipped.id.as_str(), skipped.reason.as_str()))
        .collect();
    list.sort_unstable();
    list
}

/// Which object gave trouble, with the sentence that says so.
pub fn errors(report: &Report) -> Vec<(&str, &str)> {
    report
        .errors
        .iter()
        .map(|error| (error.id.as_str(), error.message.as_str()))
        .collect()
}

impl World {
    /// The one row of this table whose column holds this.
    pub async fn row(&self, table: &str, column: &str, value: &str) -> Value {
        self.find_row(table, column, value)
            .await
            .unwrap_or_else(|| panic!("{table} has no row with {column} = {value}"))
    }

    /// The same, or none.
    pub async fn find_row(&self, table: &str, column: &str, value: &str) -> Option<Value> {
        let rows = self.database.rows(table).await;
        rows.into_iter().find(|row| row[column] == value)
    }

    /// The team of this group.
    pub async fn team(&self, key: &str) -> Value {
        self.row("LiteLLM_TeamTable", "team_id", &group(key)).await
    }

    /// The organization of this group.
    pub async fn organization(&self, key: &str) -> Value {
        let id = group(key);
        self.row("LiteLLM_OrganizationTable", "organization_id", &id)
            .await
    }

    /// The row whose `user_id` is this person's object id.
    pub async fn user(&self, key: &str) -> Value {
        self.row("LiteLLM_UserTable", "user_id", &person(key)).await
    }

    /// Whether there is a row whose `user_id` is this person's object id.
    pub async fn has_user(&self, key: &str) -> bool {
        let id = person(key);
        let row = self.find_row("LiteLLM_UserTable", "user_id", &id).await;
        row.is_some()
    }

    /// The members of this group's team, sorted; all three copies of each
    /// membership must agree.
    pub async fn members(&self, key: &str) -> Vec<String> {
        self.members_of(&group(key)).await
    }

    /// The same for any team.
    pub async fn members_of(&self, team: &str) -> Vec<String> {
        let row = self.row("LiteLLM_TeamTable", "team_id", team).await;
        let entries = row["members_with_roles"].as_array().expect("a list");
        let mut roster: Vec<String> = entries.iter().map(|entry| text(entry, "user_id")).collect();
        roster.sort();
        let mut unique = roster.clone();
        unique.dedup();
        assert_eq!(roster, unique, "the roster of {team} names somebody twice");
        let memberships = self.database.rows("LiteLLM_TeamMembership").await;
        let mut listed: Vec<String> = memberships
            .iter()
            .filter(|row| row["team_id"] == team)
            .map(|row| text(row, "user_id"))
            .collect();
        listed.sort();
        assert_eq!(roster, listed, "roster and TeamMembership of {team}");
        let users = self.database.rows("LiteLLM_UserTable").await;
        let mut naming: Vec<String> = users
            .iter()
            .flat_map(|row| {
                let teams = row["teams"].as_array().expect("a list");
                let naming = teams.iter().filter(|listed| *listed == team);
                naming.map(|_| text(row, "user_id"))
            })
            .collect();
        naming.sort();
        assert_eq!(roster, naming, "roster and users' teams of {team}");
        roster
    }

    /// The members of this group's organization, sorted.
    pub async fn organization_members(&self, key: &str) -> Vec<String> {
        let organization = group(key);
        let rows = self.database.rows("LiteLLM_OrganizationMembership").await;
        rows.iter()
            .filter(|row| row["organization_id"] == organization.as_str())
            .map(|row| text(row, "user_id"))
            .collect()
    }

    /// The ledger's managed members of this group's team, sorted.
    pub async fn managed(&self, key: &str) -> Vec<String> {
        let group = group(key);
        let rows = self.database.rows("entra_sync.owned_team_member").await;
        rows.iter()
            .filter(|row| row["group_id"] == group.as_str())
            .map(|row| text(row, "person_id"))
            .collect()
    }

    /// How many rows there are.
    pub async fn count(&self, table: &str) -> usize {
        self.database.rows(table).await.len()
    }

    /// Runs SQL as LiteLLM or its administrator would.
    pub async fn sql(&self, statements: &str) {
        self.database
            .admin()
            .batch_execute(statements)
            .await
            .unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// Changes our own tables, as time or an operator would.
    pub async fn ledger_sql(&self, statements: &str) {
        let superuser = connect(&self.database.url_as("postgres")).await;
        superuser
            .batch_execute(statements)
            .await
            .unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// Makes the database refuse to insert or change a row for which
    /// `condition` holds (over `NEW`), until [`Self::relent`].
    pub async fn refuse(&self, table: &str, condition: &str) {
        let action = format!("RAISE EXCEPTION 'refused by the test'; -- {table}");
        self.on_write(table, condition, &action).await;
    }

    /// Runs `action` (PL/pgSQL, with a superuser's rights) before a row is
    /// inserted or changed for which `condition` holds.
    pub async fn on_write(&self, table: &str, condition: &str, action: &str) {
        let superuser = connect(&self.database.url_as("postgres")).await;
        let table = table.replace('.', "\".\"");
        let statements = format!(
            "CREATE OR REPLACE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
             BEGIN
                 {action}
                 RETURN NEW;
             END $$;
             CREATE TRIGGER meddle BEFORE INSERT OR UPDATE ON \"{table}\"
                 FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION meddle();"
        );
        superuser
            .batch_execute(&statements)
            .await
            .unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// Ends what [`Self::refuse`] or [`Self::on_write`] began.
    pub async fn relent(&self) {
        let superuser = connect(&self.database.url_as("postgres")).await;
        superuser
            .batch_execute("DROP FUNCTION meddle() CASCADE")
            .await
            .expect("the trigger goes with its function");
    }
}

/// A column's text.
pub fn text(row: &Value, column: &str) -> String {
    match row[column].as_str() {
        Some(text) => text.to_owned(),
        None => panic!("{column} of {row} is no text"),
    }
}

//! The demo's tenant, and how it changes while the story is told.
//!
//! Invariant: additions and changes only; nothing is taken away, so that every
//! pass of the story is safe to look at.

use crate::simulator::generate::Spec;
use crate::simulator::{AccountEnabled, RoleState, Tenant};

/// Generated groups and people around those that the story names.
const AROUND: Spec = Spec {
    seed: 2026,
    groups: 36,
    people: 420,
    memberships: 1_300,
    largest_group: Some(240),
};

/// The group that is renamed.
pub const RENAMED_GROUP: &str = "Platform Team";
/// The group that is new.
pub const NEW_GROUP: &str = "Night Shift 🌙";
/// The person whose address changes.
pub const RENAMED_PERSON: &str = "zoe";

/// Some dozens of groups with some hundreds of people: unicode names, nested
/// groups, guests, disabled people, several roles.
#[must_use]
pub fn tenant() -> Tenant {
    let mut tenant = AROUND.tenant();
    tenant
        .application()
        .display_name("LiteLLM Gateway (demo)")
        .role("internal_user", RoleState::Enabled)
        .role("internal_user_viewer", RoleState::Enabled)
        .role("proxy_admin", RoleState::Enabled);
    tenant
        .user("anna")
        .display_name("Anna Sample")
        .names("Anna", "Sample")
        .mail("anna@example.com");
    tenant
        .user("zoe")
        .display_name("Zoe\u{301} Exemple")
        .names("Zoe\u{301}", "Exemple");
    tenant
        .user("daniel")
        .display_name("דניאל דוגמה")
        .names("דניאל", "דוגמה");
    tenant
        .user("hanako")
        .display_name("例 花子")
        .names("花子", "例")
        .without_mail();
    tenant
        .user("retired")
        .display_name("Otto Muster")
        .account(AccountEnabled::Disabled);
    tenant
        .user("partner")
        .display_name("Pat Voorbeeld")
        .guest("pat@partner.example.com");
    tenant.user("twin-1").display_name("Ana Exemplo");
    tenant.user("twin-2").display_name("Ana Exemplo");
    tenant
        .user("boss")
        .display_name("Ulla Eksempel")
        .assigned("proxy_admin");
    tenant
        .group(RENAMED_GROUP)
        .members(["anna", "zoe", "daniel", "retired", "boss"])
        .assigned("internal_user");
    tenant
        .group("Données & Modèles")
        .members(["zoe", "hanako", "partner", "twin-1"])
        .nested(RENAMED_GROUP)
        .assigned_by_default();
    tenant
        .group("Auditors")
        .members(["twin-2", "partner"])
        .assigned("internal_user_viewer")
        .assigned("internal_user");
    tenant.group("Not Assigned").member("anna");
    tenant
}

/// What happens between two passes, in words.
#[must_use]
pub fn change(tenant: &mut Tenant) -> Vec<String> {
    tenant
        .user("noor")
        .display_name("Noor Mfano")
        .names("Noor", "Mfano");
    tenant
        .user("emre")
        .display_name("Emre Örnek")
        .names("Emre", "Örnek");
    tenant.group("Données & Modèles").members(["noor", "emre"]);
    tenant
        .group(RENAMED_GROUP)
        .display_name("Platform & Reliability");
    tenant
        .group(NEW_GROUP)
        .members(["emre", "hanako", "twin-1"])
        .assigned("internal_user_viewer");
    tenant.user("anna").assigned("proxy_admin");
    tenant
        .user(RENAMED_PERSON)
        .user_principal_name("zoe.ejemplo@contoso.example.com");
    tenant
        .user(RENAMED_PERSON)
        .mail("zoe.ejemplo@contoso.example.com");
    vec![
        "Noor Mfano and Emre Örnek join the group \"Données & Modèles\".".to_owned(),
        format!("The group \"{RENAMED_GROUP}\" is renamed \"Platform & Reliability\"."),
        format!("The group \"{NEW_GROUP}\" is new, with three people."),
        "Anna Sample receives the role proxy_admin.".to_owned(),
        "Zoé Exemple has a new e-mail address.".to_owned(),
    ]
}

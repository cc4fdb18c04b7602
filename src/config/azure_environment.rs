//! The names that Azure puts into the environment of its workloads.
//!
//! Invariant: they are weaker than every name and file of ours, because
//! neighbours in the same environment (LiteLLM's own Azure models among them)
//! use some of them for other applications. `AZURE_CLIENT_ID` and
//! `AZURE_TENANT_ID` count only beside `AZURE_FEDERATED_TOKEN_FILE`, which says
//! that they are the workload identity's.
//! Must not: print the value of `IDENTITY_HEADER`.

use secrecy::SecretString;

use super::layers::Environment;

/// Azure's name and the key it sets.
pub(super) const NAMES: [(&str, &str); 3] = [
    ("AZURE_TENANT_ID", "entra.tenant"),
    ("AZURE_CLIENT_ID", "entra.client_id"),
    (TOKEN_FILE, "entra.federated_token_file"),
];

const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";

/// What Azure says that is no setting of ours.
#[derive(Debug, Clone, Default)]
pub(super) struct AzureEnvironment {
    /// `AZURE_CLIENT_ID` of the workload identity.
    pub client_id: Option<String>,
    /// `AZURE_AUTHORITY_HOST`: the login host of the cloud that it runs in.
    pub authority_host: Option<String>,
    /// `IDENTITY_ENDPOINT`: where App Service gives tokens.
    pub identity_endpoint: Option<String>,
    /// `IDENTITY_HEADER`, its proof.
    pub identity_header: Option<SecretString>,
    /// `AZURE_POD_IDENTITY_AUTHORITY_HOST`: in the place of the metadata service.
    pub metadata_host: Option<String>,
}

impl AzureEnvironment {
    /// What is there and not empty.
    pub(super) fn of(environment: &Environment) -> Self {
        let text = |name| given(environment, name).map(str::to_owned);
        let workload = given(environment, TOKEN_FILE).is_some();
        Self {
            client_id: text("AZURE_CLIENT_ID").filter(|_| workload),
            authority_host: text("AZURE_AUTHORITY_HOST").filter(|_| workload),
            identity_endpoint: text("IDENTITY_ENDPOINT"),
            identity_header: text("IDENTITY_HEADER").map(SecretString::from),
            metadata_host: text("AZURE_POD_IDENTITY_AUTHORITY_HOST"),
        }
    }
}

/// Key, variable and text of each variable that sets a key.
pub(super) fn values(
    environment: &Environment,
) -> impl Iterator<Item = (&'static str, &'static str, String)> + '_ {
    let workload = given(environment, TOKEN_FILE).is_some();
    NAMES.iter().filter_map(move |(name, key)| {
        let text = given(environment, name).filter(|_| workload)?;
        Some((*key, *name, text.to_owned()))
    })
}

/// Azure's name for a key that LiteLLM has none for.
pub(super) fn name_of(key: &str) -> Option<&'static str> {
    (key == "entra.federated_token_file").then_some(TOKEN_FILE)
}

fn given<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    environment
        .get(name)
        .map(String::as_str)
        .filter(|text| !text.trim().is_empty())
}

use super::support::{GROUP, Room};

fn contradiction(room: &Room) -> String {
    let text = room.wrong();
    let prefix = "the configuration has a problem: ";
    text.strip_prefix(prefix).unwrap_or(&text).to_owned()
}

#[test]
fn a_secret_and_its_file_contradict_each_other() {
    let room = Room::complete()
        .write("secret", "from-a-file")
        .with("ENTRA_SYNC__ENTRA__CLIENT_SECRET_FILE", "/run/secrets/x");
    assert_eq!(
        contradiction(&room),
        "environment MICROSOFT_CLIENT_SECRET: `entra.client_secret` contradicts \
         `entra.client_secret_file` (environment ENTRA_SYNC__ENTRA__CLIENT_SECRET_FILE): both are \
         given; keep one of them"
    );
}

#[test]
fn a_group_cannot_be_included_and_excluded() {
    let yaml = format!("entra: {{include_groups: ['{GROUP}'], exclude_groups: ['{GROUP}']}}");
    assert_eq!(
        contradiction(&Room::complete().file("my.yaml", &yaml)),
        format!(
            "my.yaml: `entra.exclude_groups` contradicts `entra.include_groups` over {GROUP}; name \
             each group in one of them"
        )
    );
}

#[test]
fn a_team_cannot_have_its_own_organization_and_a_shared_one() {
    let yaml = "litellm: {create_organizations: true, default_team_params: {organization_id: o}}";
    assert_eq!(
        contradiction(&Room::complete().file("my.yaml", yaml)),
        "my.yaml: `litellm.create_organizations` contradicts `organization_id` in \
         `litellm.default_team_params`: a team has one organization; remove organization_id or \
         set create_organizations to false"
    );
}

#[test]
fn a_cloud_and_an_endpoint_of_another_cloud_contradict_each_other() {
    let room = Room::complete()
        .with("ENTRA_SYNC__ENTRA__CLOUD", "china")
        .with(
            "MICROSOFT_GRAPH_ENDPOINT",
            "https://graph.microsoft.us/v1.0",
        );
    assert_eq!(
        contradiction(&room),
        "environment MICROSOFT_GRAPH_ENDPOINT: `entra.graph_endpoint` is in the cloud usgov, but \
         `entra.cloud` is china; make them agree or remove one"
    );
    let room = Room::complete().with(
        "MICROSOFT_TOKEN_ENDPOINT",
        "https://login.microsoftonline.us/t/oauth2/v2.0/token",
    );
    assert_eq!(
        contradiction(&room),
        "environment MICROSOFT_TOKEN_ENDPOINT: `entra.token_endpoint` is at \
         login.microsoftonline.us, which issues no tokens for the cloud global; set `entra.cloud`, \
         or `entra.graph_endpoint` of the same cloud"
    );
}

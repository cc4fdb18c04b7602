use super::*;
use crate::notify::tests::sample;

fn form(url: &str) -> Form {
    Form::of(WebhookForm::Auto, &url.parse().unwrap())
}

#[test]
fn the_form_is_told_from_the_host_and_not_from_what_resembles_it() {
    for (url, expected) in [
        ("https://hooks.slack.com/services/T0/B0/x", Form::Slack),
        (
            "https://contoso.webhook.office.com/webhookb2/x",
            Form::Teams,
        ),
        (
            "https://prod-1.westeurope.logic.azure.com:443/workflows/x",
            Form::Teams,
        ),
        (
            "https://a.4a.environment.api.powerplatform.com:443/x",
            Form::Teams,
        ),
        ("https://hooks.slack.com.example.org/x", Form::Json),
        ("https://nothooks.slack.com/x", Form::Json),
        ("https://example.org/hooks.slack.com", Form::Json),
    ] {
        assert_eq!(form(url), expected, "{url}");
    }
    let slack = "https://hooks.slack.com/x".parse().unwrap();
    assert_eq!(Form::of(WebhookForm::Json, &slack), Form::Json);
}

#[test]
fn our_own_object_has_the_shape_of_the_manual() {
    assert_eq!(
        Form::Json.body(&sample()),
        json!({
            "version": 1,
            "kind": "held",
            "source": "default",
            "tenant": "contoso.onmicrosoft.com",
            "run_id": "1961243e-95be-4d98-8088-6c90a46c8202",
            "at": "2026-11-21T10:00:00Z",
            "summary": "7 removals are held",
            "details": {"digest": "abc", "removals": 7, "reason": "<!channel> *all* & [more](x)"},
            "remedy": "look",
        })
    );
}

#[test]
fn slack_gets_no_markup() {
    let body = Form::Slack.body(&sample());
    assert_eq!(body["text"], "entra-sync: 7 removals are held");
    assert_eq!(body["mrkdwn"], false);
    let blocks = body["blocks"].as_array().unwrap();
    assert!(
        blocks
            .iter()
            .all(|block| block["text"]["type"] == "plain_text")
    );
    let text = blocks[1]["text"]["text"].as_str().unwrap();
    assert!(
        text.contains("\nreason: &lt;!channel&gt; *all* &amp; [more](x)\n"),
        "{text}"
    );
    assert!(text.ends_with("to do: look"), "{text}");
    assert!(text.chars().count() <= 3_000);
}

#[test]
fn teams_gets_a_card_whose_texts_are_runs() {
    let body = Form::Teams.body(&sample());
    assert_eq!(body["type"], "message");
    let attachment = &body["attachments"][0];
    assert_eq!(
        attachment["contentType"],
        "application/vnd.microsoft.card.adaptive"
    );
    let card = &attachment["content"];
    assert_eq!(card["type"], "AdaptiveCard");
    let blocks = card["body"].as_array().unwrap();
    // Markdown is read in TextBlocks and FactSets.
    assert!(blocks.iter().all(|block| block["type"] == "RichTextBlock"));
    let runs = blocks
        .iter()
        .flat_map(|block| block["inlines"].as_array().unwrap());
    let texts: Vec<&str> = runs.map(|run| run["text"].as_str().unwrap()).collect();
    assert!(texts.contains(&"<!channel> *all* & [more](x)"), "{texts:?}");
}

#[test]
fn what_is_too_long_is_cut_between_two_characters() {
    let mut message = sample();
    message
        .details
        .insert("reason".to_owned(), "ä".repeat(2_000).into());
    let text = Form::Slack.body(&message)["blocks"][1]["text"]["text"].to_string();
    assert!(text.contains("ä…"), "{text}");
    assert!(text.chars().count() < 1_500);
}

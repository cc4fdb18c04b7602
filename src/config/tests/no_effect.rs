use serde_json::Value;

use super::support::{GROUP, Room};
use crate::config::schema::{Schema, environment_name};

fn told(room: &Room) -> Vec<String> {
    let warnings = room.loaded().settings.warnings;
    warnings
        .into_iter()
        .filter(|warning| warning.contains("has no effect in this version"))
        .collect()
}

#[test]
fn a_setting_that_steers_nothing_yet_is_named_with_whoever_gave_it() {
    let room = Room::complete().with(
        "ENTRA_SYNC__LITELLM__REDIS_URL",
        "redis://:hush@redis:6379/0",
    );
    let rest = "has no effect in this version; remove it, or leave it for a later one";
    assert_eq!(
        told(&room),
        [format!(
            "`litellm.redis_url` (environment ENTRA_SYNC__LITELLM__REDIS_URL) {rest}"
        ),]
    );
}

#[test]
fn every_key_of_the_reference_is_named_exactly_when_it_steers_nothing() {
    let schema = Schema::embedded().unwrap();
    for (key, default) in schema.keys() {
        let text = match default {
            Value::Null if key.ends_with("_file") => continue,
            Value::Null => match key {
                "litellm.redis_url" => "redis://redis".to_owned(),
                "server.token" => "0123456789abcdef0".to_owned(),
                // They all steer something, and have tests of their own.
                _ => continue,
            },
            Value::Array(_) if key == "notify.when" => "failure".to_owned(),
            Value::Array(_) => GROUP.to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let told = told(&Room::complete().with(&environment_name(key), &text));
        let expected = key == "litellm.redis_url";
        assert_eq!(told.len(), usize::from(expected), "{key}: {told:?}");
    }
}

#[test]
fn the_file_of_a_secret_without_effect_is_named_too() {
    let room = Room::complete().write("redis", "redis://redis\n");
    let path = room.path("redis").display().to_string();
    let room = room.with("ENTRA_SYNC__LITELLM__REDIS_URL_FILE", &path);
    assert!(told(&room)[0].starts_with("`litellm.redis_url_file` ("));
}

#[test]
fn what_nobody_gave_or_somebody_set_to_null_is_not_named() {
    let room = Room::complete().file(
        "nothing.yaml",
        "notify: {webhook_url: null}\nlitellm: {redis_url: null}",
    );
    assert_eq!(told(&Room::complete()), Vec::<String>::new());
    assert_eq!(told(&room), Vec::<String>::new());
}

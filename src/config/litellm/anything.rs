//! Arbitrary JSON for property tests.

use proptest::prelude::*;
use serde_json::Value;

/// Any JSON value, a few levels deep, with the keys that occur here.
pub(super) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[-+_.0-9a-zA-Z ]{0,8}|.{0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        proptest::sample::select(
            &[
                "max_budget",
                "budget_duration",
                "time_period",
                "reset_at",
                "weights",
                "logging",
                "callback_vars",
                "team_id",
                "index_name",
                "index_permissions",
            ][..]
        )
        .prop_map(str::to_owned),
        ".{0,6}",
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

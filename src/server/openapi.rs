//! The description of everything that is served, in OpenAPI 3.1.

use axum::http::header;
use axum::response::IntoResponse;

/// Written by hand beside the code; a test holds the two together.
const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::server::routes::ROUTES;

    #[test]
    fn the_document_describes_what_is_served_and_nothing_else() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let mut described: Vec<&str> = paths.keys().map(String::as_str).collect();
        let mut served = ROUTES.to_vec();
        described.sort_unstable();
        served.sort_unstable();
        assert_eq!(described, served);
    }

    #[test]
    fn every_reference_in_it_leads_somewhere() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut open = vec![&document];
        let mut seen = 0;
        while let Some(value) = open.pop() {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
                seen += 1;
            }
            open.extend(value.as_object().into_iter().flat_map(|one| one.values()));
            open.extend(value.as_array().into_iter().flatten());
        }
        assert!(seen > 0);
    }
}

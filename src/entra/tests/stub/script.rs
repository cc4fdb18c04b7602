//! How the stub answers, by its script.

use super::*;

impl Script {
    pub(super) fn answer(&mut self, seen: Seen) -> Reply {
        self.seen.push(seen.clone());
        if seen.key == BATCH && !self.answers.contains_key(BATCH) {
            return self.items(&seen);
        }
        self.reply(&seen.key, &seen.query, &seen.headers)
    }

    /// Each item of an envelope is seen and answered like a request of its own;
    /// one whose answer breaks off has none.
    fn items(&mut self, envelope: &Seen) -> Reply {
        let asked: Value = serde_json::from_str(&envelope.body).unwrap();
        let mut delay = Duration::ZERO;
        let mut answers = Vec::new();
        for item in asked["requests"].as_array().unwrap() {
            assert_eq!(item["method"], "GET");
            let url = item["url"].as_str().unwrap();
            let (path, query) = url.split_once('?').unwrap_or((url, ""));
            let query = pairs(query);
            let seen = Seen {
                key: key(&format!("/v1.0{path}"), &query),
                query,
                body: item.to_string(),
                ..envelope.clone()
            };
            let reply = self.answer(seen);
            delay = delay.max(reply.delay);
            if matches!(reply.ending, Ending::Whole) {
                answers.push(reply.item(&item["id"]));
            }
        }
        answers.reverse();
        Reply::json(200, &json!({ "responses": answers })).after(delay)
    }

    fn reply(&mut self, key: &str, query: &HashMap<String, String>, headers: &HeaderMap) -> Reply {
        let scripted = self.answers.get_mut(key).and_then(|replies| {
            if replies.len() > 1 {
                replies.pop_front()
            } else {
                replies.front().cloned()
            }
        });
        if key == TOKEN {
            return scripted.unwrap_or_else(|| {
                self.issued += 1;
                let token = format!("token-{}", self.issued);
                Reply::json(200, &json!({ "access_token": token, "expires_in": 3599 }))
            });
        }
        // Beside Graph: whoever gives tokens of managed identities.
        if let (Some(reply), false) = (&scripted, key.starts_with("/v1.0/")) {
            return reply.clone();
        }
        let bearer = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if !bearer.starts_with("Bearer ") || self.refused.contains(bearer) {
            return Reply::error(401, "InvalidAuthenticationToken");
        }
        if key == "/v1.0/groups" && scripted.is_none() {
            let filter = query.get("$filter").map(String::as_str).unwrap_or_default();
            assert!(filter.matches('\'').count() <= 30, "more than 15 ids");
            let found: Vec<Value> = self
                .groups
                .iter()
                .filter(|(id, _)| filter.contains(id.as_str()))
                .map(|(_, object)| object.clone())
                .collect();
            return Reply::page(&found);
        }
        scripted.unwrap_or_else(|| Reply::error(404, "Request_ResourceNotFound"))
    }
}

//! What a running daemon serves over HTTP.

mod abuse;
mod api;
mod health;
mod metrics;
mod resync;

use std::collections::BTreeMap;

use crate::daemon_schedule::{pass_by, quiet};
use crate::support::World;
use crate::support::binary::Running;
use crate::support::wait::wait_for;

const TOKEN: &str = "a-token-that-nobody-guesses";

/// A daemon whose first pass has ended, and where it listens.
struct Served {
    daemon: Running,
    address: String,
}

impl Served {
    async fn after_a_pass(world: &mut World) -> Self {
        quiet(world).set("ENTRA_SYNC__SERVER__TOKEN", TOKEN);
        let served = Self::start(world).await;
        pass_by(world, "start", 1).await;
        served.daemon.says("pass ended", 1).await;
        served
    }

    async fn start(world: &World) -> Self {
        let daemon = Running::start(world.environment(), &["run"]);
        let address = wait_for("the address that it listens on", || async {
            let said = daemon.stderr();
            let (_, rest) = said.split_once("http.address=")?;
            let (address, _) = rest.split_once(char::is_whitespace)?;
            Some(address.to_owned())
        })
        .await;
        Self { daemon, address }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("http://{}{path}", self.address))
            .await
            .expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.text().await.expect("a body"))
    }

    async fn json(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    async fn metrics(&self) -> Samples {
        let (status, body) = self.get("/metrics").await;
        assert_eq!(status, 200);
        Samples::of(&body)
    }

    async fn end(self) {
        self.daemon.signal("TERM").await;
        self.daemon.ended().await.exits_with(0);
    }
}

/// Samples by name with labels, as they stand in the text.
#[derive(Debug)]
struct Samples(BTreeMap<String, f64>);

impl Samples {
    fn of(text: &str) -> Self {
        assert!(text.ends_with("# EOF\n"), "{text}");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            (name.to_owned(), value.parse().expect("a number"))
        });
        let samples: Vec<(String, f64)> = samples.collect();
        let many = samples.len();
        let samples: BTreeMap<String, f64> = samples.into_iter().collect();
        assert_eq!(samples.len(), many, "a sample is there twice: {text}");
        Self(samples)
    }

    #[track_caller]
    fn value(&self, sample: &str) -> f64 {
        match self.0.get(sample) {
            Some(value) => *value,
            None => panic!("no {sample} in {:#?}", self.0.keys()),
        }
    }

    fn has(&self, sample: &str) -> bool {
        self.0.contains_key(sample)
    }
}

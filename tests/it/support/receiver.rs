//! Whoever is posted to: a webhook on loopback that keeps what arrives.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::wait::wait_for;

#[derive(Default)]
struct Kept {
    posts: Mutex<Vec<Post>>,
    /// How many it answers with 500, and how many it never answers.
    ill: Mutex<(usize, usize)>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Post {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Post {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON object")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("text")
    }
}

pub struct Receiver {
    kept: Arc<Kept>,
    url: String,
}

impl Receiver {
    /// Takes everything.
    pub async fn start() -> Self {
        Self::ill(0, 0).await
    }

    /// Fails the first so many, then hangs for so many.
    pub async fn ill(failing: usize, hanging: usize) -> Self {
        let kept = Arc::new(Kept::default());
        *kept.ill.lock().expect("no poison") = (failing, hanging);
        let routes = axum::Router::new()
            .fallback(take)
            .with_state(Arc::clone(&kept));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a loopback port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self {
            kept,
            url: format!("http://{address}"),
        }
    }

    /// Where it is; without a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn posts(&self) -> Vec<Post> {
        self.kept.posts.lock().expect("no poison").clone()
    }

    /// Waits until so many have arrived.
    pub async fn got(&self, many: usize) -> Vec<Post> {
        wait_for(&format!("{many} posts"), || async {
            let posts = self.posts();
            (posts.len() >= many).then_some(posts)
        })
        .await
    }
}

async fn take(
    State(kept): State<Arc<Kept>>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> StatusCode {
    let body = body.to_vec();
    kept.posts
        .lock()
        .expect("no poison")
        .push(Post { headers, body });
    let (fails, hangs) = {
        let mut ill = kept.ill.lock().expect("no poison");
        let now = (ill.0 > 0, ill.0 == 0 && ill.1 > 0);
        ill.0 -= usize::from(now.0);
        ill.1 -= usize::from(now.1);
        now
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    match fails {
        true => StatusCode::INTERNAL_SERVER_ERROR,
        false => StatusCode::OK,
    }
}

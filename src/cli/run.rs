//! `entra-sync run`: the daemon.
//!
//! Invariant: signals are caught before anything else is done, so that none
//! ends a daemon that is still starting with another exit code.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::sources::Misuse;
use super::{Arguments, Exit};
use crate::daemon::{self, Board, Hangup, ServiceManager, Subscriptions, Wakes};
use crate::notify::Notifier;
use crate::server::{Metrics, Server};

/// For notifications that still wait when everything else has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Runs until a signal ends it.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let wakes = Wakes::listen(Hangup::Reloads).context("signals cannot be caught")?;
    let loaded = tokio::select! {
        loaded = super::settings(arguments) => loaded?,
        () = wakes.stopped() => {
            eprintln!("entra-sync: ended on request, before the settings were read");
            return Ok(Exit::Ok);
        }
    };
    let common = arguments.common();
    if common.source.is_some() {
        return Err(Misuse::of_one("run").into());
    }
    let reload = move || {
        let loaded = crate::config::load(&super::sources(&common))?;
        for warning in &loaded.settings.warnings {
            tracing::warn!("{warning}");
        }
        Ok(loaded.sources)
    };
    let service_manager = ServiceManager::of_this_process();
    let (notifier, delivery) = Notifier::start(&loaded.settings.notify);
    let metrics = Arc::new(Metrics::beside(notifier.sent()));
    let board = Board::observed_by(vec![metrics.clone(), service_manager.clone(), notifier]);
    service_manager.looks_at(&board);
    delivery.follow(board.in_use());
    let server = Server::start(board.clone(), metrics).context("HTTP cannot be answered")?;
    let subscriptions = Subscriptions::kept_for(board.clone());
    let ended = daemon::run(loaded.sources, Arc::new(reload), wakes, board).await;
    subscriptions.end();
    server.end().await;
    delivery.end(LAST_WORDS).await;
    ended?;
    Ok(Exit::Ok)
}

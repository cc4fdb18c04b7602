//! One connection outside the pool that hears what other sessions notify.
//!
//! Invariant: it says only that something was heard, never what: a wake carries
//! no data. What is heard while nobody waits counts once. A connection that
//! breaks is over; whoever listens makes another one and looks for itself at what
//! it may have missed.
//! Must not: be used behind a pooler that gives each transaction another session.

use futures::stream::{self, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_postgres::{AsyncMessage, Client, Connection, Socket};

/// An open connection that listens.
pub struct Listener {
    client: Client,
    heard: watch::Receiver<()>,
}

impl Listener {
    /// Reads what the server says until the connection or its listener ends.
    pub(super) fn drive<S>((client, mut connection): (Client, Connection<Socket, S>)) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (say, heard) = watch::channel(());
        tokio::spawn(async move {
            let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notification(_) = message {
                    say.send_replace(());
                }
            }
        });
        Self { client, heard }
    }

    pub(super) async fn subscribe(&self, channel: &str) -> Result<(), tokio_postgres::Error> {
        let channel = channel.replace('"', "\"\"");
        self.client
            .batch_execute(&format!("LISTEN \"{channel}\""))
            .await
    }

    /// Waits until something is notified.
    ///
    /// # Errors
    /// [`Broken`] when the connection has ended.
    pub async fn hears(&mut self) -> Result<(), Broken> {
        self.heard.changed().await.map_err(|_| Broken)
    }
}

/// The connection has ended: the server ended it, or the network did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection that listened has ended")]
pub struct Broken;

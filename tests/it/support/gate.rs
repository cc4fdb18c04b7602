//! Stands between the program and PostgreSQL, counts the messages that the
//! program sends, and stops all traffic at the one that a test has named.
//!
//! Invariant: from the moment it stops until it is told otherwise nothing goes
//! through in either direction, on any connection: whatever happens to the
//! program then happens to it exactly there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use url::Url;

use super::doorman::{in_front_of, message};

/// On which side of a message the traffic stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// PostgreSQL never gets it.
    Before,
    /// PostgreSQL gets it, and nobody gets the answer: a commit is then done,
    /// and whoever asked for it does not know.
    After,
}

/// Never reached.
const NEVER: u64 = u64::MAX;

/// For the program to come to where the traffic is to stop.
const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Debug, Clone, Copy, Default)]
struct Flow {
    held: bool,
    /// Connections of an earlier generation are cut.
    generation: u64,
}

struct Traffic {
    sent: AtomicU64,
    before: AtomicU64,
    after: AtomicU64,
    /// Stops at the first message that holds this.
    text: Mutex<Option<(String, Side)>>,
    flow: watch::Sender<Flow>,
}

impl Traffic {
    /// Whether this is the message to stop at; a text is looked for once.
    fn stop(&self, number: u64, message: &[u8]) -> Option<Side> {
        let mut text = self.text.lock().expect("no poison");
        let holds = |text: &str| {
            let mut windows = message.windows(text.len());
            windows.any(|window| window == text.as_bytes())
        };
        if let Some((_, side)) = text.take_if(|(text, _)| holds(text)) {
            return Some(side);
        }
        let at = |place: &AtomicU64| place.load(Ordering::SeqCst) == number;
        let sides = [(&self.before, Side::Before), (&self.after, Side::After)];
        let stop = sides.into_iter().find(|(place, _)| at(place));
        stop.map(|(_, side)| side)
    }
}

/// A gate before one database.
pub struct Gate {
    url: Url,
    traffic: Arc<Traffic>,
}

impl Gate {
    /// Stands before the database with this URL, and lets everything through.
    pub async fn before(url: &str) -> Self {
        let (url, server, listener) = in_front_of(url).await;
        let traffic = Arc::new(Traffic {
            sent: AtomicU64::new(0),
            before: AtomicU64::new(NEVER),
            after: AtomicU64::new(NEVER),
            text: Mutex::default(),
            flow: watch::Sender::new(Flow::default()),
        });
        let shared = Arc::clone(&traffic);
        tokio::spawn(async move {
            while let Ok((guest, _)) = listener.accept().await {
                let (server, traffic) = (server.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    // A connection that ends is what tests are about.
                    let _ = relay(guest, &server, &traffic).await;
                });
            }
        });
        Self { url, traffic }
    }

    /// The database's URL through this gate.
    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// How many messages the program has sent since the last reset.
    pub fn sent(&self) -> u64 {
        self.traffic.sent.load(Ordering::SeqCst)
    }

    /// Counts from the beginning, and stops on this side of message `number`.
    pub fn stop_at(&self, number: u64, side: Side) {
        let (before, after) = match side {
            Side::Before => (number, NEVER),
            Side::After => (NEVER, number),
        };
        *self.traffic.text.lock().expect("no poison") = None;
        self.traffic.sent.store(0, Ordering::SeqCst);
        self.traffic.before.store(before, Ordering::SeqCst);
        self.traffic.after.store(after, Ordering::SeqCst);
    }

    /// Stops on this side of the first message that holds this text.
    pub fn stop_at_text(&self, text: &str, side: Side) {
        self.stop_nowhere();
        *self.traffic.text.lock().expect("no poison") = Some((text.to_owned(), side));
    }

    /// Counts from the beginning, and stops nowhere.
    pub fn stop_nowhere(&self) {
        self.stop_at(NEVER, Side::Before);
    }

    /// Waits until the traffic stops.
    pub async fn stopped(&self) {
        let mut flow = self.traffic.flow.subscribe();
        let stopped = flow.wait_for(|flow| flow.held);
        let stopped = tokio::time::timeout(PATIENCE, stopped).await;
        let stopped = stopped.expect("the traffic comes to the place to stop at");
        stopped.expect("the gate is there");
    }

    /// Cuts every connection, and lets through whoever comes now.
    pub fn cut(&self) {
        self.stop_nowhere();
        self.break_off();
    }

    /// The same, with the next stop named before anybody comes again.
    pub fn cut_until_text(&self, text: &str, side: Side) {
        self.stop_at_text(text, side);
        self.break_off();
    }

    fn break_off(&self) {
        self.traffic.flow.send_modify(|flow| {
            flow.held = false;
            flow.generation += 1;
        });
    }

    /// Lets everything through again.
    pub fn go_on(&self) {
        self.stop_nowhere();
        self.let_through();
    }

    /// Lets through what waits, up to the stop that has been named since.
    pub fn let_through(&self) {
        self.traffic.flow.send_modify(|flow| flow.held = false);
    }
}

async fn relay(mut guest: TcpStream, server: &str, traffic: &Traffic) -> std::io::Result<()> {
    const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();
    let generation = traffic.flow.borrow().generation;
    let mut start = message(&mut guest, 0).await?;
    if start.get(4..8) == Some(&SSL_REQUEST) {
        guest.write_all(b"N").await?;
        start = message(&mut guest, 0).await?;
    }
    let mut server = TcpStream::connect(server).await?;
    server.write_all(&start).await?;
    guest.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_guest, to_guest) = guest.into_split();
    let (from_server, to_server) = server.into_split();
    let mut flow = traffic.flow.subscribe();
    tokio::select! {
        // A cut also lets through: what is held must not get past it first.
        biased;
        // Everything is dropped, so both ends see it break.
        _ = flow.wait_for(|flow| flow.generation > generation) => Ok(()),
        ended = asks(from_guest, to_server, traffic) => ended,
        ended = answers(from_server, to_guest, traffic) => ended,
    }
}

async fn asks(
    mut guest: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    traffic: &Traffic,
) -> std::io::Result<()> {
    loop {
        let asked = message(&mut guest, 1).await?;
        let number = traffic.sent.fetch_add(1, Ordering::SeqCst) + 1;
        let stop = traffic.stop(number, &asked);
        if stop.is_some() {
            traffic.flow.send_modify(|flow| flow.held = true);
        }
        if stop != Some(Side::After) {
            open(traffic).await;
        }
        server.write_all(&asked).await?;
    }
}

async fn answers(
    mut server: OwnedReadHalf,
    mut guest: OwnedWriteHalf,
    traffic: &Traffic,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = server.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        open(traffic).await;
        guest.write_all(&buffer[..length]).await?;
    }
}

async fn open(traffic: &Traffic) {
    let mut flow = traffic.flow.subscribe();
    let opened = flow.wait_for(|flow| !flow.held).await;
    opened.expect("the gate is there");
}

//! Requests that no client sends: the daemon answers or closes, and goes on.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::Served;
use crate::cli_exit_codes::world;
use crate::daemon_schedule::pass_by;
use crate::support::dice::Dice;

const SEED: u64 = 0x11f7_0c0d;
const REQUESTS: usize = 10_000;
const AT_ONCE: usize = 16;

/// What broken clients and attackers send, to be cut and mixed.
const PIECES: [&[u8]; 26] = [
    b"GET /metrics HTTP/1.1\r\n",
    b"GET /api/v1/sources HTTP/1.1\r\n",
    b"POST /api/v1/resync HTTP/1.1\r\n",
    b"GET /api/v1/runs?limit=%ff%00 HTTP/1.1\r\n",
    b"GET http://[::1/ HTTP/1.1\r\n",
    b"GET //../..%2f..%2fetc/passwd HTTP/1.0\r\n",
    b"GET * HTTP/9.9\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"CONNECT localhost:22 HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"Host: localhost\r\n",
    b"Host: \x00\xff\r\n",
    b"Authorization: Bearer \r\n",
    b"Authorization: Bearer \xf0\x9f\x92\xa9\r\n",
    b"Content-Length: 18446744073709551616\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
    b"ffffffffffffffff\r\n",
    b"\r\n\r\n",
    b" : \r\n\tfolded\r\n",
    b"{\"mode\":\"full\",\"mode\":1e999}",
];

fn nonsense(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=dice.below(8) {
        let piece = dice.one_of(&PIECES);
        let end = if dice.below(4) == 0 {
            usize::try_from(dice.below(piece.len() as u64 + 1)).expect("small")
        } else {
            piece.len()
        };
        bytes.extend_from_slice(&piece[..end]);
        if dice.below(10) == 0 {
            bytes.extend((0..dice.below(200)).map(|_| dice.below(256) as u8));
        }
        if dice.below(200) == 0 {
            bytes.extend(std::iter::repeat_n(b'a', 40_000));
        }
    }
    bytes
}

/// Sends it, says that no more comes, and reads what comes back; how the peer
/// ends it is its affair.
async fn send(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    answer(stream, bytes).await
}

/// The same with the way open, as whoever waits for an answer leaves it: who has
/// closed theirs before it was ready may be taken for gone.
async fn request(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let _ = stream.write_all(bytes).await;
    answer(stream, bytes).await
}

async fn answer(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let in_time = tokio::time::timeout(Duration::from_secs(60), reading).await;
    assert!(in_time.is_ok(), "kept open for a minute: {bytes:?}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_malformed_requests_change_nothing() {
    let mut world = world().await;
    let served = Served::after_a_pass(&mut world).await;
    let mut senders = tokio::task::JoinSet::new();
    for lane in 0..AT_ONCE {
        let address = served.address.clone();
        senders.spawn(async move {
            let mut dice = Dice::new(SEED + lane as u64);
            for _ in 0..REQUESTS / AT_ONCE {
                let bytes = nonsense(&mut dice);
                let answer = send(&address, &bytes).await;
                let text = String::from_utf8_lossy(&answer);
                assert!(!text.contains(" 500 "), "{bytes:?}: {text}");
                assert!(
                    answer.is_empty() || text.starts_with("HTTP/1."),
                    "{bytes:?}: {text}"
                );
            }
        });
    }
    senders.join_all().await;
    let ready = served.json("/readyz").await;
    assert_eq!(ready["status"], "ready");
    served.daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "unchanged");
    let said = served.daemon.stderr();
    for word in ["panicked", "ERROR"] {
        assert!(!said.contains(word), "{said}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused_and_one_that_never_comes_is_given_up() {
    let mut world = world().await;
    let served = Served::after_a_pass(&mut world).await;
    // Begun first, waited for last.
    let mut slow = TcpStream::connect(&served.address)
        .await
        .expect("it listens");
    slow.write_all(b"GET /livez HTTP/1.1\r\nHost: ")
        .await
        .expect("sent");
    let mut large = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ".to_vec();
    large.extend(std::iter::repeat_n(b'x', 20_000));
    large.extend(b"\r\n\r\n");
    let answer = send(&served.address, &large).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 431 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let mut many = b"GET /livez HTTP/1.1\r\n".to_vec();
    for number in 0..100 {
        many.extend(format!("X-{number}: x\r\n").bytes());
    }
    many.extend(b"\r\n");
    let answer = send(&served.address, &many).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 431 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(90), slow.read_to_end(&mut rest)).await;
    assert!(
        closed.is_ok(),
        "a head that never comes keeps its connection"
    );
    served.end().await;
}

/// A connection from this address of this machine that has been answered once
/// and is kept.
async fn kept_from(source: &str, address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let source = format!("{source}:0").parse().expect("an address");
    socket.bind(source).expect("an address of this machine");
    let to = address.parse().expect("an address");
    let mut stream = socket.connect(to).await.expect("it listens");
    ask(&mut stream).await.expect("an answer");
    stream
}

async fn ask(stream: &mut TcpStream) -> std::io::Result<()> {
    let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"HTTP/1.1 200");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_keeps_all_connections_keeps_no_probe_out() {
    let mut world = world().await;
    let served = Served::after_a_pass(&mut world).await;
    let mut kept = Vec::new();
    for source in ["127.0.0.2", "127.0.0.3"] {
        for _ in 0..128 {
            kept.push(kept_from(source, &served.address).await);
        }
    }
    for _ in 0..3 {
        let answer = request(
            &served.address,
            b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        );
        let answer = answer.await;
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{answer:?}");
        // They come back at once, as often as they lose one.
        for source in ["127.0.0.2", "127.0.0.3"] {
            kept.push(kept_from(source, &served.address).await);
        }
    }
    // Only what had been idle for longest was closed.
    let last = kept.last_mut().expect("some");
    last.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .expect("it is open");
    served.end().await;
}

//! Connections that can really be cut.
//!
//! Invariant: a cut ends the TCP connection; the client sees a reset or an
//! early end, never a complete answer.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// What may still be written.
#[derive(Debug, Clone, Copy)]
enum Allowance {
    /// Everything.
    All,
    /// The head of the answer and so many bytes of its body.
    HeadAndBody(usize),
    /// So many bytes.
    Bytes(usize),
}

/// A connection, as its requests' handler sees it.
#[derive(Debug, Clone)]
pub(super) struct Line(Arc<Mutex<Allowance>>);

impl Line {
    /// Cuts before anything of the answer is written.
    pub(super) fn cut(&self) {
        self.set(Allowance::Bytes(0));
    }

    /// Cuts after so many bytes of the answer's body.
    pub(super) fn cut_in_body(&self, bytes: usize) {
        self.set(Allowance::HeadAndBody(bytes));
    }

    fn get(&self) -> Allowance {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, allowance: Allowance) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = allowance;
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Line {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.io().line.clone()
    }
}

/// A listener whose connections can be cut.
#[derive(Debug)]
pub(super) struct CuttableListener(pub(super) TcpListener);

impl Listener for CuttableListener {
    type Io = Cuttable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Small answers must not wait for acknowledgements; a socket that
        // refuses the option still serves.
        let _ = stream.set_nodelay(true);
        let line = Line(Arc::new(Mutex::new(Allowance::All)));
        (Cuttable { stream, line }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// A TCP stream that stops writing when told so.
#[derive(Debug)]
pub(super) struct Cuttable {
    stream: TcpStream,
    line: Line,
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let allowed = match self.line.get() {
            Allowance::All => return Pin::new(&mut self.stream).poll_write(context, bytes),
            Allowance::Bytes(allowed) => allowed,
            // hyper writes a head in one piece, with or without body behind it.
            Allowance::HeadAndBody(body) => {
                let head = bytes.windows(4).position(|end| end == b"\r\n\r\n");
                head.map_or(bytes.len(), |at| at + 4) + body
            }
        };
        if allowed == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let part = bytes.get(..allowed.min(bytes.len())).unwrap_or(bytes);
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, part))?;
        self.line
            .set(Allowance::Bytes(allowed.saturating_sub(written)));
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

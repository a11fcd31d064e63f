//! When bytes last went over the connections of a client, so that those that are silent end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// The moment of the last byte, shared by both connections of a tunnel.
#[derive(Debug, Clone)]
pub struct Activity {
    begin: Instant,
    /// Milliseconds after the beginning.
    last: Arc<AtomicU64>,
}

impl Activity {
    /// Begins now.
    pub fn new() -> Self {
        Self { begin: Instant::now(), last: Arc::default() }
    }

    /// A byte went.
    fn note(&self) {
        let now = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// Returns when no byte has gone for this time.
    pub async fn idle(&self, time: Duration) {
        loop {
            let end = self.begin + Duration::from_millis(self.last.load(Ordering::Relaxed)) + time;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// A connection whose bytes are noted.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    activity: Activity,
}

impl<S> Watched<S> {
    /// Notes the bytes of a connection from now on.
    pub fn new(stream: S, activity: Activity) -> Self {
        Self { stream, activity }
    }

    /// The result of a write or a read, noted where it moved bytes.
    fn noted(&self, moved: io::Result<usize>) -> Poll<io::Result<usize>> {
        if moved.as_ref().is_ok_and(|bytes| *bytes > 0) {
            self.activity.note();
        }
        Poll::Ready(moved)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        self.noted(read.map(|()| buffer.filled().len() - before)).map_ok(|_| ())
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.noted(written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, parts));
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

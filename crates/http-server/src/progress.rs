//! A stream with a write timeout, against clients that send requests and do not read the responses.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Fewer bytes than these do not count as progress, so that reading single bytes does not keep a connection alive.
const PROGRESS_BYTES: usize = 1024;

/// A stream with a timeout of blocked writes.
pub(crate) struct WriteTimeout<S> {
    stream: S,
    limit: Duration,
    /// Timer since a write was blocked; with the bytes written since.
    held_back: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> WriteTimeout<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, held_back: None }
    }

    fn wrote(&mut self, bytes: usize) {
        if let Some((_, written)) = &mut self.held_back {
            *written += bytes;
            if *written >= PROGRESS_BYTES {
                self.held_back = None;
            }
        }
    }

    /// Handles a blocked write: waits at most until the timeout.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let limit = self.limit;
        let (timer, _) = self.held_back.get_or_insert_with(|| (Box::pin(sleep(limit)), 0));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read the answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(written) => {
                self.wrote(*written.as_ref().unwrap_or(&0));
                Poll::Ready(written)
            }
            Poll::Pending => self.wait(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(context, slices) {
            Poll::Ready(written) => {
                self.wrote(*written.as_ref().unwrap_or(&0));
                Poll::Ready(written)
            }
            Poll::Pending => self.wait(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// A flush follows the last write.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(context));
        self.held_back = None;
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const LIMIT: Duration = Duration::from_millis(50);

    /// Goal: a blocked write ends at the timeout and not before.
    #[tokio::test]
    async fn an_answer_that_nobody_reads_ends() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let began = std::time::Instant::now();
        let error = WriteTimeout::new(ours, LIMIT).write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= LIMIT);
    }

    /// Goal: a client that reads a byte now and then is disconnected; one that makes progress gets everything.
    #[tokio::test]
    async fn a_byte_now_and_then_is_no_progress() {
        for (bytes, limit, is_served) in [(1, LIMIT, false), (2_000, Duration::from_secs(600), true)] {
            let (ours, mut theirs) = tokio::io::duplex(64);
            let reader = tokio::spawn(async move {
                let mut buffer = vec![0; bytes];
                while theirs.read_exact(&mut buffer).await.is_ok() {
                    sleep(Duration::from_millis(1)).await;
                }
            });
            let written = WriteTimeout::new(ours, limit).write_all(&[0; 20_000]).await;
            assert_eq!(written.is_ok(), is_served, "{bytes} bytes at a time: {written:?}");
            reader.abort();
        }
    }
}

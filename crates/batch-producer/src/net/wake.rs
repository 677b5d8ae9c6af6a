//! Wakes a thread that polls sockets.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// The polled end.
#[derive(Debug)]
pub(crate) struct WakeReceiver(UnixStream);

/// The waking end; each thread has its own.
#[derive(Debug)]
pub(crate) struct WakeSender(UnixStream);

/// Creates both ends.
///
/// # Errors
/// No socket can be created.
pub(crate) fn wake() -> io::Result<(WakeSender, WakeReceiver)> {
    let (wake, woken) = UnixStream::pair()?;
    wake.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    Ok((WakeSender(wake), WakeReceiver(woken)))
}

impl WakeSender {
    pub(crate) fn try_clone(&self) -> io::Result<WakeSender> {
        self.0.try_clone().map(WakeSender)
    }

    /// Wakes the other end, now or at its next poll.
    pub(crate) fn wake(&self) {
        // If it cannot be written, enough bytes are waiting, or the other end is closed.
        let _enough = (&self.0).write(&[0]);
    }
}

impl WakeReceiver {
    /// Returns the descriptor to poll.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Resets the wake-up.
    pub(crate) fn clear(&self) {
        let mut bytes = [0; 64];
        while (&self.0).read(&mut bytes).is_ok_and(|count| count > 0) {}
    }
}

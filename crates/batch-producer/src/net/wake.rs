//! Wakes a thread that waits for sockets.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// The end that is waited for.
#[derive(Debug)]
pub(crate) struct Woken(UnixStream);

/// The end that wakes; each thread has its own.
#[derive(Debug)]
pub(crate) struct Wake(UnixStream);

/// Both ends.
///
/// # Errors
/// The system has no more sockets.
pub(crate) fn wake() -> io::Result<(Wake, Woken)> {
    let (wake, woken) = UnixStream::pair()?;
    wake.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    Ok((Wake(wake), Woken(woken)))
}

impl Wake {
    pub(crate) fn try_clone(&self) -> io::Result<Wake> {
        self.0.try_clone().map(Wake)
    }

    /// Wakes the other end, now or when it next waits.
    pub(crate) fn wake(&self) {
        // If it cannot be written, there is enough to be read already, or nobody waits any more.
        let _enough = (&self.0).write(&[0]);
    }
}

impl Woken {
    /// What to wait for.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Begins to wait anew.
    pub(crate) fn clear(&self) {
        let mut bytes = [0; 64];
        while (&self.0).read(&mut bytes).is_ok_and(|count| count > 0) {}
    }
}

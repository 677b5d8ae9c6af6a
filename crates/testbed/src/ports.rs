//! Free ports, and whether a chosen one is free.
//!
//! A port found here is only known to have been free a moment ago. Who uses one must be ready to find it taken and start
//! over; [`crate::Testbed::start`] does.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// `N` different free ports on the loopback address.
///
/// # Errors
/// The system has no free port, or no file descriptor, left.
pub(crate) fn free<const N: usize>() -> io::Result<[u16; N]> {
    // All listeners stay open until all ports are known, otherwise the same port could come twice.
    let mut listeners = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

/// Whether nobody listens on this port of the loopback address.
///
/// # Errors
/// The port cannot be tried at all, for instance because it is reserved.
pub(crate) fn is_free(port: u16) -> io::Result<bool> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_listener) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ_and_a_used_one_is_not_free() {
        let ports = free::<8>().unwrap();
        let mut unique = ports.to_vec();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), 8);

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()).unwrap());
    }
}

//! Addresses for tests at which nothing listens, and nothing will before the test does.
//!
//! A port of 127.0.0.1 that was free a moment ago may be taken when the program under test binds it: by another test, by any
//! outgoing connection of the machine, or by a connection that reaches itself (a client that tries again and again to connect to
//! a closed port of the ephemeral range is at last given that very port, and is connected with itself). On Linux every address of
//! 127.0.0.0/8 is the machine's own, and outgoing connections to them come from 127.0.0.1. So each process has an address of
//! its own here.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Ports that were given to tests of this process.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// How many ports are tried until one is found that was not given before.
const ATTEMPTS: u32 = 1_000;

/// An address that is closed until its caller opens it.
///
/// # Errors
/// If the machine has no such address (other systems than Linux), or no port is left.
pub fn unused_address() -> io::Result<SocketAddr> {
    let own = own_address(std::process::id());
    for _ in 0..ATTEMPTS {
        let address = TcpListener::bind((own, 0))?.local_addr()?;
        if GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(address.port()) {
            return Ok(address);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// The address of a process: process ids of Linux have at most 22 bits, and the upper half of 127.0.0.0/8 has 23.
fn own_address(process: u32) -> Ipv4Addr {
    let [_, second, third, fourth] = process.to_be_bytes();
    Ipv4Addr::new(127, 0x80 | second, third, fourth)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: processes have different addresses, none of them 127.0.0.1.
    #[test]
    fn each_process_has_its_own() {
        let some = [0, 1, 255, 256, 65_536, (1 << 22) - 1];
        let addresses = some.map(own_address);
        assert!(addresses.iter().all(|address| address.is_loopback() && *address != Ipv4Addr::LOCALHOST));
        assert_eq!(BTreeSet::from(addresses).len(), some.len());
    }

    /// Goal: no address is given twice, and each can be bound.
    #[test]
    fn an_address_is_given_once() {
        let given: BTreeSet<SocketAddr> = (0..100).map(|_| unused_address().unwrap()).collect();
        assert_eq!(given.len(), 100);
        let _listeners: Vec<TcpListener> = given.iter().map(|at| TcpListener::bind(at).unwrap()).collect();
    }
}

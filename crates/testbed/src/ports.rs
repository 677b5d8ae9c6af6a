//! Claims ports on the loopback address for this testbed.
//!
//! A service binds its port seconds after the choice. Two testbeds that start at the same time must not choose the
//! same one: the loser would mistake the winner's service for its own. So each chosen port is also claimed among
//! testbeds, by a name that the kernel grants to one process only, until that process ends.
//!
//! Another program may still take the port in between. The testbed's service then ends, and the start is retried with
//! other ports ([`crate::Testbed::start`]).

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// Number of free ports tried until one is not claimed by another testbed. Linux has 28 000 of them.
const ATTEMPTS: usize = 100;

/// A port that no other testbed chooses while this value lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _claim: UnixListener,
}

impl Port {
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// Claims this port, or for 0 a free one. [`ErrorKind::AddrInUse`] means that it is taken.
    pub(crate) fn claim(wanted: u16) -> io::Result<Self> {
        if wanted != 0 {
            return Self::try_claim(wanted);
        }
        for _ in 0..ATTEMPTS {
            match Self::try_claim(0) {
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                result => return result,
            }
        }
        Err(ErrorKind::AddrInUse.into())
    }

    fn try_claim(wanted: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted))?;
        let number = listener.local_addr()?.port();
        let name = SocketAddr::from_abstract_name(format!("rescaler-testbed-port-{number}"))?;
        Ok(Self { number, _claim: UnixListener::bind_addr(&name)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_port_is_not_claimed_again_until_it_is_given_back() {
        let port = Port::claim(0).unwrap();
        let number = port.number();
        assert_eq!(Port::claim(number).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(port);
        assert_eq!(Port::claim(number).unwrap().number(), number);
    }

    #[test]
    fn a_port_that_someone_listens_on_is_in_use() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let number = listener.local_addr().unwrap().port();
        assert_eq!(Port::claim(number).unwrap_err().kind(), ErrorKind::AddrInUse);
    }
}

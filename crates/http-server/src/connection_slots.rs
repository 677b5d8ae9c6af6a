//! Connection slots: a total limit, a limit per peer, and spare slots for health checks and writers.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All slots of a server.
pub(crate) struct ConnectionSlots {
    all: Arc<Semaphore>,
    spare: Arc<Semaphore>,
    peer_most: usize,
    peers: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One slot, released on drop.
pub(crate) struct ConnectionSlot {
    /// Whether it is a spare slot.
    pub(crate) is_spare: bool,
    _permit: OwnedSemaphorePermit,
    _peer: Option<Peer>,
}

/// One connection of a peer.
struct Peer {
    address: IpAddr,
    peers: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl ConnectionSlots {
    pub(crate) fn new(all: usize, spare: usize, peer_most: usize) -> Self {
        let (all, spare) = (Arc::new(Semaphore::new(all)), Arc::new(Semaphore::new(spare)));
        Self { all, spare, peer_most, peers: Arc::default() }
    }

    /// Waits until any slot is free.
    pub(crate) async fn any(&self) {
        // The semaphores are never closed.
        tokio::select! {
            biased;
            _ = self.all.acquire() => {}
            _ = self.spare.acquire() => {}
        }
    }

    /// Takes a slot for this peer; a spare one if it has its share or there is no other; `None` if all are taken.
    pub(crate) fn take(&self, address: IpAddr) -> Option<ConnectionSlot> {
        let slot = |permit, peer: Option<Peer>| ConnectionSlot {
            is_spare: peer.is_none(),
            _permit: permit,
            _peer: peer,
        };
        if let Some(peer) = self.peer(address)
            && let Ok(permit) = Arc::clone(&self.all).try_acquire_owned()
        {
            return Some(slot(permit, Some(peer)));
        }
        Arc::clone(&self.spare).try_acquire_owned().ok().map(|permit| slot(permit, None))
    }

    fn peer(&self, address: IpAddr) -> Option<Peer> {
        let address = network(address);
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = peers.entry(address).or_default();
        if *count >= self.peer_most {
            return None;
        }
        *count += 1;
        Some(Peer { address, peers: Arc::clone(&self.peers) })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = peers.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&self.address);
            }
        }
    }
}

/// Reduces an IPv6 address to its network, which one peer may control.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Goal: a peer gets its share, then spare slots, then none; another peer is not affected; a released slot can be
    /// taken again.
    #[test]
    fn each_peer_has_its_share() {
        let connection_slots = ConnectionSlots::new(4, 1, 2);
        let (one, other) = (address("10.0.0.1"), address("10.0.0.2"));
        let kind = |slot: &Option<ConnectionSlot>| slot.as_ref().map(|slot| slot.is_spare);
        let mut of_one: Vec<_> = (0..4).map(|_| connection_slots.take(one)).collect();
        assert_eq!(of_one.iter().map(kind).collect::<Vec<_>>(), [Some(false), Some(false), Some(true), None]);
        let of_other: Vec<_> = (0..3).map(|_| connection_slots.take(other)).collect();
        assert_eq!(of_other.iter().map(kind).collect::<Vec<_>>(), [Some(false), Some(false), None]);
        of_one.remove(0);
        assert_eq!(kind(&connection_slots.take(one)), Some(false));
        drop((of_one, of_other));
        assert!(connection_slots.peers.lock().unwrap().is_empty());
    }

    /// Goal: the addresses of one IPv6 network are one peer, and IPv4-mapped addresses are IPv4.
    #[test]
    fn a_network_is_one_peer() {
        assert_eq!(network(address("2001:db8::1")), network(address("2001:db8::ffff:2")));
        assert_ne!(network(address("2001:db8::1")), network(address("2001:db8:0:1::1")));
        assert_eq!(network(address("::ffff:10.0.0.1")), address("10.0.0.1"));
    }
}

//! How many connections each address has, and whether it may have one more.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;

/// What one listener's clients may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Connections at a time, of everybody.
    pub connections_max: usize,
    /// Connections at a time from one address.
    pub connections_per_client_max: usize,
    /// TLS handshakes under way at a time from one address.
    pub handshakes_per_client_max: usize,
    /// Connections at a time, beside those, that are answered "too many"; more are closed without an
    /// answer.
    pub refusals_max: usize,
}

/// Connections by address.
#[derive(Clone, Default)]
pub struct Clients(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    connections: usize,
    refusals: usize,
    by_address: HashMap<IpAddr, Count>,
}

#[derive(Default)]
struct Count {
    connections: usize,
    handshakes: usize,
}

/// What becomes of a new connection.
#[derive(Debug)]
pub enum Admitted {
    /// It is served.
    Served(Slot),
    /// Its requests are answered that there are too many.
    TurnedAway(Slot),
    /// It is closed.
    Closed,
}

/// A connection's slot, given back when it is dropped.
pub struct Slot {
    clients: Clients,
    address: IpAddr,
    shaking: bool,
    turned_away: bool,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slot({})", self.address)
    }
}

impl Clients {
    /// Takes a slot for a connection that is about to shake hands.
    pub fn admit(&self, address: IpAddr, bounds: &Bounds) -> Admitted {
        let address = client_of(address);
        let mut counts = self.0.lock();
        let counts = &mut *counts;
        let count = counts.by_address.entry(address).or_default();
        let full = counts.connections >= bounds.connections_max
            || count.connections >= bounds.connections_per_client_max;
        if count.handshakes >= bounds.handshakes_per_client_max
            || (full && counts.refusals >= bounds.refusals_max)
        {
            if count.connections == 0 {
                counts.by_address.remove(&address); // It has no slot whose drop would.
            }
            return Admitted::Closed;
        }
        count.connections += 1;
        count.handshakes += 1;
        counts.connections += 1;
        counts.refusals += usize::from(full);
        let slot = Slot { clients: self.clone(), address, shaking: true, turned_away: full };
        match full {
            true => Admitted::TurnedAway(slot),
            false => Admitted::Served(slot),
        }
    }
}

/// Whom an address belongs to: an IPv4 client that comes by IPv6 is the same client, and whoever has
/// one IPv6 address has all of its /64.
pub fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(it) => IpAddr::V6(Ipv6Addr::from_bits(it.to_bits() & (u128::MAX << 64))),
        address @ IpAddr::V4(_) => address,
    }
}

impl Slot {
    /// The handshake is over.
    pub fn shaken(&mut self) {
        if std::mem::take(&mut self.shaking) {
            let mut counts = self.clients.0.lock();
            if let Some(count) = counts.by_address.get_mut(&self.address) {
                count.handshakes -= 1;
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shaken();
        let mut counts = self.clients.0.lock();
        counts.connections -= 1;
        counts.refusals -= usize::from(self.turned_away);
        if let Some(count) = counts.by_address.get_mut(&self.address) {
            count.connections -= 1;
            if count.connections == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn bounds() -> Bounds {
        Bounds {
            connections_max: 4,
            connections_per_client_max: 2,
            handshakes_per_client_max: 2,
            refusals_max: 64,
        }
    }

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let clients = Clients::default();
        let admit = || clients.admit(HERE, &bounds());
        let Admitted::Served(mut first) = admit() else { panic!("a free slot") };
        let Admitted::Served(second) = admit() else { panic!("a free slot") };
        assert!(matches!(admit(), Admitted::Closed), "two handshakes are under way");
        first.shaken();
        let Admitted::TurnedAway(third) = admit() else { panic!("it is full") };
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().expect("an address");
        assert!(matches!(clients.admit(mapped, &bounds()), Admitted::Closed));
        drop((first, second, third));
        assert!(matches!(admit(), Admitted::Served(_)));
        assert!(clients.0.lock().by_address.is_empty());
    }

    #[test]
    fn who_has_one_ipv6_address_has_all_of_its_network() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let client = client_of(address("2001:db8:1:2::3"));
        assert_eq!(client, client_of(address("2001:db8:1:2:ffff::1")));
        assert_ne!(client, client_of(address("2001:db8:1:3::3")));
        assert_eq!(client_of(address("::ffff:127.0.0.1")), HERE);
    }

    #[test]
    fn who_is_closed_unheard_leaves_nothing_behind() {
        let clients = Clients::default();
        let none = Bounds { connections_max: 0, ..bounds() };
        let turned_away: Vec<Admitted> = (0..none.refusals_max)
            .map(|n| {
                clients.admit(
                    IpAddr::V4((0x0a00_0000 + u32::try_from(n).expect("a number")).into()),
                    &none,
                )
            })
            .collect();
        let more = IpAddr::V4([10, 1, 0, 0].into());
        assert!(matches!(clients.admit(more, &none), Admitted::Closed));
        assert!(!clients.0.lock().by_address.contains_key(&more));
        drop(turned_away);
        assert!(clients.0.lock().by_address.is_empty());
    }

    #[test]
    fn one_address_leaves_room_for_others() {
        let clients = Clients::default();
        let taken: Vec<_> = (0..2)
            .map(|_| match clients.admit(HERE, &bounds()) {
                Admitted::Served(mut slot) => {
                    slot.shaken();
                    slot
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(matches!(clients.admit(HERE, &bounds()), Admitted::TurnedAway(_)));
        let there = IpAddr::from([10, 0, 0, 1]);
        assert!(matches!(clients.admit(there, &bounds()), Admitted::Served(_)));
        drop(taken);
    }
}

//! What the nodes of a cluster reach each other over, and how that is cut.

mod namespaces;
mod proxy;

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU8, Ordering},
};

pub use namespaces::Namespaces;
pub use proxy::Proxies;

use crate::node::{PEER_PORT, PROXY_PORT, Place};

/// Clusters of this process, for their addresses.
static CLUSTERS: AtomicU8 = AtomicU8::new(1);

/// What the nodes reach each other over.
#[derive(Debug)]
pub enum Network {
    /// The machine's own loopback, which cannot be cut.
    Loopback([u8; 2]),
    /// The same, with a proxy before each node.
    Proxies([u8; 2], Proxies),
    /// One of their own.
    Namespaces(Namespaces),
}

impl Network {
    /// Loopback addresses that no other cluster has.
    #[must_use]
    pub fn loopback() -> Self {
        Self::Loopback(bytes())
    }

    /// One whose links can be cut: of namespaces, or of proxies where they are not
    /// permitted.
    #[must_use]
    pub fn that_can_be_cut() -> Self {
        match Namespaces::set_up() {
            Some(namespaces) => Self::Namespaces(namespaces),
            None => Self::of_proxies(),
        }
    }

    /// One of proxies.
    #[must_use]
    pub fn of_proxies() -> Self {
        Self::Proxies(bytes(), Proxies::default())
    }

    /// From now on nothing that one sends reaches the other, by their numbers.
    pub fn cut(&self, from: u8, to: u8) {
        match self {
            Self::Loopback(_) => panic!("the loopback cannot be cut"),
            Self::Proxies(_, proxies) => proxies.cut(from, to),
            Self::Namespaces(namespaces) => namespaces.cut(from, to),
        }
    }

    /// Everything reaches everybody.
    pub fn heal(&self) {
        match self {
            Self::Loopback(_) => {}
            Self::Proxies(_, proxies) => proxies.heal(),
            Self::Namespaces(namespaces) => namespaces.heal(),
        }
    }

    /// Lays a node's line, and gives its address and how its processes get there.
    pub(crate) async fn connect(&mut self, number: u8) -> (Ipv4Addr, Place) {
        let mut place = Place::default();
        match self {
            Self::Loopback([process, cluster]) => {
                (Ipv4Addr::new(127, *process, *cluster, number), place)
            }
            Self::Proxies([process, cluster], proxies) => {
                let address = Ipv4Addr::new(127, *process, *cluster, number);
                place.behind_proxy = true;
                let (front, behind) = ((address, PROXY_PORT).into(), (address, PEER_PORT).into());
                proxies.stand_before(number, front, behind).await;
                (address, place)
            }
            Self::Namespaces(namespaces) => {
                namespaces.connect(number);
                place.enter = namespaces.enter(number);
                (namespaces.address(number), place)
            }
        }
    }
}

fn bytes() -> [u8; 2] {
    let process = u8::try_from(std::process::id() % 250).unwrap() + 2;
    [process, CLUSTERS.fetch_add(1, Ordering::Relaxed)]
}

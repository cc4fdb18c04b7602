//! Who has a connection, and whose ends when there is no room for another.
//!
//! Invariant: there are never more than so many in all and from one address,
//! and whoever keeps a connection without asking anything keeps nobody out: it
//! ends for one that comes. Of several addresses the one with most gives way.
//! Must not: know what is asked, or wait.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Connections at once.
const MOST: usize = 256;

/// Of which from one address.
const MOST_OF_ONE: usize = 128;

/// All connections.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    by_number: BTreeMap<u64, Connection>,
    last: u64,
}

struct Connection {
    of: IpAddr,
    does: Does,
    since: Instant,
    ends: CancellationToken,
}

/// What a connection does. Who asks gives way last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Does {
    /// No whole head of a request has come since the last answer.
    Idle,
    Asks,
}

impl Places {
    /// A place for a connection from this address, if need be that of another:
    /// of those with most, the one that has been idle for longest. `None` when
    /// all that could give way are being answered.
    pub(super) fn take(&self, peer: IpAddr) -> Option<Place> {
        let of = holder(peer);
        let mut taken = self.lock();
        let many = taken.by_holder();
        let own = many.get(&of).copied().unwrap_or_default();
        if own >= MOST_OF_ONE {
            let idle = taken.first_to_go(|other| other == of);
            taken.end(idle.filter(|(_, does)| *does == Does::Idle)?.0);
        } else if taken.by_number.len() >= MOST {
            let most = many.values().copied().max().unwrap_or_default();
            let (number, does) = taken.first_to_go(|other| many.get(&other) == Some(&most))?;
            // Whoever asks is cut off only for one that has less.
            if does == Does::Asks && most <= own + 1 {
                return None;
            }
            taken.end(number);
        }
        taken.last += 1;
        let (number, ends) = (taken.last, CancellationToken::new());
        let connection = Connection {
            of,
            does: Does::Idle,
            since: Instant::now(),
            ends: ends.clone(),
        };
        taken.by_number.insert(number, connection);
        Some(Place {
            places: self.clone(),
            number,
            ends,
        })
    }

    /// Held for a look at all of them, never while waiting.
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn by_holder(&self) -> HashMap<IpAddr, usize> {
        let mut many = HashMap::new();
        for one in self.by_number.values() {
            *many.entry(one.of).or_default() += 1;
        }
        many
    }

    fn first_to_go(&self, among: impl Fn(IpAddr) -> bool) -> Option<(u64, Does)> {
        let among = self.by_number.iter().filter(|(_, one)| among(one.of));
        let first = among.min_by_key(|(_, one)| (one.does, one.since));
        first.map(|(number, one)| (*number, one.does))
    }

    fn end(&mut self, number: u64) {
        if let Some(ended) = self.by_number.remove(&number) {
            ended.ends.cancel();
        }
    }
}

/// One connection's; free again when it is dropped.
pub(super) struct Place {
    places: Places,
    number: u64,
    ends: CancellationToken,
}

impl Place {
    /// Another one has got the place.
    pub(super) fn ends(&self) -> CancellationToken {
        self.ends.clone()
    }

    /// A request has come; it is being answered until this is dropped.
    pub(super) fn asks(self: &Arc<Self>) -> Asking {
        self.now(Does::Asks);
        Asking(Arc::clone(self))
    }

    fn now(&self, does: Does) {
        if let Some(connection) = self.places.lock().by_number.get_mut(&self.number) {
            connection.does = does;
            connection.since = Instant::now();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().by_number.remove(&self.number);
    }
}

/// While a request is answered.
pub(super) struct Asking(Arc<Place>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.now(Does::Idle);
    }
}

/// Whose an address is: who has one IPv6 address has the 2^64 around it.
fn holder(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
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

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn fill(places: &Places, of: IpAddr, many: usize) -> Vec<Arc<Place>> {
        let one = |_| Arc::new(places.take(of).unwrap());
        (0..many).map(one).collect()
    }

    fn ended(places: &[Arc<Place>]) -> Vec<usize> {
        let ended = |(_, place): &(usize, &Arc<Place>)| place.ends.is_cancelled();
        let all = places.iter().enumerate().filter(ended);
        all.map(|(number, _)| number).collect()
    }

    #[test]
    fn one_address_cannot_have_all_places() {
        let places = Places::default();
        let greedy = fill(&places, address(1), MOST_OF_ONE);
        let others = fill(&places, address(2), 3);
        assert_eq!((ended(&greedy), ended(&others)), (vec![], vec![]));
        let more = fill(&places, address(1), 2);
        assert_eq!((ended(&greedy), ended(&others)), (vec![0, 1], vec![]));
        assert_eq!(places.lock().by_number.len(), MOST_OF_ONE + 3);
        drop((greedy, more, others));
        assert_eq!(places.lock().by_number.len(), 0);
    }

    #[test]
    fn whoever_comes_gets_the_place_of_the_one_that_has_been_idle_for_longest() {
        let places = Places::default();
        let most = fill(&places, address(1), MOST_OF_ONE);
        let less = fill(&places, address(2), MOST - MOST_OF_ONE - 1);
        let few = fill(&places, address(3), 1);
        let first = most[0].asks();
        drop(most[1].asks());
        let newcomer = fill(&places, address(4), 2);
        assert_eq!(ended(&most), [2, 3]);
        let others = [ended(&less), ended(&few), ended(&newcomer)];
        assert_eq!(others.concat(), Vec::<usize>::new());
        assert_eq!(places.lock().by_number.len(), MOST);
        // What was asked when it was answered is idle since then.
        drop(first);
        let many = fill(&places, address(5), MOST_OF_ONE / 2);
        assert!(!ended(&most).contains(&0) && ended(&few).is_empty());
        drop((many, newcomer));
    }

    #[test]
    fn an_answer_is_cut_off_only_for_one_that_has_less() {
        let places = Places::default();
        let held: Vec<Arc<Place>> = [address(1), address(2)]
            .into_iter()
            .flat_map(|of| fill(&places, of, MOST / 2))
            .collect();
        let asking: Vec<Asking> = held.iter().map(Place::asks).collect();
        assert!(places.take(address(1)).is_none());
        assert_eq!(ended(&held), Vec::<usize>::new());
        let newcomer = places.take(address(3)).unwrap();
        assert_eq!(ended(&held), [0]);
        assert!(!newcomer.ends.is_cancelled());
        drop(asking);
    }

    #[test]
    fn there_are_so_many_in_all_and_the_newest_stays() {
        let places = Places::default();
        let all: Vec<Arc<Place>> = (0..=255)
            .flat_map(|number| fill(&places, address(number), 2))
            .collect();
        assert_eq!(places.lock().by_number.len(), MOST);
        let ended = ended(&all);
        assert_eq!(ended.len(), all.len() - MOST);
        assert!(!ended.contains(&(all.len() - 1)));
    }

    #[test]
    fn an_address_of_a_network_is_the_network() {
        let of = |text: &str| holder(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::4"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_eq!(of("::ffff:10.0.0.7"), address(7));
        assert_ne!(of("10.0.0.7"), of("10.0.0.8"));
    }
}

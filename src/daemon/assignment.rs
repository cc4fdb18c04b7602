//! Which replica looks after which source: rendezvous hashing, so that every
//! replica comes to the same answer by itself, and one that comes or goes moves
//! only what it gets or had.
//!
//! Invariant: pure, and the same in every build: replicas of two versions must
//! agree. A source goes only to a replica whose settings name it.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ledger::replicas::Replica;

/// Whose a source is; `None` if nobody who is there knows it.
pub(super) fn owner(source: &str, replicas: &[Replica]) -> Option<Uuid> {
    replicas
        .iter()
        .filter(|replica| knows(replica, source))
        .map(|replica| replica.id)
        .max_by_key(|id| (weight(source, *id), *id))
}

pub(super) fn knows(replica: &Replica, source: &str) -> bool {
    replica.sources.iter().any(|known| known == source)
}

fn weight(source: &str, replica: Uuid) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(replica.as_bytes());
    hash.update(source.as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    fn sources() -> Vec<String> {
        (0..200).map(|number| format!("tenant-{number}")).collect()
    }

    fn replicas(many: u128) -> Vec<Replica> {
        let replica = |number| Replica {
            id: Uuid::from_u128(number),
            sources: sources(),
            remaining: Duration::from_secs(1),
        };
        (1..=many).map(replica).collect()
    }

    fn owners(replicas: &[Replica]) -> BTreeMap<String, Uuid> {
        let one = |source: String| {
            let owner = owner(&source, replicas).unwrap();
            (source, owner)
        };
        sources().into_iter().map(one).collect()
    }

    #[test]
    fn the_order_of_replicas_does_not_matter() {
        let mut turned = replicas(5);
        turned.reverse();
        assert_eq!(owners(&replicas(5)), owners(&turned));
    }

    #[test]
    fn a_replica_that_goes_moves_only_what_it_had() {
        let all = replicas(4);
        let before = owners(&all);
        let gone = all[2].id;
        let left: Vec<Replica> = all.into_iter().filter(|one| one.id != gone).collect();
        let after = owners(&left);
        for (source, owner) in &before {
            if *owner == gone {
                assert_ne!(after[source], gone);
            } else {
                assert_eq!(after[source], *owner, "{source}");
            }
        }
    }

    #[test]
    fn sources_are_spread_over_all() {
        let mut counts: BTreeMap<Uuid, usize> = BTreeMap::new();
        for owner in owners(&replicas(4)).into_values() {
            *counts.entry(owner).or_default() += 1;
        }
        assert_eq!(counts.len(), 4);
        assert!(
            counts.values().all(|count| (25..=75).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn a_source_goes_only_to_those_whose_settings_name_it() {
        let mut all = replicas(3);
        for replica in &mut all[..2] {
            replica.sources.retain(|source| source != "tenant-7");
        }
        assert_eq!(owner("tenant-7", &all), Some(all[2].id));
        assert_eq!(owner("tenant-new", &all), None);
    }
}

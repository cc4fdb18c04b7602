//! Which groups share a link, and what becomes of that when groups come and
//! go. Pure.
//!
//! Invariant: a bucket is made anew only if a group joins it or its link is
//! lost; that others left is no reason. Each wanted group is in one bucket in
//! the end, and none has more than [`BUCKET_SIZE`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::ids::GroupId;
use crate::model::links::BUCKET_SIZE;

/// How a bucket's link did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkState {
    /// It was followed to the end of its round.
    Followed,
    /// Graph does not know it any more.
    Lost,
    /// It could not be followed this time.
    Failed,
}

/// What is to become of the buckets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Buckets that need a link for these groups, by number: grown, lost, new.
    pub(super) anew: BTreeMap<u32, BTreeSet<GroupId>>,
    /// Buckets that go, with all their groups.
    pub(super) dropped: BTreeSet<u32>,
    /// Wanted groups that no bucket followed so far.
    pub(super) joining: BTreeSet<GroupId>,
}

/// Finds a bucket for every wanted group.
pub(super) fn lay_out(
    buckets: &BTreeMap<u32, (BTreeSet<GroupId>, LinkState)>,
    wanted: &BTreeSet<GroupId>,
) -> Layout {
    let mut layout = Layout::default();
    let mut open: Vec<(u32, BTreeSet<GroupId>, LinkState)> = Vec::new();
    let mut joining = wanted.clone();
    for (number, (groups, state)) in buckets {
        // Nobody stays in two of them.
        let staying: BTreeSet<GroupId> = groups.intersection(&joining).copied().collect();
        joining.retain(|group| !staying.contains(group));
        if staying.is_empty() {
            layout.dropped.insert(*number);
        } else if *state != LinkState::Failed {
            open.push((*number, staying, *state));
        }
    }
    // Those that are made anew in any case first, then where there is most
    // room, so that as few as possible are.
    open.sort_by_key(|(number, groups, state)| {
        (*state != LinkState::Lost, Reverse(room(groups)), *number)
    });
    let mut rest = joining.iter().copied();
    for (number, mut groups, state) in open {
        let before = groups.len();
        groups.extend(rest.by_ref().take(room(&groups)));
        if groups.len() > before || state == LinkState::Lost {
            layout.anew.insert(number, groups);
        }
    }
    let next = buckets
        .keys()
        .max()
        .map_or(0, |last| last.saturating_add(1));
    let rest: Vec<GroupId> = rest.collect();
    for (number, groups) in (next..).zip(rest.chunks(BUCKET_SIZE)) {
        layout.anew.insert(number, groups.iter().copied().collect());
    }
    layout.joining = joining;
    layout
}

fn room(groups: &BTreeSet<GroupId>) -> usize {
    BUCKET_SIZE.saturating_sub(groups.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> GroupId {
        format!("a0000000-0000-0000-0000-{number:012}")
            .parse()
            .unwrap()
    }

    fn ids(numbers: impl IntoIterator<Item = u32>) -> BTreeSet<GroupId> {
        numbers.into_iter().map(id).collect()
    }

    type Buckets = BTreeMap<u32, (BTreeSet<GroupId>, LinkState)>;

    fn buckets<const N: usize>(of: [(u32, std::ops::Range<u32>, LinkState); N]) -> Buckets {
        of.into_iter()
            .map(|(number, groups, state)| (number, (ids(groups), state)))
            .collect()
    }

    use LinkState::{Failed, Followed, Lost};

    #[test]
    fn nothing_is_made_anew_when_no_group_came() {
        let now = buckets([(0, 0..50, Followed), (3, 50..60, Followed)]);
        assert_eq!(lay_out(&now, &ids(0..60)), Layout::default());
        // Nor when some left.
        assert_eq!(lay_out(&now, &ids(20..55)), Layout::default());
    }

    #[test]
    fn a_group_joins_the_bucket_with_most_room_and_takes_the_place_of_one_that_left() {
        let now = buckets([(0, 0..50, Followed), (3, 50..60, Followed)]);
        let layout = lay_out(&now, &ids((0..60).chain([90])));
        assert_eq!(layout.anew, [(3, ids((50..60).chain([90])))].into());
        assert_eq!(layout.joining, ids([90]));
        let full = buckets([(0, 0..50, Followed), (1, 50..100, Followed)]);
        let layout = lay_out(&full, &ids((5..100).chain([200])));
        assert_eq!(layout.anew, [(0, ids((5..50).chain([200])))].into());
    }

    #[test]
    fn what_finds_no_room_opens_buckets_with_new_numbers() {
        let now = buckets([(7, 0..49, Followed)]);
        let layout = lay_out(&now, &ids(0..120));
        let sizes: Vec<_> = layout.anew.iter().map(|(n, g)| (*n, g.len())).collect();
        assert_eq!(sizes, [(7, 50), (8, 50), (9, 20)]);
        assert_eq!(layout.joining.len(), 71);
        let first = lay_out(&Buckets::new(), &ids([1]));
        assert_eq!(first.anew, [(0, ids([1]))].into());
    }

    #[test]
    fn a_bucket_none_of_whose_groups_is_wanted_goes_and_its_number_stays_free() {
        let now = buckets([(0, 0..3, Followed), (1, 3..6, Followed), (2, 6..9, Lost)]);
        let layout = lay_out(&now, &ids((3..6).chain([50])));
        assert_eq!(layout.dropped, [0, 2].into());
        assert_eq!(layout.anew, [(1, ids([3, 4, 5, 50]))].into());
        let all_gone = lay_out(&now, &ids([50]));
        assert_eq!(all_gone.anew, [(3, ids([50]))].into());
    }

    #[test]
    fn a_lost_bucket_is_made_anew_without_those_who_left_and_takes_newcomers_first() {
        let now = buckets([(0, 0..10, Followed), (1, 10..50, Lost)]);
        let layout = lay_out(&now, &ids((0..49).chain([90])));
        assert_eq!(layout.anew, [(1, ids((10..49).chain([90])))].into());
    }

    #[test]
    fn nobody_joins_a_bucket_whose_link_failed() {
        let now = buckets([(0, 0..10, Failed)]);
        let layout = lay_out(&now, &ids(0..11));
        assert_eq!(layout.anew, [(1, ids([10]))].into());
        assert!(layout.dropped.is_empty());
    }
}

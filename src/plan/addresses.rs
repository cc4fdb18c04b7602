//! Who holds which e-mail address when the plan has been applied.
//!
//! Invariant: no address is given to a row while another holds it or is given
//! it; people may swap addresses, or pass them on in a chain, in one pass.
//! Addresses are compared as LiteLLM compares them, without regard to case.

use std::collections::{HashMap, HashSet};

use crate::model::ids::{PersonId, UserId};
use crate::model::target::{Target, UserRow};

/// A row that would give up its address, if it has one, for another.
pub(super) struct Move<'a> {
    pub(super) person: PersonId,
    pub(super) user: &'a UserId,
    pub(super) row: &'a UserRow,
    pub(super) to: Box<str>,
}

/// The holders of every address, kept up to date while a plan is made.
pub(super) struct Addresses<'a> {
    rows: HashMap<String, Vec<&'a UserId>>,
    /// Given to people who have no row yet.
    newcomers: HashSet<String>,
}

pub(super) fn folded(address: &str) -> String {
    address.to_lowercase()
}

impl<'a> Addresses<'a> {
    pub(super) fn new(target: &'a Target) -> Self {
        let mut rows: HashMap<String, Vec<&UserId>> = HashMap::new();
        for (user, row) in &target.users {
            if let Some(email) = &row.email {
                rows.entry(folded(email)).or_default().push(user);
            }
        }
        Self {
            rows,
            newcomers: HashSet::new(),
        }
    }

    /// Decides who moves; `moves` in the order of precedence. Returns whose
    /// move is granted.
    ///
    /// All moves are granted at first. One is refused when somebody stays at
    /// its address or another goes there first; who is refused stays, which may
    /// refuse the next.
    pub(super) fn settle(&mut self, moves: &[Move<'a>]) -> HashSet<PersonId> {
        let from: Vec<Option<String>> = moves
            .iter()
            .map(|m| m.row.email.as_deref().map(folded))
            .collect();
        let to: Vec<String> = moves.iter().map(|m| folded(&m.to)).collect();
        let mut takers: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut staying: HashMap<&str, usize> = HashMap::new();
        for (index, address) in to.iter().enumerate() {
            takers.entry(address).or_default().push(index);
        }
        for (address, rows) in &self.rows {
            staying.insert(address, rows.len());
        }
        for address in from.iter().flatten() {
            if let Some(rows) = staying.get_mut(address.as_str()) {
                *rows = rows.saturating_sub(1);
            }
        }
        let mut refused: HashSet<usize> = HashSet::new();
        let mut open: Vec<usize> = Vec::new();
        for (address, takers) in &takers {
            let held = staying.get(address).is_some_and(|rows| *rows > 0);
            open.extend(takers.iter().skip(usize::from(!held)));
        }
        while let Some(index) = open.pop() {
            if refused.insert(index)
                && let Some(Some(stays_at)) = from.get(index)
            {
                open.extend(takers.get(stays_at.as_str()).into_iter().flatten());
            }
        }
        let mut granted = HashSet::new();
        for (index, (change, address)) in moves.iter().zip(&to).enumerate() {
            if refused.contains(&index) {
                continue;
            }
            if let Some(Some(left)) = from.get(index)
                && let Some(rows) = self.rows.get_mut(left)
            {
                rows.retain(|user| *user != change.user);
            }
            self.rows
                .entry(address.clone())
                .or_default()
                .push(change.user);
            granted.insert(change.person);
        }
        granted
    }

    /// The one row that holds an address; `None` if none or several do.
    pub(super) fn only_holder(&self, address: &str) -> Option<&'a UserId> {
        match self.rows.get(&folded(address))?.as_slice() {
            [user] => Some(*user),
            _ => None,
        }
    }

    /// Gives an address to a new row, unless somebody has it.
    pub(super) fn take(&mut self, address: &str) -> bool {
        let address = folded(address);
        self.rows.get(&address).is_none_or(Vec::is_empty) && self.newcomers.insert(address)
    }
}

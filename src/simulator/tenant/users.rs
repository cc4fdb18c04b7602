//! All users, and their JSON as it was asked for.
//!
//! Invariant: a kept text is what [`render`](crate::simulator::render) would
//! write now; every way to change a user drops its kept texts.

use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard};

use uuid::Uuid;

use super::objects::User;
use super::place_of;

/// Different `$select`s whose texts are kept; a further one is written anew
/// each time, so that a test that tries many cannot fill the memory.
const KEPT_SELECTS: usize = 6;

type Texts = Vec<OnceLock<Box<[u8]>>>;

/// Users by place and by id, with their serialised forms.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Users {
    list: Vec<User>,
    places: HashMap<Uuid, u32>,
    texts: RwLock<HashMap<Box<str>, Texts>>,
}

impl Users {
    pub(in crate::simulator) fn push(&mut self, user: User) -> u32 {
        let place = place_of(self.list.len());
        self.places.insert(user.id, place);
        self.list.push(user);
        for texts in self
            .texts
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .values_mut()
        {
            texts.push(OnceLock::new());
        }
        place
    }

    pub(in crate::simulator) fn reserve(&mut self, more: usize) {
        self.list.reserve_exact(more);
        self.places.reserve(more);
    }

    pub(in crate::simulator) fn place(&self, id: Uuid) -> Option<u32> {
        self.places.get(&id).copied()
    }

    pub(in crate::simulator) fn get(&self, place: u32) -> Option<&User> {
        self.list.get(place as usize)
    }

    /// The live user with this id.
    pub(in crate::simulator) fn live(&self, id: Uuid) -> Option<u32> {
        let place = self.place(id)?;
        self.get(place)
            .filter(|user| user.presence.is_live())
            .map(|_| place)
    }

    pub(in crate::simulator) fn iter(&self) -> impl Iterator<Item = &User> {
        self.list.iter()
    }

    pub(in crate::simulator) fn len(&self) -> usize {
        self.list.len()
    }

    pub(in crate::simulator) fn edit(&mut self, place: u32) -> Option<&mut User> {
        let index = place as usize;
        for texts in self
            .texts
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .values_mut()
        {
            if let Some(text) = texts.get_mut(index) {
                *text = OnceLock::new();
            }
        }
        self.list.get_mut(index)
    }

    /// Reads texts of one form. `form` names everything that the text depends
    /// on besides the user.
    pub(in crate::simulator) fn texts<'u>(&'u self, form: &'u str) -> UserTexts<'u> {
        self.make_room(form);
        let kept = self.texts.read().unwrap_or_else(PoisonError::into_inner);
        UserTexts {
            users: self,
            form,
            kept,
        }
    }

    fn make_room(&self, form: &str) {
        let known =
            |kept: &HashMap<Box<str>, Texts>| kept.contains_key(form) || kept.len() >= KEPT_SELECTS;
        if known(&self.texts.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut kept = self.texts.write().unwrap_or_else(PoisonError::into_inner);
        if !known(&kept) {
            let mut texts = Texts::new();
            texts.resize_with(self.list.len(), OnceLock::new);
            kept.insert(form.into(), texts);
        }
    }
}

/// Users' texts in one form.
pub(in crate::simulator) struct UserTexts<'u> {
    users: &'u Users,
    form: &'u str,
    kept: RwLockReadGuard<'u, HashMap<Box<str>, Texts>>,
}

impl UserTexts<'_> {
    /// Hands `take` the user's text, written now if it is not kept yet.
    pub(in crate::simulator) fn read(
        &self,
        place: u32,
        write: impl Fn(&User) -> Vec<u8>,
        take: impl FnOnce(&[u8]),
    ) {
        let Some(user) = self.users.get(place) else {
            return;
        };
        match self
            .kept
            .get(self.form)
            .and_then(|texts| texts.get(place as usize))
        {
            Some(text) => take(text.get_or_init(|| write(user).into_boxed_slice())),
            None => take(&write(user)),
        }
    }
}

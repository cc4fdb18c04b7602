//! Tenants by seed and size.
//!
//! Invariant: the same [`Spec`] gives the same tenant, on every machine. Sizes
//! are exact: as many assigned groups, people and direct user memberships as
//! asked for, if that many are possible.

use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::guid::{self, Kind};
use super::random::Random;
use super::tenant::{
    AccountEnabled, Group, Member, OtherKind, Presence, PrincipalKind, RoleState, Tenant, User,
    UserType, Visibility,
};
use super::words::{FIELD, GIVEN, PLACE, SURNAME};

/// Of a thousand people, so many are guests.
const GUESTS: usize = 40;
/// Of a thousand people, so many have no mailbox.
const WITHOUT_MAIL: usize = 30;
/// Of a thousand people, so many are disabled.
const DISABLED: usize = 20;

/// What to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Another seed, other names and other memberships.
    pub seed: u64,
    /// Groups assigned to the application.
    pub groups: usize,
    /// People in the tenant.
    pub people: usize,
    /// Direct memberships of people in those groups, in all.
    pub memberships: usize,
    /// Members of the largest group, if one shall stand out.
    pub largest_group: Option<usize>,
}

impl Spec {
    /// 500 groups, 10,000 people, 50,000 memberships.
    pub const SMALL: Self = Self {
        seed: 1,
        groups: 500,
        people: 10_000,
        memberships: 50_000,
        largest_group: None,
    };

    /// 2,000 groups, 100,000 people, 1,000,000 memberships.
    pub const LARGE: Self = Self {
        seed: 1,
        groups: 2_000,
        people: 100_000,
        memberships: 1_000_000,
        largest_group: None,
    };

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> Tenant {
        let mut tenant = Tenant::new();
        let mut random = Random::new(self.seed);
        for role in [
            "internal_user",
            "internal_user_viewer",
            "proxy_admin_viewer",
            "proxy_admin",
        ] {
            tenant.application().role(role, RoleState::Enabled);
        }
        tenant
            .application()
            .role("retired_role", RoleState::Disabled);
        tenant.users.reserve(self.people);
        for number in 0..self.people {
            let user = person(self.seed, number, &mut random, &tenant.credentials.domain);
            tenant.users.push(user);
        }
        for (number, size) in self.sizes().into_iter().enumerate() {
            let place = tenant.push_group(group(self.seed, number, &mut random));
            furnish(&mut tenant, place, size, self.people, &mut random);
            assign(&mut tenant, place, &mut random);
        }
        nest(&mut tenant, self.groups, &mut random);
        tenant
    }

    /// How many people each group has: few large groups, many small ones.
    fn sizes(&self) -> Vec<usize> {
        let mut sizes = Vec::with_capacity(self.groups);
        let mut left = self.memberships;
        if let Some(largest) = self.largest_group.filter(|_| self.groups > 0) {
            sizes.push(largest.min(self.people).min(left));
            left -= sizes.first().copied().unwrap_or(0);
        }
        let rest = self.groups - sizes.len();
        // Zipf-like, as directories are: the share of rank r goes with r^-0.7.
        let weight = |rank: usize| (rank as f64 + 1.0).powf(-0.7);
        let total: f64 = (0..rest).map(weight).sum();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count, rounded down"
        )]
        let share = |rank| (left as f64 * weight(rank) / total) as usize;
        let shares: Vec<usize> = (0..rest).map(|rank| share(rank).min(self.people)).collect();
        let mut missing = left - shares.iter().sum::<usize>().min(left);
        for mut size in shares {
            // What rounding and the cap left over goes to whoever has room.
            let room = (self.people - size)
                .min(missing.div_ceil(rest.max(1)).max(1))
                .min(missing);
            size += room;
            missing -= room;
            sizes.push(size);
        }
        for size in &mut sizes {
            let room = (self.people - *size).min(missing);
            *size += room;
            missing -= room;
        }
        sizes
    }
}

fn person(seed: u64, number: usize, random: &mut Random, domain: &str) -> User {
    let id = guid::of(Kind::Person, &format!("generated {seed} {number}"));
    let (given, surname) = (random.pick(GIVEN), random.pick(SURNAME));
    let ascii = |word: &str| -> String {
        word.chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_ascii_lowercase()
    };
    let local = format!("{}.{}.{number}", ascii(given), ascii(surname));
    let local = local.trim_start_matches('.').replace("..", ".");
    let guest = random.per_mille(GUESTS);
    let (user_principal_name, mail) = if guest {
        let upn = format!("{local}_partner.example.com#EXT#@{domain}");
        (upn, format!("{local}@partner.example.com"))
    } else {
        (format!("{local}@{domain}"), format!("{local}@{domain}"))
    };
    let mail = (!random.per_mille(WITHOUT_MAIL)).then(|| mail.into_boxed_str());
    let display_name = match random.below(500) {
        0 => None,
        1 => Some(String::new()),
        2 => Some(format!("  {given}  {surname} ")),
        3 => Some(format!("{surname}, {given} (External) 🎓")),
        _ => Some(format!("{given} {surname}")),
    };
    let attributes = number.is_multiple_of(10).then(|| {
        let employee = json!(format!("E{number:06}"));
        Box::new([("employeeId".to_owned(), employee)].into())
    });
    User {
        id,
        user_principal_name: user_principal_name.into(),
        mail,
        display_name: display_name.map(String::into_boxed_str),
        given_name: Some(given.into()),
        surname: Some(surname.into()),
        account: match random.per_mille(DISABLED) {
            true => AccountEnabled::Disabled,
            false => AccountEnabled::Enabled,
        },
        user_type: if guest {
            UserType::Guest
        } else {
            UserType::Member
        },
        presence: Presence::Live,
        attributes,
    }
}

fn group(seed: u64, number: usize, random: &mut Random) -> Group {
    let id = guid::of(Kind::Group, &format!("generated {seed} {number}"));
    let (field, place) = (random.pick(FIELD), random.pick(PLACE));
    // Names repeat now and then, as they do where many people make groups.
    let mut group = Group::sample(id, &format!("{field} {place}"));
    if random.per_mille(600) {
        group.display_name = Some(format!("{field} {place} {number}").into());
    }
    if random.per_mille(50) {
        group.visibility = Visibility::Private;
    }
    group
}

/// Distinct members without a set: a walk whose step has no divisor in common
/// with the number of people meets nobody twice.
fn furnish(tenant: &mut Tenant, place: u32, size: usize, people: usize, random: &mut Random) {
    let start = random.below(people);
    let mut step = random.below(people).max(1);
    while common_divisor(step, people) != 1 {
        step = step % people + 1;
    }
    let device = random
        .per_mille(30)
        .then(|| format!("sample-device-{place}"));
    let device = device.map(|key| tenant.other_place(OtherKind::Device, &key));
    if let Some(group) = tenant.groups.get_mut(place as usize) {
        let walk = (0..size).map(|taken| (start + taken * step) % people);
        let people = walk.map(|at| Member::User(u32::try_from(at).unwrap_or(u32::MAX)));
        group.members.reserve_exact(size + 1);
        group.members.extend(people);
        group.members.extend(device.map(Member::Other));
    }
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

fn assign(tenant: &mut Tenant, place: u32, random: &mut Random) {
    let found = tenant.groups.get(place as usize);
    let Some((id, name)) = found.map(|group| (group.id, group.display_name.clone())) else {
        return;
    };
    let roles: &[Option<&str>] = match random.below(100) {
        0 => &[Some("proxy_admin_viewer")],
        1..4 => &[Some("internal_user"), Some("internal_user_viewer")],
        4 => &[Some("retired_role"), None],
        5..35 => &[Some("internal_user")],
        35..45 => &[Some("internal_user_viewer")],
        _ => &[None],
    };
    for role in roles {
        tenant
            .application
            .assign(PrincipalKind::Group, id, name.clone(), *role);
    }
}

/// Some assigned groups hold groups: others that are assigned, and some that
/// are not.
fn nest(tenant: &mut Tenant, groups: usize, random: &mut Random) {
    for number in 0..groups {
        if !random.per_mille(40) {
            continue;
        }
        let inner = if random.per_mille(500) {
            random.below(groups)
        } else {
            let id = Uuid::from_u64_pair(random.next(), random.next());
            let id = uuid::Builder::from_random_bytes(id.into_bytes()).into_uuid();
            tenant.push_group(Group::sample(id, "Nested Sample")) as usize
        };
        let inner = Member::Group(u32::try_from(inner).unwrap_or(u32::MAX));
        if let Some(group) = tenant.groups.get_mut(number) {
            group.members.push(inner);
        }
    }
}

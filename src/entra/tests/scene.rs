//! A simulated tenant with a reader for it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::stub::{self, quick};
use crate::config::{
    AttributeNames, Cloud, Credential, EntraSettings, Membership, ResourceUnits, Secret,
};
use crate::entra::{Progress, Reader};
use crate::model::directory::{Directory, ReadingCost, Unread};
use crate::model::evidence::{Evidence, Questions, Whereabouts};
use crate::model::ids::{GroupId, PersonId};
use crate::model::policy::GroupFilter;
use crate::simulator::{Simulator, Tenant, group_id, person_id};

/// The tenant, which may be changed while it is read.
pub(super) struct Scene {
    pub(super) simulator: Simulator,
    pub(super) reader: Reader,
}

impl Scene {
    pub(super) async fn of(furnish: impl FnOnce(&mut Tenant)) -> Self {
        Self::expanded(Membership::Direct, furnish).await
    }

    pub(super) async fn expanded(
        membership: Membership,
        furnish: impl FnOnce(&mut Tenant),
    ) -> Self {
        let simulator = Simulator::start(Tenant::build(furnish)).await.unwrap();
        let settings = settings(&simulator, membership);
        let reader = Reader::with_pace(&settings, quick()).unwrap();
        Self { simulator, reader }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Tenant)) {
        self.simulator.tenant(change);
    }

    pub(super) async fn read(&self) -> Directory {
        stub::read(&self.reader).await.unwrap()
    }

    /// A second look; requests are counted from its beginning.
    pub(super) async fn look(&self, asked: &Questions) -> (Evidence, ReadingCost) {
        self.simulator.reset_requests();
        let progress = Progress::unobserved();
        self.reader.second_look(asked, &progress).await
    }

    pub(super) async fn find(&self, key: &str) -> Whereabouts {
        let (evidence, _) = self.look(&people([key])).await;
        evidence.people[&person_id(key)].clone()
    }

    pub(super) fn asked(&self, endpoint: &str) -> u64 {
        self.simulator.requests().of(endpoint).requests
    }
}

pub(super) fn settings(simulator: &Simulator, membership: Membership) -> EntraSettings {
    let told = simulator.describe();
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    EntraSettings {
        cloud: Cloud::Global,
        tenant: text("tenant_id"),
        client_id: text("client_id"),
        credential: Credential::ClientSecret(Secret::Value(text("client_secret").into())),
        service_principal_id: text("service_principal_id").parse().unwrap(),
        graph_endpoint: text("graph_url").parse().unwrap(),
        token_endpoint: text("token_url").parse().unwrap(),
        scope: "https://graph.microsoft.com/.default".into(),
        membership,
        groups: GroupFilter::default(),
        concurrency: 8,
        resource_units: ResourceUnits::Auto,
        request_timeout: Duration::from_secs(10),
        attempts: 3,
        attributes: AttributeNames::default(),
    }
}

pub(super) fn people<'k>(keys: impl IntoIterator<Item = &'k str>) -> Questions {
    let people: BTreeSet<PersonId> = keys.into_iter().map(person_id).collect();
    Questions {
        people: people.into_iter().collect(),
        ..Questions::default()
    }
}

pub(super) fn groups<'k>(keys: impl IntoIterator<Item = &'k str>) -> Questions {
    let groups: BTreeSet<GroupId> = keys.into_iter().map(group_id).collect();
    Questions {
        groups: groups.into_iter().collect(),
        ..Questions::default()
    }
}

pub(super) fn again(evidence: &Evidence, key: &str) -> Result<BTreeSet<PersonId>, Unread> {
    evidence.groups[&group_id(key)]
        .as_ref()
        .map(|members| members.get().iter().copied().collect())
        .map_err(Clone::clone)
}

pub(super) fn keys<'k>(keys: impl IntoIterator<Item = &'k str>) -> BTreeSet<PersonId> {
    keys.into_iter().map(person_id).collect()
}

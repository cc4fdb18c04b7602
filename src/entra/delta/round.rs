//! One round: from a link, or from the first call, to the page that names the
//! next round.
//!
//! Invariant: each link is checked before the token goes out, the last one
//! before it is given away; what was gathered of a broken round is thrown away.

use url::Url;

use super::page::Onward;
use crate::entra::call::Call;
use crate::entra::error::{Error, NoDelta};
use crate::entra::fault::Defect;
use crate::entra::line::Questions;
use crate::entra::paging::Trail;
use crate::model::links::{DeltaLink, Links};

/// Codes of a place that Graph no longer knows, whatever the status.
const LOST: [&str; 2] = ["syncStateNotFound", "resyncRequired"];

/// What Graph answers where delta queries are not offered, with 400.
const UNSUPPORTED: &str = "Request_UnsupportedQuery";

/// What is gathered from the pages of a round.
pub(super) trait Gather: Sync {
    /// What the pages come to.
    type Crop: Default + Send;

    /// Takes a whole page in and says where it leads.
    ///
    /// # Errors
    /// What is wrong with the page; the crop is then as it was.
    fn page(&self, crop: &mut Self::Crop, body: &[u8]) -> Result<Onward, Defect>;
}

impl Questions<'_> {
    /// Follows a link that was kept, to its round's end.
    ///
    /// # Errors
    /// [`Error::PlaceLost`] when Graph does not know the place,
    /// [`Error::NoDeltaQueries`] when it knows of no such thing any more, else
    /// any page's.
    pub(super) async fn follow<G: Gather>(
        &self,
        call: Call,
        link: &DeltaLink,
        gather: &G,
    ) -> Result<(G::Crop, DeltaLink), Error> {
        let first = self.admit_kept(call, link)?;
        self.round(call, &first, gather)
            .await
            .map_err(|error| refused_link(not_offered(error)))
    }

    /// Checks links that were kept: a row of the ledger may have been changed.
    ///
    /// # Errors
    /// [`Error::ForeignKeptLink`].
    pub(in crate::entra) fn admit_all(&self, kept: &Links) -> Result<(), Error> {
        self.admit_kept(Call::PeopleChanges, &kept.people)?;
        for bucket in kept.groups.values() {
            self.admit_kept(Call::GroupChanges, &bucket.link)?;
        }
        Ok(())
    }

    fn admit_kept(&self, call: Call, link: &DeltaLink) -> Result<Url, Error> {
        self.client()
            .endpoint()
            .admit(link.as_str())
            .map_err(|fault| Error::ForeignKeptLink { call, fault })
    }

    /// Reads a round from its first page to its last. A lost page token begins
    /// it again: its link still stands.
    ///
    /// # Errors
    /// Any page's.
    pub(super) async fn round<G: Gather>(
        &self,
        call: Call,
        first: &Url,
        gather: &G,
    ) -> Result<(G::Crop, DeltaLink), Error> {
        let mut restarts = 0;
        loop {
            match self.round_once(call, first, gather).await {
                Err(error @ Error::PageTokenLost { .. }) if restarts < self.pace().restarts => {
                    restarts += 1;
                    self.meter().retried();
                    tracing::info!(%error, restarts, "following the round again from its start");
                }
                other => return other,
            }
        }
    }

    async fn round_once<G: Gather>(
        &self,
        call: Call,
        first: &Url,
        gather: &G,
    ) -> Result<(G::Crop, DeltaLink), Error> {
        let mut crop = G::Crop::default();
        let mut trail = Trail::from(first);
        loop {
            let mut misses = 0;
            let onward = loop {
                let answer = self.ask(call, trail.here(), |body| gather.page(&mut crop, body));
                match answer.await {
                    // Reported of tokens that were good a moment later
                    // (graph-contract 10).
                    Err(Error::NotFound { .. }) if misses + 1 < self.pace().attempts => {
                        tokio::time::sleep(self.pace().delay(misses)).await;
                        misses += 1;
                        self.meter().retried();
                    }
                    other => break other?,
                }
            };
            match onward {
                Onward::Page(link) => trail.go_on(*self, call, &link)?,
                Onward::Round(link) => {
                    // Not followed now, but kept: it is refused where it came in.
                    let endpoint = self.client().endpoint();
                    endpoint
                        .admit(&link)
                        .map_err(|fault| Error::ForeignLink { call, fault })?;
                    return Ok((crop, DeltaLink::new(link)));
                }
            }
        }
    }
}

/// Whether Graph refuses delta queries as such.
pub(super) fn not_offered(error: Error) -> Error {
    match &error {
        Error::Refused { status: 501, .. } => Error::NoDeltaQueries(NoDelta::NotOffered),
        Error::Refused {
            status: 400, code, ..
        } if code.eq_ignore_ascii_case(UNSUPPORTED) => Error::NoDeltaQueries(NoDelta::NotOffered),
        _ => error,
    }
}

/// What a refusal says about the link. One that Graph takes for nonsense is
/// lost as well: asking by it again would never help.
fn refused_link(error: Error) -> Error {
    match error {
        Error::Refused {
            call,
            status,
            code,
            trace,
        } if matches!(status, 400 | 410)
            || LOST.iter().any(|lost| code.eq_ignore_ascii_case(lost)) =>
        {
            Error::PlaceLost { call, code, trace }
        }
        Error::NotFound { call, code, trace } => Error::PlaceLost { call, code, trace },
        other => other,
    }
}

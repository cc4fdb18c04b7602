//! Saying something to Graph once: what makes, prolongs and ends subscriptions.
//!
//! Invariant: it is sent once, but for a refused token, which proves that
//! nothing was done. It waits at no gate, takes no place among the directory's
//! requests, and what Graph says to it slows none of them: another service keeps
//! subscriptions and counts by itself. While that one wants a pause, nothing is
//! sent. Must not: wait; whoever asks rests.

use std::time::Duration;

use url::Url;

use super::Questions;
use crate::entra::call::Call;
use crate::entra::client::Payload;
use crate::entra::error::Error;
use crate::entra::fault::Defect;
use crate::entra::judge::Try;

impl Questions<'_> {
    /// Sends it, if no pause is wanted.
    ///
    /// # Errors
    /// What came of it. Unless Graph refused it, it may have been done.
    pub(in crate::entra) async fn order<T: Send>(
        &self,
        call: Call,
        url: &Url,
        payload: Payload,
        mut accept: impl FnMut(&[u8]) -> Result<T, Defect> + Send,
    ) -> Result<T, Error> {
        let entrance = &self.line.entrance;
        let mut token_replaced = false;
        loop {
            if let Some(asked) = entrance.subscriptions_rest() {
                let trace = "not sent".to_owned();
                return Err(Error::SubscriptionThrottled { call, asked, trace });
            }
            let token = self.line.tokens.get().await?;
            let (fate, _) = self
                .exchange(call, url, &payload, &token, &mut accept)
                .await;
            match fate {
                Try::Answered(value) => return Ok(value),
                Try::TokenRefused(_) if !token_replaced => {
                    token_replaced = true;
                    self.line.tokens.reject(&token).await;
                }
                Try::GivenUp(error) | Try::TokenRefused(error) | Try::Failed(error, None) => {
                    return Err(error);
                }
                Try::Failed(error, Some(asked)) => {
                    entrance.rest_subscriptions(self.bearable(asked));
                    return Err(error);
                }
                Try::Throttled { asked, trace } => {
                    let named = asked.filter(|asked| !asked.is_zero());
                    let asked = named.unwrap_or(self.pace().longest_delay);
                    entrance.rest_subscriptions(self.bearable(asked));
                    return Err(Error::SubscriptionThrottled { call, asked, trace });
                }
            }
        }
    }

    /// For everybody; who was told the whole pause may rest longer.
    fn bearable(&self, asked: Duration) -> Duration {
        asked.min(self.pace().longest_pause)
    }
}

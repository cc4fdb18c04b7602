//! Reading by delta queries: what has changed since a link was given.
//!
//! Invariant: a round counts only as a whole, from its link to the page that
//! names the next round; its link is given away together with what it told.
//! Whatever is lost on the way is named (`unfollowed`, or an error that wants a
//! whole reading), never passed over: nobody is taken for unchanged because a
//! link was lost.
//!
//! Must not: keep links, or decide what the news mean for what is known.
//!
//! Source: graph-contract 5. From the wire upwards: `page` (JSON), `round`
//! (links), `groups` and `people` (what a round told), `tokens` (links from now
//! on), `buckets` (which groups share a link), `news` (all of it).

mod buckets;
mod groups;
mod news;
mod page;
mod people;
mod round;
mod terms;
mod tokens;

pub use news::Heard;
pub use terms::Terms;

#[cfg(test)]
mod tests {
    mod fuzz;
}

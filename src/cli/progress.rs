//! What a person is shown of a pass at one moment.
//!
//! Invariant: a frame or a line is made from one [`Moment`] as a whole, so it
//! never has the words of one phase with the counts of another; what is done is
//! never more than there is to do. The time is given.

use std::time::Duration;

use crate::sync::Moment;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(15);
/// Characters of a whole bar.
const BAR: usize = 16;

/// A moment in words, with what is done and what there is to do if that can be
/// counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) message: String,
    pub(super) extent: Option<(u64, u64)>,
}

impl Line {
    fn of(moment: Moment) -> Self {
        let (message, done, total) = match moment {
            Moment::Opening => ("looking at the database".to_owned(), 0, 0),
            // Until the assignments are known there is nothing to count.
            Moment::Reading(reading) if reading.groups_total == 0 => {
                ("reading the assignments".to_owned(), 0, 0)
            }
            Moment::Reading(reading) => (
                format!("reading groups, {} memberships", reading.memberships),
                reading.groups_done,
                reading.groups_total,
            ),
            Moment::Comparing => ("comparing with LiteLLM".to_owned(), 0, 0),
            Moment::Writing(written) => ("writing".to_owned(), written.done, written.total),
        };
        let extent = (total > 0).then_some((done.min(total), total));
        Self { message, extent }
    }
}

/// Lines for a log: one every 15 s.
#[derive(Debug, Default)]
pub(super) struct Lines {
    last: Duration,
}

impl Lines {
    /// The line that is due so long after the beginning, if one is.
    pub(super) fn next(&mut self, at: Duration, moment: Moment) -> Option<Line> {
        if at < self.last + LINE_EVERY {
            return None;
        }
        self.last = at;
        Some(Line::of(moment))
    }
}

/// Frames for a terminal, each one line.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// When the counting began that is going on, and what it counts to.
    counting: Option<(Duration, u64)>,
}

impl Frames {
    /// What the terminal shows so long after the beginning.
    pub(super) fn next(&mut self, at: Duration, moment: Moment) -> String {
        let Line { message, extent } = Line::of(moment);
        let Some((done, total)) = extent else {
            self.counting = None;
            return message;
        };
        let since = match self.counting {
            Some((since, same)) if same == total => since,
            _ => at,
        };
        self.counting = Some((since, total));
        let bar = bar(done, total);
        let left = left(at.saturating_sub(since), done, total);
        format!("{message} [{bar}] {done}/{total}{left}")
    }
}

fn bar(done: u64, total: u64) -> String {
    let full = u128::from(done) * BAR as u128 / u128::from(total.max(1));
    let full = usize::try_from(full).unwrap_or(BAR).min(BAR);
    "█".repeat(full) + &"░".repeat(BAR - full)
}

/// The time that is left if it goes on like this, once that can be told.
fn left(taken: Duration, done: u64, total: u64) -> String {
    if done == 0 || done >= total || taken < Duration::from_secs(1) {
        return String::new();
    }
    let seconds = taken.as_secs_f64() * (total - done) as f64 / done as f64;
    let left = Duration::from_secs(seconds.ceil() as u64);
    format!(" eta {}", humantime::format_duration(left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Written;

    fn reading(done: u64, total: u64) -> Moment {
        Moment::Reading(crate::entra::ReadingProgress {
            groups_done: done,
            groups_total: total,
            memberships: done * 100,
            ..Default::default()
        })
    }

    fn writing(done: u64, total: u64) -> Moment {
        Moment::Writing(Written { done, total })
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn frames_follow_a_pass_from_phase_to_phase() {
        let mut frames = Frames::default();
        let shown: Vec<String> = [
            (0, Moment::Opening),
            (1, reading(0, 0)),
            (2, reading(0, 8)),
            (4, reading(2, 8)),
            (10, reading(8, 8)),
            (11, Moment::Comparing),
            (12, writing(0, 600)),
            (13, writing(1, 600)),
            (72, writing(300, 600)),
            (80, writing(600, 600)),
            (81, Moment::Opening),
        ]
        .into_iter()
        .map(|(at, moment)| frames.next(seconds(at), moment))
        .collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        looking at the database
        reading the assignments
        reading groups, 0 memberships [░░░░░░░░░░░░░░░░] 0/8
        reading groups, 200 memberships [████░░░░░░░░░░░░] 2/8 eta 6s
        reading groups, 800 memberships [████████████████] 8/8
        comparing with LiteLLM
        writing [░░░░░░░░░░░░░░░░] 0/600
        writing [░░░░░░░░░░░░░░░░] 1/600 eta 9m 59s
        writing [████████░░░░░░░░] 300/600 eta 1m
        writing [████████████████] 600/600
        looking at the database
        ");
    }

    #[test]
    fn a_phase_that_follows_another_at_once_begins_its_own_estimate() {
        let mut frames = Frames::default();
        frames.next(seconds(0), reading(0, 10));
        frames.next(seconds(100), reading(10, 10));
        frames.next(seconds(100), writing(0, 20));
        let frame = frames.next(seconds(110), writing(10, 20));
        assert!(frame.ends_with("10/20 eta 10s"), "{frame}");
    }

    #[test]
    fn no_more_is_done_than_there_is_to_do() {
        let mut frames = Frames::default();
        let frame = frames.next(seconds(0), writing(7, 5));
        assert!(
            frame.ends_with(&format!("[{}] 5/5", "█".repeat(BAR))),
            "{frame}"
        );
        let line = Line::of(writing(7, 5));
        assert_eq!(line.extent, Some((5, 5)));
        let most = frames.next(seconds(0), writing(u64::MAX, u64::MAX));
        assert!(most.contains(&"█".repeat(BAR)), "{most}");
    }

    #[test]
    fn a_frame_fits_into_eighty_columns() {
        let mut frames = Frames::default();
        frames.next(seconds(0), reading(0, 20_000));
        let frame = frames.next(seconds(900), reading(9_999, 20_000));
        // Two more for the spinner.
        assert!(frame.chars().count() + 2 <= 80, "{frame}");
    }

    #[test]
    fn a_line_is_due_every_quarter_of_a_minute_and_not_at_once() {
        let mut lines = Lines::default();
        let due: Vec<u64> = (0..=50)
            .filter(|at| lines.next(seconds(*at), reading(1, 2)).is_some())
            .collect();
        assert_eq!(due, [15, 30, 45]);
    }

    #[test]
    fn a_line_has_the_words_and_the_counts_of_one_phase() {
        let said = |moment| {
            let line = Line::of(moment);
            (line.message, line.extent)
        };
        assert_eq!(
            said(reading(3, 8)),
            ("reading groups, 300 memberships".to_owned(), Some((3, 8)))
        );
        assert_eq!(said(writing(0, 0)), ("writing".to_owned(), None));
        assert_eq!(said(Moment::Comparing).1, None);
        assert_eq!(said(Moment::Opening).1, None);
    }
}

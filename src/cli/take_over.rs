//! The file again, while the daemon runs: checked as a whole, and taken over only if all of it can be.
//!
//! The papers first: before an output of the new text is driven, that text is beside the old one in the state directory, so that
//! `homeostat safe` knows both after a crash at any moment. The old one goes when all is taken over and nothing that has left may be on.

use super::attempt::{Attempt, aside};
use crate::config::Wrong;
use crate::daemon::{self, Daemon};
use crate::web::Refused;

/// The alarm that stands while another configuration runs than the file's.
pub const ALARM: &str = "config";

/// The alarm that stands while a crash would be cleaned up after by an old copy.
pub const COPIES: &str = "config.copies";

const MEND: &str = "nothing was changed; mend that and reload again";

/// Why the file was not taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Nothing has changed.
    #[error("not reloaded, all goes on as before: {0}")]
    Refused(Refused),
    /// A part of it may be in effect.
    #[error("reloaded half way only: {0}")]
    HalfWay(Refused),
}

impl From<NotTaken> for Refused {
    fn from(not_taken: NotTaken) -> Self {
        match not_taken {
            NotTaken::Refused(refused) | NotTaken::HalfWay(refused) => refused,
        }
    }
}

impl From<daemon::Refused> for NotTaken {
    fn from(error: daemon::Refused) -> Self {
        use daemon::Refused::{Broker, HalfWay, Held, NeedsRestart, NotRunning};
        let text = error.to_string();
        match error {
            HalfWay => Self::HalfWay(Refused { text, hint: "look into the log; if it goes on running, reload again" }),
            NotRunning => Self::Refused(Refused { text, hint: "nothing was changed; ask again" }),
            NeedsRestart(_) | Broker(_) | Held(_) => Self::Refused(Refused { text, hint: MEND }),
        }
    }
}

/// Reads the attempt's file again and gives it to the daemon. What came of it is for people. May be dropped half way by whoever
/// stops the daemon then.
///
/// # Errors
/// What is wrong with the file, or why the daemon cannot take it over while it runs.
pub async fn take_over(daemon: &mut Daemon, attempt: &Attempt) -> Result<(String, Attempt), NotTaken> {
    let again = attempt.clone();
    let refused = |text, hint| NotTaken::Refused(Refused { text, hint });
    let (config, taken) = match aside(move || again.again()).await {
        Some(Ok(read)) => read,
        Some(Err(Wrong::Mistakes(mistakes))) => return Err(refused(mistakes.render(false), MEND)),
        Some(Err(wrong @ Wrong::Unreadable { .. })) => return Err(refused(wrong.to_string(), MEND)),
        None => {
            let text = format!("{} cannot be read in time", attempt.file().display());
            return Err(refused(text, "nothing was changed; check the disk and reload again"));
        }
    };
    if !taken.runs_as(attempt) {
        let papers = taken.clone();
        aside(move || papers.announce()).await;
    }
    let difference = match daemon.reload(config).await {
        Ok(difference) => difference,
        Err(error) => {
            if error != daemon::Refused::HalfWay {
                let papers = taken.clone();
                aside(move || papers.withdraw()).await;
            }
            return Err(error.into());
        }
    };
    let (papers, before) = (taken.clone(), attempt.clone());
    let all_safe = daemon.leaving().is_empty();
    let astray = aside(move || papers.settle(Some(&before).filter(|_| !all_safe))).await;
    daemon.alarms().set(COPIES, astray.flatten().as_deref());
    daemon.alarms().clear(ALARM);
    Ok((difference.to_string(), taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_nothing_has_changed_does_it_say_so() {
        use daemon::Refused::{Broker, HalfWay, Held, NeedsRestart, NotRunning};
        for error in [NeedsRestart(vec!["[store] path"]), Broker("taken".into()), Held("a".into()), NotRunning, HalfWay]
        {
            let unchanged = error != HalfWay;
            let not_taken = NotTaken::from(error.clone());
            let (logged, refused) = (not_taken.to_string(), Refused::from(not_taken));
            assert_eq!(logged.contains("all goes on as before"), unchanged, "{logged}");
            assert_eq!(refused.hint.contains("nothing was changed"), unchanged, "{}", refused.hint);
            assert!(logged.ends_with(&error.to_string()) && refused.text == error.to_string(), "{logged}");
        }
    }
}

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

/// Reads the attempt's file again and gives it to the daemon. What came of it is for people. May be dropped half way by whoever
/// stops the daemon then.
///
/// # Errors
/// What is wrong with the file, or why the daemon cannot take it over while it runs.
pub async fn take_over(daemon: &mut Daemon, attempt: &Attempt) -> Result<(String, Attempt), Refused> {
    let again = attempt.clone();
    let refused = |text, hint| Refused { text, hint };
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
            let hint = match error {
                daemon::Refused::HalfWay => "look into the log; if it goes on running, reload again",
                daemon::Refused::NotRunning => "nothing was changed; ask again",
                daemon::Refused::NeedsRestart(_) | daemon::Refused::Broker(_) | daemon::Refused::Held(_) => MEND,
            };
            return Err(refused(error.to_string(), hint));
        }
    };
    let (papers, before) = (taken.clone(), attempt.clone());
    let all_safe = daemon.leaving().is_empty();
    let astray = aside(move || papers.settle(Some(&before).filter(|_| !all_safe))).await;
    daemon.alarms().set(COPIES, astray.flatten().as_deref());
    daemon.alarms().clear(ALARM);
    Ok((difference.to_string(), taken))
}

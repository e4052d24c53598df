//! The file again, while the daemon runs: checked as a whole, and taken over only if all of it can be.

use super::attempt::Attempt;
use crate::config::Wrong;
use crate::daemon::Daemon;

/// The alarm that stands while another configuration runs than the file's.
pub const ALARM: &str = "config";

/// Reads the attempt's file again and gives it to the daemon. What came of it is for people.
///
/// # Errors
/// What is wrong with the file, or why the daemon cannot take it over while it runs. Nothing has changed then.
pub async fn take_over(daemon: &mut Daemon, attempt: &Attempt) -> Result<(String, Attempt), String> {
    let again = attempt.clone();
    let read = tokio::task::spawn_blocking(move || again.again()).await;
    let (config, taken) = match read {
        Ok(Ok(read)) => read,
        Ok(Err(Wrong::Mistakes(mistakes))) => return Err(mistakes.render(false)),
        Ok(Err(wrong @ Wrong::Unreadable { .. })) => return Err(wrong.to_string()),
        Err(panic) => return Err(format!("reading the file panicked: {panic}")),
    };
    let difference = daemon.reload(config).await.map_err(|refused| refused.to_string())?;
    // Until this is written, a crash finds the outputs of before in the copy and those of now in the file.
    taken.takes_outputs();
    daemon.alarms().clear(ALARM);
    Ok((difference.to_string(), taken))
}

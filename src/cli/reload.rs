//! `homeostat reload`: the daemon reads its configuration again, and says what changed or what is wrong.

use std::io::{self, Write};
use std::time::Duration;

use super::client::{Client, Trouble};
use crate::payload::Reloaded;

/// Longer than the daemon gives itself.
const PATIENCE: Duration = Duration::from_secs(65);

/// Asks for it.
pub fn reload(client: &Client) -> Result<(), Trouble> {
    let Reloaded { summary } = client.post("reload", PATIENCE)?;
    let _ = writeln!(io::stdout(), "{summary}");
    Ok(())
}

//! `homeostat alarms` lists what a person should know of, and `homeostat ack` says that they do.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use super::client::{Client, Trouble, encoded};
use super::page::{Ink, Page};
use crate::model::Timestamp;
use crate::payload::{Acknowledged, Alarm, Status};

/// Telling the bus.
const PATIENCE: Duration = Duration::from_secs(5);

/// All that stand, by name.
type Standing<'a> = BTreeMap<Cow<'a, str>, Alarm<'a>>;

/// Lists them.
pub fn alarms(client: &Client) -> Result<(), Trouble> {
    let status: Status<'static> = client.get("status")?;
    let mut out = io::stdout();
    let _ = out.write_all(list(&status.alarms, status.time, &Page::of(&out)).as_bytes());
    Ok(())
}

/// Acknowledges some of them; all that nobody has acknowledged yet if none is named.
pub fn acknowledge(client: &Client, names: &[String]) -> Result<(), Trouble> {
    let names = if names.is_empty() {
        let standing: Standing<'static> = client.get("alarms")?;
        standing.iter().filter(|(_, alarm)| !alarm.acknowledged).map(|(name, _)| name.to_string()).collect()
    } else {
        names.to_vec()
    };
    let mut out = io::stdout();
    if names.is_empty() {
        let _ = writeln!(out, "there is nothing to acknowledge");
    }
    for name in names {
        let Acknowledged { alarm, stands } =
            client.post(&format!("alarms/{}/acknowledge", encoded(&name)), PATIENCE)?;
        let then = if stands { "; it stands until its cause has gone" } else { ", and has gone" };
        let _ = writeln!(out, "{alarm} is acknowledged{then}");
    }
    Ok(())
}

/// A paragraph for each.
pub(super) fn list(standing: &Standing<'_>, now: Timestamp, page: &Page) -> String {
    if standing.is_empty() {
        return "no alarms\n".to_owned();
    }
    let mut text = String::new();
    for (name, alarm) in standing {
        let ink = if alarm.acknowledged { Ink::Dim } else { Ink::Alert };
        let stands = match (alarm.latched, alarm.acknowledged) {
            (true, _) => format!("; stands until `homeostat ack {name}`"),
            (false, true) => ", acknowledged".to_owned(),
            (false, false) => String::new(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} since {}{stands}", page.ink(ink, name), page.time(alarm.since, now));
        let _ = writeln!(text, "  {}", page.hang(2, &alarm.text));
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn each_alarm_says_since_when_and_what_to_do() {
        let now = Timestamp::from_millis(1_795_250_000_250);
        let alarm =
            |text: &'static str, latched, acknowledged| Alarm { text: text.into(), since: now, latched, acknowledged };
        let standing = Standing::from([
            (
                "outputs.heater".into(),
                alarm(
                    "on for 30 min, and air.temperature has not risen; the element, its fuse or its relay may be broken",
                    true,
                    false,
                ),
            ),
            ("sensors.air".into(), alarm("no answer", false, true)),
        ]);
        let page = Page { colours: false, zone: TimeZone::UTC };
        assert_eq!(
            list(&standing, now, &page),
            "\
outputs.heater since 08:33:20; stands until `homeostat ack outputs.heater`
  on for 30 min, and air.temperature has not risen; the element, its fuse or its
  relay may be broken
sensors.air since 08:33:20, acknowledged
  no answer
"
        );
        assert_eq!(list(&Standing::new(), now, &page), "no alarms\n");
        let coloured = Page { colours: true, ..page };
        assert!(list(&standing, now, &coloured).starts_with("\x1b[1;31moutputs.heater\x1b[0m since"));
    }
}

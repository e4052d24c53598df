//! What a person or a program may say to an output, a controller or the node: from the bytes of a payload to something that can
//! be done, or why not. Pure.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use toml::de::DeValue;

use crate::config::Value as _;
use crate::model::{Level, Wish, dose};

/// Nobody says so much.
const LONGEST: usize = 4096;

/// For how long a demand holds that does not say so.
const USUAL_LEASE: Duration = Duration::from_secs(60 * 60);

/// For how long one may hold: a lease that outlives its reason by weeks is none.
const LONGEST_LEASE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What an output is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Asked {
    /// A level, for so long; [`Wish::Nothing`] gives it back to whoever else wants something of it.
    Hold(Wish, Duration),
    /// So many millilitres.
    Dose(f64),
}

/// What a controller is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Adjusted {
    /// To aim at this.
    pub setpoint: Option<f64>,
    /// And to do so in this way.
    pub mode: Option<Mode>,
}

/// How a controller is to act.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// By its input.
    Automatic,
    /// Not at all, until somebody says otherwise.
    Off,
    /// Holding this output, -1..=1, for so long.
    Manual(f64, Duration),
}

/// The command, and the name under which its sender wants to hear of it.
pub type Named<T> = (Result<T, String>, Option<String>);

/// `on`, `off`, `auto`, a percentage, `12.5 ml`, or `{"level": 0.4, "for": "10m", "id": "…"}`, `{"ml": 12.5}`.
pub fn output(payload: &[u8]) -> Named<Asked> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Long {
        level: Option<Json>,
        on: Option<bool>,
        ml: Option<f64>,
        #[serde(rename = "for")]
        lease: Option<String>,
        id: Option<String>,
    }
    read(
        payload,
        |text| match dose::millilitres(text.trim_matches('"')) {
            Some(millilitres) => Ok(Asked::Dose(millilitres)),
            None => Ok(Asked::Hold(short_wish(text)?, USUAL_LEASE)),
        },
        |long: Long| {
            let asked = || {
                let wish = match (&long.level, long.on, long.ml) {
                    (Some(level), None, None) => long_wish(level)?,
                    (None, Some(on), None) => Wish::Level(on.into()),
                    (None, None, Some(_)) if long.lease.is_some() => {
                        return Err("a dose runs as long as it takes: leave out `for`".to_owned());
                    }
                    (None, None, Some(millilitres)) => return Ok(Asked::Dose(millilitres)),
                    _ => return Err("say either `level` or `on`, or `ml`".to_owned()),
                };
                Ok(Asked::Hold(wish, long.lease.as_deref().map_or(Ok(USUAL_LEASE), lease)?))
            };
            (asked(), long.id.clone())
        },
    )
}

/// A number for its setpoint, `automatic`, `off`, or `{"setpoint": 25}`, `{"mode": "manual", "output": 0.4}`.
pub fn controller(payload: &[u8]) -> Named<Adjusted> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Long {
        setpoint: Option<f64>,
        mode: Option<String>,
        output: Option<f64>,
        #[serde(rename = "for")]
        lease: Option<String>,
        id: Option<String>,
    }
    read(payload, short_adjust, |long: Long| {
        let Long { setpoint, mode, output, lease, id } = long;
        let adjust = || {
            let lease = match (lease.as_deref(), output) {
                (Some(_), None) => return Err("`for` is how long it is to hold an `output`".to_owned()),
                (text, _) => text.map_or(Ok(USUAL_LEASE), self::lease)?,
            };
            let mode = match (mode.as_deref(), output) {
                (Some("manual") | None, Some(output)) if (-1.0..=1.0).contains(&output) => {
                    Some(Mode::Manual(output, lease))
                }
                (_, Some(_)) => return Err("`output` is -1 to 1, with `mode` \"manual\"".to_owned()),
                (Some("manual"), None) => return Err("say which `output` it is to hold, -1 to 1".to_owned()),
                (Some(mode), None) => Some(named_mode(mode)?),
                (None, None) => None,
            };
            let said = setpoint.is_some() || mode.is_some();
            said.then_some(Adjusted { setpoint, mode }).ok_or_else(|| "say a `setpoint` or a `mode`".to_owned())
        };
        (adjust(), id)
    })
}

/// A name as such, or `{"name": "…", "id": "…"}`; for the acknowledgement of an alarm.
pub fn name(payload: &[u8]) -> Named<String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Long {
        name: String,
        id: Option<String>,
    }
    read(payload, |text| Ok(text.to_owned()), |long: Long| (Ok(long.name), long.id))
}

/// `now`, or `{"id": "…"}`; for commands that need no more.
pub fn now(payload: &[u8]) -> Named<()> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Long {
        id: Option<String>,
    }
    let short = |text: &str| if text == "now" { Ok(()) } else { Err("write now, or {\"id\": \"…\"}".to_owned()) };
    read(payload, short, |long: Long| (Ok(()), long.id))
}

/// Reads either form. An id that cannot be a level of a topic is no id.
fn read<L: DeserializeOwned, T>(
    payload: &[u8],
    short: impl FnOnce(&str) -> Result<T, String>,
    long: impl FnOnce(L) -> Named<T>,
) -> Named<T> {
    if payload.len() > LONGEST {
        return (Err(format!("it is longer than {LONGEST} bytes")), None);
    }
    let text = match std::str::from_utf8(payload) {
        Ok(text) => text.trim(),
        Err(_) => return (Err("it is no text".to_owned()), None),
    };
    if text.is_empty() {
        return (Err("it is empty".to_owned()), None);
    }
    if !text.starts_with('{') {
        return (short(text), None);
    }
    match serde_json::from_str::<L>(text) {
        Ok(words) => {
            let (command, id) = long(words);
            (command, id.filter(|id| is_id(id)))
        }
        // Whoever waits for an answer is to get one.
        Err(error) => (Err(error.to_string()), id_of(text)),
    }
}

fn id_of(text: &str) -> Option<String> {
    let whole: Json = serde_json::from_str(text).ok()?;
    whole.get("id")?.as_str().map(str::to_owned).filter(|id| is_id(id))
}

fn is_id(id: &str) -> bool {
    // `result/set` would be a command.
    id != "set"
        && (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn short_wish(text: &str) -> Result<Wish, String> {
    const HINT: &str = "write on, off, auto, a percentage from 0 to 100, or {\"level\": 0.4, \"for\": \"10m\"}";
    let lower = text.trim_matches('"').to_ascii_lowercase();
    match lower.as_str() {
        "on" | "true" => Ok(Wish::Level(Level::ON)),
        "off" | "false" => Ok(Wish::Level(Level::OFF)),
        "auto" => Ok(Wish::Nothing),
        number => {
            let percent: f64 = number.trim_end_matches('%').trim_end().parse().map_err(|_| HINT)?;
            Level::new(percent / 100.0).map(Wish::Level).ok_or_else(|| HINT.to_owned())
        }
    }
}

fn long_wish(level: &Json) -> Result<Wish, String> {
    const HINT: &str = "`level` is 0 to 1, \"on\", \"off\", \"40%\" or \"auto\"";
    let level = match level {
        Json::String(text) if text == "auto" => return Ok(Wish::Nothing),
        Json::String(text) => text.parse().ok(),
        Json::Number(number) => number.as_f64().and_then(Level::new),
        _ => None,
    };
    level.map(Wish::Level).ok_or_else(|| HINT.to_owned())
}

fn lease(text: &str) -> Result<Duration, String> {
    let lease = Duration::read(&DeValue::String(text.into())).map_err(|hint| format!("`for`: {hint}"))?;
    let fits = !lease.is_zero() && lease <= LONGEST_LEASE;
    fits.then_some(lease).ok_or_else(|| "`for` is more than nothing and at most 168h".to_owned())
}

fn short_adjust(text: &str) -> Result<Adjusted, String> {
    match text.parse::<f64>() {
        Ok(setpoint) if setpoint.is_finite() => Ok(Adjusted { setpoint: Some(setpoint), mode: None }),
        _ => Ok(Adjusted { setpoint: None, mode: Some(named_mode(text)?) }),
    }
}

fn named_mode(text: &str) -> Result<Mode, String> {
    match text.trim_matches('"').to_ascii_lowercase().as_str() {
        "automatic" | "auto" | "heat" | "cool" | "heat_cool" => Ok(Mode::Automatic),
        "off" => Ok(Mode::Off),
        _ => {
            Err("write a number for its setpoint, automatic, off, or {\"mode\": \"manual\", \"output\": 0.4}"
                .to_owned())
        }
    }
}

/// A reason, in one line that nobody else has shaped and that is not too long for anybody.
pub fn in_a_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let line = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let cut: String = line.clone().take(LONGEST).collect();
    if line.count() > LONGEST { cut + "…" } else { cut }
}

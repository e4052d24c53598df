//! What is published: small JSON objects, `online` and `offline`, and nothing at all for an alarm that has gone.

use serde::{Serialize, Serializer};

use crate::message::{Alarm, ControllerState, Event, Mode, OutputState};
use crate::model::{Reading, Timestamp};

/// The payload of the will, and of a sensor that is not there.
pub(super) const OFFLINE: &[u8] = b"offline";
/// The opposite.
pub(super) const ONLINE: &[u8] = b"online";

/// The event's payload.
pub(super) fn of(event: &Event) -> Vec<u8> {
    match event {
        Event::Reading(reading) => json(&ReadingPayload::from(reading)),
        Event::Sensor(state) => if state.online { ONLINE } else { OFFLINE }.to_vec(),
        Event::Output(state) => json(&OutputPayload::from(state)),
        Event::Controller(state) => json(&ControllerPayload::from(state)),
        Event::Alarm(alarm) => alarm_payload(alarm),
    }
}

#[derive(Serialize)]
struct ReadingPayload<'a> {
    value: Option<f64>,
    unit: &'a str,
    #[serde(serialize_with = "rfc_3339")]
    time: Timestamp,
    quality: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    seq: u64,
}

impl<'a> From<&'a Reading> for ReadingPayload<'a> {
    fn from(reading: &'a Reading) -> Self {
        Self {
            value: reading.sample.value().map(short),
            unit: reading.quantity.unit(),
            time: reading.time,
            quality: reading.sample.quality(),
            reason: reading.sample.reason().map(|reason| &**reason),
            seq: reading.seq,
        }
    }
}

#[derive(Serialize)]
struct OutputPayload<'a> {
    level: f64,
    on: bool,
    by: Option<&'a str>,
    #[serde(serialize_with = "rfc_3339")]
    since: Timestamp,
    why: &'a str,
    confirmed: bool,
}

impl<'a> From<&'a OutputState> for OutputPayload<'a> {
    fn from(state: &'a OutputState) -> Self {
        Self {
            level: short(state.level.get()),
            on: state.on,
            by: state.by.as_ref().map(|owner| owner.as_str()),
            since: state.since,
            why: &state.why,
            confirmed: state.confirmed,
        }
    }
}

#[derive(Serialize)]
struct ControllerPayload {
    setpoint: f64,
    mode: &'static str,
    input: Option<f64>,
    p: f64,
    i: f64,
    d: f64,
    output: f64,
}

impl From<&ControllerState> for ControllerPayload {
    fn from(state: &ControllerState) -> Self {
        let mode = match state.mode {
            Mode::Automatic => "automatic",
            Mode::Manual(_) => "manual",
            Mode::Waiting => "waiting",
            Mode::Tripped => "tripped",
        };
        Self {
            setpoint: short(state.setpoint),
            mode,
            input: state.input.map(short),
            p: short(state.terms.p),
            i: short(state.terms.i),
            d: short(state.terms.d),
            output: short(state.output),
        }
    }
}

#[derive(Serialize)]
struct AlarmPayload<'a> {
    text: &'a str,
    #[serde(serialize_with = "rfc_3339")]
    since: Timestamp,
    latched: bool,
    acknowledged: bool,
}

/// An empty retained payload makes the broker forget the topic.
fn alarm_payload(alarm: &Alarm) -> Vec<u8> {
    let &Alarm { since, latched, acknowledged, .. } = alarm;
    let payload = |text| json(&AlarmPayload { text, since, latched, acknowledged });
    alarm.text.as_deref().map_or_else(Vec::new, payload)
}

fn json(payload: &impl Serialize) -> Vec<u8> {
    // These structs have text keys and finite or null numbers, so they always can be written.
    serde_json::to_vec(payload).unwrap_or_default()
}

fn rfc_3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// Four decimals: more than any sensor is exact to. The store keeps all of them.
fn short(value: f64) -> f64 {
    let rounded = (value * 1e4).round() / 1e4;
    // Numbers too large for this have no decimals anyway; -0 would only puzzle.
    if rounded.is_finite() { rounded + 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::SensorState;
    use crate::model::{ChannelId, ControllerId, Level, Monotonic, OutputId, Owner, Quantity, Sample, SensorId, Terms};

    const TIME: Timestamp = Timestamp::from_millis(1_795_250_000_250);

    fn text(event: &Event) -> String {
        String::from_utf8(of(event)).unwrap()
    }

    fn reading(sample: Sample) -> String {
        let channel = ChannelId::parse("air.temperature").unwrap();
        let at = Monotonic::default();
        text(&Event::Reading(Reading { seq: 81734, channel, quantity: Quantity::Temperature, sample, at, time: TIME }))
    }

    #[test]
    fn a_reading_says_how_far_it_may_be_believed() {
        let cases = [
            (
                Sample::Good(0.1 + 0.2 + 23.1),
                r#"{"value":23.4,"unit":"°C","time":"2026-11-21T08:33:20.250Z","quality":"good","seq":81734}"#,
            ),
            (
                Sample::Uncertain(-0.000_01, "it \"jumped\"".into()),
                r#"{"value":0.0,"unit":"°C","time":"2026-11-21T08:33:20.250Z","quality":"uncertain","reason":"it \"jumped\"","seq":81734}"#,
            ),
            (
                Sample::Bad("unplugged".into()),
                r#"{"value":null,"unit":"°C","time":"2026-11-21T08:33:20.250Z","quality":"bad","reason":"unplugged","seq":81734}"#,
            ),
        ];
        for (sample, expected) in cases {
            assert_eq!(reading(sample), expected);
        }
        assert!(reading(Sample::Good(1e306)).contains("\"value\":1e+306,"));
    }

    #[test]
    fn a_sensor_is_online_or_offline() {
        let sensor = |online| Event::Sensor(SensorState { sensor: SensorId::new("air").unwrap(), online });
        assert_eq!((text(&sensor(true)), text(&sensor(false))), ("online".into(), "offline".into()));
    }

    #[test]
    fn an_output_says_who_and_why() {
        let state = OutputState {
            output: OutputId::new("heater").unwrap(),
            level: Level::clamped(0.4),
            on: true,
            by: Some(Owner::new("controllers.warmth")),
            why: "controllers.warmth asks for 40 %".into(),
            because: None,
            confirmed: true,
            since: TIME,
        };
        assert_eq!(
            text(&Event::Output(state.clone())),
            r#"{"level":0.4,"on":true,"by":"controllers.warmth","since":"2026-11-21T08:33:20.250Z","why":"controllers.warmth asks for 40 %","confirmed":true}"#
        );
        assert!(text(&Event::Output(OutputState { by: None, ..state })).contains(r#""by":null"#));
    }

    #[test]
    fn a_controller_shows_its_terms() {
        let state = ControllerState {
            controller: ControllerId::new("warmth").unwrap(),
            mode: Mode::Automatic,
            setpoint: 24.0,
            input: Some(23.123_456_7),
            terms: Terms { p: 0.1, i: 0.25, d: -0.01 },
            output: 0.34,
        };
        assert_eq!(
            text(&Event::Controller(state)),
            r#"{"setpoint":24.0,"mode":"automatic","input":23.1235,"p":0.1,"i":0.25,"d":-0.01,"output":0.34}"#
        );
    }

    #[test]
    fn an_alarm_that_has_gone_is_nothing() {
        let alarm = |text: Option<&str>| {
            let (name, text) = ("sensors.air".into(), text.map(Into::into));
            Event::Alarm(Alarm { name, text, since: TIME, latched: true, acknowledged: false })
        };
        assert_eq!(
            text(&alarm(Some("gone"))),
            r#"{"text":"gone","since":"2026-11-21T08:33:20.250Z","latched":true,"acknowledged":false}"#
        );
        assert_eq!(text(&alarm(None)), "");
    }
}

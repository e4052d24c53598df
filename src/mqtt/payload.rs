//! What is published: small JSON objects, `online` and `offline`, and nothing at all for an alarm that has gone.

use super::commands::Outcome;
use crate::message::Event;
use crate::payload::{Alarm, CommandResult, Controller, Output, Reading, json};

/// The payload of the will, and of a sensor that is not there.
pub(super) const OFFLINE: &[u8] = b"offline";
/// The opposite.
pub(super) const ONLINE: &[u8] = b"online";

/// The event's payload.
pub(super) fn of(event: &Event) -> Vec<u8> {
    match event {
        Event::Reading(reading) => json(&Reading::from(reading)),
        Event::Sensor(state) => if state.online { ONLINE } else { OFFLINE }.to_vec(),
        Event::Output(state) => json(&Output::from(state)),
        Event::Controller(state) => json(&Controller::from(state)),
        // An empty retained payload makes the broker forget the topic.
        Event::Alarm(alarm) => Alarm::standing(alarm).map_or_else(Vec::new, |alarm| json(&alarm)),
        Event::Gone(_) => Vec::new(),
    }
}

/// What became of a command.
pub(super) fn result(outcome: &Outcome) -> Vec<u8> {
    let (result, why) = match outcome {
        Outcome::Accepted => ("accepted", None),
        Outcome::Done => ("done", None),
        Outcome::Given(what) => ("done", Some(what.as_str())),
        Outcome::Rejected(why) => ("rejected", Some(why.as_str())),
        Outcome::Expired(why) => ("expired", Some(why.as_str())),
    };
    json(&CommandResult { result: result.into(), why: why.map(Into::into) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::message::{Alarm, ControllerState, Mode, OutputState, SensorState};
    use crate::model::{
        Because, ChannelId, ControllerId, Level, Monotonic, OutputId, Owner, Quantity, Reading, Sample, SensorId,
        Terms, Timestamp,
    };

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
            limit: None,
            because: None,
            confirmed: true,
            since: TIME,
        };
        assert_eq!(
            text(&Event::Output(state.clone())),
            r#"{"level":0.4,"on":true,"by":"controllers.warmth","since":"2026-11-21T08:33:20.250Z","why":"controllers.warmth asks for 40 %","confirmed":true}"#
        );
        assert!(text(&Event::Output(OutputState { by: None, ..state.clone() })).contains(r#""by":null"#));
        let limited = OutputState { why: "min_off".into(), limit: Some("min_off".into()), ..state.clone() };
        assert!(text(&Event::Output(limited)).contains(r#""why":"min_off","limit":"min_off","confirmed""#));
        let input = ChannelId::parse("air.temperature").unwrap();
        let terms = Terms { p: 0.319, i: 0.081, d: -0.0 };
        let because = Some(Arc::new(Because { input, value: 21.34, seq: 81734, setpoint: 24.0, terms }));
        assert!(text(&Event::Output(OutputState { because, ..state })).ends_with(
            r#""because":"air.temperature is 21.34 (reading 81734), aiming at 24.00: p +0.319, i +0.081, d -0.000","confirmed":true}"#
        ));
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

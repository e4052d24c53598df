//! The answers: what the shared tables hold at this moment, as JSON. Nothing here waits, but for a reload and for a flush.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Path};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::State;
use super::failure::Failure;
use crate::bus::{NotCalibrated, Past};
use crate::message::{self, ControllerState};
use crate::model::{ChannelId, ControllerId, OutputId, Reading, SensorId, Timestamp};
use crate::payload::{
    self, Acknowledged, Calibrate, Calibrated, Counts, Dose, Flushed, Reloaded, RestsOn, Sensor, Status, Store, Why,
    json,
};
use crate::supervisor::Stage;

/// A reload begins drivers, which have deadlines of their own; this is for the case that they fail.
const LONGEST_RELOAD: Duration = Duration::from_secs(60);

/// SD cards do pause for seconds.
const LONGEST_FLUSH: Duration = Duration::from_secs(10);

type Answer = Result<HttpResponse, Failure>;

pub(super) async fn status(state: Data<State>) -> Answer {
    let now = Now::take(&state);
    let (time, uptime) = (state.clock.wall(), state.clock.now().since_start());
    let millis = i64::try_from(uptime.as_millis()).unwrap_or(i64::MAX);
    let (sensors, alarms) = (now.sensors(), now.alarms());
    ok(&Status {
        node: (&*state.node).into(),
        version: env!("CARGO_PKG_VERSION").into(),
        hardware: state.hardware.into(),
        stage: match &*state.stage.borrow() {
            Stage::Starting => "starting".into(),
            Stage::Running => "running".into(),
            Stage::Stopped => "stopped".into(),
            Stage::Failed(why) => format!("failed: {why}").into(),
        },
        config: state.config.to_string_lossy(),
        time,
        // Not what the clock said then: a Pi often begins in the past.
        since: Timestamp::from_millis(time.as_millis().saturating_sub(millis)),
        uptime: uptime.as_secs(),
        counts: Counts {
            sensors: sensors.len(),
            online: sensors.values().filter(|sensor| sensor.online).count(),
            outputs: now.outputs.len(),
            controllers: now.controllers.len(),
            alarms: alarms.len(),
            unacknowledged: alarms.values().filter(|alarm| !alarm.acknowledged).count(),
        },
        sensors,
        outputs: now.outputs(),
        controllers: now.controllers(),
        alarms,
        store: Store {
            file: state.store.file().to_string_lossy(),
            waiting: state.store.waiting(),
            lost: state.store.lost(),
        },
        dropped: state.bus.dropped(),
    })
}

pub(super) async fn sensors(state: Data<State>) -> Answer {
    ok(&Now::take(&state).sensors())
}

pub(super) async fn sensor(state: Data<State>, name: Path<String>) -> Answer {
    one("sensor", &name, &Now::take(&state).sensors())
}

pub(super) async fn outputs(state: Data<State>) -> Answer {
    ok(&Now::take(&state).outputs())
}

pub(super) async fn output(state: Data<State>, name: Path<String>) -> Answer {
    one("output", &name, &Now::take(&state).outputs())
}

pub(super) async fn controllers(state: Data<State>) -> Answer {
    ok(&Now::take(&state).controllers())
}

pub(super) async fn controller(state: Data<State>, name: Path<String>) -> Answer {
    one("controller", &name, &Now::take(&state).controllers())
}

pub(super) async fn alarms(state: Data<State>) -> Answer {
    ok(&Now::take(&state).alarms())
}

pub(super) async fn alarm(state: Data<State>, name: Path<String>) -> Answer {
    one("alarm", &name, &Now::take(&state).alarms())
}

pub(super) async fn why(state: Data<State>, name: Path<String>) -> Answer {
    let outputs = state.bus.outputs();
    let Some((id, past)) = outputs.iter().find(|(id, _)| id.as_str() == *name) else {
        return Err(Failure::no_such("output", &name, outputs.keys().map(OutputId::as_str)));
    };
    // Without a demand, the last one that rested on something tells who has fallen silent, and over what.
    let now = Some(&past.now).filter(|now| now.by.is_some());
    let demand = now.into_iter().chain(past.changes().filter(|_| now.is_none())).find_map(|state| {
        let (by, because) = state.by.as_ref().zip(state.because.as_deref())?;
        Some((by.as_str(), because))
    });
    let reading = demand.and_then(|(_, because)| state.bus.latest(&because.input));
    let controllers = state.bus.controllers();
    let controller = demand.and_then(|(by, _)| {
        let name = by.strip_prefix("controllers.")?;
        controllers.iter().find(|(id, _)| id.as_str() == name).map(|(_, state)| state)
    });
    ok(&Why {
        output: id.as_str().into(),
        time: state.clock.wall(),
        now: present(past),
        rests_on: demand.map(|(by, because)| RestsOn::new(by, because)),
        reading: reading.as_ref().map(payload::Reading::from),
        controller: controller.map(payload::Controller::from),
        before: past.before().map(payload::Output::from).collect(),
    })
}

/// What acts takes the body too, though nothing is in it: then a request that is broken off or broken has no effect.
pub(super) async fn acknowledge(state: Data<State>, name: Path<String>, _whole: Bytes) -> Answer {
    let standing = state.alarms.standing_now();
    if state.alarms.acknowledge(&name).is_err() {
        return Err(Failure::no_such("alarm", &name, standing.iter().map(|alarm| &*alarm.name)));
    }
    let stands = state.alarms.standing_now().iter().any(|alarm| *alarm.name == **name);
    ok(&Acknowledged { alarm: name.as_str().into(), stands })
}

pub(super) async fn set(state: Data<State>, name: Path<String>, body: Bytes) -> Answer {
    let known = state.bus.outputs();
    if !known.keys().any(|id| id.as_str() == *name) {
        return Err(Failure::no_such("output", &name, known.keys().map(OutputId::as_str)));
    }
    match state.commands.set(name.into_inner(), body.to_vec()).await {
        Ok(now) => ok(&payload::Output::from(&now)),
        Err(error) => {
            let hint = "`homeostat drivers` and its table tell what it can, `homeostat why` what it does now";
            Err(Failure::new(StatusCode::CONFLICT, error, hint))
        }
    }
}

pub(super) async fn dose(state: Data<State>, name: Path<String>) -> Answer {
    let none = || {
        let error = format!("{name} was given no dose by hand since the start");
        Failure::new(StatusCode::NOT_FOUND, error, "`homeostat set pump 5ml` gives one")
    };
    ok(&Dose::from(&state.commands.dosed(&name).ok_or_else(none)?))
}

pub(super) async fn calibrate(state: Data<State>, name: Path<String>, body: Bytes) -> Answer {
    let Some(calibrator) = state.bus.calibrator(&name) else {
        let _known = one("sensor", &name, &Now::take(&state).sensors())?;
        let error = format!("sensor {name}: it is computed or heard over MQTT, and has no chip here to calibrate");
        return Err(Failure::new(StatusCode::CONFLICT, error, NotCalibrated::NoSteps.next()));
    };
    let Calibrate { step } = read(&body, "{\"step\": [\"mid\", \"7.00\"]}")?;
    match calibrator(step).await {
        Ok(answer) => ok(&Calibrated { answer: answer.into() }),
        Err(error) => {
            let status = match error {
                NotCalibrated::NoSteps => StatusCode::CONFLICT,
                NotCalibrated::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            Err(Failure::new(status, format!("sensor {name}: {error}"), error.next()))
        }
    }
}

/// The body of a request.
fn read<T: DeserializeOwned>(body: &Bytes, example: &str) -> Result<T, Failure> {
    let wrong = |error| Failure::new(StatusCode::BAD_REQUEST, format!("the body: {error}"), format!("write {example}"));
    serde_json::from_slice(body).map_err(wrong)
}

pub(super) async fn reload(state: Data<State>, _whole: Bytes) -> Answer {
    match timeout(LONGEST_RELOAD, state.commands.reload()).await {
        Ok(Ok(summary)) => ok(&Reloaded { summary: summary.into() }),
        Ok(Err(refused)) => Err(Failure::new(StatusCode::CONFLICT, refused.text, refused.hint)),
        Err(_) => {
            let error = format!("the reload has not ended after {} s", LONGEST_RELOAD.as_secs());
            Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, error, "look into the log"))
        }
    }
}

pub(super) async fn flush(state: Data<State>) -> Answer {
    let failed = |error: String| {
        let hint = "what was written before can be read; ask again when the disk is well";
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, error, hint)
    };
    match timeout(LONGEST_FLUSH, state.store.flush()).await {
        Ok(Ok(())) => {
            let file = std::path::absolute(state.store.file()).unwrap_or_else(|_| state.store.file().to_owned());
            ok(&Flushed { file: file.to_string_lossy() })
        }
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => Err(failed(format!("the disk has not taken it within {} s", LONGEST_FLUSH.as_secs()))),
    }
}

/// The tables as they were at one moment, for the answers to borrow from.
struct Now {
    online: BTreeMap<SensorId, bool>,
    readings: BTreeMap<ChannelId, Reading>,
    outputs: BTreeMap<OutputId, Past>,
    controllers: BTreeMap<ControllerId, ControllerState>,
    alarms: Vec<message::Alarm>,
}

type Named<'a, T> = BTreeMap<Cow<'a, str>, T>;

impl Now {
    fn take(state: &State) -> Self {
        Self {
            online: state.bus.sensors(),
            readings: state.bus.readings(),
            outputs: state.bus.outputs(),
            controllers: state.bus.controllers(),
            alarms: state.alarms.standing_now(),
        }
    }

    fn sensors(&self) -> Named<'_, Sensor<'_>> {
        let known = |(id, online): (&'_ SensorId, &bool)| (id.as_str().to_owned(), *online);
        let mut sensors: Named<'_, Sensor<'_>> = self
            .online
            .iter()
            .map(known)
            .map(|(id, online)| (id.into(), Sensor { online, ..Sensor::default() }))
            .collect();
        for (id, reading) in &self.readings {
            let sensor = sensors.entry(id.sensor().into()).or_default();
            sensor.channels.insert(id.channel().into(), reading.into());
        }
        sensors
    }

    fn outputs(&self) -> Named<'_, payload::Output<'_>> {
        self.outputs.iter().map(|(id, past)| (id.as_str().into(), present(past))).collect()
    }

    fn controllers(&self) -> Named<'_, payload::Controller<'_>> {
        self.controllers.iter().map(|(id, state)| (id.as_str().into(), state.into())).collect()
    }

    fn alarms(&self) -> Named<'_, payload::Alarm<'_>> {
        let standing = |alarm| payload::Alarm::standing(alarm);
        self.alarms.iter().filter_map(|alarm| Some(((&*alarm.name).into(), standing(alarm)?))).collect()
    }
}

/// How an output is, since its last change: a level that follows the weather is not a new state to a person.
fn present(past: &Past) -> payload::Output<'_> {
    payload::Output { since: past.since(), ..payload::Output::from(&past.now) }
}

fn one<T: Serialize>(what: &str, name: &str, all: &Named<'_, T>) -> Answer {
    match all.get(name) {
        Some(found) => ok(found),
        None => Err(Failure::no_such(what, name, all.keys().map(|name| &**name))),
    }
}

fn ok(payload: &impl Serialize) -> Answer {
    Ok(HttpResponse::Ok().content_type("application/json").body(json(payload)))
}

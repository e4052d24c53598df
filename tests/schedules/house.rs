//! The house that the schedules happen to: three buses, outputs with every limit, and controllers between them.

use std::sync::LazyLock;
use std::time::Duration;

use homeostat::hardware::simulated::Actuator;
use homeostat::model::{Claim, Level};
use homeostat::outputs::guard::Limits;

use crate::common;

/// Sensors read seldom, so that many schedules fit into a minute.
pub const TEXT: &str = r#"
    [node]
    name = "house"
    hardware = "simulated"

    [store]
    flush = "30s"

    # Two on one bus …
    [sensors.air]
    driver = "bme280"
    bus = 1
    address = 0x76
    every = "10s"

    [sensors.soil]
    driver = "ads1115"
    bus = 1
    address = 0x48
    input = 0
    moisture = { dry = 2.8, wet = 1.1 }
    every = "20s"

    # … and two on buses of their own.
    [sensors.tank]
    driver = "ds18b20"
    id = "28-0316a2795cff"
    every = "10s"

    [sensors.loft]
    driver = "bme280"
    bus = 3
    address = 0x76
    every = "20s"

    [outputs.heater]
    driver = "gpio"
    pin = 17
    active = "low"
    cycle = "20s"
    min_on = "2s"
    min_off = "2s"

    [outputs.compressor]
    driver = "gpio"
    pin = 22
    cycle = "5m"
    min_on = "45s"
    min_off = "90s"
    max_on = "15m"

    # Whatever asks for water, it never gets more than this at once.
    [outputs.doser]
    driver = "gpio"
    pin = 23
    min_off = "2m"
    max_on = "20s"

    [outputs.relay]
    driver = "gpio"
    pin = 27
    min_on = "30s"
    min_off = "20s"
    max_on = "3m"

    [outputs.fan]
    driver = "pwm"
    channel = 0
    safe = "30%"

    # Nothing but people move it, and nothing holds it back: what it must be at is known at every moment.
    [outputs.lamp]
    driver = "pwm"
    channel = 1

    [controllers.warmth]
    kind = "pid"
    input = "air.temperature"
    raise = "heater"
    setpoint = 22.0
    kp = 0.1
    ki = 0.0002
    stale_after = "25s"

    [controllers.cold]
    kind = "pid"
    input = "tank.temperature"
    lower = "compressor"
    setpoint = 18.0
    kp = 0.15
    stale_after = "25s"

    [controllers.draught]
    kind = "pid"
    input = "loft.temperature"
    lower = "fan"
    setpoint = 19.0
    kp = 0.2
    stale_after = "50s"

    [simulation.plants.house]
    kind = "room"
    initial = 20.0
    outdoor = 16.0
    heat_capacity = 3e5
    heat_loss = 80.0
    heater = { output = "heater", power = 1000.0 }

    [simulation.plants.bed]
    kind = "soil"
    room = "house"
    moisture = 45

    [simulation.probes]
    air = { plant = "house", noise = 0.05 }
    tank = { plant = "house", noise = 0.05 }
    loft = { plant = "house", noise = 0.05 }
    soil = "bed"
"#;

/// What the auditor may know of the house: its configuration.
pub struct House {
    pub sensors: Vec<Sensor>,
    pub outputs: Vec<Output>,
    pub controllers: Vec<Controller>,
    pub flush: Duration,
}

pub struct Sensor {
    pub name: String,
    pub claim: Claim,
    /// Its bus: whoever hangs on it holds up all others there.
    pub lane: String,
    pub every: Duration,
    pub channels: Vec<String>,
}

pub struct Output {
    pub name: String,
    pub claim: Claim,
    pub lane: String,
    pub actuator: Actuator,
    pub safe: Level,
    pub limits: Limits,
}

pub struct Controller {
    pub name: String,
    pub input: String,
    /// The outputs it moves.
    pub moves: Vec<String>,
    pub stale_after: Duration,
}

pub static HOUSE: LazyLock<House> = LazyLock::new(|| {
    let config = common::house(TEXT);
    let sensors = config.sensors.iter().map(|sensor| Sensor {
        name: sensor.id.as_str().to_owned(),
        claim: sensor.device.claims().remove(0),
        lane: sensor.device.lane(),
        every: sensor.every,
        channels: sensor.device.channels().iter().map(|channel| format!("{}.{}", sensor.id, channel.name)).collect(),
    });
    let outputs = config.outputs.iter().map(|output| Output {
        name: output.id.as_str().to_owned(),
        claim: output.device.claims().remove(0),
        lane: output.device.lane(),
        actuator: output.device.actuator(),
        safe: output.limits.safe,
        limits: output.limits.clone(),
    });
    let controllers = config.controllers.iter().map(|controller| Controller {
        name: controller.id.as_str().to_owned(),
        input: controller.input.as_str().to_owned(),
        moves: [&controller.raise, &controller.lower].into_iter().flatten().map(|id| id.as_str().to_owned()).collect(),
        stale_after: controller.stale_after,
    });
    House {
        sensors: sensors.collect(),
        outputs: outputs.collect(),
        controllers: controllers.collect(),
        flush: config.store.flush,
    }
});

impl House {
    pub fn output(&self, name: &str) -> &Output {
        self.outputs.iter().find(|output| output.name == name).unwrap()
    }
}

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

    [sensors.both]
    driver = "redundant"
    inputs = ["air.temperature", "tank.temperature"]
    policy = "failover"

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

    # A dosing pump: two minutes a day are soon used up.
    [outputs.feeder]
    driver = "gpio"
    pin = 24
    min_off = "5s"
    max_on = { "40s" = "at once", "80s" = "per hour", "2m" = "per day" }

    [outputs.circulation]
    driver = "gpio"
    pin = 26

    # It starts seldom, and never without circulation.
    [outputs.chiller]
    driver = "gpio"
    pin = 25
    min_off = "5s"
    max_starts = "5 per hour"
    only_while = ["circulation"]

    # A motor with a relay for each way.
    [outputs.open]
    driver = "gpio"
    pin = 5
    never_with = ["close"]

    [outputs.close]
    driver = "gpio"
    pin = 6

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
    # The fan of this house does nothing, and sooner or later that is noticed.
    watch = { gain = 2.0, within = "5m" }

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
    /// The channels of sensors that compute.
    pub computed: Vec<String>,
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
    /// Those that must be on while it is.
    pub only_while: Vec<String>,
    /// Those that it is never on with.
    pub never_with: Vec<String>,
}

/// A changed configuration: what stands in the place of what, and which parts that touches (`outputs.fan`).
pub struct Variant {
    pub name: &'static str,
    pub edits: &'static [(&'static str, &'static str)],
    pub touches: &'static [&'static str],
    pub refused: bool,
}

/// The first is the file as it stands in [`TEXT`]. Those that change a limit make it stricter, so that what holds for the whole
/// schedule is the limit of [`TEXT`].
pub const VARIANTS: &[Variant] = &[
    Variant { name: "as at first", edits: &[], touches: &[], refused: false },
    Variant {
        name: "gains and a setpoint",
        edits: &[("kp = 0.1\n", "kp = 0.12\n"), ("setpoint = 22.0", "setpoint = 21.5")],
        touches: &["controllers.warmth"],
        refused: false,
    },
    Variant {
        name: "an interval",
        edits: &[("every = \"20s\"\n\n    [sensors.both]", "every = \"25s\"\n\n    [sensors.both]")],
        touches: &["sensors.loft"],
        refused: false,
    },
    Variant {
        name: "stricter limits",
        edits: &[("max_on = \"3m\"", "max_on = \"2m\""), ("80s", "70s"), ("5 per hour", "4 per hour")],
        touches: &["outputs.relay", "outputs.feeder", "outputs.chiller"],
        refused: false,
    },
    Variant { name: "another pin", edits: &[("pin = 27", "pin = 16")], touches: &["outputs.relay"], refused: false },
    Variant {
        name: "an output and a controller more",
        edits: &[(
            "[simulation.plants.house]",
            "[outputs.spare]\ndriver = \"gpio\"\npin = 12\ncycle = \"20s\"\n[controllers.humid]\nkind = \"pid\"\ninput = \"loft.humidity\"\n\
             raise = \"spare\"\nsetpoint = 99\nkp = 0.1\n[simulation.plants.house]",
        )],
        touches: &["outputs.spare", "controllers.humid"],
        refused: false,
    },
    Variant {
        name: "an output less",
        edits: &[(
            "[outputs.doser]\n    driver = \"gpio\"\n    pin = 23\n    min_off = \"2m\"\n    max_on = \"20s\"\n",
            "",
        )],
        touches: &["outputs.doser"],
        refused: false,
    },
    Variant {
        name: "a sensor less",
        edits: &[
            (
                "[sensors.soil]\n    driver = \"ads1115\"\n    bus = 1\n    address = 0x48\n    input = 0\n    \
                 moisture = { dry = 2.8, wet = 1.1 }\n    every = \"20s\"\n",
                "",
            ),
            ("    soil = \"bed\"\n", ""),
        ],
        touches: &["sensors.soil"],
        refused: false,
    },
    Variant {
        name: "no interlocks",
        edits: &[("only_while = [\"circulation\"]", ""), ("never_with = [\"close\"]", "")],
        touches: &["outputs.chiller", "outputs.open", "outputs.close"],
        refused: false,
    },
    Variant {
        name: "what needs a restart",
        edits: &[("flush = \"30s\"", "flush = \"30s\"\n    path = \"other.db\""), ("pin = 27", "pin = 16")],
        touches: &[],
        refused: true,
    },
];

/// The text of a variant.
pub fn varied(variant: usize) -> String {
    VARIANTS[variant].edits.iter().fold(TEXT.to_owned(), |text, (old, new)| {
        assert_eq!(text.matches(old).count(), 1, "{old}");
        text.replace(old, new)
    })
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
        actuator: output.device.actuator().unwrap(),
        safe: output.limits.safe,
        limits: output.limits.clone(),
        only_while: output.interlocks.only_while.iter().map(|id| id.as_str().to_owned()).collect(),
        never_with: output.interlocks.never_with.iter().map(|id| id.as_str().to_owned()).collect(),
    });
    let computed = config.computed.iter().map(|sensor| format!("{}.{}", sensor.id, sensor.formula.channel().name));
    let computed = computed.collect();
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
        computed,
        flush: config.store.flush,
    }
});

impl House {
    /// All channels there are.
    pub fn channels(&self) -> impl Iterator<Item = &String> {
        self.sensors.iter().flat_map(|sensor| &sensor.channels).chain(&self.computed)
    }

    pub fn output(&self, name: &str) -> &Output {
        self.outputs.iter().find(|output| output.name == name).unwrap()
    }
}

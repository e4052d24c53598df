//! What several tests let a daemon keep.

#![allow(dead_code, unused_imports, unused_macros, reason = "each test uses what it needs")]

/// A sensor, an output and a controller between them: enough for a process to be one. It writes when it stops.
pub const CLOSET: &str = r#"
[node]
name = "closet"
hardware = "simulated"

[store]
flush = "1h"

[sensors.rack]
driver = "ds18b20"
id = "28-0316a2795cff"
every = "100ms"

[outputs.fan]
driver = "gpio"
pin = 17
cycle = "10s"

[controllers.cooling]
kind = "pid"
input = "rack.temperature"
lower = "fan"
setpoint = 15.0
kp = 0.1
"#;

/// A world around sensors and outputs in which nothing happens by itself: a large room, as warm as it is outside. To be put behind
/// other text by `concat!`.
macro_rules! room {
    () => {
        r#"
[simulation.plants.house]
kind = "room"
initial = 20.0
outdoor = 20.0
heat_capacity = 1e6
heat_loss = 50.0
"#
    };
}
pub(crate) use room;

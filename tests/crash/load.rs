//! What the house that dies has to do.

use super::houses::room;

/// Three sensors at 20 Hz; a heater in pulses, a pump with a budget, a compressor that must rest.
const LOAD: &str = concat!(
    r#"
[node]
name = "house"
hardware = "simulated"

[store]
flush = "500ms"

[mqtt]
broker = "mqtt://127.0.0.1:PORT"

[sensors.air]
driver = "bme280"
every = "50ms"

[sensors.tank]
driver = "ds18b20"
id = "28-0316a2795cff"
every = "50ms"

[sensors.box]
driver = "bme280"
bus = 3
every = "50ms"

[outputs.heater]
driver = "gpio"
pin = 17
cycle = "1s"

[outputs.pump]
driver = "gpio"
pin = 27
max_on = { "20s" = "per hour" }
cycle = "2s"

[outputs.compressor]
driver = "gpio"
pin = 22
min_off = "1500ms"
cycle = "4s"

[controllers.warmth]
kind = "pid"
input = "air.temperature"
raise = "heater"
setpoint = 30.0
kp = 0.05
stale_after = "1s"

[controllers.flow]
kind = "pid"
input = "tank.temperature"
raise = "pump"
setpoint = 30.0
kp = 0.05
stale_after = "1s"

[controllers.cold]
kind = "pid"
input = "box.temperature"
lower = "compressor"
setpoint = 10.0
kp = 0.05
stale_after = "1s"

[simulation]
pins = "../pins.log"
"#,
    room!()
);

/// The same house at this broker.
pub fn at_broker(port: u16) -> String {
    LOAD.replace("PORT", &port.to_string())
}

/// The same house without a broker.
pub fn alone() -> String {
    LOAD.replace("[mqtt]\nbroker = \"mqtt://127.0.0.1:PORT\"\n", "")
}

//! The first lines of `homeostat run`: what runs, where things are, and how to look.

use std::fmt::Write;
use std::path::Path;

use crate::config::{Config, HardwareKind};
use crate::mqtt::Broker;
use crate::outputs::Resolution;

/// What a person sees first.
pub fn banner(config: &Config, state: &Path) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(config, state, &mut text);
    text
}

/// One line for systemd.
pub fn summary(config: &Config) -> String {
    format!(
        "{}: {}, {}, {}",
        config.node.name,
        counted(config.sensors.len() + config.computed.len(), "sensor"),
        counted(config.outputs.len(), "output"),
        counted(config.controllers.len(), "controller"),
    )
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn write(config: &Config, state: &Path, text: &mut String) -> std::fmt::Result {
    let hardware = match config.node.hardware {
        HardwareKind::Simulated => "simulated hardware",
        HardwareKind::RaspberryPi => "Raspberry Pi",
        HardwareKind::Linux => "Linux board",
    };
    writeln!(text, "homeostat {} keeps {} on {hardware}\n", env!("CARGO_PKG_VERSION"), config.node.name)?;
    for sensor in &config.sensors {
        let channels: Vec<&str> = sensor.device.channels().iter().map(|channel| channel.name).collect();
        let (id, driver) = (sensor.id.as_str(), sensor.driver);
        writeln!(text, "  sensor      {id:<10} {driver}, every {:?}: {}", sensor.every, channels.join(", "))?;
    }
    for sensor in &config.computed {
        let inputs: Vec<&str> = sensor.inputs.iter().map(|input| input.id.as_str()).collect();
        let (id, driver, channel) = (sensor.id.as_str(), sensor.driver, sensor.formula.channel().name);
        writeln!(text, "  sensor      {id:<10} {driver}: {channel} from {}", inputs.join(", "))?;
    }
    for output in &config.outputs {
        let (id, driver, limits) = (output.id.as_str(), output.driver, &output.limits);
        let cycle = match (limits.resolution, limits.cycle) {
            (Resolution::Switch, Some(cycle)) => format!(", in cycles of {cycle:?}"),
            _ => String::new(),
        };
        writeln!(text, "  output      {id:<10} {driver}{cycle}, rests at {}", limits.safe)?;
    }
    for controller in &config.controllers {
        let (id, input) = (controller.id.as_str(), &controller.input);
        let ways = [("raised by", &controller.raise), ("lowered by", &controller.lower)];
        let ways: Vec<String> =
            ways.iter().filter_map(|(how, output)| output.as_ref().map(|output| format!("{how} {output}"))).collect();
        writeln!(text, "  controller  {id:<10} {input} to {}, {}", controller.setpoint, ways.join(", "))?;
    }
    writeln!(text, "\n  database    {}", state.join(&config.store.path).display())?;
    match config.mqtt.as_ref().map(|mqtt| &mqtt.broker) {
        None => writeln!(text, "  broker      none: there is no [mqtt] in the configuration")?,
        Some(Broker::Embedded { port }) => {
            writeln!(text, "  broker      in this process, mqtt://127.0.0.1:{port}")?;
            writeln!(text, "  look        mosquitto_sub -p {port} -t 'homeostat/{}/#' -v", config.node.name)?;
        }
        Some(remote @ Broker::Remote { tls: true, .. } | remote @ Broker::Remote { websocket: Some(_), .. }) => {
            writeln!(text, "  broker      {}", remote.url())?;
        }
        Some(remote @ Broker::Remote { host, port, .. }) => {
            writeln!(text, "  broker      {}", remote.url())?;
            writeln!(text, "  look        mosquitto_sub -h {host} -p {port} -t 'homeostat/{}/#' -v", config.node.name)?;
        }
    }
    if let Some(output) = config.outputs.first() {
        writeln!(text, "  ask         homeostat status, homeostat why {}", output.id)?;
    }
    writeln!(text, "  stop        Ctrl-C; outputs go to their safe levels first\n")
}

//! `homeostat calibrate SENSOR STEP…`: a step of the calibration that a sensor's own chip keeps, such as `mid 7.00` of a pH probe.

use std::io::{self, Write as _};
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::bench::{Place, ReadError, Reader, Whose, wait_for};
use super::client::encoded;
use super::database::Sorry;
use crate::bus::NotCalibrated;
use crate::payload::{Calibrate, Calibrated};

/// Longer than any device takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is to be done to which sensor.
#[derive(Debug, Args)]
pub struct Calibration {
    /// Its name
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    sensor: String,
    /// The step, in the words that `homeostat drivers DRIVER` gives
    #[arg(required = true)]
    step: Vec<String>,
    #[command(flatten)]
    whose: Whose,
}

/// Carries it out, and prints what the device answered.
pub fn calibrate(Calibration { sensor, step, whose }: Calibration) -> Result<(), Sorry> {
    let answer = match Place::find(whose)? {
        Place::Daemon(client) => {
            let path = format!("sensors/{}/calibrate", encoded(&sensor));
            let done: Calibrated<'static> = client.post_with(&path, &Calibrate { step }, PATIENCE)?;
            done.answer.into_owned()
        }
        Place::Bench(bench) => {
            let reader = Reader::new(bench.sensor(&sensor)?.clone(), bench.hardware.clone());
            let work = reader.with(move |driver| {
                let words: Vec<&str> = step.iter().map(String::as_str).collect();
                driver.calibrate(&words)
            });
            wait_for(async { work.await.map_err(|error| not_done(&sensor, error)) })?
        }
    };
    let _ = writeln!(io::stdout(), "{answer}");
    Ok(())
}

/// As the daemon says it, and with the same exit code.
fn not_done(sensor: &str, error: ReadError) -> Sorry {
    let why = match error {
        ReadError::Driver(error) => NotCalibrated::from(error),
        ReadError::Lane(error) => NotCalibrated::Failed(error.to_string()),
    };
    let sorry = match why {
        NotCalibrated::NoSteps => Sorry::missing,
        NotCalibrated::Failed(_) => Sorry::failed,
    };
    sorry(format!("sensor {sensor}: {why}"), why.next())
}

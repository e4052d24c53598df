//! Who takes the steps of a calibration for a sensor, whatever life its actor is in.

use std::sync::Arc;

use super::{Config, DriverError, Running};
use crate::bus::{Calibrator, NotCalibrated};
use crate::hardware::lane::Lane;
use crate::panics::locked;

/// Carries out steps on the device of the life that runs, in its lane and within its deadline.
pub fn desk(config: &Config, lane: &Lane, running: &Running) -> Calibrator {
    let (lane, running, deadline) = (lane.clone(), running.clone(), config.device.deadline());
    let who: Arc<str> = format!("the calibration of {}", config.id).into();
    Arc::new(move |step| {
        let (lane, who, running) = (lane.clone(), who.clone(), running.clone());
        Box::pin(async move {
            let done = lane.run(&who, deadline, move || carry_out(&running, &step)).await;
            Ok(done.map_err(|error| NotCalibrated::Failed(error.to_string()))??)
        })
    })
}

impl From<DriverError> for NotCalibrated {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::NoCalibration => Self::NoSteps,
            error => Self::Failed(error.to_string()),
        }
    }
}

fn carry_out(running: &Running, step: &[String]) -> Result<String, DriverError> {
    let step: Vec<&str> = step.iter().map(String::as_str).collect();
    // Within the lane, where the driver may also be dropped.
    let device = locked(running).upgrade();
    let Some(device) = device else { return Err(closed()) };
    let mut place = locked(&device);
    match place.as_mut() {
        Some(driver) => driver.calibrate(&step),
        None => Err(closed()),
    }
}

fn closed() -> DriverError {
    DriverError::no_value("the sensor", "it is not open at the moment; `homeostat status` tells why")
}

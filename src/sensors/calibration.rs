//! Who takes the steps of a calibration for a sensor, whatever life its actor is in.

use std::sync::{Arc, Mutex};

use super::{Config, Device, DriverError};
use crate::bus::Calibrator;
use crate::hardware::lane::Lane;
use crate::panics::locked;

/// Carries out steps on the device of the life that runs, in its lane and within its deadline.
pub fn desk(config: &Config, lane: &Lane, running: &Arc<Mutex<Device>>) -> Calibrator {
    let (lane, running, deadline) = (lane.clone(), running.clone(), config.device.deadline());
    let who: Arc<str> = format!("the calibration of {}", config.id).into();
    Arc::new(move |step| {
        let (lane, who, device) = (lane.clone(), who.clone(), locked(&running).clone());
        Box::pin(async move {
            let done = lane.run(&who, deadline, move || carry_out(&device, &step)).await;
            done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        })
    })
}

fn carry_out(device: &Device, step: &[String]) -> Result<String, DriverError> {
    let step: Vec<&str> = step.iter().map(String::as_str).collect();
    match locked(device).as_mut() {
        Some(driver) => driver.calibrate(&step),
        None => Err(DriverError::no_value("it", "the sensor is not open at the moment; `homeostat status` tells why")),
    }
}

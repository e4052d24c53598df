//! The physics: a room that is heated and loses heat, and a soil that dries. Pure; SI units inside.

use crate::model::Quantity;

/// Something that outputs act on and sensors probe.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Plant {
    Room(Room),
    Soil(Soil),
}

/// Air in a house, with walls behind it if it has them.
///
/// `C·dT/dt = P·heater − (U + E·fan)·(T − outdoor) − K·(T − walls)` and `Cw·dTw/dt = K·(T − Tw)`
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Room {
    /// °C, of the air.
    pub temperature: f64,
    /// °C
    pub outdoor: f64,
    /// J/K, of the air and what warms with it.
    pub heat_capacity: f64,
    /// W/K, to the outdoors.
    pub heat_loss: f64,
    pub walls: Option<Walls>,
    /// hPa of water vapour. It stays, so the relative humidity falls as the air warms.
    pub vapour: f64,
    /// hPa
    pub pressure: f64,
}

/// The second order: a mass that the air warms.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Walls {
    /// °C
    pub temperature: f64,
    /// J/K
    pub heat_capacity: f64,
    /// W/K, between air and walls.
    pub coupling: f64,
}

/// Soil in a bed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Soil {
    /// %
    pub moisture: f64,
    /// % per second.
    pub dries: f64,
    /// °C
    pub temperature: f64,
}

/// How slowly soil follows the air above it, in seconds.
const SOIL_LAG: f64 = 3600.0;

impl Room {
    /// One step of `dt` seconds with `heat` watts put in and `exchange` W/K lost besides. Each mass goes exponentially
    /// towards its momentary equilibrium: exact without walls, and stable for every capacity and step.
    pub fn step(&mut self, dt: f64, heat: f64, exchange: f64) {
        let loss = self.heat_loss + exchange;
        let (coupling, wall) = self.walls.as_ref().map_or((0.0, 0.0), |walls| (walls.coupling, walls.temperature));
        let before = self.temperature;
        let conductance = loss + coupling;
        if conductance > 0.0 {
            let equilibrium = (heat + loss * self.outdoor + coupling * wall) / conductance;
            self.temperature = relax(before, equilibrium, dt * conductance / self.heat_capacity);
        } else {
            self.temperature += heat * dt / self.heat_capacity;
        }
        if let Some(walls) = &mut self.walls {
            let air = f64::midpoint(before, self.temperature);
            walls.temperature = relax(walls.temperature, air, dt * walls.coupling / walls.heat_capacity);
        }
    }

    /// % relative humidity.
    fn humidity(&self) -> f64 {
        (100.0 * self.vapour / saturation(self.temperature)).clamp(1.0, 100.0)
    }
}

impl Soil {
    /// One step of `dt` seconds with `water` % per second put in, under air of `air` °C.
    pub fn step(&mut self, dt: f64, water: f64, air: Option<f64>) {
        self.moisture = (self.moisture + (water - self.dries) * dt).clamp(0.0, 100.0);
        if let Some(air) = air {
            self.temperature = relax(self.temperature, air, dt / SOIL_LAG);
        }
    }
}

impl Plant {
    /// What is true, in the quantity's unit; `None` for what this plant has nothing of.
    pub fn truth(&self, quantity: Quantity) -> Option<f64> {
        match (self, quantity) {
            (Self::Room(room), Quantity::Temperature) => Some(room.temperature),
            (Self::Room(room), Quantity::Humidity) => Some(room.humidity()),
            (Self::Room(room), Quantity::Pressure) => Some(room.pressure),
            (Self::Soil(soil), Quantity::Temperature) => Some(soil.temperature),
            (Self::Soil(soil), Quantity::Moisture) => Some(soil.moisture),
            _ => None,
        }
    }
}

/// A value that goes to `target`, after `time` time constants.
pub(super) fn relax(value: f64, target: f64, time: f64) -> f64 {
    target + (value - target) * (-time).exp()
}

/// Saturation vapour pressure over water in hPa (Magnus, with the coefficients of the WMO's CIMO guide).
pub(super) fn saturation(celsius: f64) -> f64 {
    6.112 * (17.62 * celsius / (243.12 + celsius)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Room {
        Room {
            temperature: 5.0,
            outdoor: 5.0,
            heat_capacity: 60_000.0,
            heat_loss: 50.0,
            walls: None,
            vapour: 0.7 * saturation(5.0),
            pressure: 1013.25,
        }
    }

    #[test]
    fn a_room_warms_as_the_first_order_equation_says_whatever_the_step() {
        for dt in [0.1, 1.0, 60.0] {
            let mut room = room();
            for _ in 0..(1200.0 / dt) as u32 {
                room.step(dt, 1000.0, 0.0);
            }
            // τ = C/U = 1200 s, so after 1200 s it has gone 1 − 1/e of the way to outdoor + P/U = 25 °C.
            assert!((room.temperature - (5.0 + 20.0 * (1.0 - (-1.0f64).exp()))).abs() < 1e-9, "{dt}: {room:?}");
        }
    }

    #[test]
    fn walls_slow_a_room_down_and_leave_it_where_it_ends() {
        let mut plain = room();
        let mut walled = room();
        walled.walls = Some(Walls { temperature: 5.0, heat_capacity: 200_000.0, coupling: 40.0 });
        for _ in 0..1800 {
            plain.step(1.0, 1000.0, 0.0);
            walled.step(1.0, 1000.0, 0.0);
        }
        assert!(walled.temperature < plain.temperature - 2.0);
        for _ in 0..200_000 {
            walled.step(1.0, 1000.0, 0.0);
        }
        assert!((walled.temperature - 25.0).abs() < 1e-3);
    }

    #[test]
    fn no_capacity_and_no_loss_makes_it_leave_the_numbers() {
        let mut light = Room { heat_capacity: 1e-6, ..room() };
        light.step(1.0, 1000.0, 0.0);
        assert!((light.temperature - 25.0).abs() < 1e-9);
        let mut closed = Room { heat_loss: 0.0, ..room() };
        closed.step(60.0, 1000.0, 0.0);
        assert!((closed.temperature - 6.0).abs() < 1e-9);
    }

    #[test]
    fn warmer_air_is_drier_air() {
        let mut plant = room();
        assert!((plant.humidity() - 70.0).abs() < 1e-9);
        plant.temperature = 25.0;
        assert!((plant.humidity() - 19.3).abs() < 0.2);
    }

    #[test]
    fn soil_dries_to_nothing_and_takes_water_until_it_is_full() {
        let mut soil = Soil { moisture: 10.0, dries: 2.0 / 3600.0, temperature: 12.0 };
        soil.step(3600.0, 0.0, None);
        assert!((soil.moisture - 8.0).abs() < 1e-9);
        soil.step(1e6, 0.0, Some(24.0));
        assert_eq!(soil.moisture, 0.0);
        assert!((soil.temperature - 24.0).abs() < 1e-9);
        soil.step(1e6, 1.0, None);
        assert_eq!(soil.moisture, 100.0);
    }
}

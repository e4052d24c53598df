//! The state of the world and its way through time.
//!
//! It goes on a fixed grid of one second and stops between only where an output changes. Looking goes ahead on a copy.
//! So neither how often anybody looks nor in which order can change what happens.

use std::collections::BTreeMap;
use std::time::Duration;

use super::chip::Probe;
use super::config::{Config, EffectKind, PlantConfig, ProbeConfig};
use super::plant::{Plant, relax};
use crate::model::{Level, Monotonic, OutputId, Quantity};

const GRID: Duration = Duration::from_secs(1);

const QUANTITIES: [Quantity; 5] =
    [Quantity::Temperature, Quantity::Humidity, Quantity::Pressure, Quantity::Voltage, Quantity::Moisture];

/// What is felt where no plant has the quantity.
fn calm(quantity: Quantity) -> f64 {
    match quantity {
        Quantity::Temperature => 20.0,
        Quantity::Humidity | Quantity::Moisture => 50.0,
        Quantity::Pressure => 1013.25,
        Quantity::Voltage => 1.5,
        Quantity::CarbonDioxide | Quantity::EquivalentCarbonDioxide => 420.0,
        Quantity::GasIndex | Quantity::Saturation => 100.0,
        Quantity::AirQualityIndex => 1.0,
        Quantity::OrganicCompounds | Quantity::Share => 50.0,
        Quantity::Resistance => 50_000.0,
        Quantity::Illuminance | Quantity::Distance | Quantity::DataSize => 500.0,
        Quantity::Acidity => 7.0,
        Quantity::Conductivity => 1413.0,
        Quantity::DissolvedSolids => 700.0,
        Quantity::RedoxPotential => 225.0,
        Quantity::DissolvedOxygen => 9.1,
        Quantity::VapourPressureDeficit => 1.2,
        Quantity::AbsoluteHumidity => 8.6,
        Quantity::ParticlesPm1 | Quantity::ParticlesPm25 | Quantity::ParticlesPm10 => 5.0,
        _ => 0.0,
    }
}

pub(super) struct World {
    plants: Vec<PlantConfig>,
    probes: Vec<ProbeConfig>,
    seed: u64,
    at: Monotonic,
    state: State,
    levels: BTreeMap<OutputId, Level>,
    /// By number of the element.
    sensors: Vec<String>,
    noise: Vec<Noise>,
}

/// All that moves.
struct State {
    plants: Vec<Plant>,
    elements: Vec<Element>,
}

/// The sensing element of one sensor.
#[derive(Clone)]
struct Element {
    /// For each of [`QUANTITIES`] the plant it is in, if one has it.
    plants: [Option<usize>; QUANTITIES.len()],
    /// Seconds.
    lag: f64,
    values: [f64; QUANTITIES.len()],
}

struct Noise {
    deviation: f64,
    rng: fastrand::Rng,
}

impl World {
    pub fn new(config: Config, start: Monotonic) -> Self {
        let plants = config.plants.iter().map(|plant| plant.start.clone()).collect();
        Self {
            plants: config.plants,
            probes: config.probes,
            seed: config.seed,
            at: start,
            state: State { plants, elements: Vec::new() },
            levels: BTreeMap::new(),
            sensors: Vec::new(),
            noise: Vec::new(),
        }
    }

    /// Another configuration from now on. A plant whose start is the same goes on as it is; what else is new begins.
    pub fn rebuild(&mut self, config: Config, now: Monotonic) {
        let (plants, dt) = self.look(now);
        self.state.step(plants, dt);
        self.at = self.at.max(now);
        let as_it_is = |plant: &PlantConfig| {
            let old = self.plants.iter().position(|old| old.name == plant.name && old.start == plant.start)?;
            Some(self.state.plants[old].clone())
        };
        let begin = |plant: &PlantConfig| as_it_is(plant).unwrap_or_else(|| plant.start.clone());
        self.state.plants = config.plants.iter().map(begin).collect();
        (self.plants, self.probes, self.seed) = (config.plants, config.probes, config.seed);
        for number in 0..self.sensors.len() {
            let (plants, lag, deviation) = self.place(&self.sensors[number]);
            let element = &mut self.state.elements[number];
            (element.plants, element.lag) = (plants, lag);
            self.noise[number].deviation = deviation;
        }
    }

    /// Puts a sensor's element where the configuration wants it, and gives its number.
    pub fn add_element(&mut self, sensor: &str, now: Monotonic) -> usize {
        let (plants_now, _) = self.look(now);
        let (plants, lag, deviation) = self.place(sensor);
        let mut element = Element { plants, lag, values: [0.0; 5] };
        element.values = element.truths(&plants_now);
        self.state.elements.push(element);
        self.sensors.push(sensor.to_owned());
        self.noise.push(Noise { deviation, rng: fastrand::Rng::with_seed(mixed(self.seed, sensor)) });
        self.noise.len() - 1
    }

    /// Where a sensor is, how slowly it follows, and how much it trembles.
    fn place(&self, sensor: &str) -> ([Option<usize>; QUANTITIES.len()], f64, f64) {
        let probe = self.probes.iter().find(|probe| probe.sensor.as_str() == sensor);
        let own = probe.and_then(|probe| self.plants.iter().position(|plant| plant.name == probe.plant));
        let plants = QUANTITIES.map(|quantity| match own {
            Some(plant) => self.state.plants[plant].truth(quantity).map(|_| plant),
            None => first(&self.state.plants, quantity),
        });
        (plants, probe.map_or(0.0, |probe| probe.lag), probe.map_or(0.0, |probe| probe.noise))
    }

    /// What an element feels now.
    pub fn element(&mut self, number: usize, now: Monotonic) -> Feeling<'_> {
        let (plants, dt) = self.look(now);
        let mut element = self.state.elements[number].clone();
        element.step(dt, &plants);
        Feeling { values: element.values, noise: &mut self.noise[number] }
    }

    /// What is true in a plant; `None` for a plant or quantity that is not there.
    pub fn truth(&mut self, plant: &str, quantity: Quantity, now: Monotonic) -> Option<f64> {
        let number = self.plants.iter().position(|one| one.name == plant)?;
        self.look(now).0[number].truth(quantity)
    }

    /// An output acts at another level from now on.
    pub fn set_level(&mut self, output: &OutputId, level: Level, now: Monotonic) {
        if self.level(output) == level {
            return;
        }
        let (plants, dt) = self.look(now);
        self.state.step(plants, dt);
        self.at = self.at.max(now);
        self.levels.insert(output.clone(), level);
    }

    fn level(&self, output: &OutputId) -> Level {
        self.levels.get(output).copied().unwrap_or(Level::OFF)
    }

    /// The plants at `now`, and the seconds since the state that is kept, which is that at the last grid point: looking
    /// leaves no trace.
    fn look(&mut self, now: Monotonic) -> (Vec<Plant>, f64) {
        loop {
            let next = Monotonic::new(GRID * (whole_seconds(self.at) + 1));
            if next > now {
                break;
            }
            let dt = next.since(self.at).as_secs_f64();
            let plants = self.plants_after(dt);
            self.state.step(plants, dt);
            self.at = next;
        }
        let dt = now.since(self.at).as_secs_f64();
        (self.plants_after(dt), dt)
    }

    fn plants_after(&self, dt: f64) -> Vec<Plant> {
        let mut plants = self.state.plants.clone();
        if dt <= 0.0 {
            return plants;
        }
        for (number, config) in self.plants.iter().enumerate() {
            let effect = |kind| -> f64 {
                let of_kind = config.effects.iter().filter(|effect| effect.kind == kind);
                of_kind.map(|effect| effect.strength * self.level(&effect.output).get()).sum()
            };
            let air = config.room.as_ref().and_then(|room| {
                let room = self.plants.iter().position(|plant| plant.name == *room)?;
                plants[room].truth(Quantity::Temperature)
            });
            match &mut plants[number] {
                Plant::Room(room) => room.step(dt, effect(EffectKind::Heat), effect(EffectKind::Exchange)),
                Plant::Soil(soil) => soil.step(dt, effect(EffectKind::Water), air),
            }
        }
        plants
    }
}

impl State {
    /// To where the plants have come after `dt`.
    fn step(&mut self, plants: Vec<Plant>, dt: f64) {
        for element in &mut self.elements {
            element.step(dt, &plants);
        }
        self.plants = plants;
    }
}

impl Element {
    fn truths(&self, plants: &[Plant]) -> [f64; QUANTITIES.len()] {
        let mut truths = QUANTITIES.map(calm);
        for ((truth, quantity), plant) in truths.iter_mut().zip(QUANTITIES).zip(self.plants) {
            *truth = plant.and_then(|plant| plants[plant].truth(quantity)).unwrap_or(*truth);
        }
        truths
    }

    fn step(&mut self, dt: f64, plants: &[Plant]) {
        if dt <= 0.0 {
            return;
        }
        let truths = self.truths(plants);
        if self.lag > 0.0 {
            for (value, truth) in self.values.iter_mut().zip(truths) {
                *value = relax(*value, truth, dt / self.lag);
            }
        } else {
            self.values = truths;
        }
    }
}

/// What an element feels at one moment; each look has noise of its own.
pub(super) struct Feeling<'a> {
    values: [f64; QUANTITIES.len()],
    noise: &'a mut Noise,
}

impl Probe for Feeling<'_> {
    fn feel(&mut self, quantity: Quantity) -> f64 {
        let value = QUANTITIES
            .iter()
            .position(|one| *one == quantity)
            .map_or_else(|| calm(quantity), |number| self.values[number]);
        value + self.noise.deviation * gaussian(&mut self.noise.rng)
    }
}

/// The plant of a sensor that the configuration does not place: the first that has the quantity, rooms before soils.
fn first(plants: &[Plant], quantity: Quantity) -> Option<usize> {
    let has = |plant: &Plant| plant.truth(quantity).is_some();
    let room = plants.iter().position(|plant| matches!(plant, Plant::Room(_)) && has(plant));
    room.or_else(|| plants.iter().position(has))
}

fn whole_seconds(at: Monotonic) -> u32 {
    u32::try_from(at.since_start().as_secs()).unwrap_or(u32::MAX - 1)
}

/// A standard normal deviate (Box and Muller).
fn gaussian(rng: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

/// A seed for each name (FNV-1a), the same on every machine and with every compiler.
pub(super) fn mixed(seed: u64, name: &str) -> u64 {
    let bytes = seed.to_le_bytes().into_iter().chain(name.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::config::tests::read;
    use super::*;

    fn world(toml: &str) -> World {
        World::new(read(toml).0.unwrap(), Monotonic::default())
    }

    fn at(seconds: f64) -> Monotonic {
        Monotonic::new(Duration::from_secs_f64(seconds))
    }

    fn heater() -> OutputId {
        OutputId::new("heater").unwrap()
    }

    const HOUSE: &str = r#"
        [plants.house]
        kind = "room"
        initial = 8
        outdoor = 8
        heat_capacity = 60000
        heat_loss = 50
        walls = { heat_capacity = 200000, coupling = 40 }
        heater = { output = "heater", power = 1000 }
        [plants.bed]
        kind = "soil"
        moisture = 40
        dries = 2
        room = "house"
        [probes]
        air = { plant = "house", lag = "60s", noise = 0.1 }
        calm = { plant = "house", lag = "60s" }
    "#;

    #[test]
    fn an_element_follows_with_its_lag() {
        let mut world = world(
            r#"
            [plants.house]
            kind = "room"
            initial = 0
            outdoor = 20
            heat_capacity = 0.001
            heat_loss = 50
            [probes]
            slow = { plant = "house", lag = "60s" }
            "#,
        );
        let slow = world.add_element("slow", at(0.0));
        let felt = world.element(slow, at(60.0)).feel(Quantity::Temperature);
        assert!((felt - 20.0 * (1.0 - (-1.0f64).exp())).abs() < 1e-9, "{felt}");
    }

    #[test]
    fn noise_has_its_deviation_and_comes_from_seed_and_name_alone() {
        let series = |toml: &str, name: &str, others: usize| {
            let mut world = world(toml);
            for other in 0..others {
                let number = world.add_element(&format!("other{other}"), at(0.0));
                world.element(number, at(0.0)).feel(Quantity::Temperature);
            }
            let number = world.add_element(name, at(0.0));
            (0..2000).map(|_| world.element(number, at(0.0)).feel(Quantity::Temperature)).collect::<Vec<_>>()
        };
        let noisy = series(HOUSE, "air", 0);
        let mean = noisy.iter().sum::<f64>() / 2000.0;
        let deviation = (noisy.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2000.0).sqrt();
        assert!((mean - 8.0).abs() < 0.01 && (deviation - 0.1).abs() < 0.01, "{mean} ± {deviation}");
        assert_eq!(noisy, series(HOUSE, "air", 3));
        assert_ne!(noisy, series(&format!("seed = 2\n{HOUSE}"), "air", 0));
    }

    #[test]
    fn a_sensor_without_a_place_finds_one_that_fits() {
        let mut world = world(HOUSE);
        let number = world.add_element("unnamed", at(0.0));
        let mut feeling = world.element(number, at(3600.0));
        assert_eq!(feeling.feel(Quantity::Temperature), 8.0);
        assert!((feeling.feel(Quantity::Moisture) - 38.0).abs() < 1e-9);
        assert_eq!(feeling.feel(Quantity::Pressure), 1013.25);
        assert_eq!(feeling.feel(Quantity::Voltage), 1.5);
    }

    proptest! {
        #[test]
        fn looking_leaves_no_trace(looks in prop::collection::vec(0.0..4000.0f64, 0..30), switch in 0.0..2000.0f64) {
            let run = |looks: &[f64]| {
                let mut world = world(HOUSE);
                let number = world.add_element("calm", at(0.0));
                let (before, after): (Vec<f64>, Vec<f64>) = looks.iter().partition(|look| **look <= switch);
                for look in before {
                    world.element(number, at(look)).feel(Quantity::Temperature);
                }
                world.set_level(&heater(), Level::ON, at(switch));
                for look in after {
                    world.element(number, at(look)).feel(Quantity::Temperature);
                }
                let felt = world.element(number, at(4000.0)).feel(Quantity::Temperature);
                (felt, world.truth("house", Quantity::Temperature, at(4000.0)), world.truth("bed", Quantity::Temperature, at(4000.0)))
            };
            let mut looks = looks;
            looks.sort_by(f64::total_cmp);
            prop_assert_eq!(run(&looks), run(&[]));
        }
    }
}

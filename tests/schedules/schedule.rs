//! What happens in a schedule and when: drawn from a seed, in scenes, so that things often overlap on one device.
//!
//! To add a kind of event: a variant of [`Deed`], where [`draw`] draws it, and what `runner.rs` does with it.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use homeostat::message::Adjust;
use homeostat::model::{Priority, Wish};
use homeostat::store::disk::Fault;

use super::house::{HOUSE, VARIANTS};
use super::spans::Moment;

/// Until here things happen …
const BUSY: Duration = Duration::from_secs(110 * 60);
/// … and by here all is healed and every lease over. From then on it is quiet.
pub const QUIET: Duration = Duration::from_secs(112 * 60);
/// The end.
pub const LENGTH: Duration = Duration::from_secs(120 * 60);

/// How a device can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Breakage {
    Errs,
    Hangs,
    TalksNonsense,
    PanicsInUse,
    PanicsInOpen,
    PanicsInDrop,
}

pub const BREAKAGES: [Breakage; 6] = [
    Breakage::Errs,
    Breakage::Hangs,
    Breakage::TalksNonsense,
    Breakage::PanicsInUse,
    Breakage::PanicsInOpen,
    Breakage::PanicsInDrop,
];

/// What a broker can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Down,
    Slow,
    Forgets,
}

/// The alarm of the controller that has a watch.
pub const WATCH: &str = "controllers.draught.watch";

/// One thing that is done to the daemon or its world.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// The device of a sensor or output is broken, and whole again after a while.
    Break { device: &'static str, how: Breakage, lasts: Duration },
    /// An actor is ended, and again whenever it has come back, for so long; zero is once.
    Kill { actor: String, lasts: Duration },
    /// Somebody wants something of an output.
    Demand { output: &'static str, owner: u8, priority: Priority, wish: Wish, lease: Duration },
    /// A person adjusts a controller.
    Adjust { controller: &'static str, how: Adjust },
    /// Civil time jumps.
    Jump { millis: i64 },
    /// The file is changed, and taken over: a number in `VARIANTS`.
    Reload { variant: usize },
    /// The disk fails in a way, or hangs with `None`, until it is well again. It is well at the start of a next life.
    Disk { how: Option<Fault>, lasts: Duration },
    /// The broker is in trouble for a while.
    Broker { how: Trouble, lasts: Duration },
    /// A person acknowledges an alarm.
    Acknowledge { alarm: &'static str },
    /// The daemon is stopped in good order and started again.
    Restart,
    /// The process dies, what `ExecStopPost` does is done, and it is started again.
    Crash,
}

/// A deed and its moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub at: Moment,
    pub deed: Deed,
}

/// All that happens, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub seed: u64,
    pub planned: Vec<Planned>,
    pub quiet: Moment,
    pub length: Duration,
}

impl Schedule {
    /// One in four has a broker: what is said to one takes nearly as long as all the rest.
    pub fn has_broker(&self) -> bool {
        self.seed.is_multiple_of(4)
    }
}

/// The schedule of a seed: always the same one.
pub fn draw(seed: u64) -> Schedule {
    let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
    let mut planned = Vec::new();
    for _ in 0..rng.usize(18..32) {
        scene(&mut rng, &mut planned);
    }
    for _ in 0..rng.usize(4..12) {
        planned.push(around(&mut rng));
    }
    planned.push(Planned { at: QUIET, deed: Deed::Reload { variant: 0 } });
    planned.sort_by_key(|planned: &Planned| planned.at);
    // No two at one moment, so that their order means nothing.
    for index in 1..planned.len() {
        planned[index].at = planned[index].at.max(planned[index - 1].at + Duration::from_millis(2));
    }
    Schedule { seed, planned, quiet: QUIET, length: LENGTH }
}

/// A few deeds within a few seconds or minutes, most of them about one output and what it hangs on.
fn scene(rng: &mut Rng, planned: &mut Vec<Planned>) {
    let begins = millis(rng, 10_000, BUSY.as_millis() as u64 - 300_000);
    let spread = *pick(rng, &[2_000, 20_000, 120_000]);
    let output = pick(rng, &HOUSE.outputs).name.as_str();
    let controller = HOUSE.controllers.iter().find(|controller| controller.moves.iter().any(|moved| moved == output));
    let controller = controller.unwrap_or_else(|| pick(rng, &HOUSE.controllers));
    let sensor = match rng.u8(0..4) {
        0 => pick(rng, &HOUSE.sensors).name.as_str(),
        _ => controller.input.split('.').next().unwrap_or_default(),
    };
    // Whoever has an interlock happens together with the other.
    let partners: Vec<&'static str> = HOUSE
        .output(output)
        .only_while
        .iter()
        .chain(&HOUSE.output(output).never_with)
        .map(|name| name.as_str())
        .collect();
    for _ in 0..rng.usize(2..8) {
        let output = if partners.is_empty() || rng.bool() { output } else { pick(rng, &partners) };
        let at = begins + millis(rng, 0, spread);
        let lasts = |rng: &mut Rng| {
            let longest = *pick(rng, &[3_000, 20_000, 90_000, 400_000]);
            millis(rng, 300, longest).min(QUIET.saturating_sub(at))
        };
        let deed = match rng.u8(0..100) {
            0..=39 => demand(rng, output, at),
            40..=52 => Deed::Break { device: sensor, how: *pick(rng, &BREAKAGES), lasts: lasts(rng) },
            // The bank keeps a pin for a whole life, so nobody drops it.
            53..=61 => Deed::Break { device: output, how: *pick(rng, &BREAKAGES[..5]), lasts: lasts(rng) },
            62..=72 => kill(rng, format!("outputs.{output}"), at),
            73..=77 => kill(rng, format!("controllers.{}", controller.name), at),
            78..=81 => kill(rng, format!("sensors.{sensor}"), at),
            82 => Deed::Kill { actor: "store".to_owned(), lasts: Duration::ZERO },
            83..=89 => Deed::Adjust { controller: &controller.name, how: adjustment(rng) },
            90..=93 => {
                Deed::Jump { millis: rng.i64(-300_000_000_000..300_000_000_000) / *pick(rng, &[1, 1000, 1_000_000]) }
            }
            94..=96 => Deed::Restart,
            _ => Deed::Crash,
        };
        planned.push(Planned { at, deed });
    }
}

/// What happens around the house: its file, its disk, its broker, and people.
fn around(rng: &mut Rng) -> Planned {
    let at = millis(rng, 10_000, BUSY.as_millis() as u64);
    let longest = *pick(rng, &[5_000, 60_000, 900_000]);
    let lasts = millis(rng, 500, longest).min(QUIET.saturating_sub(at));
    let deed = match rng.u8(0..10) {
        0..=5 => Deed::Reload { variant: rng.usize(0..VARIANTS.len()) },
        6 => {
            let faults = [None, Some(Fault::Full), Some(Fault::ReadOnly), Some(Fault::NoAccess), Some(Fault::Io)];
            Deed::Disk { how: *pick(rng, &faults), lasts }
        }
        7 | 8 => Deed::Broker { how: *pick(rng, &[Trouble::Down, Trouble::Slow, Trouble::Forgets]), lasts },
        _ => Deed::Acknowledge { alarm: WATCH },
    };
    Planned { at, deed }
}

fn demand(rng: &mut Rng, output: &'static str, at: Moment) -> Deed {
    let safety = rng.u8(0..8) == 0;
    let wish = match rng.u8(0..10) {
        0 => Wish::Nothing,
        1 => Wish::Safe,
        _ if safety => Wish::Safe,
        2 => Wish::Level(homeostat::model::Level::OFF),
        3 => Wish::Level(homeostat::model::Level::clamped(rng.f64())),
        _ => Wish::Level(homeostat::model::Level::ON),
    };
    let ordinary = [Priority::Schedule, Priority::Rule, Priority::Manual, Priority::Manual];
    let priority = if safety { Priority::Safety } else { *pick(rng, &ordinary) };
    let longest = *pick(rng, &[4_000, 30_000, 200_000, 1_500_000]);
    let lease = millis(rng, 200, longest).min(QUIET.saturating_sub(at));
    Deed::Demand { output, owner: rng.u8(0..4), priority, wish, lease }
}

fn kill(rng: &mut Rng, actor: String, at: Moment) -> Deed {
    let longest = *pick(rng, &[0, 0, 15_000, 180_000]);
    Deed::Kill { actor, lasts: millis(rng, 0, longest).min(QUIET.saturating_sub(at)) }
}

fn adjustment(rng: &mut Rng) -> Adjust {
    match rng.u8(0..5) {
        0 | 1 => Adjust::Setpoint(rng.f64() * 20.0 + 10.0),
        2 => Adjust::Manual(rng.f64() * 2.0 - 1.0, None),
        _ => Adjust::Automatic,
    }
}

fn millis(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(rng.u64(from..=to.max(from)))
}

fn pick<'a, T>(rng: &mut Rng, among: &'a [T]) -> &'a T {
    &among[rng.usize(0..among.len())]
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Planned { at, deed } in &self.planned {
            writeln!(f, "  {:>9.3} s  {deed:?}", at.as_secs_f64())?;
        }
        write!(
            f,
            "  {:>9.3} s  all is healed; the end is at {:.0} s",
            self.quiet.as_secs_f64(),
            self.length.as_secs_f64()
        )
    }
}

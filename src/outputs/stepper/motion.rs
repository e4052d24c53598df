//! Where a stepper is, and where its next step goes. Pure: no pins, no time.

use std::cmp::Ordering;

use crate::model::Level;

/// Where it is and where it is to be, in steps from home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Motion {
    pub place: Place,
    target: u32,
    travel: u32,
}

/// What is known of where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nobody knows. On its way home, with so many steps behind it.
    Homing(u32),
    /// So many steps from home.
    At(u32),
}

/// Where a step goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To 0.
    Home,
    /// To `travel`.
    Away,
}

/// The end switch was not reached.
#[derive(Debug, PartialEq, Eq)]
pub struct NotReached;

impl Motion {
    /// Begins with a way home.
    pub fn new(travel: u32, target: Level) -> Self {
        let mut motion = Self { place: Place::Homing(0), target: 0, travel };
        motion.aim(target);
        motion
    }

    /// From now on this is where it is to be.
    pub fn aim(&mut self, target: Level) {
        self.target = (target.get() * f64::from(self.travel)).round() as u32;
    }

    /// The most steps on the way home.
    pub fn most(self) -> u32 {
        self.travel + self.slack()
    }

    /// 5 % of all steps.
    fn slack(self) -> u32 {
        self.travel.div_ceil(20)
    }

    /// Where the next step goes; `None` if it is where it is to be. `closed` is what the end switch says, if there is one.
    pub fn next(&mut self, closed: Option<bool>) -> Result<Option<Way>, NotReached> {
        match self.place {
            Place::Homing(_) if closed == Some(true) => self.place = Place::At(0),
            // Steps were lost on the way out. Near home a switch may still be closed.
            Place::At(at) if at > self.target.max(self.slack()) && closed == Some(true) => self.place = Place::At(0),
            // Steps were lost on the way home, or somebody moved it: what is to be closed is closed.
            Place::At(0) if self.target == 0 && closed == Some(false) => self.place = Place::Homing(self.travel),
            _ => {}
        }
        if let Place::Homing(taken) = self.place {
            if taken < self.most() {
                return Ok(Some(Way::Home));
            }
            if closed.is_some() {
                self.place = Place::Homing(0);
                return Err(NotReached);
            }
            // At the stop.
            self.place = Place::At(0);
        }
        let Place::At(at) = self.place else { return Ok(Some(Way::Home)) };
        Ok(match at.cmp(&self.target) {
            Ordering::Less => Some(Way::Away),
            Ordering::Equal => None,
            Ordering::Greater => Some(Way::Home),
        })
    }

    /// A step was made.
    pub fn stepped(&mut self, way: Way) {
        self.place = match (self.place, way) {
            (Place::Homing(taken), _) => Place::Homing(taken + 1),
            (Place::At(at), Way::Home) => Place::At(at.saturating_sub(1)),
            (Place::At(at), Way::Away) => Place::At(at + 1),
        };
    }

    /// The most steps that are left.
    pub fn left(self) -> u32 {
        match self.place {
            Place::Homing(taken) => self.most().saturating_sub(taken) + self.target,
            Place::At(at) => at.abs_diff(self.target),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A vent between two stops, of which the one at 0 has a switch or not.
    struct Vent {
        motion: Motion,
        real: u32,
        switch: bool,
        steps: u32,
    }

    impl Vent {
        fn new(travel: u32, real: u32, switch: bool, target: f64) -> Self {
            Self { motion: Motion::new(travel, Level::clamped(target)), real, switch, steps: 0 }
        }

        /// Makes a step, if there is one to be made.
        fn step(&mut self) -> Result<Option<Way>, NotReached> {
            let next = self.motion.next(self.switch.then_some(self.real == 0))?;
            if let Some(way) = next {
                self.motion.stepped(way);
                self.steps += 1;
                let moved = if way == Way::Home { self.real.saturating_sub(1) } else { self.real + 1 };
                self.real = moved.min(self.motion.travel);
            }
            Ok(next)
        }

        /// Goes where it is to be.
        fn arrive(&mut self) -> Result<u32, NotReached> {
            let before = self.steps;
            while self.step()?.is_some() {
                assert!(self.steps - before <= 3 * self.motion.travel + 3, "it never ends: {:?}", self.motion);
            }
            Ok(self.real)
        }
    }

    #[test]
    fn the_first_move_goes_home_and_no_further_than_the_switch_or_travel_and_5_percent() {
        // From where, with a switch or not, to where: how many steps.
        for (real, switch, target, steps) in [
            (60, true, 0.0, 60),
            (0, true, 0.25, 25),
            (60, true, 0.25, 85),
            (60, false, 0.0, 105),
            (0, false, 0.25, 130),
        ] {
            let mut vent = Vent::new(100, real, switch, target);
            assert!(vent.motion.left() >= steps);
            assert_eq!((vent.arrive(), vent.steps), (Ok((target * 100.0) as u32), steps), "{real} {switch} {target}");
            assert_eq!(vent.motion.left(), 0);
        }
    }

    #[test]
    fn a_switch_that_does_not_close_ends_it_after_travel_and_5_percent_each_time() {
        let mut motion = Motion::new(100, Level::ON);
        for _ in 0..2 {
            for step in 0..105 {
                assert_eq!(motion.next(Some(false)), Ok(Some(Way::Home)), "step {step}");
                motion.stepped(Way::Home);
            }
            assert_eq!(motion.next(Some(false)), Err(NotReached));
        }
    }

    #[test]
    fn a_new_target_turns_it_round_with_the_next_step_but_not_before_it_was_home() {
        let mut vent = Vent::new(100, 0, true, 1.0);
        for _ in 0..40 {
            assert_eq!(vent.step(), Ok(Some(Way::Away)));
        }
        vent.motion.aim(Level::clamped(0.3));
        assert_eq!((vent.step(), vent.arrive(), vent.steps), (Ok(Some(Way::Home)), Ok(30), 50));

        let mut vent = Vent::new(100, 50, true, 0.0);
        vent.step().unwrap();
        vent.motion.aim(Level::ON);
        assert_eq!((vent.step(), vent.arrive(), vent.steps), (Ok(Some(Way::Home)), Ok(100), 150));
    }

    #[test]
    fn steps_that_were_lost_are_found_at_the_switch() {
        let standing = |real| {
            let mut vent = Vent::new(100, 0, true, 0.5);
            vent.arrive().unwrap();
            vent.real = real;
            vent.motion.aim(Level::OFF);
            vent
        };
        // It is further than it should be, by no more than 5 %; it is nearer; it is much further.
        assert_eq!(standing(55).arrive(), Ok(0));
        let mut nearer = standing(20);
        assert_eq!((nearer.arrive(), nearer.steps), (Ok(0), 70));
        assert_eq!(standing(56).arrive(), Err(NotReached));
        // Near home a switch that is still closed moves nothing.
        let mut vent = standing(50);
        vent.arrive().unwrap();
        vent.motion.aim(Level::clamped(0.05));
        vent.arrive().unwrap();
        vent.motion.aim(Level::clamped(0.03));
        assert_eq!(vent.motion.next(Some(true)), Ok(Some(Way::Home)));
        assert_eq!(vent.motion.place, Place::At(5));
    }

    proptest! {
        /// Wherever it was and whenever its target changes, it comes to the last one.
        #[test]
        fn the_last_target_is_where_it_ends(
            travel in 1u32..300,
            from in 0.0..=1.0,
            switch: bool,
            targets in prop::collection::vec((0.0..=1.0, 0u32..400), 1..6),
        ) {
            let mut vent = Vent::new(travel, (from * f64::from(travel)) as u32, switch, targets[0].0);
            for (target, steps) in &targets {
                vent.motion.aim(Level::clamped(*target));
                for _ in 0..*steps {
                    vent.step().unwrap();
                }
            }
            let last = (targets[targets.len() - 1].0 * f64::from(travel)).round() as u32;
            prop_assert_eq!(vent.arrive(), Ok(last));
        }
    }
}

//! In which order the root begins its children and stops them, and how long each phase may take.

use std::time::Duration;

use crate::hardware::bank::Bank;

/// Who is begun, and stopped, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Outputs,
    Services,
    Sensors,
    Controllers,
}

/// Each phase of the start, and for how long the next one waits until it is ready.
pub(super) const START: &[(Phase, Duration)] = &[
    (Phase::Outputs, Duration::from_secs(2)),
    (Phase::Services, Duration::ZERO),
    (Phase::Sensors, Duration::ZERO),
    (Phase::Controllers, Duration::from_millis(500)),
];

/// Each phase of the stop, and after how long whoever is left is ended.
pub(super) const STOP: &[(Phase, Duration)] = &[
    (Phase::Controllers, Duration::from_millis(100)),
    (Phase::Outputs, Duration::from_millis(300)),
    (Phase::Sensors, Duration::from_millis(100)),
    (Phase::Services, Duration::from_millis(1000)),
];

/// For what lies between the phases, on the smallest Pi under load.
const BETWEEN: Duration = Duration::from_millis(500);

/// The root has stopped by then, whoever hangs: every phase takes its whole time, and outputs are not safe before the bank gives up. Whoever
/// waits longer waits in vain.
pub const LONGEST_STOP: Duration = longest(STOP).saturating_add(Bank::SEALING).saturating_add(BETWEEN);

const fn longest(phases: &[(Phase, Duration)]) -> Duration {
    match phases {
        [] => Duration::ZERO,
        [(_, patience), rest @ ..] => patience.saturating_add(longest(rest)),
    }
}

//! The vocabulary: what every part of homeostat means by a reading, a level, a demand. No I/O, no actors.

mod claim;
mod demand;
pub mod dose;
mod header;
mod id;
mod interlock;
mod level;
mod quantity;
mod reading;
mod shown;
mod time;

pub use claim::Claim;
pub use demand::{Because, Demand, Owner, Priority, Terms, Wish};
pub use dose::Dosing;
pub use header::{HEADER, HeaderPin, pwm_lines};
pub use id::{ChannelId, ControllerId, NameError, OutputId, SensorId};
pub use interlock::Interlock;
pub use level::{Level, LevelError};
pub use quantity::Quantity;
pub use reading::{Reading, Sample};
pub use shown::Shown;
pub use time::{Monotonic, Timestamp};

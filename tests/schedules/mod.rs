//! Seeded schedules of faults: drawn, played, audited, and made small when one fails.

pub mod house;
pub mod invariants;
pub mod measure;
pub mod runner;
pub mod schedule;
pub mod shrink;
pub mod spans;
pub mod trace;

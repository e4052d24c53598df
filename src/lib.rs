//! homeostat keeps a place as its owner wants it: a greenhouse, a fermenter, a reef tank, a server closet.
//!
//! It reads sensors, drives outputs, closes control loops between them, keeps every reading in SQLite and publishes it over
//! MQTT. Data goes one way, and nobody holds a peer's address:
//!
//! ```text
//! hardware ─lane─▶ sensor ─Reading─▶ bus ─┬─▶ store       (SQLite)
//!                                         ├─▶ mqtt        (broker)
//!                                         └─▶ controller ─Demand─▶ output ─lane─▶ hardware
//!                                                                    └─ OutputState ─▶ bus
//! ```
//!
//! The modules stand in reading order. Whoever has an hour reads [`message`], then [`outputs::guard`], then
//! [`supervisor`]; ARCHITECTURE.md tells why each is as it is.

#[cfg(panic = "abort")]
compile_error!("supervision catches panics: build with panic = \"unwind\"");

// The vocabulary, and how it travels.
pub mod model;
pub mod clock;
pub mod boot;
pub mod message;
pub mod bus;
pub mod alarms;

// What lives, and who looks after it.
pub mod lifeline;
pub mod supervisor;
pub mod panics;

// The way to the world and back.
pub mod hardware;
pub mod wiring;
pub mod sensors;
pub mod controllers;
pub mod outputs;

// What is told, and to whom.
pub mod payload;
pub mod store;
pub mod mqtt;
pub mod web;
pub mod telemetry;
pub mod systemd;

// What a person touches.
pub mod config;
pub mod signal;
pub mod files;
pub mod process;
pub mod secret;
pub mod copies;
pub mod lock;
pub mod daemon;
pub mod cli;

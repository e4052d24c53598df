//! Children that come and go while the daemon runs, for a configuration that was changed.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::join_all;

use super::child::Life;
use super::{Child, Key, Role, Root, STOP, Ward, end};
use crate::message::SensorState;

/// To the root: these children (`sensors.air`) leave and are not begun anew. Answered when all have ended.
pub struct Retire(pub Vec<(Arc<str>, Farewell)>);

/// How a child leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// In good order: a controller takes its demands back, an output goes to its safe level.
    InOrder,
    /// At once and without a word: its demands stand until their leases end, for the one who comes in its place.
    AtOnce,
}

impl Message for Retire {
    type Result = ();
}

impl Handler<Retire> for Root {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Retire(leaving): Retire, _: &mut Self::Context) -> Self::Result {
        let mut lives: Vec<(Arc<str>, Life, Farewell, Duration)> = Vec::new();
        for (name, farewell) in leaving {
            let Some(key) = self.wards.iter().find(|(_, ward)| ward.child.name == name).map(|(key, _)| *key) else {
                continue;
            };
            let Some(ward) = self.wards.remove(&key) else { continue };
            self.alarms.clear(&name);
            if let Role::Sensor(sensor) = &ward.child.role {
                self.bus.sensor(SensorState { sensor: sensor.clone(), online: false });
            }
            let phase = ward.child.role.phase();
            let patience = STOP.iter().find(|(one, _)| *one == phase).map_or(Duration::ZERO, |(_, patience)| *patience);
            lives.extend(ward.life.map(|life| (name, life, farewell, patience)));
        }
        Box::pin(async move {
            let ends = lives.iter().map(async |(name, life, farewell, patience)| match farewell {
                Farewell::InOrder => end(name, life, *patience).await,
                Farewell::AtOnce => {
                    life.kill();
                    life.ended().await;
                }
            });
            join_all(ends).await;
        })
    }
}

/// To the root: these children are begun, and looked after from now on.
pub struct Adopt(pub Vec<Child>);

impl Message for Adopt {
    type Result = ();
}

impl Handler<Adopt> for Root {
    type Result = ();

    fn handle(&mut self, Adopt(children): Adopt, ctx: &mut Self::Context) {
        if self.stopping {
            return;
        }
        for child in children {
            let key = Key(self.next_key);
            self.next_key += 1;
            self.wards.insert(key, Ward::new(child, self.clock.now()));
            self.begin(key, ctx);
        }
    }
}

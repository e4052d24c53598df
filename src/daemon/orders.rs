//! What commands over MQTT may have the whole daemon do.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use super::Reload;
use crate::alarms::Alarms;
use crate::mqtt::commands::Node;

/// The daemon, as commands know it.
pub(super) struct Orders {
    pub alarms: Alarms,
    pub reload: Option<Reload>,
}

impl Node for Orders {
    fn acknowledge(&self, alarm: &str) -> Result<(), String> {
        self.alarms.acknowledge(alarm).map_err(|error| error.to_string())
    }

    fn reload(&self) -> BoxFuture<'static, Result<String, String>> {
        match &self.reload {
            Some(reload) => reload(),
            None => ready(Err("this daemon has no file to read again".to_owned())).boxed(),
        }
    }
}

impl Orders {
    /// What they are given to work with.
    pub(super) fn shared(alarms: &Alarms, reload: Option<&Reload>) -> Arc<dyn Node> {
        Arc::new(Self { alarms: alarms.clone(), reload: reload.cloned() })
    }
}

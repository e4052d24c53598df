//! HTTP on the daemon's own Unix socket: what `homeostat status` and its like speak to, and `curl --unix-socket` too.
//!
//! ```text
//! GET  /api/v1/status                       everything as it is now
//! GET  /api/v1/sensors                      /outputs, /controllers, /alarms: one part of it
//! GET  /api/v1/sensors/NAME                 /outputs/NAME, /controllers/NAME, /alarms/NAME: one of them
//! GET  /api/v1/outputs/NAME/why             the chain from a reading to the pin, and how it came to be so
//! POST /api/v1/alarms/NAME/acknowledge      a person knows
//! GET  /api/v1/outputs/NAME/dose            what became of the last dose by hand
//! POST /api/v1/outputs/NAME/set             move it by hand: {"level": 0.4, "for": "10s"}, as over MQTT
//! POST /api/v1/sensors/NAME/calibrate       a step of its calibration: {"step": ["mid", "7.00"]}
//! POST /api/v1/reload                       read the configuration again and apply it
//! POST /api/v1/flush                        write what waits in memory to the database, for whoever reads that next
//! ```
//!
//! Who may open the socket may ask: its file's permissions are the authentication. The server has a thread of its own and
//! only ever looks at shared tables, so nothing that a client sends can hold up control; if it cannot start, the daemon runs
//! on without it.

mod answer;
mod failure;
mod socket;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::Method;
use actix_web::web::{self, Data, PayloadConfig, ServiceConfig};
use actix_web::{App, HttpServer, Resource, Route};
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::alarms::Alarms;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::message::OutputState;
use crate::model::dose::Dosed;
use crate::store::Store;
use crate::supervisor::Stage;

pub use socket::SocketError;

/// The socket's name in its directory.
pub const SOCKET: &str = "homeostat.sock";

/// Nothing that we take is longer.
const LONGEST_BODY: usize = 64 << 10;

/// Clients at a time; more wait their turn.
const CLIENTS: usize = 16;

/// A client that has not said what it wants by then is cut off, and so is one that asks nothing more. Less than our own
/// commands wait for an answer, so those get their turn also when somebody holds every place.
const PATIENCE: Duration = Duration::from_secs(2);

/// It does not wait for clients, so this is for the case that its thread hangs.
pub const LONGEST_STOP: Duration = Duration::from_millis(500);

/// What is told about, and asked to act. All of it is shared and cheap to clone.
#[derive(Clone)]
pub struct State {
    /// `[node] name`
    pub node: Arc<str>,
    /// `simulated`, `raspberry-pi` or `linux`
    pub hardware: &'static str,
    /// The configuration's file.
    pub config: PathBuf,
    /// Tells the time.
    pub clock: Clock,
    /// What happened last.
    pub bus: Bus,
    /// What a person should know of.
    pub alarms: Alarms,
    /// The database.
    pub store: Store,
    /// Where the daemon stands.
    pub stage: watch::Receiver<Stage>,
    /// Who acts.
    pub commands: Arc<dyn Commands>,
}

/// What only the daemon itself can do.
pub trait Commands: Send + Sync {
    /// Reads the configuration again and applies it. Gives a sentence on what changed: "restarted sensors.air; 8 others kept
    /// running".
    fn reload(&self) -> BoxFuture<'static, Result<String, Refused>>;

    /// Moves an output by hand; the command is as it would be published to `<output>/set`. Gives how the output is then, or why not.
    fn set(&self, output: String, command: Vec<u8>) -> BoxFuture<'static, Result<OutputState, String>>;

    /// What became of the last dose by hand; `None` if there was none.
    fn dosed(&self, output: &str) -> Option<Dosed>;
}

/// The configuration was not taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// Why: the mistakes in the file, as `homeostat check` prints them without colours.
    pub text: String,
    /// What to do about it.
    pub hint: &'static str,
}

/// A socket that is served.
pub struct Served {
    server: ServerHandle,
    // Dropped last: the file goes when nobody is served any more.
    _file: socket::File,
}

impl Served {
    /// Cuts off who still waits, and takes the file away.
    pub async fn stop(self) {
        // Nobody's answer is worth waiting for now, and a thread that hangs must not keep the daemon from ending.
        let _ = timeout(LONGEST_STOP, self.server.stop(false)).await;
    }
}

/// Listens at `path`. The future serves until [`Served::stop`]; the caller puts it on a thread that does not block.
///
/// # Errors
/// Somebody else listens there, or the file cannot be made. The daemon can do without.
pub async fn serve(path: &Path, state: State) -> Result<(Served, Server), SocketError> {
    let (listener, file) = socket::listen(path).await?;
    let failed = |source: io::Error| SocketError::Io { what: "serve", path: path.to_owned(), source };
    let state = Data::new(state);
    let server = HttpServer::new(move || {
        let limit = PayloadConfig::new(LONGEST_BODY);
        App::new().app_data(state.clone()).app_data(limit).configure(routes).default_service(web::to(failure::no_path))
    })
    .workers(1)
    .worker_max_blocking_threads(1)
    .max_connections(CLIENTS)
    .backlog(CLIENTS as u32)
    .client_request_timeout(PATIENCE)
    .client_disconnect_timeout(PATIENCE)
    .keep_alive(PATIENCE)
    .disable_signals()
    .listen_uds(listener)
    .map_err(failed)?
    .run();
    Ok((Served { server: server.handle(), _file: file }, server))
}

/// Room is left beside `/api` for pages, and below it for a second version.
fn routes(api: &mut ServiceConfig) {
    let get = |path: &str, route: Route| resource(path, route, Method::GET);
    let post = |path: &str, route: Route| resource(path, route, Method::POST);
    api.service(get("status", web::get().to(answer::status)))
        .service(get("sensors", web::get().to(answer::sensors)))
        .service(get("sensors/{name}", web::get().to(answer::sensor)))
        .service(post("sensors/{name}/calibrate", web::post().to(answer::calibrate)))
        .service(get("outputs", web::get().to(answer::outputs)))
        .service(get("outputs/{name}", web::get().to(answer::output)))
        .service(get("outputs/{name}/why", web::get().to(answer::why)))
        .service(get("outputs/{name}/dose", web::get().to(answer::dose)))
        .service(post("outputs/{name}/set", web::post().to(answer::set)))
        .service(get("controllers", web::get().to(answer::controllers)))
        .service(get("controllers/{name}", web::get().to(answer::controller)))
        .service(get("alarms", web::get().to(answer::alarms)))
        .service(get("alarms/{name}", web::get().to(answer::alarm)))
        .service(post("alarms/{name}/acknowledge", web::post().to(answer::acknowledge)))
        .service(post("reload", web::post().to(answer::reload)))
        .service(post("flush", web::post().to(answer::flush)));
}

fn resource(path: &str, route: Route, method: Method) -> Resource {
    let other = move || failure::other_method(method.clone());
    web::resource(format!("/api/v1/{path}")).route(route).default_service(web::to(other))
}

//! What leads to a broker, so that a test can have one in memory, in virtual time. The real one is in `network.rs`.
//!
//! A link makes a *line* for each connection: one end to say things, one to hear what became of them. What is lost with a
//! line, and what to say on the next one, is known by the outbox alone, so a link needs to remember nothing.

use futures_util::future::BoxFuture;

use super::outbox::Due;
use super::{Config, MqttError};

/// What the broker is told of us before anything else.
#[derive(Debug, Clone, Copy)]
pub struct Introduction<'a> {
    /// Where the broker is, and our login.
    pub config: &'a Config,
    /// The name of this client at the broker.
    pub id: &'a str,
    /// Where the broker publishes [`OFFLINE`](Self::OFFLINE) for us, retained, when the line breaks.
    pub status_topic: &'a str,
}

impl Introduction<'_> {
    /// The payload of the will.
    pub const OFFLINE: &'static [u8] = super::payload::OFFLINE;
}

/// Makes lines to a broker.
pub trait Link: Send + Sync {
    /// Prepares a line. The broker need not be there yet: [`Listener::next`] tells when it is, or why not.
    fn connect<'a>(&'a self, who: Introduction<'a>) -> BoxFuture<'a, Result<Line, MqttError>>;
}

/// One connection. Dropping it breaks it off without a word.
pub struct Line {
    /// To the broker.
    pub speaker: Box<dyn Speaker>,
    /// From the broker.
    pub listener: Box<dyn Listener>,
}

/// The line takes no more at the moment, and should: it has room for all that may be unacknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck;

/// The end of a line that says things. Never waits.
pub trait Speaker: Send {
    /// Hands over a payload, to be sent at least once.
    fn publish(&self, due: Due<'_>) -> Result<(), Stuck>;

    /// Asks for what is published on these topics, in which `+` stands for any one level.
    fn subscribe(&self, filters: &[String]) -> Result<(), Stuck>;

    /// Ends the connection in good order, after what was handed over.
    fn leave(&self) -> Result<(), Stuck>;
}

/// The end of a line that hears things, and that does the work: nothing is sent while nobody listens.
pub trait Listener: Send {
    /// What happens next. Not to be dropped before it is there, or packets are lost. After an error the line is broken.
    fn next(&mut self) -> BoxFuture<'_, Result<Heard, MqttError>>;
}

/// What happened on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The broker has let us in.
    Connected,
    /// The payload handed over longest ago is under way, with this packet id.
    Sent(u16),
    /// The broker has what was sent under this packet id.
    Acknowledged(u16),
    /// The broker has got what was sent under this packet id, and does not want it.
    Refused(u16),
    /// Somebody has published this where we asked for it.
    Message(Message),
    /// The broker does not let us hear what we asked for.
    Deaf,
    /// The broker said something else; it lives.
    Alive,
    /// We have left as asked.
    Left,
    /// Something that concerns nobody here.
    Other,
}

/// What somebody else has published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// It lay at the broker when we asked for it: nobody says it now.
    pub retained: bool,
}

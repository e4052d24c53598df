//! What can stand between us and the broker, and what to do about it.

use std::path::PathBuf;

/// Why the broker cannot be reached. Every one of these is waited out; none ends the task.
#[derive(Debug, thiserror::Error)]
pub enum MqttError {
    /// The password could not be read.
    #[error("cannot read the password for the broker from {}: {source}; check `password_file` under [mqtt]", .file.display())]
    Password {
        /// `password_file`
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The broker does not want this user.
    #[error("the broker at {broker} refuses {who}: check `username` and `password_file` under [mqtt]")]
    Login {
        /// Where.
        broker: String,
        /// `the user "pi"`, or `clients without a name`.
        who: String,
    },
    /// The broker does not want us for another reason.
    #[error("the broker at {broker} refuses the connection: {reason}")]
    Refused {
        /// Where.
        broker: String,
        /// What it gave as reason.
        reason: String,
    },
    /// Nobody answers.
    #[error("cannot reach a broker at {broker}: {reason}; check `broker` under [mqtt] and whether the broker runs")]
    Unreachable {
        /// Where.
        broker: String,
        /// What the system says.
        reason: String,
    },
    /// It was there and has gone.
    #[error("the connection to the broker at {broker} is lost: {reason}")]
    Lost {
        /// Where.
        broker: String,
        /// What ended it.
        reason: String,
    },
}

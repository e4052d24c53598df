//! Messages of one length in what comes on a serial port: found by how they begin, and believed only with a right check sum.

use std::time::Duration;

use super::DriverError;
use crate::hardware::Uart;

/// After so many messages' worth of bytes with no message in them, nobody is listened to any longer.
const PATIENCE: usize = 8;

/// The next message that begins with `start` and has a right check sum, as `is_right` says; `None` if nothing comes for `patience`.
pub fn next<const N: usize>(
    uart: &mut dyn Uart,
    device: &str,
    start: &[u8],
    is_right: impl Fn(&[u8; N]) -> bool,
    patience: Duration,
) -> Result<Option<[u8; N]>, DriverError> {
    let mut message = [0; N];
    let (mut filled, mut passed_over, mut damaged) = (0, 0, false);
    while passed_over <= PATIENCE * N {
        filled += uart.read(&mut message[filled..], patience)?;
        if filled < N && damaged {
            break;
        }
        if filled == 0 {
            return Ok(None);
        }
        if filled < N {
            return Err(DriverError::corrupt(device, format!("it broke off after {filled} of {N} bytes")));
        }
        let begins = message.starts_with(start);
        if begins && is_right(&message) {
            return Ok(Some(message));
        }
        damaged |= begins;
        // The next byte with which a message may begin: perhaps not all of its start has come yet.
        let may_begin = |at: &usize| message[*at..].iter().zip(start).all(|(byte, wanted)| byte == wanted);
        let next = (1..N).find(may_begin).unwrap_or(N);
        message.copy_within(next.., 0);
        filled = N - next;
        passed_over += next;
    }
    Err(DriverError::corrupt(
        device,
        match damaged {
            true => "the check sum of its message is wrong; shorten the cable",
            false => "what comes is none of its messages; is something else connected there?",
        },
    ))
}

/// Nothing comes.
pub fn silence(device: &str) -> DriverError {
    let what = "it is silent; check its power, and that its TX goes to our RX and its RX to our TX";
    DriverError::no_value(device, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::Hardware;
    use crate::hardware::recorded::{Recorded, comes};

    /// Messages are `aa c0`, one byte and the same again.
    fn found(bytes: &[u8]) -> Result<Option<[u8; 4]>, DriverError> {
        let board = Recorded::new((!bytes.is_empty()).then(|| comes(bytes)));
        let mut uart = board.uart("/dev/serial0", 9600).unwrap();
        next(&mut *uart, "it", &[0xaa, 0xc0], |message| message[2] == message[3], Duration::ZERO)
    }

    #[test]
    fn a_message_is_found_wherever_it_begins() {
        let message = Ok(Some([0xaa, 0xc0, 7, 7]));
        for bytes in [
            &[0xaa, 0xc0, 7, 7][..],
            &[7, 7, 0xaa, 0xc0, 7, 7],
            &[0xaa, 0xaa, 0xaa, 0xc0, 7, 7],
            &[7, 0xaa, 0xc0, 7, 7],
            &[0xaa, 0xc0, 0xaa, 0xc0, 7, 7],
            // One that is damaged is passed over.
            &[0xaa, 0xc0, 7, 6, 0xaa, 0xc0, 7, 7],
            &[1, 2, 3, 4, 5, 6, 0xaa, 0xc0, 7, 7],
        ] {
            assert_eq!(found(bytes), message, "{bytes:02x?}");
        }
    }

    #[test]
    fn what_is_no_message_is_told_apart() {
        assert_eq!(found(&[]), Ok(None));
        for (bytes, expected) in [
            (&[0xaa, 0xc0, 7][..], "broke off after 3 of 4 bytes"),
            (&[0xaa, 0xc0, 7, 6], "check sum"),
            (&[0; 100], "none of its messages"),
        ] {
            let error = found(bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

//! The program `homeostat`: arguments in, exit code out. All else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    homeostat::cli::main(std::env::args_os()).into()
}

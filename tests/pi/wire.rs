//! A DS18B20 as programs see one. QEMU has no 1-Wire bus: guest/init has put memory in the place of its devices, and this is the file
//! that the kernel's driver would show there.

use crate::guest::Guest;

pub const ID: &str = "28-0316a2795cff";

/// In °C.
pub const SHOWS: f64 = 22.875;

const BUS: &str = "/sys/bus/w1/devices";

/// Puts it on the bus, whole at once: the daemon may be looking.
pub fn plug_in(guest: &mut Guest) {
    guest.run(&format!("mkdir {BUS}/new"));
    let text = "6e 01 4b 46 7f ff 02 10 71 : crc=71 YES\n6e 01 4b 46 7f ff 02 10 71 t=22875";
    guest.write(&format!("{BUS}/new/w1_slave"), text);
    guest.run(&format!("mv {BUS}/new {BUS}/{ID}"));
}

/// Takes it off. Gives when it was gone, in the guest's seconds since 1970.
pub fn unplug(guest: &mut Guest) -> i64 {
    guest.run(&format!("rm -r {BUS}/{ID} && date +%s")).trim().parse().unwrap()
}

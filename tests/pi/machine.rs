//! A Raspberry Pi 3 in QEMU, and the threads that lead into it.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use crate::guest::Guest;
use crate::pins::Pins;
use crate::qmp::Qmp;
use crate::until::until;

/// It ends with this value.
pub struct Machine {
    pub guest: Guest,
    pub pins: Pins,
    pub qmp: Qmp,
    _qemu: Qemu,
}

impl Machine {
    /// Boots one, with what .ci/pi.sh has put together, and waits until its shell calls. From inside, the loopback of this machine
    /// is 10.0.2.2.
    pub fn boot() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let qemu = Qemu::start(listener.local_addr().unwrap().port());
        let (qmp, pins) = (Qmp::new(qemu.connect("qmp")), Pins::new(qemu.connect("qtest")));
        Self { guest: Guest::answer(&listener, || qemu.lives()), pins, qmp, _qemu: qemu }
    }
}

/// The process, and the directory of its sockets and of what it and the kernel said.
struct Qemu {
    process: Mutex<Child>,
    directory: tempfile::TempDir,
}

impl Qemu {
    fn start(port: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        // rppal reaches the pins through /dev/mem here: Debian's kernel has no /dev/gpiomem.
        let kernel = format!("console=ttyS1,115200 iomem=relaxed rdinit=/init panic=-1 quiet port={port}");
        let process = Command::new(piece("QEMU"))
            .current_dir(directory.path())
            // With a thread for each core the boot takes ten times as long.
            .args(["-machine", "raspi3b", "-accel", "tcg,thread=single", "-no-reboot"])
            .args(["-kernel", &piece("KERNEL"), "-dtb", &piece("DTB"), "-initrd", &piece("INITRD"), "-append", &kernel])
            .args(["-netdev", "user,id=net0", "-device", "usb-net,netdev=net0"])
            .args(["-device", "tmp105,id=tmp0,bus=i2c-bus.1,address=0x48"])
            .args(["-qmp", "unix:qmp,server=on,wait=off"])
            .args(["-qtest", "unix:qtest,server=on,wait=off", "-qtest-log", "/dev/null"])
            .args(["-serial", "null", "-serial", "file:console", "-display", "none", "-monitor", "none"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("QEMU does not start");
        Self { process: Mutex::new(process), directory }
    }

    fn connect(&self, socket: &str) -> UnixStream {
        let mut stream = None;
        until(&format!("QEMU makes its socket {socket}"), || {
            self.lives();
            stream = UnixStream::connect(self.directory.path().join(socket)).ok();
            stream.is_some()
        });
        stream.unwrap()
    }

    fn lives(&self) {
        let said = |file| std::fs::read(self.directory.path().join(file)).unwrap_or_default();
        let said = |file| String::from_utf8_lossy(&said(file)).into_owned();
        let status = self.process.lock().unwrap().try_wait().unwrap();
        assert_eq!(status, None, "QEMU ended: {}\n{}", said("log"), said("console"));
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        if let Ok(process) = self.process.get_mut() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            let said = std::fs::read(self.directory.path().join("console")).unwrap_or_default();
            eprintln!("--- on the console:\n{}", String::from_utf8_lossy(&said));
        }
    }
}

/// The path of one of the pieces that the machine is made of.
fn piece(name: &str) -> String {
    let name = format!("HOMEOSTAT_PI_{name}");
    std::env::var(&name).unwrap_or_else(|_| panic!("{name} is not set: run `just pi`"))
}

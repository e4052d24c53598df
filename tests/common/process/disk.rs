//! A small disk of its own for a house, which only the daemon and who enters its namespace can see: it can be full or read-only.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::House;

/// Who keeps the namespace.
pub struct Disk {
    keeper: Child,
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

impl Disk {
    fn mount(at: &Path) -> Self {
        let mount = format!("mount -t tmpfs -o size=4m tmpfs {} && echo mounted && exec sleep 600", at.display());
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--mount", "sh", "-c", &mount]).stdout(Stdio::piped());
        let mut disk = Self { keeper: unshare.spawn().expect("unshare is there") };
        let said = disk.keeper.stdout.as_mut().unwrap();
        said.read_exact(&mut [0; 7]).expect("a tmpfs can be mounted in a namespace");
        disk
    }

    /// A program that sees the disk, and stands in this directory of it: whoever enters a namespace stands at its root.
    pub(super) fn enter(&self, directory: &Path, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--preserve-credentials", "--mount", "--target", &self.keeper.id().to_string()]);
        command.arg("env").arg("--chdir").arg(directory).arg(program);
        command
    }

    /// Where this process, which does not, finds it.
    pub(super) fn seen_from_outside(&self, at: &Path) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.keeper.id())).join(at.strip_prefix("/").unwrap())
    }
}

impl House {
    /// A house with its state on four megabytes of their own.
    pub fn on_tmpfs(config: &str) -> Self {
        let mut house = Self::new("");
        house.disk = Some(Disk::mount(&house.state()));
        house.write("config.toml", config);
        house
    }

    /// Writes until nothing more fits.
    pub fn fill_disk(&self) {
        let _ = std::fs::write(self.path("filler"), vec![0; 8 << 20]);
    }

    pub fn make_room(&self) {
        std::fs::remove_file(self.path("filler")).unwrap();
    }

    pub fn set_read_only(&self, read_only: bool) {
        let how = if read_only { "remount,ro" } else { "remount,rw" };
        let disk = self.disk.as_ref().expect("a disk of its own");
        let status = disk.enter("/".as_ref(), "mount").args(["-o", how]).arg(self.state()).status().unwrap();
        assert!(status.success(), "{how}");
    }
}

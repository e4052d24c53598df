//! A small disk of its own for a house, which only the daemon and who enters its namespace can see: it can be full or read-only,
//! and the power of one can be cut.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Daemon, House, now};

/// Who keeps the namespace.
pub struct Disk {
    keeper: Child,
    /// What of the keeper's one has to enter to see the disk.
    enter: &'static [&'static str],
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// Of a memory, which anybody may mount who is root in a namespace.
const OF_MEMORY: (&[&str], &[&str]) =
    (&["--map-root-user", "--mount"], &["--user", "--preserve-credentials", "--mount"]);

/// Of a file, which takes the machine's root.
const OF_A_FILE: (&[&str], &[&str]) = (&["--mount"], &["--mount"]);

/// The file of a card, beside the state directory.
const CARD: &str = "card.img";

/// As if the power were gone: the file system writes nothing from now on, not even its journal, and forgets what it has in memory.
/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`, by which the file system's own tests do it.
const POWER_OFF: &str =
    r#"open(my $root, "<", $ARGV[0]) or die $!; my $how = pack("L", 2); ioctl($root, 0x8004587d, $how) or die $!"#;

impl Disk {
    fn mount(mount: &str, (unshared, enter): (&[&str], &'static [&'static str])) -> Self {
        let mut unshare = Command::new("unshare");
        unshare.args(unshared).args(["sh", "-c", &format!("{mount} && echo mounted && exec sleep 600")]);
        let keeper = unshare.stdout(Stdio::piped()).spawn().expect("unshare is there");
        let mut disk = Self { keeper, enter };
        let said = disk.keeper.stdout.as_mut().unwrap();
        said.read_exact(&mut [0; 7]).expect("a disk can be mounted in a namespace");
        disk
    }

    /// A program that sees the disk, and stands in this directory of it: whoever enters a namespace stands at its root.
    pub(super) fn enter(&self, directory: &Path, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(self.enter).args(["--target", &self.keeper.id().to_string()]);
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
        let mount = format!("mount -t tmpfs -o size=4m tmpfs '{}'", house.state().display());
        house.disk = Some(Disk::mount(&mount, OF_MEMORY));
        house.write("config.toml", config);
        house
    }

    /// A house with its state on a card whose power can be cut.
    pub fn on_card(config: &str) -> Self {
        let mut house = Self::new("");
        let (card, state) = (house.directory.path().join(CARD), house.state());
        let (card, state) = (card.display(), state.display());
        let mount = format!("truncate -s 32M '{card}' && mkfs.ext4 -q '{card}' && mount -o loop '{card}' '{state}'");
        house.disk = Some(Disk::mount(&mount, OF_A_FILE));
        house.write("config.toml", config);
        house.on_disk("sync", &[]);
        house
    }

    /// Cuts the power: what was not synced is gone, and so is the daemon. Then the card is there again. Gives when the power
    /// was gone for certain, and when the process was, in milliseconds since 1970.
    pub fn cut_power(&self, daemon: Daemon) -> (i64, i64) {
        let (state, card) = (self.state(), self.directory.path().join(CARD));
        self.on_disk("perl", &["-e".as_ref(), POWER_OFF.as_ref(), &state]);
        let (cut, killed) = (now(), daemon.kill());
        self.on_disk("umount", &[&state]);
        self.on_disk("mount", &["-o".as_ref(), "loop".as_ref(), &card, &state]);
        (cut, killed)
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
        self.on_disk("mount", &["-o".as_ref(), how.as_ref(), &self.state()]);
    }

    /// Has a program of the system do something where the disk can be seen.
    fn on_disk(&self, program: &str, arguments: &[&Path]) {
        let disk = self.disk.as_ref().expect("a disk of its own");
        let status = disk.enter("/".as_ref(), program).args(arguments).status().unwrap();
        assert!(status.success(), "{program} {arguments:?}");
    }
}

//! Is the process that a run belongs to still there?
//!
//! A run that was killed leaves a row that says "running". A reader must not believe it: it looks for the process. A pid
//! alone proves nothing, since pids are reused and mean nothing on another machine or in another container; so a run
//! notes the boot it ran in, the namespace that its pid belongs to and the moment its process began. Where the reader
//! cannot look (another machine on a shared disk, another container, not Linux) the heartbeat decides.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How often a run says that it lives.
pub const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(5);

/// After this long without a heartbeat a run out of sight counts as gone. Many heartbeats, because the database may be
/// busy and the clocks of two machines differ.
const SILENCE: SignedDuration = SignedDuration::from_secs(90);

/// Which process, on which machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    pub host: String,
    /// When the process began, in clock ticks since the boot; `None` where the system does not tell.
    pub pid_started: Option<u64>,
    /// Differs from boot to boot and from machine to machine; "" where the system does not tell.
    pub boot_id: String,
    /// Where `pid` means something; "" where the system does not tell.
    pub pid_namespace: String,
}

impl Process {
    /// This process.
    pub fn current() -> Self {
        let pid = std::process::id();
        Self {
            pid,
            host: gethostname::gethostname().to_string_lossy().into_owned(),
            pid_started: Stat::of(pid).map(|stat| stat.started),
            boot_id: boot_id(),
            pid_namespace: pid_namespace(),
        }
    }

    /// Whether it still runs, as far as can be seen from here and now.
    pub fn is_alive(&self, heartbeat: Option<Timestamp>, now: Timestamp) -> bool {
        let in_sight = !self.boot_id.is_empty() && self.boot_id == boot_id() && self.pid_namespace == pid_namespace();
        match self.pid_started {
            Some(started) if in_sight => Stat::of(self.pid).is_some_and(|stat| stat.started == started && !stat.ended),
            _ => heartbeat.is_some_and(|heartbeat| now.duration_since(heartbeat) < SILENCE),
        }
    }
}

/// The boot, as Linux names it.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_string())
        .unwrap_or_default()
}

/// `pid:[4026531836]`: a container has its own.
fn pid_namespace() -> String {
    std::fs::read_link("/proc/self/ns/pid")
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// What Linux tells of a process in /proc/PID/stat.
struct Stat {
    /// Clock ticks since the boot.
    started: u64,
    /// Dead, and only waiting for its parent to notice.
    ended: bool,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// proc_pid_stat(5): the second field is the program's name in parentheses and may hold anything; the third is the
    /// state, the twenty-second the start.
    fn parse(text: &str) -> Option<Self> {
        let (_, after_name) = text.rsplit_once(')')?;
        let mut fields = after_name.split_ascii_whitespace();
        let state = fields.next()?;
        Some(Self {
            started: fields.nth(18)?.parse().ok()?,
            ended: matches!(state, "Z" | "X" | "x"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_whatever_the_program_is_called() {
        let text = "4217 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 8675309 20 21";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.started, stat.ended), (8_675_309, false));
        assert!(Stat::parse(&text.replace(" S ", " Z ")).unwrap().ended);
        assert!(Stat::parse("4217 (x").is_none());
        assert!(Stat::parse("4217 (x) S 1 2").is_none());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_reused_pid_is_not_the_same_process() {
        let now = Timestamp::now();
        let mut process = Process::current();
        assert!(process.is_alive(None, now));
        process.pid_started = process.pid_started.map(|started| started + 1);
        assert!(!process.is_alive(Some(now), now));
    }

    #[test]
    fn out_of_sight_the_heartbeat_decides() {
        let now = Timestamp::now();
        let elsewhere = Process {
            pid: 1,
            host: "another".to_string(),
            pid_started: Some(1),
            boot_id: "another".to_string(),
            pid_namespace: String::new(),
        };
        assert!(elsewhere.is_alive(Some(now - SignedDuration::from_secs(20)), now));
        assert!(!elsewhere.is_alive(Some(now - SignedDuration::from_secs(120)), now));
        assert!(!elsewhere.is_alive(None, now));
    }
}

//! What somebody sees who runs the program in a terminal, and how they stop it.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "a terminal is opened for writing")]

mod common;

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::process::{Child, Stdio};

use common::Lab;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// The program with a terminal of its own as stderr.
struct Terminal {
    child: Child,
    screen: File,
    seen: String,
}

impl Terminal {
    fn run(lab: &Lab, arguments: &[&str]) -> Self {
        let control = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&control).unwrap();
        unlockpt(&control).unwrap();
        let size = Winsize {
            ws_row: 40,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&control, size).unwrap();
        let name = ptsname(&control, Vec::new()).unwrap().into_string().unwrap();
        let stderr = File::options().read(true).write(true).open(name).unwrap();
        let child = lab
            .command(arguments)
            .env("TERM", "xterm-256color")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        Self {
            child,
            screen: File::from(control),
            seen: String::new(),
        }
    }

    /// `false`: the program is gone, and all that it wrote was read.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.screen.read(&mut buffer) {
            Ok(0) => false,
            Ok(read) => {
                self.seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
                true
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            // Linux says so when nobody has the terminal open any more.
            Err(_) => false,
        }
    }

    fn wait_for(&mut self, sign: &str) {
        while !self.seen.contains(sign) {
            assert!(self.read(), "no `{sign}` in {}", self.seen);
        }
    }

    fn interrupt(&self) {
        let sent = std::process::Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// The exit status and all that was seen.
    fn end(mut self) -> (Option<i32>, String) {
        while self.read() {}
        (self.child.wait().unwrap().code(), self.seen)
    }
}

#[test]
fn a_bar_shows_how_far_training_is_and_nothing_of_it_stays() {
    let lab = Lab::new();
    let (code, seen) = Terminal::run(&lab, &["run", "reg.toml"]).end();
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.contains("/3 of epoch 1/"), "{seen}");
    // A line is what was written after it was cleared last.
    for line in seen.lines() {
        let left = line.rsplit("\r\u{1b}[2K").next().unwrap();
        assert!(!left.contains(['█', '░', '…']), "{left:?} stays of {seen}");
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let lab = Lab::new();
    // Everything until the end of the epoch is one step, and it is a long one.
    lab.edit("reg.toml", "channels = 4", "channels = 512");
    lab.edit("reg.toml", "channels = 8", "channels = 512");
    lab.edit("reg.toml", "batch_size = 4", "batch_size = 1\naccumulate = 1000");
    let mut terminal = Terminal::run(&lab, &["run", "reg.toml", "--threads", "1"]);
    // The step has begun: before it, the program would end properly and maybe sooner than the second signal comes.
    for sign in ["/12 of epoch 1/", "stopping as soon as the state is saved"] {
        terminal.wait_for(sign);
        terminal.interrupt();
    }
    let (code, seen) = terminal.end();
    assert_eq!(code, Some(130), "{seen}");
    assert!(!seen.contains("affect resume"), "{seen}");
}

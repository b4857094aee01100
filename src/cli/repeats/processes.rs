//! Runs as processes of their own, some at once.
//!
//! A process ends only itself: one that diverges, or that the system kills for its memory, leaves the others alone. Each is told to stop by
//! the end of its standard input, so it also stops, with its state saved, when the parent is gone in any way.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::cli::failure::Failure;
use crate::cli::recording;

/// How soon a Ctrl-C reaches the processes.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Of what a process said, so much is kept for the case that it fails.
const LAST_WORDS: usize = 12;

/// What becomes of the processes' words on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// They go where the parent's go.
    Through,
    /// They are handed to [`Watcher::said`].
    Watched,
}

/// Told what the processes do.
pub trait Watcher {
    fn begun(&mut self, job: usize);
    fn said(&mut self, job: usize, line: &str);
    fn ended(&mut self, job: usize, ended: &Ended);
}

/// How a process ended.
#[derive(Debug)]
pub enum Ended {
    /// Well, with this on standard output.
    Done(Vec<u8>),
    /// It saved its state and stopped.
    Interrupted,
    Failed {
        how: String,
        last_words: Vec<String>,
    },
}

enum Message {
    Said(usize, String),
    Ended(usize, Ended),
}

/// Carries out `jobs`, at most `at_once` at a time; `command` makes the process of a job for a slot (0-based, below `at_once`). After an
/// interruption no more jobs begin; those that run are told to stop and waited for.
pub fn carry_out(
    jobs: usize,
    at_once: usize,
    words: Words,
    command: impl Fn(usize, usize) -> Command,
    watcher: &mut dyn Watcher,
) -> Result<(), Failure> {
    let (sender, receiver) = channel();
    let mut waiting = 0..jobs;
    let mut running: BTreeMap<usize, (usize, Option<ChildStdin>)> = BTreeMap::new();
    let mut free: Vec<usize> = (0..at_once.max(1)).rev().collect();
    loop {
        while !recording::interrupted()
            && let Some(slot) = free.pop()
        {
            let Some(job) = waiting.next() else {
                free.push(slot);
                break;
            };
            watcher.begun(job);
            match start(job, command(job, slot), words, &sender) {
                Ok(stdin) => drop(running.insert(job, (slot, Some(stdin)))),
                Err(error) => {
                    let how = format!("cannot start a process: {error}");
                    watcher.ended(
                        job,
                        &Ended::Failed {
                            how,
                            last_words: Vec::new(),
                        },
                    );
                    free.push(slot);
                }
            }
        }
        if running.is_empty() {
            return Ok(());
        }
        if recording::interrupted() {
            for (_, stdin) in running.values_mut() {
                stdin.take();
            }
        }
        for message in next_messages(&receiver) {
            match message {
                Message::Said(job, line) => watcher.said(job, &line),
                Message::Ended(job, ended) => {
                    watcher.ended(job, &ended);
                    if let Some((slot, _)) = running.remove(&job) {
                        free.push(slot);
                    }
                }
            }
        }
    }
}

/// Those that are there; waits a while for the first.
fn next_messages(receiver: &Receiver<Message>) -> Vec<Message> {
    match receiver.recv_timeout(BETWEEN_LOOKS) {
        Ok(first) => std::iter::once(first).chain(receiver.try_iter()).collect(),
        // The sender is never dropped before the receiver.
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Vec::new(),
    }
}

fn start(job: usize, mut command: Command, words: Words, sender: &Sender<Message>) -> std::io::Result<ChildStdin> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(match words {
        Words::Through => Stdio::inherit(),
        Words::Watched => Stdio::piped(),
    });
    // Ctrl-C at a terminal goes to the whole group; the processes hear of it from the parent.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn()?;
    let stdin = child.stdin.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
    let sender = sender.clone();
    std::thread::Builder::new()
        .name(format!("run {job}"))
        .spawn(move || attend(job, child, &sender))?;
    Ok(stdin)
}

/// Reads all that a process says, and waits for its end.
fn attend(job: usize, mut child: Child, sender: &Sender<Message>) {
    let stderr = child.stderr.take();
    let heard = sender.clone();
    let listening = stderr.map(|stderr| {
        std::thread::spawn(move || {
            let mut last_words = Vec::new();
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if last_words.len() == LAST_WORDS {
                    last_words.remove(0);
                }
                last_words.push(line.clone());
                drop(heard.send(Message::Said(job, line)));
            }
            last_words
        })
    });
    let mut output = Vec::new();
    let read = match child.stdout.take() {
        Some(mut stdout) => stdout.read_to_end(&mut output).map(drop),
        None => Ok(()),
    };
    let status = read.and_then(|()| child.wait());
    let last_words = listening.and_then(|thread| thread.join().ok()).unwrap_or_default();
    let ended = match status {
        Ok(status) if status.success() => Ended::Done(output),
        Ok(status) if status.code() == Some(130) => Ended::Interrupted,
        Ok(status) => Ended::Failed {
            how: how_it_failed(status),
            last_words,
        },
        Err(error) => Ended::Failed {
            how: format!("cannot be waited for: {error}"),
            last_words,
        },
    };
    drop(sender.send(Message::Ended(job, ended)));
}

fn how_it_failed(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let why = match signal {
            9 => " (the system does that when memory runs out)",
            _ => "",
        };
        return format!("was ended by signal {signal}{why}");
    }
    match status.code() {
        Some(code) => format!("failed with exit status {code}"),
        None => "failed".to_owned(),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Notes {
        begun: Vec<usize>,
        said: Vec<(usize, String)>,
        ended: BTreeMap<usize, String>,
        running: usize,
        most_at_once: usize,
    }

    impl Watcher for Notes {
        fn begun(&mut self, job: usize) {
            self.begun.push(job);
            self.running += 1;
            self.most_at_once = self.most_at_once.max(self.running);
        }
        fn said(&mut self, job: usize, line: &str) {
            self.said.push((job, line.to_owned()));
        }
        fn ended(&mut self, job: usize, ended: &Ended) {
            self.running -= 1;
            self.ended.insert(
                job,
                match ended {
                    Ended::Done(output) => format!("done {}", String::from_utf8_lossy(output).trim()),
                    Ended::Interrupted => "interrupted".into(),
                    Ended::Failed { how, last_words } => format!("{how}: {}", last_words.join("|")),
                },
            );
        }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn some_run_at_once_and_a_failure_leaves_the_others_alone() {
        let scripts = ["echo one", "echo no >&2; exit 3", "exit 130", "kill -9 $$", "echo five"];
        let mut notes = Notes::default();
        carry_out(
            scripts.len(),
            2,
            Words::Watched,
            |job, slot| {
                assert!(slot < 2);
                shell(scripts[job])
            },
            &mut notes,
        )
        .unwrap();
        assert_eq!(notes.begun, [0, 1, 2, 3, 4]);
        assert_eq!(notes.most_at_once, 2);
        assert_eq!(notes.said, [(1, "no".to_owned())]);
        let ends: Vec<&str> = notes.ended.values().map(String::as_str).collect();
        assert_eq!(
            ends,
            [
                "done one",
                "failed with exit status 3: no",
                "interrupted",
                "was ended by signal 9 (the system does that when memory runs out): ",
                "done five"
            ]
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_a_failure_of_its_job() {
        let mut notes = Notes::default();
        carry_out(
            1,
            1,
            Words::Through,
            |_, _| Command::new("/nonexistent/affect"),
            &mut notes,
        )
        .unwrap();
        assert!(
            notes.ended[&0].starts_with("cannot start a process"),
            "{:?}",
            notes.ended
        );
    }
}

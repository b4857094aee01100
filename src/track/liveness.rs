//! Runs that say "running" and are not.
//!
//! Before runs are shown, those whose process is gone get their true status. The log of a killed process knows more than
//! the database does, and may even know that the run ended well, so the run's rows are made from it first.

use jiff::Timestamp;
use rusqlite::{Transaction, TransactionBehavior, params};

use super::database::{Database, moment};
use super::process::Process;
use super::run_dir::RunDir;
use super::store::{self, Replay};
use super::{Error, time};

impl Database {
    /// Gives every run that says "running", and whose process is gone, its true status.
    pub(super) fn correct_the_dead(&self) -> Result<(), Error> {
        let dead = self.dead_runs()?;
        if dead.is_empty() {
            return Ok(());
        }
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate).map_err(self.at("write"))?;
        for (id, experiment, heartbeat) in dead {
            let dir = RunDir::open(&self.runs.join(&experiment).join(&id)).ok();
            self.correct(&id, &heartbeat, dir.as_ref()).map_err(self.at("write"))?;
        }
        transaction.commit().map_err(self.at("write"))
    }

    /// Id, experiment and last heartbeat of the runs whose process is gone.
    fn dead_runs(&self) -> Result<Vec<(String, String, Option<String>)>, Error> {
        let now = Timestamp::now();
        let mut running = self
            .connection
            .prepare_cached(
                "SELECT id, experiment, heartbeat_at, pid, pid_started, pid_namespace, boot_id, host FROM runs
                 WHERE status = 'running'",
            )
            .map_err(self.at("read"))?;
        let rows = running
            .query_map([], |row| {
                let process = Process {
                    pid: row.get::<_, Option<u32>>(3)?.unwrap_or(0),
                    pid_started: row
                        .get::<_, Option<i64>>(4)?
                        .and_then(|started| u64::try_from(started).ok()),
                    pid_namespace: row.get::<_, Option<String>>(5)?.unwrap_or_default(),
                    boot_id: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
                    host: row.get::<_, Option<String>>(7)?.unwrap_or_default(),
                };
                let alive = process.is_alive(moment(row, 2)?, now);
                Ok((alive, (row.get(0)?, row.get(1)?, row.get(2)?)))
            })
            .map_err(self.at("read"))?;
        let mut dead = Vec::new();
        for row in rows {
            let (alive, run) = row.map_err(self.at("read"))?;
            if !alive {
                dead.push(run);
            }
        }
        Ok(dead)
    }

    /// Corrects one run, unless it has moved since it was looked at.
    fn correct(&self, id: &str, heartbeat: &Option<String>, dir: Option<&RunDir>) -> rusqlite::Result<()> {
        let same: bool = self.connection.query_row(
            "SELECT count(*) FROM runs WHERE id = ?1 AND status = 'running' AND heartbeat_at IS ?2",
            params![id, heartbeat],
            |row| row.get(0),
        )?;
        if !same {
            return Ok(());
        }
        let last = match dir.map(|dir| store::replay(&self.connection, dir)).transpose()? {
            Some(Replay::Done { last }) => Some(time::text(last)),
            Some(Replay::NoLog) | None => None,
        };
        self.connection.execute(
            "UPDATE runs SET status = 'interrupted', finished_at = coalesce(?2, heartbeat_at, started_at, created_at)
             WHERE id = ?1 AND status = 'running'",
            params![id, last],
        )?;
        Ok(())
    }
}

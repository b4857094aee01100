//! The tables of the database, and how an older database becomes a newer one.
//!
//! A migration is one step of the schema; their number is the schema's version, kept in SQLite's `user_version`. A
//! released migration is never changed. Before a database with content is changed, a copy is left beside it
//! (`affect.sqlite.v1.bak`); the change itself is one transaction. The tables are made for people who open them with
//! pandas or the sqlite3 shell: plain names, ISO times, no codes. They are not STRICT, since older shells cannot read
//! such tables.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::Error;

/// Tells affect's databases from others ("afct").
const APPLICATION_ID: i32 = 0x6166_6374;

/// Oldest first.
const MIGRATIONS: &[&str] = &[FIRST, LISTS];

/// Times are UTC texts that sort; NaN is NULL. `pid_started`, `boot_id` and `pid_namespace` say which process `pid` means.
const FIRST: &str = "
CREATE TABLE runs (
    id               TEXT PRIMARY KEY,
    experiment       TEXT NOT NULL,
    status           TEXT NOT NULL
        CHECK (status IN ('queued', 'running', 'completed', 'stopped-early', 'failed', 'interrupted')),
    seed             INTEGER NOT NULL,
    device           TEXT NOT NULL,
    created_at       TEXT NOT NULL,
    started_at       TEXT,
    finished_at      TEXT,
    heartbeat_at     TEXT,
    pid              INTEGER,
    pid_started      INTEGER,
    pid_namespace    TEXT,
    boot_id          TEXT,
    host             TEXT,
    git_commit       TEXT,
    config_toml      TEXT NOT NULL,
    config_hash      TEXT NOT NULL,
    data_fingerprint TEXT NOT NULL,
    feature_key      TEXT NOT NULL,
    parent_id        TEXT,
    epoch            INTEGER NOT NULL DEFAULT 0,
    error            TEXT
);
CREATE INDEX runs_by_time ON runs (created_at);
CREATE INDEX runs_by_experiment ON runs (experiment, created_at);

CREATE TABLE params (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    key    TEXT NOT NULL,
    value,
    PRIMARY KEY (run_id, key)
) WITHOUT ROWID;

CREATE TABLE metrics (
    run_id    TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    split     TEXT NOT NULL,
    name      TEXT NOT NULL,
    epoch     INTEGER NOT NULL,
    step      INTEGER NOT NULL,
    value     REAL,
    wall_time REAL NOT NULL,
    PRIMARY KEY (run_id, split, name, step, epoch)
) WITHOUT ROWID;

CREATE TABLE results (
    run_id  TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    split   TEXT NOT NULL,
    name    TEXT NOT NULL,
    target  TEXT NOT NULL,
    value   REAL,
    ci_low  REAL,
    ci_high REAL,
    PRIMARY KEY (run_id, split, name, target)
) WITHOUT ROWID;

CREATE TABLE baselines (
    run_id   TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    split    TEXT NOT NULL,
    baseline TEXT NOT NULL,
    name     TEXT NOT NULL,
    target   TEXT NOT NULL,
    value    REAL,
    PRIMARY KEY (run_id, split, baseline, name, target)
) WITHOUT ROWID;

CREATE TABLE artifacts (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    path   TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes  INTEGER NOT NULL,
    PRIMARY KEY (run_id, path)
) WITHOUT ROWID;

CREATE TABLE tags (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    tag    TEXT NOT NULL,
    PRIMARY KEY (run_id, tag)
) WITHOUT ROWID;

CREATE TABLE notes (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    at     TEXT NOT NULL,
    text   TEXT NOT NULL
);
CREATE INDEX notes_by_run ON notes (run_id, at);
";

/// What lists of runs look for, without reading every run's settings.
const LISTS: &str = "
CREATE INDEX runs_by_parent ON runs (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX runs_going_on ON runs (status) WHERE status = 'running';
CREATE INDEX results_of_test ON results (run_id, name, split, target, value, ci_low, ci_high)
    WHERE split = 'test' AND target = '';
";

/// An error where the database is not ours, or of a newer program. Changes nothing.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), Error> {
    version(connection, path, MIGRATIONS.len()).map(drop)
}

/// Brings the database at `path` to this program's schema; an empty one gets its tables.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    migrate_with(connection, path, MIGRATIONS)
}

fn migrate_with(connection: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), Error> {
    let at = |action| Error::database(action, path);
    let known = migrations.len();
    let current = version(connection, path, known)?;
    if current == known {
        return Ok(());
    }
    if current > 0 {
        keep_copy(connection, path, current)?;
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(at("change"))?;
    // Another process may have been faster.
    let current = version(&transaction, path, known)?;
    for migration in migrations.iter().skip(current) {
        transaction.execute_batch(migration).map_err(at("change"))?;
    }
    transaction
        .execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {known};"
        ))
        .map_err(at("change"))?;
    transaction.commit().map_err(at("change"))
}

/// How many migrations the database has seen; an error where it is not ours or too new.
fn version(connection: &Connection, path: &Path, known: usize) -> Result<usize, Error> {
    // One statement, so that both numbers are of the same moment.
    let (version, application, tables): (u32, i32, u32) = connection
        .query_row(
            "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema)
             FROM pragma_user_version, pragma_application_id",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .map_err(Error::database("open", path))?;
    if application != APPLICATION_ID && (application != 0 || version != 0 || tables != 0) {
        return Err(Error::ForeignDatabase {
            path: path.to_path_buf(),
        });
    }
    let found = version as usize;
    if found > known {
        return Err(Error::NewerSchema {
            path: path.to_path_buf(),
            found: version,
            known: u32::try_from(known).unwrap_or(u32::MAX),
        });
    }
    Ok(found)
}

/// `affect.sqlite.v1.bak`: the whole content before the change. A copy that is there already is kept: it was made before
/// an attempt that did not come to its end.
fn keep_copy(connection: &Connection, path: &Path, version: usize) -> Result<(), Error> {
    let mut name = path.as_os_str().to_os_string();
    name.push(format!(".v{version}.bak"));
    let copy = PathBuf::from(name);
    if copy.exists() {
        return Ok(());
    }
    connection
        .execute("VACUUM INTO ?1", [copy.to_string_lossy()])
        .map_err(Error::database("back up", path))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(folder: &tempfile::TempDir) -> (Connection, PathBuf) {
        let path = folder.path().join("affect.sqlite");
        (Connection::open(&path).unwrap(), path)
    }

    #[test]
    fn an_older_database_is_changed_and_its_copy_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (mut connection, path) = database(&folder);
        let first = "CREATE TABLE a (x); INSERT INTO a VALUES (7);";
        migrate_with(&mut connection, &path, &[first]).unwrap();
        migrate_with(&mut connection, &path, &[first, "ALTER TABLE a ADD COLUMN y;"]).unwrap();
        let x: i64 = connection
            .query_row("SELECT x FROM a WHERE y IS NULL", [], |row| row.get(0))
            .unwrap();
        assert_eq!(x, 7);
        let copy = Connection::open(folder.path().join("affect.sqlite.v1.bak")).unwrap();
        assert!(copy.prepare("SELECT x FROM a").is_ok() && copy.prepare("SELECT y FROM a").is_err());
        let error = migrate_with(&mut connection, &path, &[first]).unwrap_err();
        assert!(
            matches!(error, Error::NewerSchema { found: 2, known: 1, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_failed_change_leaves_the_database_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (mut connection, path) = database(&folder);
        let first = "CREATE TABLE a (x);";
        migrate_with(&mut connection, &path, &[first]).unwrap();
        assert!(migrate_with(&mut connection, &path, &[first, "CREATE TABLE b (x); nonsense;"]).is_err());
        assert!(connection.prepare("SELECT x FROM b").is_err());
        migrate_with(&mut connection, &path, &[first, "CREATE TABLE b (x);"]).unwrap();
        assert!(connection.prepare("SELECT x FROM b").is_ok());
    }

    #[test]
    fn another_programs_database_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (mut connection, path) = database(&folder);
        connection.execute_batch("CREATE TABLE theirs (x);").unwrap();
        assert!(matches!(
            migrate(&mut connection, &path),
            Err(Error::ForeignDatabase { .. })
        ));
    }
}

//! One way to open the database, for the writer of a run and for readers.
//!
//! Many processes train at once on one database. WAL lets readers and one writer work side by side; writers take turns
//! (`BEGIN IMMEDIATE`, so that a turn is asked for at the start, where SQLite waits for it, and never in mid-transaction,
//! where it would not). WAL needs memory shared between the processes, which a network file system does not give: there
//! the classic journal is used.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::{Error, schema};
use crate::files;

/// The file in the runs folder.
pub(super) const FILE: &str = "affect.sqlite";

/// Where the database of a runs folder is.
pub(super) fn path(runs: &Path) -> PathBuf {
    runs.join(FILE)
}

/// Opens the database of `runs`, making folder, file and tables where they are missing. `patience` bounds every wait for
/// other processes: here, and in each later statement.
pub(super) fn open(runs: &Path, patience: Duration) -> Result<Connection, Error> {
    files::create_folder(runs)?;
    let path = path(runs);
    let deadline = Instant::now() + patience;
    loop {
        // SQLite's own waiting does not cover every step of opening (the change to WAL, the recovery after a crash).
        match open_once(&path, patience) {
            Err(error) if is_busy(&error) && Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            result => return result,
        }
    }
}

fn open_once(path: &Path, patience: Duration) -> Result<Connection, Error> {
    let at = || Error::database("open", path);
    let mut connection = Connection::open(path).map_err(at())?;
    connection.busy_timeout(patience).map_err(at())?;
    // Looked at before anything is changed: it may be another program's.
    schema::check(&connection, path)?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .map_err(at())?;
    let wanted = if is_on_network(path) { "truncate" } else { "wal" };
    if mode != wanted {
        connection.pragma_update(None, "journal_mode", wanted).map_err(at())?;
    }
    // NORMAL in WAL: a power cut may undo the last moments (log.jsonl has them) and never damages the file.
    let synchronous = if wanted == "wal" { "NORMAL" } else { "FULL" };
    connection
        .pragma_update(None, "synchronous", synchronous)
        .map_err(at())?;
    connection.pragma_update(None, "foreign_keys", true).map_err(at())?;
    schema::migrate(&mut connection, path)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Which file is at `path`, as far as the system tells: another one after it was deleted or replaced.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
    }
    #[cfg(not(unix))]
    {
        path.exists().then_some((0, 0))
    }
}

/// Whether waiting may help.
pub(super) fn is_busy(error: &Error) -> bool {
    matches!(error, Error::Database { source, .. } if matches!(
        source.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    ))
}

/// Whether the file lies on a file system that is shared over a network, as far as Linux tells; elsewhere `false`.
fn is_on_network(path: &Path) -> bool {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else {
        return false;
    };
    let folder = path.parent().unwrap_or(path);
    folder
        .canonicalize()
        .ok()
        .and_then(|folder| file_system(&mounts, &folder))
        .is_some_and(|kind| is_shared(&kind))
}

/// Whether several machines may see a file system of this type, as /proc/self/mountinfo names it. The names begin alike
/// (`nfs`, `nfs4`; `fuse.glusterfs`).
fn is_shared(kind: &str) -> bool {
    const SHARED: [&str; 21] = [
        "nfs", "cifs", "smb", "9p", "sshfs", "lustre", "gpfs", "beegfs", "ceph", "gluster", "afs", "pvfs", "orangefs",
        "virtiofs", "ocfs2", "gfs2", "davfs", "s3fs", "rclone", "vboxsf", "prl_fs",
    ];
    let kind = kind.strip_prefix("fuse.").unwrap_or(kind);
    SHARED.iter().any(|shared| kind.starts_with(shared))
}

/// The type of the file system that `folder` is on, from the lines of proc_pid_mountinfo(5): field 5 is where it is
/// mounted (spaces and the like as octal), and the type follows a lone hyphen.
fn file_system(mounts: &str, folder: &Path) -> Option<String> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let Some((before, after)) = line.split_once(" - ") else {
            continue;
        };
        let (Some(point), Some(kind)) = (before.split(' ').nth(4), after.split(' ').next()) else {
            continue;
        };
        let point = point
            .replace("\\040", " ")
            .replace("\\011", "\t")
            .replace("\\134", "\\");
        // Of equal mount points the later one covers the earlier.
        if folder.starts_with(&point) && best.is_none_or(|(length, _)| point.len() >= length) {
            best = Some((point.len(), kind));
        }
    }
    best.map(|(_, kind)| kind.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_decides() {
        let mounts = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
                      40 22 0:35 / /home rw shared:1 - nfs4 server:/home rw\n\
                      41 40 0:36 / /home/a\\040b rw - tmpfs tmpfs rw\n";
        let kind = |folder: &str| file_system(mounts, Path::new(folder)).unwrap();
        assert_eq!(kind("/work"), "ext4");
        assert_eq!(kind("/home/x/runs"), "nfs4");
        assert_eq!(kind("/home/a b/runs"), "tmpfs");
        assert_eq!(kind("/homework"), "ext4");
    }

    #[test]
    fn shared_file_systems_are_told_from_local_ones() {
        for kind in [
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "9p",
            "fuse.sshfs",
            "fuse.glusterfs",
            "lustre",
            "ceph",
            "beegfs",
        ] {
            assert!(is_shared(kind), "{kind}");
        }
        for kind in [
            "ext4",
            "xfs",
            "btrfs",
            "tmpfs",
            "overlay",
            "zfs",
            "fuse.ntfs-3g",
            "fuseblk",
            "apfs",
            "f2fs",
        ] {
            assert!(!is_shared(kind), "{kind}");
        }
    }

    #[test]
    fn a_new_database_is_in_wal_mode_and_opens_again() {
        let runs = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let connection = open(&runs.path().join("runs"), Duration::from_secs(1)).unwrap();
            let mode: String = connection
                .query_row("PRAGMA journal_mode", [], |row| row.get(0))
                .unwrap();
            assert!(mode == "wal" || is_on_network(runs.path()), "{mode}");
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_that_says_what_to_do() {
        let runs = tempfile::tempdir().unwrap();
        files::write_whole(&path(runs.path()), &[b'x'; 5000]).unwrap();
        let error = open(runs.path(), Duration::from_secs(1)).unwrap_err();
        assert!(error.hint().unwrap().contains("--rebuild"), "{error}");
    }
}

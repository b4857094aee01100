//! Who uses a feature set, and when it was last used.
//!
//! Each set has a file `in-use`. Every process that reads the set holds a shared lock on it, and its time of change is the time
//! of last use; whoever removes the set needs the exclusive lock. A lock ends with its process, however that ends. So that
//! nobody begins to use what is just being removed, both happen under the lock of the whole cache, `features/lock`, which is
//! held for moments.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

use crate::files;

/// The file whose lock and time of change say who uses a set.
pub const IN_USE: &str = "in-use";

/// A set that this process uses; until it is dropped nobody removes the set.
#[derive(Debug)]
pub struct InUse {
    /// `None` in a cache that cannot be written (nobody removes anything there), or on a file system without locks.
    _lock: Option<File>,
}

impl InUse {
    /// Creates the folder of the set `name` where it is missing, notes the time, and keeps the set from being removed.
    pub fn begin(sets: &Path, name: &str) -> Result<Self, files::Error> {
        let folder = sets.join(name);
        let path = folder.join(IN_USE);
        let all = match files::create_folder(sets).and_then(|()| lock_all(sets, Access::Shared)) {
            Ok(lock) => lock,
            Err(error) if is_read_only(&error) && folder.is_dir() => return Ok(Self { _lock: None }),
            Err(error) => return Err(error),
        };
        files::create_folder(&folder)?;
        let file = match files::open_in_place(&path) {
            Ok(file) => file,
            Err(error) if is_read_only(&error) => return Ok(Self { _lock: None }),
            Err(error) => return Err(error),
        };
        // Only the order in which sets are removed depends on it.
        let _ = file.set_modified(SystemTime::now());
        let locked = file.lock_shared().is_ok();
        drop(all);
        Ok(Self {
            _lock: locked.then_some(file),
        })
    }
}

fn is_read_only(error: &files::Error) -> bool {
    matches!(
        error.source.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    )
}

/// How the cache as a whole is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To begin using a set.
    Shared,
    /// To remove sets.
    Exclusive,
}

/// The lock of the whole cache; `None` on a file system without locks.
pub fn lock_all(sets: &Path, access: Access) -> Result<Option<File>, files::Error> {
    let file = files::open_in_place(&sets.join("lock"))?;
    let locked = match access {
        Access::Shared => file.lock_shared(),
        Access::Exclusive => file.lock(),
    };
    Ok(locked.is_ok().then_some(file))
}

/// The lock that allows to remove a set; `None` while a process uses it. For the holder of the whole cache's lock.
pub fn try_exclusive(folder: &Path) -> Result<Option<File>, files::Error> {
    let path = folder.join(IN_USE);
    let file = files::open_in_place(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(files::Error::at("lock", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_in_use_cannot_be_taken() {
        let sets = tempfile::tempdir().unwrap();
        let one = InUse::begin(sets.path(), "a").unwrap();
        let two = InUse::begin(sets.path(), "a").unwrap();
        assert!(try_exclusive(&sets.path().join("a")).unwrap().is_none());
        drop(one);
        assert!(try_exclusive(&sets.path().join("a")).unwrap().is_none());
        drop(two);
        assert!(try_exclusive(&sets.path().join("a")).unwrap().is_some());
    }
}

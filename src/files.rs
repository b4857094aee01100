//! The one place that writes files.
//!
//! A file that matters is written whole: to a temporary file in the same folder, synced, renamed over the target, and the
//! folder synced. After a crash or a power cut at any point the target holds either its old content or its new one, never
//! a mixture; a temporary file may be left beside it (`.tmp…`), and is ignored by every reader. Clippy's
//! `disallowed-methods` keeps the rest of the code from writing in any other way.
#![allow(clippy::disallowed_methods)]

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file or folder could not be read or written: what was tried, where, and what the system said.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub struct Error {
    /// A verb phrase: "write", "create the folder".
    pub action: &'static str,
    /// What it was tried on.
    pub path: PathBuf,
    /// The system's answer.
    pub source: io::Error,
}

impl Error {
    /// For use with `map_err`: keeps what was tried and where.
    pub fn at<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self {
            action,
            path: path.to_path_buf(),
            source,
        }
    }

    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<&'static str> {
        match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Some("free some space, or name another folder; nothing that was there before is lost")
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Some("check the permissions, or name another folder")
            }
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                Some("a file is where a folder should be: name another folder")
            }
            _ => None,
        }
    }
}

/// Creates `folder` and its parents.
pub fn create_folder(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(Error::at("create the folder", folder))
}

/// Writes `content` to `path`, whole or not at all.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), Error> {
    write_whole_with(path, |writer| writer.write_all(content))
}

/// What a new file's content is written into.
pub type Sink<'a> = dyn Write + Send + 'a;

/// As [`write_whole`], with the content produced by `fill`.
pub fn write_whole_with(path: &Path, fill: impl FnOnce(&mut Sink) -> io::Result<()>) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    write_into(folder, path, fill).map_err(Error::at("write", path))
}

fn write_into(folder: &Path, path: &Path, fill: impl FnOnce(&mut Sink) -> io::Result<()>) -> io::Result<()> {
    let temporary = temporary_in(folder)?;
    // Written to by its file, whose errors name no path.
    let mut writer = BufWriter::with_capacity(1 << 16, temporary.as_file());
    fill(&mut writer)?;
    writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()?;
    readable_like_others(temporary.as_file())?;
    temporary.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Its error says what went wrong, not the name of a file that the user never heard of.
fn temporary_in(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let temporary = tempfile::Builder::new().prefix(".tmp").tempfile_in(folder);
    temporary.map_err(|error| match error.get_ref() {
        Some(_) => error.kind().into(),
        None => error,
    })
}

/// Temporary files are private to their owner; what is put in place has the usual permissions (0644 less the umask's bits
/// cannot be asked for safely in a threaded program, so: read for all, write for the owner).
#[cfg(unix)]
fn readable_like_others(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_like_others(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether files can be made in `folder`; tries, and leaves nothing.
pub fn check_writable(folder: &Path) -> Result<(), Error> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    temporary_in(folder).map(drop).map_err(Error::at("write into", folder))
}

/// Removes `folder` with everything in it; nothing happens where it is missing.
pub fn remove_folder(folder: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::at("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// Moves a folder to where nothing is yet, on the same file system; the folders above `to` are made.
pub fn move_folder(from: &Path, to: &Path) -> Result<(), Error> {
    let parent = to.parent().unwrap_or(Path::new("."));
    create_folder(parent)?;
    if to.exists() {
        return Err(Error::at("move a folder to", to)(io::ErrorKind::AlreadyExists.into()));
    }
    std::fs::rename(from, to).map_err(Error::at("move", from))?;
    sync_folder(parent).map_err(Error::at("write", parent))
}

/// What becomes of a folder that another one replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old {
    Removed,
    Kept,
}

/// Puts the folder `fresh` in the place of `target`: `target` moves to `old`, `fresh` to `target`, and `old` is removed or kept. After
/// a crash in between, one of `target` and `old` is there and complete.
pub fn replace_folder(fresh: &Path, target: &Path, old: &Path, then: Old) -> Result<(), Error> {
    let parent = target.parent().unwrap_or(Path::new("."));
    sync_folder(fresh).map_err(Error::at("write", fresh))?;
    if target.exists() {
        remove_folder(old)?;
        rename(target, old)?;
    }
    std::fs::rename(fresh, target).map_err(Error::at("write", target))?;
    sync_folder(parent).map_err(Error::at("write", parent))?;
    match then {
        Old::Removed => remove_folder(old),
        Old::Kept => Ok(()),
    }
}

/// Makes `link` a symbolic link to the folder `target`, which is an absolute path; the folders above `link` are made. Nothing happens
/// where it is one already.
pub fn link_folder(target: &Path, link: &Path) -> Result<(), Error> {
    create_folder(link.parent().unwrap_or(Path::new(".")))?;
    if std::fs::read_link(link).is_ok_and(|there| there == target) {
        return Ok(());
    }
    #[cfg(unix)]
    let made = std::os::unix::fs::symlink(target, link);
    #[cfg(windows)]
    let made = std::os::windows::fs::symlink_dir(target, link);
    #[cfg(not(any(unix, windows)))]
    let made = Err(io::ErrorKind::Unsupported.into());
    made.map_err(Error::at("make the link", link))
}

/// Moves a file or folder within a file system. `to` must not be there.
pub fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::rename(from, to).map_err(Error::at("move", from))
}

/// Opens `path` for appending, creating it where it is missing. For logs: a reader must expect a torn last line.
pub fn append(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(Error::at("open", path))
}

/// Opens `path` for reading and writing in place, creating it where it is missing and truncating nothing. For files with
/// checksums of their own (the feature cache) and for lock files.
pub fn open_in_place(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(path)
        .map_err(Error::at("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_whole(&path, b"old").unwrap();
        let error = write_whole_with(&path, |writer| {
            writer.write_all(b"half of the new")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        })
        .unwrap_err();
        assert!(error.to_string().contains("state.json") && error.hint().is_some());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = write_whole(Path::new("/nonexistent/folder/x"), b"").unwrap_err();
        assert!(error.to_string().contains("/nonexistent/folder/x"), "{error}");
        assert!(!error.to_string().contains(".tmp"), "{error}");
    }
}

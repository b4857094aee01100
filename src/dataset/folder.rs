//! What is in a folder, in an order that does not depend on the file system.

use std::path::{Path, PathBuf};

use super::Error;
use crate::files;

/// Folders inside folders are followed this far.
const DEEPEST: usize = 6;

/// The names in `folder`, those that are UTF-8, sorted; none where it does not exist.
///
/// # Errors
/// The folder is there and cannot be listed.
pub(super) fn names_in(folder: &Path) -> Result<Vec<String>, Error> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    let list = || -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    };
    match list() {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(files::Error::at("list", folder)(error).into()),
        Ok(mut names) => {
            names.sort_unstable();
            Ok(names)
        }
    }
}

/// All files under `folder` whose extension (in lower case) is one of `extensions`, sorted; folders in it are followed. Names
/// that begin with a point are left out, and so is what AppleDouble leaves behind (`._name`).
///
/// # Errors
/// As [`names_in`].
pub(super) fn files_under(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    collect(folder, extensions, DEEPEST, &mut found)?;
    Ok(found)
}

fn collect(folder: &Path, extensions: &[&str], levels: usize, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    for name in names_in(folder)? {
        if name.starts_with('.') {
            continue;
        }
        let path = folder.join(&name);
        let wanted = extension(&name).is_some_and(|extension| extensions.contains(&extension.as_str()));
        if wanted {
            found.push(path);
        } else if levels > 0 && path.is_dir() {
            collect(&path, extensions, levels - 1, found)?;
        }
    }
    Ok(())
}

/// In lower case, without the point.
pub(super) fn extension(name: &str) -> Option<String> {
    name.rsplit_once('.').map(|(_, extension)| extension.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_at_any_depth_and_litter_is_not() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b/c/2.JPG", "1.jpg", "._1.jpg", ".hidden/3.jpg", "b/notes.txt"] {
            let path = root.path().join(name);
            files::create_folder(path.parent().unwrap()).unwrap();
            files::write_whole(&path, b"x").unwrap();
        }
        let found = files_under(root.path(), &["jpg"]).unwrap();
        assert_eq!(found, ["1.jpg", "b/c/2.JPG"].map(|name| root.path().join(name)));
        assert_eq!(names_in(&root.path().join("none")).unwrap(), [""; 0]);
    }
}

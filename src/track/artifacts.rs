//! Which files did the run leave, and are they still what they were?

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::log;
use super::rows::ArtifactRow;
use crate::files;

/// Every file below `folder`, by path, with its SHA-256. Left out are the log, which this list is written into, what a
/// crash left behind (`.tmp…`), and links.
pub fn scan(folder: &Path) -> Result<Vec<ArtifactRow>, files::Error> {
    let mut rows = Vec::new();
    enter(folder, "", &mut rows)?;
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(rows)
}

fn enter(folder: &Path, prefix: &str, rows: &mut Vec<ArtifactRow>) -> Result<(), files::Error> {
    let at = || files::Error::at("list the folder", folder);
    for entry in std::fs::read_dir(folder).map_err(at())? {
        let entry = entry.map_err(at())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(at())?;
        if kind.is_dir() {
            enter(&entry.path(), &format!("{path}/"), rows)?;
        } else if kind.is_file() && path != log::FILE && !name.starts_with(".tmp") {
            rows.push(hash(&entry.path(), path)?);
        }
    }
    Ok(())
}

fn hash(file: &Path, path: String) -> Result<ArtifactRow, files::Error> {
    let at = || files::Error::at("read", file);
    let mut reader = std::fs::File::open(file).map_err(at())?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(at()(error)),
        };
        hasher.update(buffer.get(..count).unwrap_or_default());
        bytes += count as u64;
    }
    let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(ArtifactRow { path, sha256, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_with_their_hashes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("plots")).unwrap();
        for (name, content) in [
            ("plots/loss.svg", "abc"),
            ("a.txt", ""),
            ("log.jsonl", "{}"),
            (".tmpx", "half"),
        ] {
            files::write_whole(&folder.path().join(name), content.as_bytes()).unwrap();
        }
        let rows = scan(folder.path()).unwrap();
        // FIPS 180-2, appendix B.1, and the hash of nothing.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let found: Vec<(&str, &str, u64)> = rows
            .iter()
            .map(|row| (row.path.as_str(), row.sha256.as_str(), row.bytes))
            .collect();
        assert_eq!(found, [("a.txt", nothing, 0), ("plots/loss.svg", abc, 3)]);
    }
}

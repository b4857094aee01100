//! Links from a page to files beside it.

use std::path::{Component, Path, PathBuf};

/// The way from the folder `from` to the file `to`, as a link: "../x/report.html". Neither need exist. `None` where there is no
/// relative way (another drive), or where the current folder is unknown.
pub fn relative(from: &Path, to: &Path) -> Option<String> {
    let (from, to) = (plain(from)?, plain(to)?);
    let mut from = from.components().peekable();
    let mut to = to.components().peekable();
    let mut shared = 0;
    while let (Some(a), Some(b)) = (from.peek(), to.peek())
        && a == b
    {
        from.next();
        to.next();
        shared += 1;
    }
    if shared == 0 {
        return None;
    }
    let up = from.map(|_| "..".to_owned());
    let down = to.map(|part| encoded(&part.as_os_str().to_string_lossy()));
    let parts: Vec<String> = up.chain(down).collect();
    let link = parts.join("/");
    // A name with a colon must not be read as the name of a protocol.
    Some(match link.starts_with("..") {
        true => link,
        false => format!("./{link}"),
    })
}

/// Absolute, without `.` and `..`; links of the file system are followed where the path exists.
fn plain(path: &Path) -> Option<PathBuf> {
    if let Ok(path) = path.canonicalize() {
        return Some(path);
    }
    let mut plain = PathBuf::new();
    for part in std::path::absolute(path).ok()?.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    Some(plain)
}

/// Percent signs for all that has a meaning in an address, and for what is not ASCII.
fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'@' | b'+' | b',' | b'=' => {
                text.push(char::from(byte));
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_up_and_down() {
        let link = |from: &str, to: &str| relative(Path::new(from), Path::new(to)).unwrap();
        assert_eq!(link("/no-such/a/b", "/no-such/a/c/report.html"), "../c/report.html");
        assert_eq!(link("/no-such/a", "/no-such/a/report.html"), "./report.html");
        assert_eq!(link("/no-such/a/./b/..", "/no-such/x y#1?.wav"), "../x%20y%231%3F.wav");
        assert_eq!(
            link("/no-such", "/no-such/javascript:alert(1)"),
            "./javascript%3Aalert%281%29"
        );
        assert_eq!(link("/no-such", "/no-such/é"), "./%C3%A9");
    }
}

//! CSV files as annotators leave them.
//!
//! UTF-8 with or without a byte order mark, LF or CRLF, quoted commas, spaces around names and values, and where a file is known
//! to have them ([`Rows::Ragged`]) rows that end early. Every row knows the line that it starts on, so that every complaint can
//! point there.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::error::{Error, quoted};
use super::{Fault, Source};
use crate::files;

/// A table with a header. Names and values are trimmed; rows without any value are left out.
pub(super) struct CsvFile {
    pub path: Arc<Path>,
    pub header: Vec<String>,
    pub rows: Vec<Row>,
    /// Rows whose number of fields is not the header's; they are not among `rows`.
    pub faults: Vec<Fault>,
}

/// How many values a row may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// As many as the header has names.
    Even,
    /// Fewer too, or more where those are empty.
    Ragged,
}

/// One line of values. Those that it lacks are empty.
pub(super) struct Row {
    /// 1-based.
    pub line: u64,
    fields: csv::StringRecord,
}

impl Row {
    /// The value in `column`.
    pub fn get(&self, column: usize) -> &str {
        self.fields.get(column).unwrap_or_default()
    }
}

impl CsvFile {
    /// Reads `path` whole.
    ///
    /// # Errors
    /// The file is missing, a folder, unreadable, not UTF-8, or has no row after the header.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(path, &read_text(path)?, Rows::Even)
    }

    /// As [`Self::read`], where rows may end early.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_ragged(path: &Path) -> Result<Self, Error> {
        Self::parse(path, &read_text(path)?, Rows::Ragged)
    }

    fn parse(path: &Path, text: &str, rows: Rows) -> Result<Self, Error> {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let unreadable = |error: csv::Error| files::Error::at("read", path)(io::Error::other(error));
        let header: Vec<String> = reader
            .headers()
            .map_err(unreadable)?
            .iter()
            .map(str::to_owned)
            .collect();
        if header.iter().all(String::is_empty) {
            return Err(Error::NoHeader { path: path.into() });
        }
        let mut file = Self {
            path: path.into(),
            header,
            rows: Vec::new(),
            faults: Vec::new(),
        };
        let mut lines = Lines::new(text);
        let mut fields = csv::StringRecord::new();
        while reader.read_record(&mut fields).map_err(unreadable)? {
            let line = lines.at(fields.position().map_or(0, csv::Position::byte));
            if fields.iter().all(str::is_empty) {
                continue;
            }
            let fits = match rows {
                Rows::Even => fields.len() == file.header.len(),
                Rows::Ragged => fields.iter().skip(file.header.len()).all(str::is_empty),
            };
            if fits {
                file.rows.push(Row {
                    line,
                    fields: fields.clone(),
                });
            } else {
                let (found, expected) = (fields.len(), file.header.len());
                let spans = fields.iter().map(|field| field.matches('\n').count()).sum::<usize>();
                let why = if spans > 0 {
                    format!("; it goes on for {spans} more lines: is a quote left open?")
                } else if found > expected {
                    "; values with commas need quotes around them".to_owned()
                } else {
                    String::new()
                };
                let what = format!("{found} fields where the header has {expected}{why}");
                file.faults.push(file.fault(line, what));
            }
        }
        if file.rows.is_empty() && file.faults.is_empty() {
            return Err(Error::NoRows { path: path.into() });
        }
        Ok(file)
    }

    /// The column called `name`, which the setting `setting` asks for.
    ///
    /// # Errors
    /// The column is missing, or there are two of that name.
    pub fn column(&self, name: &str, setting: &str) -> Result<usize, Fault> {
        let mut matches = self.header.iter().enumerate().filter(|(_, it)| *it == name.trim());
        match (matches.next(), matches.next()) {
            (Some((column, _)), None) => Ok(column),
            (Some(_), Some(_)) => Err(self.fault(1, format!("two columns are called `{name}` ({setting})"))),
            (None, _) => Err(self.fault(1, self.no_column(name, setting))),
        }
    }

    fn no_column(&self, name: &str, setting: &str) -> String {
        let there = quoted(&self.header, 20);
        if let [only] = self.header.as_slice()
            && let Some(separator) = [';', '\t', '|'].into_iter().find(|it| only.contains(*it))
        {
            return format!(
                "no column `{name}` ({setting}); the columns seem to be separated by {separator:?}, but commas are needed"
            );
        }
        match nearest(name, &self.header).as_slice() {
            [] => format!("no column `{name}` ({setting}); there are {there}"),
            near => format!(
                "no column `{name}` ({setting}); did you mean {}? there are {there}",
                near.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(" or ")
            ),
        }
    }

    /// Something wrong on `line`.
    pub fn fault(&self, line: u64, what: String) -> Fault {
        Fault {
            path: self.path.to_path_buf(),
            line: Some(line),
            what,
        }
    }

    /// Where `row` stands.
    pub fn source(&self, row: &Row) -> Source {
        Source {
            file: Arc::clone(&self.path),
            line: Some(row.line),
        }
    }
}

/// Up to two of `names` that `name` may have been meant to be.
fn nearest<'a>(name: &str, names: &'a [String]) -> Vec<&'a str> {
    let name = name.to_lowercase();
    let mut near: Vec<(f64, &str)> = names
        .iter()
        .filter(|it| !it.is_empty())
        .map(|it| {
            (
                strsim::normalized_damerau_levenshtein(&name, &it.to_lowercase()),
                it.as_str(),
            )
        })
        .filter(|(similarity, _)| *similarity >= 0.5)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().take(2).map(|(_, it)| it).collect()
}

fn read_text(path: &Path) -> Result<String, Error> {
    let content = std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::NoFile {
            path: path.into(),
            others: csv_files_beside(path),
        },
        io::ErrorKind::IsADirectory => Error::FileIsFolder { path: path.into() },
        _ => files::Error::at("read", path)(error).into(),
    })?;
    let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&content);
    if content.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::NoHeader { path: path.into() });
    }
    match std::str::from_utf8(content) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let before = content.get(..error.valid_up_to()).unwrap_or_default();
            Err(Error::NotUtf8 {
                path: path.into(),
                line: 1 + before.iter().filter(|&&byte| byte == b'\n').count() as u64,
                looks_like: match content {
                    [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Some("UTF-16"),
                    [b'P', b'K', 3, 4, ..] => Some("an Excel workbook"),
                    [0x1F, 0x8B, ..] => Some("a gzip archive"),
                    _ => None,
                },
            })
        }
    }
}

fn csv_files_beside(path: &Path) -> Vec<String> {
    let Some(entries) = path.parent().and_then(|folder| std::fs::read_dir(folder).ok()) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.to_lowercase().ends_with(".csv") && !name.starts_with("._"))
        .collect();
    let wanted = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    names.sort_by(|a, b| {
        strsim::jaro_winkler(&wanted, b)
            .total_cmp(&strsim::jaro_winkler(&wanted, a))
            .then_with(|| a.cmp(b))
    });
    names
}

/// A finite number, or why it is none.
pub(super) fn number(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(format!("is {text}, not a finite number")),
        Err(_) if text.is_empty() => Err("is empty, but a number is needed".into()),
        Err(_) => {
            let point = text.replacen(',', ".", 1);
            Err(if point != text && point.parse::<f64>().is_ok() {
                format!("is \"{text}\"; write {point}: the point is the decimal sign")
            } else {
                format!("is \"{text}\", not a number")
            })
        }
    }
}

/// Byte offsets, which only grow, to lines.
///
/// The csv crate's own line numbers are those of the end of the previous record: one too few after CRLF, and more after
/// blank lines.
struct Lines<'a> {
    bytes: &'a [u8],
    offset: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            offset: 0,
            line: 1,
        }
    }

    /// The line of the first character at or after `offset` that is no line end.
    fn at(&mut self, offset: u64) -> u64 {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        while let Some(&byte) = self.bytes.get(self.offset) {
            if self.offset >= offset && !matches!(byte, b'\r' | b'\n') {
                break;
            }
            self.line += u64::from(byte == b'\n');
            self.offset += 1;
        }
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CsvFile, Error> {
        CsvFile::parse(Path::new("labels.csv"), text, Rows::Even)
    }

    fn read(content: &[u8]) -> Result<CsvFile, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.csv");
        files::write_whole(&path, content).unwrap();
        CsvFile::read(&path)
    }

    #[test]
    fn ragged_rows_end_in_nothing() {
        let text = "id,a,b\n1,2\n3\n4,5,6,\n7,8,9,10\n";
        let file = CsvFile::parse(Path::new("labels.csv"), text, Rows::Ragged).unwrap();
        let rows: Vec<_> = file
            .rows
            .iter()
            .map(|row| [0, 1, 2].map(|column| row.get(column)))
            .collect();
        assert_eq!(rows, [["1", "2", ""], ["3", "", ""], ["4", "5", "6"]]);
        assert_eq!(file.faults.len(), 1);
        assert!(file.faults[0].what.starts_with("4 fields where the header has 3"));
    }

    #[test]
    fn lines_are_right_with_crlf_blank_lines_and_quoted_line_ends() {
        for end in ["\n", "\r\n"] {
            let text = [
                "file,text",
                "a.wav,x",
                "",
                "b.wav,\"one, two",
                "three\"",
                "c.wav,y",
                ",",
                "d.wav,z",
            ]
            .join(end);
            let file = parse(&text).unwrap();
            let found: Vec<(u64, &str)> = file.rows.iter().map(|row| (row.line, row.get(0))).collect();
            assert_eq!(
                found,
                [(2, "a.wav"), (4, "b.wav"), (6, "c.wav"), (8, "d.wav")],
                "{end:?}"
            );
            assert!(file.rows[1].get(1).starts_with("one, two"));
        }
    }

    #[test]
    fn a_byte_order_mark_and_spaces_do_not_matter() {
        let file = read(b"\xEF\xBB\xBF\"file\", emotion \r\na.wav, joy\r\n").unwrap();
        assert_eq!(file.header, ["file", "emotion"]);
        assert_eq!(file.rows[0].get(1), "joy");
        assert_eq!(file.column("emotion", "dataset.label"), Ok(1));
    }

    #[test]
    fn rows_of_another_length_are_faults() {
        let file = parse("file,emotion\na.wav,joy,4\nb.wav\nc.wav,joy\n").unwrap();
        assert_eq!(file.rows.len(), 1);
        let lines: Vec<_> = file.faults.iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [Some(2), Some(3)]);
        assert!(file.faults[0].what.contains("3 fields where the header has 2"));
    }

    #[test]
    fn an_open_quote_is_suspected() {
        let file = parse("file,emotion\na.wav,joy\n\"b.wav,joy\nc.wav,joy\nd.wav,joy\n").unwrap();
        assert_eq!(file.faults.len(), 1);
        assert_eq!(file.faults[0].line, Some(3));
        assert!(
            file.faults[0].what.contains("is a quote left open?"),
            "{}",
            file.faults[0]
        );
    }

    #[test]
    fn a_missing_column_names_its_neighbours() {
        let file = parse("file,speaker,emotion\na,b,c\n").unwrap();
        let fault = file.column("emotoin", "dataset.label").unwrap_err();
        assert_eq!(
            fault.to_string(),
            "labels.csv:1: no column `emotoin` (dataset.label); did you mean `emotion`? there are `file`, `speaker`, `emotion`"
        );
        let fault = file.column("valence", "dataset.targets").unwrap_err();
        assert!(!fault.what.contains("did you mean"), "{fault}");
        let file = parse("file;emotion\na;b\n").unwrap();
        let fault = file.column("emotion", "dataset.label").unwrap_err();
        assert!(fault.what.contains("separated by ';'"), "{fault}");
        let file = parse("file,file\na,b\n").unwrap();
        assert!(
            file.column("file", "dataset.audio")
                .unwrap_err()
                .what
                .contains("two columns")
        );
    }

    #[test]
    fn empty_files_and_other_encodings_are_told_apart() {
        assert!(matches!(read(b""), Err(Error::NoHeader { .. })));
        assert!(matches!(read(b"\xEF\xBB\xBF\r\n \n"), Err(Error::NoHeader { .. })));
        assert!(matches!(read(b"file,emotion\r\n\r\n"), Err(Error::NoRows { .. })));
        assert!(matches!(
            read(b"file,x\na.wav,1\nm\xFCller.wav,2\n"),
            Err(Error::NotUtf8 {
                line: 3,
                looks_like: None,
                ..
            })
        ));
        let utf16: Vec<u8> = [0xFEFF_u16]
            .into_iter()
            .chain("file,x\n".encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        let error = read(&utf16).err().unwrap();
        assert!(error.to_string().contains("looks like UTF-16"), "{error}");
    }

    #[test]
    fn a_missing_file_names_the_others() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["meta.csv", "labels.csv", "._labels.csv", "notes.txt"] {
            files::write_whole(&folder.path().join(name), b"a,b\n1,2\n").unwrap();
        }
        let error = CsvFile::read(&folder.path().join("label.csv")).err().unwrap();
        assert!(
            error
                .hint()
                .unwrap()
                .ends_with("the folder holds `labels.csv`, `meta.csv`"),
            "{:?}",
            error.hint()
        );
        let error = CsvFile::read(folder.path()).err().unwrap();
        assert!(matches!(error, Error::FileIsFolder { .. }), "{error}");
    }

    #[test]
    fn no_text_makes_it_panic() {
        use proptest::prelude::*;
        proptest!(ProptestConfig::with_cases(256), |(text in "[a,;\"\r\n \u{e9}]{0,60}")| {
            if let Ok(file) = parse(&text) {
                let last = text.matches('\n').count() as u64 + 1;
                prop_assert!(file.rows.iter().all(|row| row.line >= 2 && row.line <= last || text.contains('\r')));
            }
        });
    }
}

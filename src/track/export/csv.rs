//! Tables as CSV.

use rusqlite::Rows;
use rusqlite::types::ValueRef;

use super::Fault;
use super::tables::{Column, Kind};
use crate::files::Sink;

/// The number of rows.
pub(super) fn write(columns: &[Column], rows: &mut Rows<'_>, file: &mut Sink) -> Result<usize, Fault> {
    let fault = |error: ::csv::Error| Fault::File(error.into());
    let mut writer = ::csv::Writer::from_writer(file);
    writer
        .write_record(columns.iter().map(|(name, _)| name))
        .map_err(fault)?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let fields = columns.iter().enumerate().map(|(index, (_, kind))| {
            let value = row.get_ref(index).unwrap_or(ValueRef::Null);
            text(*kind, value)
        });
        writer.write_record(fields).map_err(fault)?;
        count += 1;
    }
    writer.flush()?;
    Ok(count)
}

/// A value with every digit; empty for what there is not.
pub(super) fn text(kind: Kind, value: ValueRef) -> String {
    match value {
        ValueRef::Integer(whole) if kind == Kind::Seed => whole.cast_unsigned().to_string(),
        ValueRef::Integer(whole) => whole.to_string(),
        ValueRef::Real(real) => real.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Null | ValueRef::Blob(_) => String::new(),
    }
}

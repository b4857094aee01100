//! Tables as Parquet, through the format's own columns. Arrow's packages need not be built for it.

use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;
use jiff::Timestamp;
use rusqlite::Rows;
use rusqlite::types::ValueRef;

use super::tables::{Column, Kind};
use super::{Fault, csv};
use crate::files::Sink;

/// So many rows are in memory at once.
const ROW_GROUP: usize = 100_000;

/// A column of the file, as far as it was read.
enum Values {
    Texts(Vec<Option<ByteArray>>),
    Wholes(Vec<Option<i64>>),
    Reals(Vec<Option<f64>>),
}

/// A column of the file.
struct Field {
    name: String,
    /// In the words of the format's schemas.
    kind: &'static str,
    /// The column of the query.
    from: usize,
    read: fn(ValueRef) -> Value,
    values: Values,
}

enum Value {
    Text(Option<String>),
    Whole(Option<i64>),
    Real(Option<f64>),
}

const TEXT: &str = "BYTE_ARRAY {} (STRING)";
const MOMENT: &str = "INT64 {} (TIMESTAMP(MICROS,true))";

impl Field {
    /// What a column of a table becomes: one, or two for settings.
    fn of((name, kind): Column, from: usize) -> Vec<Self> {
        let field = |name: &str, kind: &'static str, values: Values, read: fn(ValueRef) -> Value| Self {
            name: name.to_owned(),
            kind,
            from,
            read,
            values,
        };
        let texts = || Values::Texts(Vec::new());
        let wholes = || Values::Wholes(Vec::new());
        let reals = || Values::Reals(Vec::new());
        match kind {
            Kind::Text => vec![field(name, TEXT, texts(), |value| Value::Text(text(value)))],
            Kind::Whole => vec![field(name, "INT64 {}", wholes(), |value| Value::Whole(whole(value)))],
            // The bits are those of the unsigned number.
            Kind::Seed => vec![field(name, "INT64 {} (INTEGER(64,false))", wholes(), |value| {
                Value::Whole(whole(value))
            })],
            Kind::Real => vec![field(name, "DOUBLE {}", reals(), |value| Value::Real(real(value)))],
            Kind::Moment => vec![field(name, MOMENT, wholes(), |value| {
                let moment = text(value).and_then(|text| text.parse::<Timestamp>().ok());
                Value::Whole(moment.map(Timestamp::as_microsecond))
            })],
            Kind::Seconds => vec![field(name, MOMENT, wholes(), |value| {
                Value::Whole(real(value).map(|seconds| (seconds * 1e6).round() as i64))
            })],
            Kind::Setting => vec![
                field(name, TEXT, texts(), |value| {
                    Value::Text((value != ValueRef::Null).then(|| csv::text(Kind::Setting, value)))
                }),
                field("number", "DOUBLE {}", reals(), |value| Value::Real(real(value))),
            ],
        }
    }

    fn push(&mut self, value: ValueRef) {
        match (&mut self.values, (self.read)(value)) {
            (Values::Texts(values), Value::Text(text)) => {
                values.push(text.map(|text| ByteArray::from(text.into_bytes())));
            }
            (Values::Wholes(values), Value::Whole(whole)) => values.push(whole),
            (Values::Reals(values), Value::Real(real)) => values.push(real),
            // The two are chosen together.
            _ => {}
        }
    }

    /// Writes what was read, and forgets it.
    fn flush(&mut self, group: &mut SerializedRowGroupWriter<'_, &mut Sink>) -> Result<(), ParquetError> {
        match &mut self.values {
            Values::Texts(values) => column::<ByteArrayType>(std::mem::take(values), group),
            Values::Wholes(values) => column::<Int64Type>(std::mem::take(values), group),
            Values::Reals(values) => column::<DoubleType>(std::mem::take(values), group),
        }
    }
}

fn text(value: ValueRef) -> Option<String> {
    value.as_str_or_null().ok().flatten().map(str::to_owned)
}

fn whole(value: ValueRef) -> Option<i64> {
    value.as_i64_or_null().ok().flatten()
}

fn real(value: ValueRef) -> Option<f64> {
    match value {
        ValueRef::Integer(whole) => Some(whole as f64),
        ValueRef::Real(real) => Some(real),
        ValueRef::Null | ValueRef::Text(_) | ValueRef::Blob(_) => None,
    }
}

fn column<T: DataType>(
    values: Vec<Option<T::T>>,
    group: &mut SerializedRowGroupWriter<'_, &mut Sink>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General(
            "there are more columns than the schema has".to_owned(),
        ));
    };
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let there: Vec<T::T> = values.into_iter().flatten().collect();
    column.typed::<T>().write_batch(&there, Some(&levels), None)?;
    column.close()
}

/// The number of rows.
pub(super) fn write(table: &str, columns: &[Column], rows: &mut Rows<'_>, file: &mut Sink) -> Result<usize, Fault> {
    let columns = columns.iter().zip(0..);
    let mut fields: Vec<Field> = columns.flat_map(|(&column, from)| Field::of(column, from)).collect();
    let mut writer = begin(table, &fields, file).map_err(fault)?;
    let mut count = 0;
    loop {
        let row = rows.next()?;
        if let Some(row) = row {
            for field in &mut fields {
                field.push(row.get_ref(field.from)?);
            }
            count += 1;
        }
        let done = row.is_none();
        if count % ROW_GROUP == 0 || done {
            let mut group = writer.next_row_group().map_err(fault)?;
            fields
                .iter_mut()
                .try_for_each(|field| field.flush(&mut group))
                .map_err(fault)?;
            group.close().map_err(fault)?;
        }
        if done {
            break;
        }
    }
    writer.close().map_err(fault)?;
    Ok(count)
}

fn begin<'a, 'b>(
    table: &str,
    fields: &[Field],
    file: &'a mut Sink<'b>,
) -> Result<SerializedFileWriter<&'a mut Sink<'b>>, ParquetError> {
    let fields: Vec<String> = fields
        .iter()
        .map(|field| format!("OPTIONAL {};", field.kind.replace("{}", &field.name)))
        .collect();
    let schema = parse_message_type(&format!("message {table} {{ {} }}", fields.join(" ")))?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))
}

fn fault(error: ParquetError) -> Fault {
    Fault::File(std::io::Error::other(error))
}

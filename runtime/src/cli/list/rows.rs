//! The rows of a table in a file: CSV, perhaps gzipped, or Parquet.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use flate2::read::MultiGzDecoder;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row as ParquetRow};

/// Where in the file a row is, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Of a text; the first is 1.
    Line(u64),
    /// Of a file without lines; the first is 1.
    Row(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(line) => write!(f, "line {line}"),
            Place::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// The cells of the columns that were asked for, in the order in which they were.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    pub place: Place,
    pub cells: Vec<String>,
}

/// Reads some columns of a table, row by row.
///
/// What kind of file it is, its name says: `.parquet`, or else CSV (RFC 4180, with a
/// line of names first), gzipped if it ends with `.gz`.
pub fn read(file: &Path, columns: &[&str], take: impl FnMut(Row) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let open = || File::open(file).with_context(|| format!("cannot read {}", file.display()));
    let ends_with = |ending: &str| file.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending));
    let read = match () {
        () if ends_with("parquet") => read_parquet(open()?, columns, take),
        () if ends_with("gz") => read_csv(MultiGzDecoder::new(open()?), columns, take),
        () => read_csv(open()?, columns, take),
    };
    read.with_context(|| file.display().to_string())
}

fn read_csv(file: impl Read, columns: &[&str], mut take: impl FnMut(Row) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut reader = csv::ReaderBuilder::new().from_reader(file);
    let header = reader.byte_headers()?;
    let header = header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>();
    let places = columns.iter().map(|column| place(&header, column)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record)? {
        let place = Place::Line(record.position().map_or(0, csv::Position::line));
        let cells = places.iter().zip(columns).map(|(at, column)| {
            let cell = record.get(*at).unwrap_or_default();
            let text = std::str::from_utf8(cell).with_context(|| format!("{place}: what stands under {column:?} is not UTF-8"))?;
            Ok(text.to_string())
        });
        take(Row { place, cells: cells.collect::<anyhow::Result<_>>()? })?;
    }
    Ok(())
}

fn read_parquet(file: File, columns: &[&str], mut take: impl FnMut(Row) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let reader = SerializedFileReader::new(file)?;
    let schema = reader.metadata().file_metadata().schema();
    let header: Vec<String> = schema.get_fields().iter().map(|field| field.name().to_string()).collect();
    let places = columns.iter().map(|column| place(&header, column)).collect::<anyhow::Result<Vec<_>>>()?;
    for (row, number) in reader.get_row_iter(None)?.zip(1..) {
        let (row, place): (ParquetRow, Place) = (row?, Place::Row(number));
        let mut fields: Vec<Option<&Field>> = vec![None; header.len()];
        for ((_, field), at) in row.get_column_iter().zip(&mut fields) {
            *at = Some(field);
        }
        let cells = places.iter().zip(columns).map(|(at, column)| {
            let field = fields.get(*at).copied().flatten();
            cell(field.unwrap_or(&Field::Null)).with_context(|| format!("{place}: what stands under {column:?}"))
        });
        take(Row { place, cells: cells.collect::<anyhow::Result<_>>()? })?;
    }
    Ok(())
}

fn place(header: &[String], column: &str) -> anyhow::Result<usize> {
    let mut found = header.iter().enumerate().filter(|(_, name)| *name == column).map(|(at, _)| at);
    match (found.next(), found.next()) {
        (Some(at), None) => Ok(at),
        (Some(_), Some(_)) => bail!("there are two columns {column:?}"),
        (None, _) => bail!("there is no column {column:?}; there are {}", header.join(", ")),
    }
}

/// A value as the text that a CSV would have for it; none is empty.
fn cell(field: &Field) -> anyhow::Result<String> {
    Ok(match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Bool(value) => value.to_string(),
        Field::Byte(value) => value.to_string(),
        Field::Short(value) => value.to_string(),
        Field::Int(value) => value.to_string(),
        Field::Long(value) => value.to_string(),
        Field::UByte(value) => value.to_string(),
        Field::UShort(value) => value.to_string(),
        Field::UInt(value) => value.to_string(),
        Field::ULong(value) => value.to_string(),
        // Written as bytes without the mark that they are text, as some tools do.
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).context("is not UTF-8")?.to_string(),
        Field::Date(days) => date(i64::from(*days))?,
        other => bail!("is {other}, which has no single form as a text; convert the column to text first"),
    })
}

/// A day since 1970, in the form of ISO 8601.
fn date(days: i64) -> anyhow::Result<String> {
    let date = time::OffsetDateTime::UNIX_EPOCH.date().checked_add(time::Duration::days(days));
    let date = date.with_context(|| format!("is day {days} since 1970, which no calendar has"))?;
    ensure!((0..=9_999).contains(&date.year()), "is in the year {}, which has no four digits", date.year());
    Ok(format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    fn rows(file: &Path, columns: &[&str]) -> Result<Vec<(Place, Vec<String>)>, String> {
        let mut rows = Vec::new();
        let read = read(file, columns, |row| {
            rows.push((row.place, row.cells));
            Ok(())
        });
        read.map(|()| rows).map_err(|error| format!("{error:#}"))
    }

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        (folder, path)
    }

    #[test]
    fn columns_are_taken_by_their_names() {
        let text = "id,name,since\n1,\"A, \"\"B\"\"\n& C\",2020\n2,D,\n";
        let expected = |cells: [&str; 2]| cells.map(str::to_string).to_vec();
        let (_folder, path) = file("list.csv", text.as_bytes());
        let found = rows(&path, &["since", "id"]);
        assert_eq!(found, Ok(vec![(Place::Line(2), expected(["2020", "1"])), (Place::Line(4), expected(["", "2"]))]));
        assert_eq!(rows(&path, &["name"]).expect("rows")[0].1, ["A, \"B\"\n& C"]);

        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).expect("packed");
        let (_folder, path) = file("list.csv.gz", &packed.finish().expect("packed"));
        assert_eq!(rows(&path, &["since", "id"]), found);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, problem) in [
            (&b"id,name\n1,a\n2\n"[..], "line: 3"),
            (b"id,name\n1,a\n\xff,b\n", "line 3: what stands under \"id\" is not UTF-8"),
            (b"ID,name\n1,a\n", "no column \"id\"; there are ID, name"),
            (b"id,id\n1,a\n", "two columns \"id\""),
            (b"", "no column \"id\""),
        ] {
            let (_folder, path) = file("list.csv", text);
            let error = rows(&path, &["id"]).expect_err("refused");
            assert!(error.contains(problem) && error.contains("list.csv"), "{problem:?} expected, but: {error}");
        }
        let (_folder, path) = file("list.parquet", b"PAR1 and no more");
        assert!(rows(&path, &["id"]).is_err());
    }

    #[test]
    fn a_parquet_file_gives_the_same_texts() {
        let schema = "message list { REQUIRED INT64 id; OPTIONAL BYTE_ARRAY name (UTF8); OPTIONAL INT32 since (DATE); }";
        let schema = Arc::new(parse_message_type(schema).expect("a schema"));
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).expect("a writer");
        let mut group = writer.next_row_group().expect("a group");
        let mut column = group.next_column().expect("a column").expect("the first");
        column.typed::<Int64Type>().write_batch(&[7, 8], None, None).expect("written");
        column.close().expect("closed");
        let mut column = group.next_column().expect("a column").expect("the second");
        column.typed::<ByteArrayType>().write_batch(&[ByteArray::from("Zoë")], Some(&[0, 1]), None).expect("written");
        column.close().expect("closed");
        let mut column = group.next_column().expect("a column").expect("the third");
        column.typed::<Int32Type>().write_batch(&[19_724], Some(&[1, 0]), None).expect("written");
        column.close().expect("closed");
        group.close().expect("closed");
        let bytes = writer.into_inner().expect("a file");
        let (_folder, path) = file("list.parquet", &bytes);
        let cells = |cells: [&str; 3]| cells.map(str::to_string).to_vec();
        let expected = vec![(Place::Row(1), cells(["", "7", "2024-01-02"])), (Place::Row(2), cells(["Zoë", "8", ""]))];
        assert_eq!(rows(&path, &["name", "id", "since"]), Ok(expected));
        assert!(rows(&path, &["nobody"]).expect_err("refused").contains("there are id, name, since"));
    }
}

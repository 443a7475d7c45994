//! Entries as a table for analysts (Apache Parquet): one row for each.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The columns. `about` is event, timer, gap, silence, change or start; what the others do
/// not have is null. `time` is when an event happened, or for when a timer was set;
/// `arrived` when an event arrived, or when something else was noted. `releases` are those
/// that were asked, or the one that a change is about. `entry` is the whole line: its leaf
/// hash is that of the log.
const SCHEMA: &str = "
message entries {
  required int64 sequence;
  required binary about (STRING);
  optional binary source (STRING);
  optional binary id (STRING);
  optional binary type (STRING);
  optional binary subject (STRING);
  optional int64 time (TIMESTAMP(MICROS, true));
  optional int64 number (INTEGER(64, false));
  optional int64 arrived (TIMESTAMP(MICROS, true));
  required boolean late;
  optional binary digest (STRING);
  optional binary verdict (STRING);
  required group releases (LIST) {
    repeated group list {
      required group element {
        required binary policy (STRING);
        required binary release (STRING);
        required binary mode (STRING);
      }
    }
  }
  required group findings (LIST) {
    repeated group list {
      required group element {
        required binary policy (STRING);
        required binary release (STRING);
        required binary rule (STRING);
        required binary action (STRING);
        required binary severity (STRING);
        required binary message (STRING);
        required binary evidence (JSON);
        required binary legal_basis (STRING);
      }
    }
  }
  required group faults (LIST) {
    repeated group list {
      required group element {
        required binary policy (STRING);
        required binary release (STRING);
        required binary kind (STRING);
        required binary detail (STRING);
      }
    }
  }
  required binary entry (STRING);
}";

/// Members of the lists.
const RELEASES: usize = 3;
const FINDINGS: usize = 8;
const FAULTS: usize = 4;

/// Rows and bytes of entries after which a row group is written; it is in memory until
/// then.
const GROUP_ROWS: usize = 1 << 16;
const GROUP_BYTES: usize = 32 << 20;

/// An entry's line, as far as it has columns.
#[derive(Deserialize)]
struct Line<'a> {
    sequence: i64,
    #[serde(borrow)]
    timer: Option<Other<'a>>,
    gap: Option<Other<'a>>,
    silence: Option<Other<'a>>,
    change: Option<Other<'a>>,
    start: Option<Other<'a>>,
    keep: Option<Other<'a>>,
    erasure: Option<Other<'a>>,
    configuration: Option<Other<'a>>,
    source: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    #[serde(rename = "type")]
    kind: Option<Cow<'a, str>>,
    subject: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    number: Option<u64>,
    arrived: Option<Cow<'a, str>>,
    #[serde(default)]
    late: bool,
    digest: Option<Cow<'a, str>>,
    verdict: Option<Cow<'a, str>>,
}

/// What an entry says that is not about an event.
#[derive(Deserialize)]
struct Other<'a> {
    source: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    subject: Option<Cow<'a, str>>,
    due: Option<Cow<'a, str>>,
    arrived: Option<Cow<'a, str>>,
    noted: Option<Cow<'a, str>>,
    at: Option<Cow<'a, str>>,
    verdict: Option<Cow<'a, str>>,
}

/// What releases said, of an event or of a timer.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    asked: Vec<Asked<'a>>,
    #[serde(borrow)]
    timer: Option<Asked<'a>>,
    change: Option<Asked<'a>>,
}

#[derive(Deserialize)]
struct Asked<'a> {
    policy: Cow<'a, str>,
    release: Cow<'a, str>,
    mode: Cow<'a, str>,
    #[serde(borrow, default)]
    findings: Vec<Finding<'a>>,
    fault: Option<Fault<'a>>,
}

#[derive(Deserialize)]
struct Finding<'a> {
    rule: Cow<'a, str>,
    action: Cow<'a, str>,
    severity: Cow<'a, str>,
    message: Cow<'a, str>,
    #[serde(borrow)]
    evidence: &'a RawValue,
    legal_basis: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Fault<'a> {
    kind: Cow<'a, str>,
    detail: Cow<'a, str>,
}

/// A column whose values may be missing.
struct Optional<T> {
    values: Vec<T>,
    /// 1 where there is one.
    defined: Vec<i16>,
}

impl<T> Default for Optional<T> {
    fn default() -> Self {
        Optional { values: Vec::new(), defined: Vec::new() }
    }
}

impl<T> Optional<T> {
    fn push(&mut self, value: Option<T>) {
        self.defined.push(i16::from(value.is_some()));
        self.values.extend(value);
    }
}

/// Lists of objects of N texts, all of which are there.
struct List<const N: usize> {
    members: [Vec<ByteArray>; N],
    /// 1 for an element, 0 for a list without any.
    defined: Vec<i16>,
    /// 0 where a list begins.
    repeated: Vec<i16>,
    is_begun: bool,
}

impl<const N: usize> Default for List<N> {
    fn default() -> Self {
        List { members: [(); N].map(|()| Vec::new()), defined: Vec::new(), repeated: Vec::new(), is_begun: false }
    }
}

impl<const N: usize> List<N> {
    fn push(&mut self, element: [&str; N]) {
        self.repeated.push(i16::from(self.is_begun));
        self.defined.push(1);
        self.is_begun = true;
        self.members.iter_mut().zip(element).for_each(|(member, value)| member.push(text(value)));
    }

    /// The row has no more.
    fn end(&mut self) {
        if !std::mem::take(&mut self.is_begun) {
            self.repeated.push(0);
            self.defined.push(0);
        }
    }
}

/// Rows that are not written yet.
#[derive(Default)]
struct Rows {
    bytes: usize,
    sequence: Vec<i64>,
    about: Vec<ByteArray>,
    /// source, id, type, subject
    names: [Optional<ByteArray>; 4],
    time: Optional<i64>,
    number: Optional<i64>,
    arrived: Optional<i64>,
    late: Vec<bool>,
    digest: Optional<ByteArray>,
    verdict: Optional<ByteArray>,
    releases: List<RELEASES>,
    findings: List<FINDINGS>,
    faults: List<FAULTS>,
    entry: Vec<ByteArray>,
}

fn text(value: &str) -> ByteArray {
    value.as_bytes().to_vec().into()
}

/// Microseconds since 1970. A time that cannot be read is null here, and stands in the
/// entry as it was sent.
fn micros(value: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(value, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000)).ok()
}

impl Rows {
    fn push(&mut self, line: &str) -> serde_json::Result<()> {
        let mut read: Line<'_> = serde_json::from_str(line)?;
        let Said { asked, timer: woken, change: changed } = serde_json::from_str(line)?;
        let Line { timer, gap, silence, change, start, keep, erasure, configuration, .. } = &mut read;
        let others = [
            ("timer", timer),
            ("gap", gap),
            ("silence", silence),
            ("change", change),
            ("start", start),
            ("keep", keep),
            ("erasure", erasure),
            ("configuration", configuration),
        ];
        let other = others.into_iter().find_map(|(name, other)| Some((name, other.take()?)));
        let about = match other {
            None if read.id.is_some() => "event",
            None => return Err(serde_json::Error::custom("an entry of a kind that has no columns here")),
            Some((name, Other { source, id, subject, due, arrived, noted, at, verdict })) => {
                read = Line { source, id, subject, time: due, arrived: arrived.or(noted).or(at), verdict, ..read };
                name
            }
        };
        self.bytes += line.len();
        self.about.push(text(about));
        let Line { sequence, source, id, kind, subject, time, number, arrived, late, digest, verdict, .. } = read;
        self.sequence.push(sequence);
        for (column, value) in self.names.iter_mut().zip([source, id, kind, subject]) {
            column.push(value.as_deref().map(text));
        }
        self.time.push(time.as_deref().and_then(micros));
        // The bits are those of an unsigned number, as the schema says.
        self.number.push(number.map(u64::cast_signed));
        self.arrived.push(arrived.as_deref().and_then(micros));
        self.late.push(late);
        self.digest.push(digest.as_deref().map(text));
        self.verdict.push(verdict.as_deref().map(text));
        for Asked { policy, release, mode, findings, fault } in asked.iter().chain(&woken).chain(&changed) {
            self.releases.push([policy, release, mode]);
            for Finding { rule, action, severity, message, evidence, legal_basis } in findings {
                self.findings.push([policy, release, rule, action, severity, message, evidence.get(), legal_basis]);
            }
            if let Some(Fault { kind, detail }) = fault {
                self.faults.push([policy, release, kind, detail]);
            }
        }
        self.releases.end();
        self.findings.end();
        self.faults.end();
        self.entry.push(text(line));
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.sequence.len() >= GROUP_ROWS || self.bytes >= GROUP_BYTES
    }
}

/// Columns of a row group, one after the other in the order of the schema.
struct Group<'g, W: Write + Send>(parquet::file::writer::SerializedRowGroupWriter<'g, W>);

type Wrote = parquet::errors::Result<()>;

impl<W: Write + Send> Group<'_, W> {
    fn column<T: parquet::data_type::DataType>(&mut self, values: &[T::T], defined: Option<&[i16]>, repeated: Option<&[i16]>) -> Wrote {
        let column = self.0.next_column()?;
        let mut column = column.ok_or_else(|| parquet::errors::ParquetError::General("the schema has fewer columns".into()))?;
        column.typed::<T>().write_batch(values, defined, repeated)?;
        column.close()
    }

    fn optional<T: parquet::data_type::DataType>(&mut self, column: &Optional<T::T>) -> Wrote {
        self.column::<T>(&column.values, Some(&column.defined), None)
    }

    fn list<const N: usize>(&mut self, list: &List<N>) -> Wrote {
        list.members.iter().try_for_each(|member| self.column::<ByteArrayType>(member, Some(&list.defined), Some(&list.repeated)))
    }
}

/// Writes entries as rows.
pub struct Table<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    rows: Rows,
}

impl<W: Write + Send> Table<W> {
    /// A table that says which log it is from.
    pub fn new(inner: W, source: &str) -> io::Result<Self> {
        let schema = parse_message_type(SCHEMA).map_err(io::Error::other)?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(format!("ephor version {}", env!("CARGO_PKG_VERSION")))
            .set_key_value_metadata(Some(vec![KeyValue::new("ephor.source".to_string(), source.to_string())]));
        // Of these no two are alike.
        for column in ["sequence", "id", "digest", "entry"] {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
        }
        let writer = SerializedFileWriter::new(inner, Arc::new(schema), Arc::new(properties.build())).map_err(io::Error::other)?;
        Ok(Table { writer, rows: Rows::default() })
    }

    /// The next entry.
    pub fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let line = str::from_utf8(line).map_err(io::Error::other)?;
        self.rows.push(line)?;
        if self.rows.is_full() {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows.sequence.is_empty() {
            return Ok(());
        }
        let mut write = || -> Wrote {
            let mut group = Group(self.writer.next_row_group()?);
            group.column::<Int64Type>(&rows.sequence, None, None)?;
            group.column::<ByteArrayType>(&rows.about, None, None)?;
            for name in &rows.names {
                group.optional::<ByteArrayType>(name)?;
            }
            for number in [&rows.time, &rows.number, &rows.arrived] {
                group.optional::<Int64Type>(number)?;
            }
            group.column::<BoolType>(&rows.late, None, None)?;
            group.optional::<ByteArrayType>(&rows.digest)?;
            group.optional::<ByteArrayType>(&rows.verdict)?;
            group.list(&rows.releases)?;
            group.list(&rows.findings)?;
            group.list(&rows.faults)?;
            group.column::<ByteArrayType>(&rows.entry, None, None)?;
            group.0.close().map(drop)
        };
        write().map_err(io::Error::other)
    }

    /// Writes what is left, and the end of the file.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.writer.finish().map_err(io::Error::other)?;
        self.writer.inner_mut().flush()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::{Field, Row};
    use serde_json::{Value, json};

    use super::*;

    const EVENT: &str = r#"{"sequence":1,"source":"/s","id":"a\"1","type":"t","subject":"x","time":"2026-01-02T03:04:05+01:00","number":18446744073709551615,"arrived":"2026-01-02T03:04:05.000006Z","late":true,"digest":"00ff","verdict":"deny","asked":[{"policy":"p","release":"1-a","digest":"11","mode":"enforce","findings":[{"rule":"r1","action":"deny","severity":"high","message":"é","evidence":{"b":"2","a":"1"},"legal_basis":"§ 3"},{"rule":"r2","action":"flag","severity":"low","message":"m","evidence":{},"legal_basis":"l"}]},{"policy":"q","release":"2-b","digest":"22","mode":"shadow","fault":{"kind":"trap","detail":"d"}}]}"#;
    const CLEAN: &str = r#"{"sequence":2,"source":"/s","id":"2","type":"t","time":"soon","arrived":"2026-01-02T03:04:05.000000Z","digest":"00","verdict":"allow","asked":[]}"#;
    const TIMER: &str = r#"{"sequence":3,"timer":{"policy":"p","release":"1-a","digest":"11","mode":"enforce","source":"/s","key":"33","due":"2026-01-01T00:00:00.000000Z","arrived":"2026-01-02T00:00:00.000000Z","verdict":"flag","findings":[{"rule":"r1","action":"flag","severity":"low","message":"late","evidence":{},"legal_basis":"l"}]}}"#;
    const GAP: &str =
        r#"{"sequence":4,"gap":{"source":"/s","after":811,"before":815,"missing":3,"arrived":"2026-01-02T00:00:00.000000Z"}}"#;
    const SILENCE: &str = r#"{"sequence":5,"silence":{"source":"/s","heartbeat":60,"noted":"2026-01-03T00:00:00.000000Z"}}"#;

    const CHANGE: &str = r#"{"sequence":6,"change":{"what":"install","policy":"p","release":"1-a","digest":"11","mode":"shadow","by":"office","at":"2026-01-03T00:00:00.000000Z"}}"#;
    const START: &str = r#"{"sequence":7,"start":{"version":"0.1.0","at":"2026-01-03T00:00:00.000000Z"}}"#;

    const KEEP: &str = r#"{"sequence":8,"keep":{"events":"days","days":30,"at":"2026-01-03T00:00:00.000000Z"}}"#;
    const ERASURE: &str = r#"{"sequence":9,"erasure":{"source":"/s","subject":"x","by":"dpo","at":"2026-01-03T00:00:00.000000Z"}}"#;

    const CONFIGURATION: &str = r#"{"sequence":10,"configuration":{"changed":["a.b: 1 -> 2"],"changes":1,"by":"configuration","reason":"SIGHUP","at":"2026-01-03T00:00:00.000000Z"}}"#;

    const LINES: [&str; 10] = [EVENT, CLEAN, TIMER, GAP, SILENCE, CHANGE, START, KEEP, ERASURE, CONFIGURATION];

    fn object(row: &Row) -> Value {
        row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
    }

    fn value(field: &Field) -> Value {
        match field {
            Field::Null => Value::Null,
            Field::Bool(value) => json!(value),
            Field::Long(value) | Field::TimestampMicros(value) => json!(value),
            Field::ULong(value) => json!(value),
            Field::Str(value) => json!(value),
            Field::Group(row) => object(row),
            Field::ListInternal(list) => list.elements().iter().map(value).collect(),
            other => panic!("a value of another type: {other:?}"),
        }
    }

    fn read(bytes: Vec<u8>) -> Vec<Value> {
        let reader = SerializedFileReader::new(Bytes::from(bytes)).expect("a table");
        reader.get_row_iter(None).expect("rows").map(|row| object(&row.expect("a row"))).collect()
    }

    fn written(lines: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut table = Table::new(&mut bytes, "data").expect("a table");
        lines.iter().for_each(|line| table.line(line.as_bytes()).expect("an entry"));
        table.finish().expect("memory takes it");
        bytes
    }

    #[test]
    fn every_kind_of_entry_is_a_row() {
        let rows = read(written(&LINES));
        let abouts: Vec<&Value> = rows.iter().map(|row| &row["about"]).collect();
        assert_eq!(abouts, ["event", "event", "timer", "gap", "silence", "change", "start", "keep", "erasure", "configuration"]);
        for (row, line) in rows.iter().zip(LINES) {
            let source = if [CHANGE, START, KEEP, CONFIGURATION].contains(&line) { Value::Null } else { json!("/s") };
            assert_eq!((&row["entry"], &row["source"]), (&json!(line), &source));
        }
        let event = &rows[0];
        assert_eq!((&event["id"], &event["late"], &event["verdict"]), (&json!("a\"1"), &json!(true), &json!("deny")));
        assert_eq!(event["number"], json!(u64::MAX));
        assert_eq!(event["time"], 1_767_319_445_000_000i64);
        assert_eq!(event["arrived"], 1_767_323_045_000_006i64);
        let finding = json!({
            "policy": "p", "release": "1-a", "rule": "r1", "action": "deny", "severity": "high", "message": "é",
            "evidence": "{\"b\":\"2\",\"a\":\"1\"}", "legal_basis": "§ 3",
        });
        assert_eq!((&event["findings"][0], &event["findings"][1]["rule"]), (&finding, &json!("r2")));
        assert_eq!(event["faults"], json!([{"policy": "q", "release": "2-b", "kind": "trap", "detail": "d"}]));
        assert_eq!(event["releases"][1], json!({"policy": "q", "release": "2-b", "mode": "shadow"}));
        let clean = &rows[1];
        assert_eq!(
            (&clean["findings"], &clean["releases"], &clean["subject"], &clean["number"]),
            (&json!([]), &json!([]), &Value::Null, &Value::Null)
        );
        assert_eq!(clean["time"], Value::Null, "no time, and the entry has what was sent");
        assert_eq!((&rows[2]["findings"][0]["rule"], &rows[2]["verdict"]), (&json!("r1"), &json!("flag")));
        assert_eq!(rows[2]["time"], 1_767_225_600_000_000i64);
        assert_eq!((&rows[3]["verdict"], &rows[3]["id"]), (&Value::Null, &Value::Null));
        assert_eq!(rows[5]["releases"], json!([{"policy": "p", "release": "1-a", "mode": "shadow"}]));
        assert_eq!((&rows[8]["subject"], &rows[8]["id"]), (&json!("x"), &Value::Null));
        for row in &rows[4..] {
            assert_eq!(row["arrived"], 1_767_398_400_000_000i64);
        }
    }

    #[test]
    fn many_rows_are_several_groups() {
        let lines: Vec<String> =
            (1..=70_000).map(|sequence| CLEAN.replace("\"sequence\":2", &format!("\"sequence\":{sequence}"))).collect();
        let bytes = written(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let reader = SerializedFileReader::new(Bytes::from(bytes.clone())).expect("a table");
        assert_eq!(reader.num_row_groups(), 2);
        assert!(read(bytes).iter().map(|row| &row["sequence"]).eq((1..=70_000).map(|sequence| json!(sequence)).collect::<Vec<_>>().iter()));
    }

    #[test]
    fn an_empty_log_is_an_empty_table_and_what_is_no_entry_is_refused() {
        assert_eq!(read(written(&[])), Vec::<Value>::new());
        let mut table = Table::new(Vec::new(), "data").expect("a table");
        for bad in [&b"nothing"[..], b"{}", b"\xff", b"{\"sequence\":1,\"other\":{}}"] {
            assert!(table.line(bad).is_err(), "{bad:?}");
        }
    }
}

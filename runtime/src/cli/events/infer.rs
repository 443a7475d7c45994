//! `ephor events infer`: what stands in sample events, and the fields that a policy would
//! declare to see it.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use comfy_table::Cell;
use serde_json::{Map, Value, json};

use super::fields::{self, Field};
use super::sample::{self, Sample, Shape, events};
use super::shape::{Place, Sort, rfc3339, share, shown};
use super::values::DISTINCT_MAX;
use crate::cli::exit::{self, Outcome};
use crate::cli::table::{self, plain};

/// Values that are all shown; of more than that, some are.
const VALUES_SHOWN_MAX: usize = 6;

/// Looks at sample events and proposes the fields of a policy.
///
/// The sample is in files with one CloudEvent in JSON per line, plain or gzip. For each
/// type of events it shows which places there are, in how many events, and what stands
/// there; then the struct that a policy would declare to see all of it. Take out what the
/// rule does not need, and say what it needs the rest for. Values are shown as they stand
/// in the sample.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The sample. A folder stands for the files in it that end in .ndjson or .jsonl, or
    /// these and .gz, in the order of their names.
    #[arg(value_name = "FILE|DIR", required = true)]
    sample: Vec<PathBuf>,
    /// Only events of this type [default: all types, most frequent first].
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only so many events, the first ones.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Prints all of it as JSON.
    #[arg(long)]
    json: bool,
}

/// A type of events with what is proposed for it.
struct Proposal<'s> {
    shape: &'s Shape,
    name: String,
    fields: Vec<Field<'s>>,
}

pub async fn run(args: &Args) -> Outcome {
    let files = sample::files(&args.sample)?;
    let sample = Sample::read(files, args.kind.as_deref(), args.limit).await?;
    let names = fields::struct_names(sample.shapes.iter().map(|shape| shape.kind.as_str()));
    let proposals = sample.shapes.iter().zip(names).map(|(shape, name)| Proposal { shape, name, fields: fields::propose(shape) });
    let proposals: Vec<Proposal<'_>> = proposals.collect();
    if args.json { print_json(&sample, &proposals) } else { print(&sample, &proposals) }.context("cannot print")?;
    sample.whole()
}

fn print(sample: &Sample, proposals: &[Proposal<'_>]) -> std::io::Result<()> {
    for Proposal { shape, name, fields } in proposals {
        let mut rows = table::table(&["place", "present", "types", "values"]);
        for place in shape.root.places() {
            rows.add_row([
                Cell::new(plain(&place.pointer)),
                table::right(share(place.seen(), shape.events)),
                Cell::new(place.sorts_in_words()),
                Cell::new(values(place)),
            ]);
        }
        table::print(&format!("{}: {}", plain(&shape.kind), events(shape.events)), &rows);
        print!("\n{}", fields::code(name, fields));
    }
    let cuts = sample.cuts();
    if !cuts.is_empty() {
        println!("\n{}", cuts.join("\n"));
    }
    std::io::stdout().flush()
}

/// What stands in a place, in one line: from where to where, and which values.
fn values(place: &Place) -> String {
    let mut parts = Vec::new();
    if let Some((least, most)) = place.integers {
        parts.push(between(least, most));
    }
    if let Some((least, most)) = place.numbers {
        parts.push(between(least, most));
    }
    if let Some((earliest, latest)) = place.times.range {
        parts.push(between(rfc3339(earliest).unwrap_or_default(), rfc3339(latest).unwrap_or_default()));
    }
    if let Some((shortest, longest)) = place.length {
        parts.push(between(shortest, longest) + " items");
    }
    let distinct = place.values.distinct();
    let counts = place.values.counts();
    let examples = place.examples.join(", ");
    parts.push(match distinct {
        0 => examples,
        1 => format!("1 value: {examples}"),
        _ if !counts.is_empty() && counts.len() <= VALUES_SHOWN_MAX => {
            let all: Vec<String> = counts.iter().map(|(value, _)| shown(value)).collect();
            format!("{distinct} values: {}", all.join(", "))
        }
        2..=DISTINCT_MAX => format!("{distinct} values, such as {examples}"),
        _ => format!("over {DISTINCT_MAX} values, such as {examples}"),
    });
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

fn between<T: PartialEq + std::fmt::Display>(least: T, most: T) -> String {
    if least == most { least.to_string() } else { format!("{least} … {most}") }
}

fn print_json(sample: &Sample, proposals: &[Proposal<'_>]) -> std::io::Result<()> {
    let types: Vec<Value> = proposals.iter().map(of_type).collect();
    let document = json!({
        "events": sample.events,
        "rejected": sample.rejected.lines,
        "first_rejection": sample.rejected.first,
        "left_out": sample.cuts(),
        "types": types,
    });
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &document)?;
    writeln!(out)
}

fn of_type(Proposal { shape, name, fields }: &Proposal<'_>) -> Value {
    let places: Vec<Value> = shape.root.places().into_iter().map(|place| of_place(place, shape, fields)).collect();
    json!({
        "type": shape.kind,
        "events": shape.events,
        "places": places,
        "struct": name,
        "rust": fields::code(name, fields),
    })
}

fn of_place(place: &Place, shape: &Shape, fields: &[Field<'_>]) -> Value {
    let sorts: Map<String, Value> = place.sorts().into_iter().map(|(sort, count)| (sort.name().to_string(), count.into())).collect();
    let mut document = json!({
        "pointer": place.pointer,
        "present": place.seen(),
        "presence": place.seen() as f64 / shape.events as f64,
        "types": sorts,
        "examples": place.examples,
    });
    let mut put = |name: &str, value: Value| document[name] = value;
    if let Some((least, most)) = place.integers {
        put("integer", json!({"min": least, "max": most}));
    }
    if let Some((least, most)) = place.numbers {
        put("number", json!({"min": least, "max": most, "decimals": place.decimals}));
    }
    if let Some((earliest, latest)) = place.times.range {
        put("time", json!({"min": rfc3339(earliest), "max": rfc3339(latest)}));
    }
    if let Some((shortest, longest)) = place.length {
        put("items", json!({"min": shortest, "max": longest}));
    }
    if place.seen() > place.of(Sort::Null) + place.of(Sort::Object) + place.of(Sort::Array) {
        let distinct = place.values.distinct();
        put("distinct", distinct.min(DISTINCT_MAX).into());
        put("distinct_is_at_least", (distinct > DISTINCT_MAX).into());
    }
    let counts = place.values.counts();
    if !counts.is_empty() {
        // They were made of JSON, and are read as what they were.
        let read = |value: &str| serde_json::from_str::<Value>(value).unwrap_or_default();
        put("values", counts.into_iter().map(|(value, count)| json!({"value": read(value), "events": count})).collect());
    }
    if let Some(field) = fields.iter().find(|field| std::ptr::eq(field.place, place)) {
        put("field", json!({"name": field.name, "type": field.kind}));
    }
    document
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::shape::tests::learned;
    use super::*;

    fn of(data: &[&str], pointer: &str) -> (String, Value) {
        let shape = Shape { kind: "t".into(), events: data.len() as u64, sources: BTreeMap::new(), root: learned(data) };
        let fields = fields::propose(&shape);
        let place = shape.root.places().into_iter().find(|place| place.pointer == pointer).expect("the place");
        (values(place), of_place(place, &shape, &fields))
    }

    #[test]
    fn few_values_are_all_shown_and_many_are_not() {
        let (text, document) = of(&[r#"{"x":"b"}"#, r#"{"x":"a"}"#, r#"{"x":"b"}"#], "/data/x");
        assert_eq!(text, r#"2 values: "b", "a""#);
        assert_eq!(document["values"], json!([{"value": "b", "events": 2}, {"value": "a", "events": 1}]));
        assert_eq!((&document["distinct"], &document["presence"]), (&json!(2), &json!(1.0)));
        assert_eq!(document["field"], json!({"name": "x", "type": "&'a str"}));

        let data: Vec<String> = (0..300).map(|number| format!(r#"{{"x":{number}}}"#)).collect();
        let data: Vec<&str> = data.iter().map(String::as_str).collect();
        assert_eq!(of(&data[..20], "/data/x").0, "0 … 19; 20 values, such as 0, 1, 2");
        let (text, document) = of(&data, "/data/x");
        assert_eq!(text, "0 … 299; over 256 values, such as 0, 1, 2");
        assert_eq!((&document["distinct"], &document["distinct_is_at_least"]), (&json!(256), &json!(true)));
        assert_eq!((&document["integer"], &document["values"]), (&json!({"min": 0, "max": 299}), &Value::Null));
    }

    #[test]
    fn times_and_arrays_have_bounds() {
        let (text, document) = of(&[r#"{"x":"2026-01-02T04:04:05+01:00"}"#, r#"{"x":"2026-01-02T03:04:05.5Z"}"#], "/data/x");
        assert!(text.starts_with("2026-01-02T03:04:05Z … 2026-01-02T03:04:05.5Z; 2 values: "), "{text}");
        assert_eq!(document["time"], json!({"min": "2026-01-02T03:04:05Z", "max": "2026-01-02T03:04:05.5Z"}));
        let (text, document) = of(&[r#"{"x":[1,2]}"#, r#"{"x":[]}"#], "/data/x");
        assert_eq!(text, "0 … 2 items; [1,2], []");
        assert_eq!((&document["items"], &document["distinct"]), (&json!({"min": 0, "max": 2}), &Value::Null));
    }
}

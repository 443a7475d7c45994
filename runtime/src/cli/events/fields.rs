//! The struct that a policy would declare to see what a sample has.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ephor::policy::manifest::FIELDS_MAX;

use super::sample::Shape;
use super::shape::{Place, Sort};

/// What stands for the purpose of a field, which only its author can say. Put together, so
/// that whoever looks for what is left to do finds it in policies, and not here.
const NO_PURPOSE: &str = concat!("TO", "DO: say what the rule needs it for");

/// What Rust keeps for itself.
const KEYWORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern false final fn for gen if \
    impl in let loop macro match mod move mut override priv pub ref return self static struct super trait true try type typeof unsafe \
    unsized use virtual where while yield";

/// What the code of a policy has by these names.
const TAKEN_TYPES: &str = "Ask Err Fields Json List None Ok Option Out Policy Result Rule Rules Self Settings SettingsErrors Some State \
    String Time Vec";

/// A field of the struct.
pub struct Field<'s> {
    pub place: &'s Place,
    pub name: String,
    /// Its type in Rust.
    pub kind: String,
    /// Why the type is not what one would expect.
    remark: Option<String>,
}

/// The fields of a type of events.
pub fn propose(shape: &Shape) -> Vec<Field<'_>> {
    let places: Vec<&Place> = shape.root.places().into_iter().filter(|place| !place.is_technical()).collect();
    let pointers: Vec<&str> = places.iter().map(|place| place.pointer.as_str()).collect();
    let names = names(&pointers);
    let named = places.into_iter().zip(names);
    named
        .map(|(place, name)| {
            let (kind, remark) = kind(place);
            let is_always_there = place.seen() == shape.events && place.of(Sort::Null) == 0;
            let kind = if is_always_there { kind.to_string() } else { format!("Option<{kind}>") };
            Field { place, name, kind, remark }
        })
        .collect()
}

/// The type in Rust of what stands in a place, if it is always there.
fn kind(place: &Place) -> (&'static str, Option<String>) {
    let sorts: Vec<Sort> = place.sorts().into_iter().map(|(sort, _)| sort).filter(|sort| *sort != Sort::Null).collect();
    let kind = match sorts[..] {
        [Sort::Boolean] => "bool",
        [Sort::Integer] => "i64",
        [Sort::Number] | [Sort::Integer, Sort::Number] => "f64",
        [Sort::Text] | [Sort::Text, Sort::Time] => "&'a str",
        [Sort::Time] => "Time",
        [Sort::Object] | [Sort::Array] | [Sort::Object, Sort::Array] => "Json<'a>",
        [] => return ("Json<'a>", Some("the sample has null only".into())),
        _ => return ("Json<'a>", Some(format!("the sample has {}", place.sorts_in_words()))),
    };
    (kind, None)
}

/// The struct in Rust.
pub fn code(name: &str, fields: &[Field<'_>]) -> String {
    let (fields, beyond) = fields.split_at(fields.len().min(FIELDS_MAX));
    let lifetime = if fields.iter().any(|field| field.kind.contains("'a")) { "<'a>" } else { "" };
    let mut code = format!("#[derive(Fields)]\nstruct {name}{lifetime} {{\n");
    for Field { place, name, kind, remark } in fields {
        if let Some(remark) = remark {
            let _ = writeln!(code, "    // {remark}");
        }
        // As `Debug` has a text, it is a literal of Rust, whatever an event has for a name.
        let _ = writeln!(code, "    #[field({:?}, purpose = {NO_PURPOSE:?})]\n    {name}: {kind},", place.pointer);
    }
    if !beyond.is_empty() {
        let _ = writeln!(code, "    // and {} more, but a policy declares at most {FIELDS_MAX}", beyond.len());
    }
    code + "}\n"
}

/// A name for the struct of each type of events, each another one.
pub fn struct_names<'t>(types: impl IntoIterator<Item = &'t str>) -> Vec<String> {
    let mut taken: BTreeSet<String> = TAKEN_TYPES.split(' ').map(str::to_string).collect();
    types.into_iter().map(|kind| struct_name(kind, &mut taken)).collect()
}

/// `retail.invoice.line` as `Line`, or as `InvoiceLine` if there is a `Line` already.
fn struct_name(kind: &str, taken: &mut BTreeSet<String>) -> String {
    let steps: Vec<String> = kind.split(['.', '/', ':']).map(camel).filter(|step| !step.is_empty()).collect();
    // A version says nothing by itself.
    let is_version = |step: &String| step.starts_with('V') && step.len() > 1 && step[1..].bytes().all(|byte| byte.is_ascii_digit());
    let least = if steps.last().is_some_and(is_version) { 2 } else { 1 };
    let mut longest = String::new();
    for count in least..=steps.len().max(least) {
        longest = steps[steps.len().saturating_sub(count)..].concat();
        if longest.is_empty() || longest.starts_with(char::is_numeric) {
            longest.insert_str(0, "Event");
        }
        if taken.insert(longest.clone()) {
            return longest;
        }
    }
    other_than(&(longest + "Event"), "", taken)
}

/// A name for the field of each place, each another one: the last step of its pointer, or
/// as many steps as make the difference.
fn names(pointers: &[&str]) -> Vec<String> {
    let steps: Vec<Vec<String>> = pointers.iter().map(|pointer| pointer.split('/').skip(1).map(snake).collect()).collect();
    let name = |steps: &[String], count: usize| {
        let steps = steps[steps.len().saturating_sub(count)..].iter().filter(|step| !step.is_empty());
        identifier(steps.cloned().collect::<Vec<_>>().join("_"))
    };
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for steps in &steps {
        *ends.entry(name(steps, 1)).or_default() += 1;
    }
    let mut taken = BTreeSet::new();
    let mut names = Vec::with_capacity(steps.len());
    for steps in &steps {
        // Two ends that are the same become two longer names.
        let least = if ends.get(&name(steps, 1)) == Some(&1) { 1 } else { 2 };
        let found = (least..=steps.len()).map(|count| name(steps, count)).find(|name| !taken.contains(name));
        names.push(match found {
            Some(found) => {
                taken.insert(found.clone());
                found
            }
            None => other_than(&name(steps, steps.len()), "_", &mut taken),
        });
    }
    names
}

/// The name, or the name with the first number that makes another one of it.
fn other_than(name: &str, before_number: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2u32..).map(|number| format!("{name}{before_number}{number}"));
    // There is no end of numbers.
    let free = std::iter::once(name.to_string()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(free.clone());
    free
}

/// What Rust takes for the name of a field.
fn identifier(name: String) -> String {
    match name {
        name if name.is_empty() => "value".into(),
        name if name.starts_with(char::is_numeric) => format!("value_{name}"),
        name if KEYWORDS.split(' ').any(|keyword| keyword == name) => name + "_",
        name => name,
    }
}

/// Letters and digits that names in Rust can have; of Unicode those scripts only in which
/// every letter is one.
fn is_letter(letter: char) -> bool {
    let is_known = matches!(letter,
        '\u{c0}'..='\u{24f}' | '\u{386}'..='\u{481}' | '\u{48a}'..='\u{52f}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}'
            | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}');
    letter.is_ascii_alphanumeric() || is_known && letter.is_alphabetic()
}

/// `unitPrice`, `Unit-Price` and `unit price` as `unit_price`.
fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len());
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| letters.get(at));
        let is_next_small = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        // The last capital of several begins the next word: HTTPStatus is http_status.
        let begins_word = letter.is_uppercase() && before.is_some_and(|before| !before.is_uppercase() || is_next_small);
        if (begins_word || !is_letter(*letter)) && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        if is_letter(*letter) {
            snake.extend(letter.to_lowercase());
        }
    }
    snake.truncate(snake.trim_end_matches('_').len());
    snake
}

/// `vehicle-seen` as `VehicleSeen`.
fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    for word in name.split(|letter: char| !is_letter(letter)) {
        let mut letters = word.chars();
        camel.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::super::shape::tests::learned;
    use super::*;

    fn shape(data: &[&str]) -> Shape {
        Shape { kind: "t".into(), events: data.len() as u64, sources: BTreeMap::new(), root: learned(data) }
    }

    /// Name and type of each field.
    fn proposed(data: &[&str]) -> Vec<String> {
        propose(&shape(data)).into_iter().map(|field| format!("{}: {}", field.name, field.kind)).collect()
    }

    #[test]
    fn fields_have_the_types_that_take_every_value() {
        let time = "\"2026-01-02T03:04:05Z\"";
        for (values, kind) in [
            (["true", "false"], "bool"),
            (["1", "-2"], "i64"),
            (["1", "2.5"], "f64"),
            (["1e3", "2.5"], "f64"),
            (["\"a\"", "\"b\""], "&'a str"),
            (["\"a\"", time], "&'a str"),
            ([time, time], "Time"),
            (["[1]", "[]"], "Json<'a>"),
            (["{}", "{}"], "Json<'a>"),
            (["\"1\"", "1"], "Json<'a>"),
            (["true", "null"], "Option<bool>"),
            (["null", "null"], "Option<Json<'a>>"),
        ] {
            let data = values.map(|value| format!(r#"{{"x":{value}}}"#));
            assert_eq!(proposed(&[&data[0], &data[1]]), [format!("x: {kind}")], "{values:?}");
        }
        assert_eq!(proposed(&[r#"{"x":1}"#, "{}"]), ["x: Option<i64>"]);
    }

    #[test]
    fn a_struct_says_what_only_its_author_knows() {
        let shape = shape(&[r#"{"unitPrice":1,"note":"x","q\"\u0007":1}"#, r#"{"unitPrice":2,"note":7,"q\"\u0007":1}"#]);
        let code = code("Line", &propose(&shape)).replace(NO_PURPOSE, "…");
        let expected = r#"#[derive(Fields)]
struct Line<'a> {
    #[field("/data/unitPrice", purpose = "…")]
    unit_price: i64,
    // the sample has integer 50.0 %, text 50.0 %
    #[field("/data/note", purpose = "…")]
    note: Json<'a>,
    #[field("/data/q\"\u{7}", purpose = "…")]
    q: i64,
}
"#;
        assert_eq!(code, expected);
    }

    #[test]
    fn a_struct_has_no_more_fields_than_a_policy_may_declare() {
        let members: Vec<String> = (0..70).map(|name| format!(r#""n{name}":1"#)).collect();
        let shape = shape(&[&format!("{{{}}}", members.join(","))]);
        let code = code("Line", &propose(&shape));
        assert!(code.starts_with("#[derive(Fields)]\nstruct Line {\n") && code.contains("// and 6 more"), "{code}");
        assert_eq!(code.matches("#[field(").count(), FIELDS_MAX);
    }

    #[test]
    fn names_are_those_of_rust() {
        for (name, expected) in [
            ("unitPrice", "unit_price"),
            ("Unit-Price", "unit_price"),
            ("HTTPStatus", "http_status"),
            ("userID", "user_id"),
            ("__a  b__", "a_b"),
            ("2nd", "value_2nd"),
            ("type", "type_"),
            ("Self", "self_"),
            ("商品", "商品"),
            ("größe", "größe"),
            ("Ⓐ½²", "value"),
            ("", "value"),
        ] {
            assert_eq!(names(&[&format!("/data/{name}")]), [expected], "{name}");
        }
    }

    #[test]
    fn no_two_fields_have_one_name() {
        let pointers =
            ["/time", "/data/buyer/name", "/data/seller/name", "/data/time", "/data/seller_name", "/data/a-b", "/data/a_b", "/data/"];
        assert_eq!(
            names(&pointers),
            ["time", "buyer_name", "seller_name", "data_time", "data_seller_name", "data_a_b", "data_a_b_2", "value"]
        );
    }

    #[test]
    fn structs_are_named_by_the_end_of_the_type() {
        let types = ["retail.invoice.line", "retail.cancellation.line", "line", "shop.rule", "com.example/vehicle-seen.v2", "7", "", "é.ß"];
        assert_eq!(struct_names(types), ["Line", "CancellationLine", "LineEvent", "ShopRule", "VehicleSeenV2", "Event7", "Event", "SS"]);
    }
}

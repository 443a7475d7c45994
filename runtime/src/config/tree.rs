//! The configuration's keys as their fields declare them: what there is, of which type,
//! in which range, with which default, and what for.
//!
//! All of it is read out of the JSON Schema that is derived from the structs, so there is
//! no second list of keys that could say otherwise.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::Config;

/// One key, or what stands under names of the operator's own.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The field's doc comment.
    pub doc: String,
    pub default: Option<Value>,
    /// A value to show, where the default says little.
    pub example: Option<Value>,
    pub shape: Shape,
}

/// What a value may be.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// A table with these keys only.
    Table {
        keys: Vec<(String, Node)>,
        required: Vec<String>,
    },
    /// A table whose keys are names; in bytes, how long those may be.
    Named {
        of: Box<Node>,
        name_bytes: (u64, u64),
    },
    List(Box<Node>),
    Integer {
        min: i128,
        max: i128,
    },
    Number {
        min: f64,
        max: f64,
    },
    Boolean,
    /// One of these words, each with what it means; any text if there are none. Where
    /// others are `judged` elsewhere, they are taken here.
    Text {
        words: Vec<(String, String)>,
        judged: bool,
    },
    Either(Vec<Node>),
}

/// The JSON Schema of the configuration.
pub(super) fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".into(), "ephor.toml".into());
    }
    schema
}

impl Node {
    /// The configuration as a whole.
    pub fn root() -> Node {
        match schema() {
            Value::Object(schema) => Node::of(&schema),
            _ => unreachable!("a derived schema is an object"),
        }
    }

    fn of(schema: &Map<String, Value>) -> Node {
        let examples = schema.get("examples").and_then(Value::as_array);
        Node {
            doc: text(schema, "description"),
            default: schema.get("default").filter(|default| !default.is_null()).cloned(),
            example: examples.and_then(|examples| examples.first()).cloned(),
            shape: Shape::of(schema),
        }
    }

    /// The node of a key in a table.
    pub fn key(&self, name: &str) -> Option<&Node> {
        match &self.shape {
            Shape::Table { keys, .. } => keys.iter().find(|(key, _)| key == name).map(|(_, node)| node),
            Shape::Named { of, .. } => Some(of),
            _ => None,
        }
    }

    /// All keys below, each with the tables that it is in.
    pub fn walk<'n>(&'n self, path: &mut Vec<&'n str>, visit: &mut impl FnMut(&[&'n str], &'n Node)) {
        let mut below = |name: &'n str, node: &'n Node, path: &mut Vec<&'n str>| {
            path.push(name);
            visit(path, node);
            node.walk(path, visit);
            path.pop();
        };
        match &self.shape {
            Shape::Table { keys, .. } => keys.iter().for_each(|(name, node)| below(name, node, path)),
            Shape::Named { of, .. } => below("NAME", of, path),
            _ => {}
        }
    }
}

impl Shape {
    fn of(schema: &Map<String, Value>) -> Shape {
        for either in ["oneOf", "anyOf"] {
            if let Some(branches) = schema.get(either).and_then(Value::as_array) {
                return Shape::either(branches);
            }
        }
        match kind(schema) {
            "object" => match schema.get("properties").and_then(Value::as_object) {
                Some(properties) => {
                    let keys = properties.iter().filter_map(|(name, of)| Some((name.clone(), Node::of(of.as_object()?))));
                    let required = schema.get("required").and_then(Value::as_array).map(|names| words(names)).unwrap_or_default();
                    Shape::Table { keys: keys.collect(), required }
                }
                None => {
                    let none = Map::new();
                    let of = Node::of(schema.get("additionalProperties").and_then(Value::as_object).unwrap_or(&none));
                    let names = schema.get("propertyNames").and_then(Value::as_object).unwrap_or(&none);
                    let bound = |name: &str, default| names.get(name).and_then(Value::as_u64).unwrap_or(default);
                    Shape::Named { of: Box::new(of), name_bytes: (bound("minLength", 0), bound("maxLength", u64::MAX)) }
                }
            },
            "array" => {
                let none = Map::new();
                Shape::List(Box::new(Node::of(schema.get("items").and_then(Value::as_object).unwrap_or(&none))))
            }
            "integer" => {
                Shape::Integer { min: integer(schema, "minimum", i64::MIN.into()), max: integer(schema, "maximum", u64::MAX.into()) }
            }
            "number" => {
                let bound = |name: &str, default| schema.get(name).and_then(Value::as_f64).unwrap_or(default);
                Shape::Number { min: bound("minimum", f64::NEG_INFINITY), max: bound("maximum", f64::INFINITY) }
            }
            "boolean" => Shape::Boolean,
            _ => {
                let mut words: Vec<(String, String)> = match schema.get("enum").and_then(Value::as_array) {
                    Some(words) => self::words(words).into_iter().map(|word| (word, String::new())).collect(),
                    None => Vec::new(),
                };
                if let Some(word) = schema.get("const").and_then(Value::as_str) {
                    words.push((word.to_string(), text(schema, "description")));
                }
                Shape::Text { words, judged: schema.get("x-judged") == Some(&Value::Bool(true)) }
            }
        }
    }

    /// Words that each have a branch of their own are one choice.
    fn either(branches: &[Value]) -> Shape {
        let (mut choice, mut others, mut is_judged) = (Vec::new(), Vec::new(), false);
        for node in branches.iter().filter_map(Value::as_object).map(Node::of) {
            match node.shape {
                Shape::Text { words, judged } if !words.is_empty() => {
                    is_judged |= judged;
                    choice.extend(words);
                }
                _ => others.push(node),
            }
        }
        let choice = Shape::Text { words: choice, judged: is_judged };
        if others.is_empty() {
            return choice;
        }
        others.insert(0, Node { doc: String::new(), default: None, example: None, shape: choice });
        Shape::Either(others)
    }
}

/// The type; of several, the one beside `null`.
fn kind(schema: &Map<String, Value>) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or_default(),
        _ => "",
    }
}

fn text(schema: &Map<String, Value>, name: &str) -> String {
    schema.get(name).and_then(Value::as_str).unwrap_or_default().to_string()
}

fn words(words: &[Value]) -> Vec<String> {
    words.iter().filter_map(Value::as_str).map(str::to_string).collect()
}

/// Bounds of floats stand for integers as well: a derived schema has both.
fn integer(schema: &Map<String, Value>, name: &str, default: i128) -> i128 {
    let Some(value) = schema.get(name) else { return default };
    value.as_u64().map(i128::from).or(value.as_i64().map(i128::from)).or(value.as_f64().map(|bound| bound as i128)).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number without a range takes values that nothing can work with.
    #[test]
    fn every_key_has_a_doc_and_every_number_a_range() {
        let root = Node::root();
        let (mut wrong, mut keys) = (Vec::new(), 0);
        root.walk(&mut Vec::new(), &mut |path, node| {
            keys += 1;
            let key = path.join(".");
            if node.doc.is_empty() && path.last() != Some(&"NAME") {
                wrong.push(format!("{key} has no doc"));
            }
            let is_open = match node.shape {
                Shape::Integer { min, max } => min == i64::MIN.into() || max == u64::MAX.into(),
                Shape::Number { min, max } => min.is_infinite() || max.is_infinite(),
                _ => false,
            };
            if is_open {
                wrong.push(format!("{key} has no range"));
            }
        });
        assert!(wrong.is_empty() && keys > 90, "{keys} keys\n{}", wrong.join("\n"));
    }
}

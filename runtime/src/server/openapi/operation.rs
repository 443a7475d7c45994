//! What the table is made of: operations and their parts, and the schemas that they share.

use std::collections::BTreeMap;

use hyper::Method;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::server::problem::Cause;

pub(in crate::server) const JSON: &str = "application/json";
pub(in crate::server) const LINES: &str = "application/x-ndjson";
pub(super) const EVENT: &str = "application/cloudevents+json";
pub(super) const BATCH: &str = "application/cloudevents-batch+json";
pub(in crate::server) const SERVER_SENT: &str = crate::server::sent_events::MEDIA;
pub(in crate::server) const CSV: &str = "text/csv";
pub(super) const TEXT: &str = "text/plain";
pub(super) const OCTETS: &str = "application/octet-stream";

/// One method on one path.
#[derive(Debug)]
pub(in crate::server) struct Operation {
    pub(super) method: Method,
    /// With names in braces. The last name may stand for several segments: [`Parameter::rest`].
    pub(super) path: &'static str,
    /// Unique among all.
    pub(super) id: &'static str,
    pub(super) group: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) parameters: Vec<Parameter>,
    /// What its body may be; empty without one.
    pub(super) bodies: Vec<Content>,
    pub(super) answers: Vec<Answer>,
    /// What it may be refused for, beside what every operation may be.
    pub(super) problems: Vec<Cause>,
    /// Answers have an entity tag, and 304 is one of them.
    pub(super) is_tagged: bool,
}

impl Operation {
    pub(super) fn new(method: Method, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Operation {
            method,
            path,
            id,
            group: "",
            summary,
            description: "",
            parameters: Vec::new(),
            bodies: Vec::new(),
            answers: Vec::new(),
            problems: Vec::new(),
            is_tagged: false,
        }
    }

    pub(super) fn get(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Operation::new(Method::GET, path, id, summary)
    }

    pub(super) fn post(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Operation::new(Method::POST, path, id, summary)
    }

    /// More than the summary, in CommonMark.
    pub(super) fn says(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    pub(super) fn with(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    pub(super) fn takes(mut self, body: Content) -> Self {
        self.bodies.push(body);
        self
    }

    pub(super) fn answers(mut self, status: u16, says: &'static str, contents: Vec<Content>) -> Self {
        self.answers.push(Answer { status, says, contents, headers: Vec::new() });
        self
    }

    /// With a header in the latest answer.
    pub(super) fn header(mut self, name: &'static str, says: &'static str, schema: Value) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push((name, says, schema));
        }
        self
    }

    pub(super) fn refuses(mut self, causes: impl IntoIterator<Item = Cause>) -> Self {
        self.problems.extend(causes);
        self
    }

    /// What it answers has an entity tag, and is not sent again to whoever has it.
    pub(super) fn tagged(mut self) -> Self {
        self.is_tagged = true;
        let says = "Entity tags of what is there already (RFC 9110, 13.1.2): if one of them still holds, the answer is 304 without a body.";
        let parameter = Parameter::header("If-None-Match", says, json!({ "type": "string" }));
        let tag = json!({ "type": "string" });
        self.with(parameter).header("ETag", "Changes when the answer does (RFC 9110, 8.8.3).", tag)
    }

    /// It is done only while a policy stands as its entity tag says.
    pub(super) fn conditional(self) -> Self {
        let says = "Entity tag of the policy, from `GET /v1/policies/…`: if it has changed meanwhile, nothing is done and the answer is 412. `*` stands for any that there is.";
        self.with(Parameter::header("If-Match", says, entity_tags())).refuses([Cause::Precondition, Cause::Header])
    }

    /// Its path as it may be sent, with examples for what stands in braces.
    pub(super) fn sample(&self) -> String {
        let examples = self.parameters.iter().filter(|parameter| parameter.is_required());
        examples.fold(self.path.to_string(), |path, parameter| {
            path.replace(&format!("{{{}}}", parameter.name), parameter.example.unwrap_or_default())
        })
    }

    /// Media types of what it answers when all goes well.
    pub(in crate::server) fn offers(&self) -> impl Iterator<Item = &'static str> {
        let good = self.answers.iter().filter(|answer| (200..300).contains(&answer.status));
        good.flat_map(|answer| &answer.contents).map(|content| content.media)
    }

    /// Names of its parameters in the query.
    pub(in crate::server) fn query(&self) -> impl Iterator<Item = &'static str> {
        self.parameters.iter().filter(|parameter| parameter.place == Place::Query).map(|parameter| parameter.name)
    }

    pub(in crate::server) fn is_tagged(&self) -> bool {
        self.is_tagged
    }
}

/// What an act can be made conditional on (RFC 9110, 8.8.3 and 13.1).
pub(super) fn entity_tags() -> Value {
    let tags = r#"^(W/)?"[\x21\x23-\x7e]*"( *, *(W/)?"[\x21\x23-\x7e]*")*$"#;
    json!({ "anyOf": [{ "const": "*" }, { "type": "string", "pattern": tags }] })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

impl Place {
    pub(super) fn name(self) -> &'static str {
        match self {
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
        }
    }
}

/// A parameter; those of the path are required, all others are not.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) place: Place,
    pub(super) name: &'static str,
    pub(super) says: &'static str,
    pub(super) schema: Value,
    /// For the line that can be tried.
    pub(super) example: Option<&'static str>,
    pub(super) is_rest: bool,
}

impl Parameter {
    pub(super) fn path(name: &'static str, says: &'static str, schema: Value, example: &'static str) -> Self {
        Parameter { place: Place::Path, name, says, schema, example: Some(example), is_rest: false }
    }

    pub(super) fn query(name: &'static str, says: &'static str, schema: Value) -> Self {
        Parameter { place: Place::Query, name, says, schema, example: None, is_rest: false }
    }

    pub(super) fn header(name: &'static str, says: &'static str, schema: Value) -> Self {
        Parameter { place: Place::Header, name, says, schema, example: None, is_rest: false }
    }

    /// Whether nothing can be asked without it: what is in the path.
    pub(super) fn is_required(&self) -> bool {
        self.place == Place::Path
    }

    /// Used in the line that can be tried.
    pub(super) fn tried(mut self, example: &'static str) -> Self {
        self.example = Some(example);
        self
    }

    /// Stands for all segments to the end of the path, which OpenAPI cannot say.
    pub(super) fn rest(mut self) -> Self {
        self.is_rest = true;
        self
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) says: &'static str,
    pub(super) contents: Vec<Content>,
    pub(super) headers: Vec<(&'static str, &'static str, Value)>,
}

/// A body in one media type.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) media: &'static str,
    pub(super) schema: Value,
    /// Of one line or message, where there are many.
    pub(super) item: Option<Value>,
    pub(super) example: Option<Example>,
    /// What else has to be said for the example.
    pub(super) headers: &'static [&'static str],
}

/// A body for the line that can be tried.
#[derive(Debug, Clone)]
pub(super) enum Example {
    Json(Value),
    Text(&'static str),
    /// A file of the reader's own.
    File(&'static str),
}

impl Content {
    pub(super) fn new(media: &'static str, schema: Value) -> Self {
        Content { media, schema, item: None, example: None, headers: &[] }
    }

    pub(super) fn json(schema: Value) -> Self {
        Content::new(JSON, schema)
    }

    /// A text or bytes, of which a schema says no more than that.
    pub(super) fn text(media: &'static str, says: &'static str) -> Self {
        Content::new(media, json!({ "type": "string", "description": says }))
    }

    /// Items of one schema, one a line or message.
    pub(super) fn items(media: &'static str, says: &'static str, item: Value) -> Self {
        Content { item: Some(item), ..Content::text(media, says) }
    }

    pub(super) fn example(mut self, value: Value) -> Self {
        self.example = Some(Example::Json(value));
        self
    }

    pub(super) fn text_example(mut self, text: &'static str) -> Self {
        self.example = Some(Example::Text(text));
        self
    }

    pub(super) fn file(mut self, name: &'static str) -> Self {
        self.example = Some(Example::File(name));
        self
    }

    pub(super) fn with_headers(mut self, headers: &'static [&'static str]) -> Self {
        self.headers = headers;
        self
    }
}

/// The schemas of the document, by their names. Types say what they are themselves; what is
/// written by hand is described by hand, where it is written.
pub(super) struct Schemas {
    /// Types as they are written, and as they are read: what has a default is always
    /// written and need not be there to be read.
    written: SchemaGenerator,
    read: SchemaGenerator,
    by_hand: BTreeMap<&'static str, Value>,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
        Schemas {
            written: settings.clone().for_serialize().into_generator(),
            read: settings.for_deserialize().into_generator(),
            by_hand: BTreeMap::new(),
        }
    }

    /// Of a type that is answered with.
    pub(super) fn written<T: JsonSchema>(&mut self) -> Value {
        self.written.subschema_for::<T>().to_value()
    }

    /// Of a type that is read from requests, or that has a form of its own in writing.
    pub(super) fn read<T: JsonSchema>(&mut self) -> Value {
        self.read.subschema_for::<T>().to_value()
    }

    /// Of what is written by hand.
    pub(super) fn by_hand(&mut self, name: &'static str, schema: Value) -> Value {
        self.by_hand.insert(name, schema);
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// All of them, by name.
    pub(super) fn all(mut self) -> Map<String, Value> {
        let mut all = self.written.take_definitions(true);
        all.extend(self.read.take_definitions(true));
        // An empty option is left out, and its schema does not allow the null that stands for
        // it; an empty text is what is refused with words of our own.
        all.values_mut().for_each(without_empty_defaults);
        all.extend(self.by_hand.into_iter().map(|(name, schema)| (name.to_string(), schema)));
        all
    }
}

fn without_empty_defaults(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.retain(|name, value| name != "default" || !(value.is_null() || value == ""));
            members.values_mut().for_each(without_empty_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(without_empty_defaults),
        _ => {}
    }
}

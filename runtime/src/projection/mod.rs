//! Fields out of events: each event is walked once for all that the policies declare
//! that are asked about it. A value is taken out in the form that was granted; what nobody
//! was granted plain stays in the event.
//!
//! Knows nothing of how policies are run. The events have been checked
//! (`crate::ingest`); what is read here is what any other JSON parser would read.

use crate::column::{Cell, Kind, Row};
use crate::event::Event;
use crate::policy::Grant;
use crate::policy::form::Show;
use crate::policy::manifest::Field;
use crate::scan::{string_end, value_end, white_end};

/// The fields of some policies, each once.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// What is taken out; a cell's place among those of an event is its field's place here.
    slots: Vec<Slot>,
    /// Slots that are context attributes: the attribute's name and the slot.
    attributes: Vec<(Box<str>, usize)>,
    /// The names below `/data` that lead to a slot.
    data: Node,
}

#[derive(Debug, PartialEq)]
struct Slot {
    pointer: String,
    kind: Kind,
    show: Show,
}

impl Slot {
    /// A JSON value.
    #[inline]
    fn read<'e>(&self, source: &'e str) -> Cell<'e> {
        match self.show {
            Show::Plain => Cell::read(self.kind, source),
            Show::Pseudonym(_) => self.show.show(Cell::read_scalar(source)),
            _ => self.show.show(Cell::read(self.kind, source)),
        }
    }

    /// An attribute that the event has as text.
    fn read_text<'e>(&self, text: &'e str) -> Cell<'e> {
        self.show.show(Cell::read_text(self.kind, text))
    }

    /// An extension attribute. Its pseudonym is that of its text, which is the same in
    /// both modes.
    fn read_other<'e>(&self, source: &'e str, in_headers: bool) -> Cell<'e> {
        self.show.show(match (&self.show, in_headers) {
            (Show::Pseudonym(_), _) => Cell::read_attribute(source),
            (_, true) => Cell::read_header(self.kind, source),
            (_, false) => Cell::read(self.kind, source),
        })
    }
}

/// A place in an event's data.
#[derive(Debug, Default)]
struct Node {
    /// Slots that are this very place.
    slots: Vec<usize>,
    /// Places inside it.
    children: Vec<(Box<str>, Node)>,
}

impl Plan {
    /// Adds a policy's fields, as they were granted; returns for each the place of its
    /// cell.
    pub fn add(&mut self, fields: &[Field], grant: &Grant) -> Vec<usize> {
        fields.iter().map(|field| self.add_field(field, grant.show(field))).collect()
    }

    fn add_field(&mut self, field: &Field, show: Show) -> usize {
        let wanted = Slot { pointer: field.pointer.clone(), kind: field.kind, show };
        if let Some(known) = self.slots.iter().position(|slot| *slot == wanted) {
            return known;
        }
        let slot = self.slots.len();
        if wanted.show != Show::Absent {
            self.find(&wanted.pointer, slot);
        }
        self.slots.push(wanted);
        slot
    }

    /// Remembers where a slot stands in events.
    fn find(&mut self, pointer: &str, slot: usize) {
        let mut steps = pointer.split('/').skip(1);
        let first = steps.next().unwrap_or_default();
        if first == "data" {
            let mut node = &mut self.data;
            for step in steps {
                node = node.child(&step.replace("~1", "/").replace("~0", "~"));
            }
            node.slots.push(slot);
        } else {
            self.attributes.push((first.into(), slot));
        }
    }

    /// Cells of an event.
    pub fn width(&self) -> usize {
        self.slots.len()
    }

    /// Takes all fields out of an event; `cells` has one cell per slot, absent.
    pub fn project<'e>(&self, event: &'e Event, cells: &mut [Cell<'e>]) {
        for (name, slot) in &self.attributes {
            let text = match &**name {
                "id" => Some(event.id()),
                "source" => Some(event.source()),
                "type" => Some(event.kind()),
                "subject" => event.subject(),
                "time" => event.time(),
                "specversion" => Some("1.0"),
                other => {
                    if let Some(source) = event.other(other) {
                        cells[*slot] = self.slots[*slot].read_other(source, event.in_headers);
                    }
                    continue;
                }
            };
            if let Some(text) = text {
                cells[*slot] = self.slots[*slot].read_text(text);
            }
        }
        if let Some(source) = event.data()
            && !self.data.is_bare()
        {
            let mut walk = Walk { slots: &self.slots, cells, source };
            match &*event.members.0 {
                [] => {
                    walk.value(&self.data, 0);
                }
                members => walk.members(&self.data, members),
            }
        }
    }
}

/// Whether an event has what a policy declares (`wit/manifest.wit`, `required`), or what is
/// wrong with it.
pub(crate) fn readable(fields: &[Field], row: Row<'_>) -> Result<(), String> {
    for (field, cell) in fields.iter().zip(row.fields()) {
        match cell {
            Cell::Absent if field.required => return Err(format!("{} is missing; it must be {}", field.pointer, field.kind.noun())),
            Cell::Mistyped(found) => return Err(format!("{} is {found}; it must be {}", field.pointer, field.kind.noun())),
            _ => {}
        }
    }
    Ok(())
}

impl Node {
    fn child(&mut self, name: &str) -> &mut Node {
        let at = match self.children.iter().position(|(known, _)| **known == *name) {
            Some(at) => at,
            None => {
                self.children.push((name.into(), Node::default()));
                self.children.len() - 1
            }
        };
        &mut self.children[at].1
    }

    fn is_bare(&self) -> bool {
        self.slots.is_empty() && self.children.is_empty()
    }

    /// The place of a member, by its name as it stands in the text.
    #[inline]
    fn named(&self, name: &str) -> Option<&Node> {
        match memchr::memchr(b'\\', name.as_bytes()) {
            None => self.child_of(name),
            Some(_) => self.child_of(&serde_json::from_str::<String>(&format!("\"{name}\"")).ok()?),
        }
    }

    #[inline]
    fn child_of(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|(known, _)| **known == *name).map(|(_, node)| node)
    }

    /// The place of an item of an array.
    fn at_index(&self, index: usize) -> Option<&Node> {
        // RFC 6901, section 4: an index has no leading zeros, so its text is the only way
        // to write it.
        let is_it = |name: &str| name.parse() == Ok(index) && (name == "0" || !name.starts_with(['0', '+']));
        self.children.iter().find(|(name, _)| is_it(name)).map(|(_, node)| node)
    }
}

/// Takes out what is wanted of an event's data. The text was checked strictly before the
/// event was accepted, so there is nothing left to refuse: it is passed over, not parsed.
struct Walk<'w, 'e> {
    slots: &'w [Slot],
    cells: &'w mut [Cell<'e>],
    source: &'e str,
}

impl<'e> Walk<'_, 'e> {
    /// Reads an object of which it is known where its names stand, which are written plainly.
    fn members(&mut self, node: &Node, members: &[(u32, u32)]) {
        self.fill(node, self.source);
        let bytes = self.source.as_bytes();
        for (start, length) in members {
            let (start, end) = (*start as usize, (start + length) as usize);
            if let Some(child) = self.source.get(start..end).and_then(|name| node.child_of(name)) {
                // The quote, and the colon.
                self.value(child, white_end(bytes, white_end(bytes, end + 1) + 1));
            }
        }
    }

    /// Reads the value that a node is.
    #[inline]
    fn fill(&mut self, node: &Node, value: &'e str) {
        for slot in &node.slots {
            self.cells[*slot] = self.slots[*slot].read(value);
        }
    }

    /// Reads the value that begins at `at`, of which a node wants something. Gives where it
    /// ends.
    fn value(&mut self, node: &Node, at: usize) -> usize {
        let end = match self.source.as_bytes().get(at) {
            Some(b'{') if !node.children.is_empty() => self.object(node, at),
            Some(b'[') if !node.children.is_empty() => self.array(node, at),
            // A scalar has no places inside: what is looked for there is absent.
            _ => value_end(self.source.as_bytes(), at),
        };
        if let Some(value) = self.source.get(at..end) {
            self.fill(node, value);
        }
        end
    }

    fn object(&mut self, node: &Node, at: usize) -> usize {
        let bytes = self.source.as_bytes();
        let mut at = white_end(bytes, at + 1);
        while bytes.get(at) == Some(&b'"') {
            let name_end = string_end(bytes, at);
            let child = self.source.get(at + 1..name_end - 1).and_then(|name| node.named(name));
            // The colon is in between.
            at = white_end(bytes, white_end(bytes, name_end) + 1);
            at = self.item(child, at);
        }
        at + 1
    }

    fn array(&mut self, node: &Node, at: usize) -> usize {
        let bytes = self.source.as_bytes();
        let (mut at, mut index) = (white_end(bytes, at + 1), 0);
        while bytes.get(at).is_some_and(|byte| *byte != b']') {
            at = self.item(node.at_index(index), at);
            index += 1;
        }
        at + 1
    }

    /// Reads an item of an object or array. Gives where the next one begins, or the bracket
    /// stands.
    fn item(&mut self, child: Option<&Node>, at: usize) -> usize {
        let bytes = self.source.as_bytes();
        let end = match child {
            Some(node) => self.value(node, at),
            None => value_end(bytes, at),
        };
        let at = white_end(bytes, end);
        if bytes.get(at) == Some(&b',') { white_end(bytes, at + 1) } else { at }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ingest;
    use crate::policy::Publisher;
    use crate::policy::manifest::AskedForm;
    use crate::policy::pseudonym::Secret;

    fn field(pointer: &str, kind: Kind) -> Field {
        Field { pointer: pointer.into(), kind, required: false, purpose: "test".into(), form: AskedForm::Plain }
    }

    fn event(data: &str) -> Event {
        let text =
            format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"1970-01-01T00:00:01Z","n":7,"data":{data}}}"#);
        ingest::structured(text.as_bytes(), &ingest::Limits::default()).expect("a valid event")
    }

    #[test]
    fn one_walk_finds_attributes_and_places_at_any_depth() {
        let mut plan = Plan::default();
        let fields = [
            field("/data/a/b", Kind::Integer),
            field("/data/a", Kind::Json),
            field("/data/list/1/x", Kind::Text),
            field("/data/a~1b", Kind::Boolean),
            field("/time", Kind::Time),
            field("/n", Kind::Integer),
            field("/subject", Kind::Text),
            field("/data/list/01/x", Kind::Text),
        ];
        assert_eq!(plan.add(&fields, &Grant::development()), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(plan.add(&fields[..2], &Grant::development()), [0, 1], "a field that is known is not taken twice");
        let event = event(r#"{"list":[0,{"x":"yes"}],"a":{"b":5},"a/b":true}"#);
        let mut cells = vec![Cell::Absent; plan.width()];
        plan.project(&event, &mut cells);
        assert_eq!(
            cells,
            [
                Cell::Integer(5),
                Cell::Json(r#"{"b":5}"#),
                Cell::Text("yes".into()),
                Cell::Boolean(true),
                Cell::Time(1_000_000),
                Cell::Integer(7),
                Cell::Absent,
                Cell::Absent,
            ]
        );
    }

    #[test]
    fn a_scalar_where_an_object_was_looked_for_leaves_the_field_absent() {
        let mut plan = Plan::default();
        plan.add(&[field("/data/a/b", Kind::Integer)], &Grant::development());
        for data in ["7", "null", r#"{"a":"text"}"#, r#"{"a":[1]}"#, "[]"] {
            let event = event(data);
            let mut cells = vec![Cell::Absent];
            plan.project(&event, &mut cells);
            assert_eq!(cells, [Cell::Absent], "{data}");
        }
    }

    fn grant(fields: &[(&str, &str)]) -> Grant {
        let fields: BTreeMap<_, _> = fields.iter().map(|(pointer, form)| (pointer.to_string(), (*form).into())).collect();
        let publisher = Publisher { events: vec!["*".into()], fields, ..Publisher::default() };
        Grant::of("office", &publisher, &Secret::development()).expect("a grant")
    }

    #[test]
    fn pv_01_what_nobody_was_granted_plain_is_in_no_cell() {
        let asks = |pointer: &str, form| Field { form, ..field(pointer, Kind::Text) };
        let fields = [
            asks("/data/phone", AskedForm::Pseudonym),
            asks("/data/phone", AskedForm::Mask),
            asks("/data/phone", AskedForm::Plain),
            asks("/subject", AskedForm::Pseudonym),
            asks("/n", AskedForm::Pseudonym),
            asks("/data/number", AskedForm::Pseudonym),
        ];
        let grant = grant(&[("/data/phone", "pseudonym"), ("/n", "plain"), ("/data/number", "pseudonym")]);
        let mut plan = Plan::default();
        let slots = plan.add(&fields, &grant);
        let event = event(r#"{"phone":"13800138000","number":7}"#);
        let mut cells = vec![Cell::Absent; plan.width()];
        plan.project(&event, &mut cells);
        let seen: Vec<&Cell<'_>> = slots.iter().map(|slot| &cells[*slot]).collect();
        assert_eq!(seen[1..4], [&Cell::Absent; 3]);
        for pseudonym in [seen[0], seen[4], seen[5]] {
            assert!(matches!(pseudonym, Cell::Text(text) if text.starts_with("p1-") && text.len() == 35), "{pseudonym:?}");
        }
        assert!(!format!("{cells:?}").contains("138"), "{cells:?}");
        assert_ne!(seen[4], seen[5], "an attribute is a text in both modes, a number in the data is a number");
    }

    #[test]
    fn a_value_is_taken_out_once_for_each_form() {
        let mut plan = Plan::default();
        let pseudonym = |purpose: &str| Field { form: AskedForm::Pseudonym, purpose: purpose.into(), ..field("/data/a", Kind::Text) };
        let grant = grant(&[("/data/a", "plain")]);
        let slots = plan.add(&[pseudonym("one"), pseudonym("two"), field("/data/a", Kind::Text), pseudonym("one")], &grant);
        assert_eq!(slots, [0, 1, 2, 0]);
        assert_eq!(plan.add(&[pseudonym("one"), field("/data/a", Kind::Text)], &Grant::development()), [3, 2]);
    }

    proptest::proptest! {
        /// The walk against serde_json's own pointers.
        #[test]
        fn fields_are_what_a_pointer_finds(data in crate::testing::json(), steps in proptest::collection::vec("[ab01]", 0..4)) {
            let pointer = format!("/data{}", steps.iter().map(|step| format!("/{step}")).collect::<String>());
            let mut plan = Plan::default();
            plan.add(&[field(&pointer, Kind::Json), field("/data/a", Kind::Json)], &Grant::development());
            let whole = serde_json::json!({"data": data});
            let expected = whole.pointer(&pointer).filter(|value| !value.is_null());
            for text in [data.to_string(), serde_json::to_string_pretty(&data).expect("JSON"), data.to_string().replace("\"a\"", "\"\\u0061\"")] {
                let event = event(&text);
                let mut cells = vec![Cell::Absent; 2];
                plan.project(&event, &mut cells);
                let found = match &cells[0] {
                    Cell::Json(source) => serde_json::from_str::<serde_json::Value>(source).ok(),
                    _ => None,
                };
                proptest::prop_assert_eq!(found.as_ref(), expected, "{}", text);
            }
        }
    }
}

//! All operations, found by path and method. What is not in here is not served.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use hyper::Method;
use serde_json::{Map, Value};

use super::operation::{Operation, Parameter, Schemas};
use crate::digest::Digest;
use crate::runtime::Shown;
use crate::server::problem;

use super::{about, backtests, events, ledger, policies, probes, releases};

/// Makes the operations of one group.
type Group = fn(&mut Schemas) -> Vec<Operation>;

/// The groups, in the order of the document. A new route is an entry in one of them.
const GROUPS: [(&str, &str, Group); 7] = [
    ("Events", "Events in, verdicts out; what is kept of events, and that it goes.", events::operations),
    ("Record", "The ledger: entries, checkpoints, tiles and proofs.", ledger::operations),
    ("Policies", "What is in force; in development mode also the means to change it.", policies::operations),
    ("Releases", "How releases of publishers stand, and the platform's acts on them.", releases::operations),
    ("Back-tests", "What would have been said of recorded events, had another release been in force.", backtests::operations),
    ("Operation", "For whoever runs the server.", probes::operations),
    ("About", "This document.", about::operations),
];

/// Every operation of the server.
pub(in crate::server) struct Table {
    pub(super) paths: Vec<Path>,
    pub(super) schemas: Map<String, Value>,
}

/// A path, and what can be done with it.
pub(in crate::server) struct Path {
    pub(super) template: &'static str,
    segments: Vec<Segment>,
    pub(super) operations: Vec<Operation>,
    /// The value of an `Allow` header.
    allow: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Is(&'static str),
    Any,
    /// All that is left.
    Rest,
}

/// The one table.
pub(in crate::server) static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

impl Table {
    fn new() -> Self {
        let mut schemas = Schemas::new();
        schemas.by_hand("Problem", problem::schema());
        // Named by schemas that are written by hand.
        schemas.written::<Digest>();
        schemas.written::<Shown>();
        let mut paths: Vec<Path> = Vec::new();
        for (group, _, operations) in GROUPS {
            for mut operation in operations(&mut schemas) {
                operation.group = group;
                match paths.iter_mut().find(|path| path.template == operation.path) {
                    Some(path) => path.operations.push(operation),
                    None => paths.push(Path::new(operation)),
                }
            }
        }
        for path in &mut paths {
            path.allow = path.methods().join(", ");
        }
        Table { paths, schemas: schemas.all() }
    }

    /// Names of the groups, each with what it is about.
    pub(super) fn groups() -> impl Iterator<Item = (&'static str, &'static str)> {
        GROUPS.into_iter().map(|(name, says, _)| (name, says))
    }

    /// The path that is asked for: of several that fit the one that says most.
    pub(in crate::server) fn find(&self, path: &str) -> Option<&Path> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        self.paths.iter().filter(|path| path.fits(&parts)).max_by_key(|path| path.said())
    }

    /// The paths that begin as this one does, as far as any do.
    pub(in crate::server) fn near(&self, path: &str) -> Vec<&'static str> {
        let mut prefix = path;
        while let Some((shorter, _)) = prefix.rsplit_once('/') {
            let is_near = |template: &&'static str| template.starts_with(shorter) && template[shorter.len()..].starts_with('/');
            let near: BTreeSet<&'static str> = self.paths.iter().map(|path| path.template).filter(is_near).collect();
            if !near.is_empty() {
                return near.into_iter().collect();
            }
            prefix = shorter;
        }
        self.paths.iter().map(|path| path.template).collect()
    }

    pub(super) fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.paths.iter().flat_map(|path| &path.operations)
    }
}

impl Path {
    fn new(operation: Operation) -> Self {
        let is_rest = |name: &str| operation.parameters.iter().any(|parameter: &Parameter| parameter.is_rest && parameter.name == name);
        let segment = |text: &'static str| match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some(name) if is_rest(name) => Segment::Rest,
            Some(_) => Segment::Any,
            None => Segment::Is(text),
        };
        let segments = operation.path.trim_start_matches('/').split('/').map(segment).collect();
        Path { template: operation.path, segments, operations: vec![operation], allow: String::new() }
    }

    fn fits(&self, parts: &[&str]) -> bool {
        let has_rest = self.segments.last() == Some(&Segment::Rest);
        let enough = if has_rest { parts.len() >= self.segments.len() } else { parts.len() == self.segments.len() };
        enough
            && self.segments.iter().zip(parts).all(|(segment, part)| match segment {
                Segment::Is(text) => text == part,
                Segment::Any | Segment::Rest => !part.is_empty(),
            })
    }

    /// How many of its segments are words.
    fn said(&self) -> usize {
        self.segments.iter().filter(|segment| matches!(segment, Segment::Is(_))).count()
    }

    fn methods(&self) -> Vec<&str> {
        let mut methods = Vec::new();
        for operation in &self.operations {
            methods.push(operation.method.as_str());
            if operation.method == Method::GET {
                methods.push("HEAD");
            }
        }
        methods.push("OPTIONS");
        methods
    }

    /// The value of an `Allow` header.
    pub(in crate::server) fn allow(&self) -> &str {
        &self.allow
    }

    /// What a method does here. HEAD does what GET does, but for the body.
    pub(in crate::server) fn operation(&self, method: &Method) -> Option<&Operation> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.operations.iter().find(|operation| operation.method == *method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(path: &str) -> Option<&'static str> {
        TABLE.find(path).map(|path| path.template)
    }

    #[test]
    fn paths_are_found_by_what_says_most() {
        for (path, expected) in [
            ("/v1/events", Some("/v1/events")),
            ("/v1/events/18", Some("/v1/events/{sequence}")),
            ("/v1/policies/office/geofence", Some("/v1/policies/{publisher}/{policy}")),
            ("/v1/releases/office/geofence/promote", Some("/v1/releases/{publisher}/{policy}/promote")),
            ("/v1/log/tile/0/x001/067", Some("/v1/log/tile/{level}/{tile}")),
            ("/v1/log/tile/entries/x001/067", Some("/v1/log/tile/entries/{tile}")),
            ("/v1/repositories/office/targets/a/b.json", Some("/v1/repositories/{repository}/targets/{path}")),
            ("/v1/policies/", None),
            ("/v1/nothing", None),
            ("", None),
            ("/", None),
            ("*", None),
        ] {
            assert_eq!(template(path), expected, "{path}");
        }
    }

    #[test]
    fn what_is_near_is_what_begins_alike() {
        assert_eq!(TABLE.near("/v1/erasure"), TABLE.near("/v1/x"));
        assert!(TABLE.near("/v1/log/nothing").iter().all(|path| path.starts_with("/v1/log/")));
        assert!(TABLE.near("/nothing").contains(&"/livez"));
    }

    #[test]
    fn every_operation_is_whole() {
        let mut ids = BTreeSet::new();
        for operation in TABLE.operations() {
            let name = format!("{} {}", operation.method, operation.path);
            assert!(ids.insert(operation.id), "{name}: the id {} is there twice", operation.id);
            assert!(!operation.answers.is_empty(), "{name}: has no answer");
            let named: BTreeSet<&str> = operation.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
            let described: BTreeSet<&str> = operation
                .parameters
                .iter()
                .filter(|parameter| parameter.place == super::super::operation::Place::Path)
                .map(|parameter| parameter.name)
                .collect();
            assert_eq!(named, described, "{name}: parameters of the path");
        }
    }
}

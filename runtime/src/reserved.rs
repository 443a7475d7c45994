//! Names that are the runtime's own: under them it submits events about its own verdicts,
//! and nobody else may.

/// CloudEvents `type` of an event about a verdict. What its `data` has is part of the
/// name: another shape would be another type. Other systems are told more under it, and all
/// of this (`outgoing/FORMAT.md`).
pub const VERDICT_TYPE: &str = "dev.ephor.verdict.v1";

/// What the types begin with that only the runtime submits.
pub(crate) const TYPES: &str = "dev.ephor.";

/// What the sources begin with that only the runtime submits from.
pub(crate) const SOURCES: &str = "urn:ephor:";

/// What the `source` of an event about a verdict begins with; the source of the judged
/// event follows.
const VERDICTS: &str = "urn:ephor:verdicts#";

/// Whether only the runtime submits events of this type.
pub fn is_own_type(kind: &str) -> bool {
    kind.starts_with(TYPES)
}

/// Whether only the runtime submits events from this source.
pub fn is_own_source(source: &str) -> bool {
    source.starts_with(SOURCES)
}

/// The source of events about verdicts on a source. That of verdicts about verdicts is
/// the same.
pub fn verdicts_on(source: &str) -> String {
    format!("{VERDICTS}{}", judged_by(source).unwrap_or(source))
}

/// The source of what another system is told about verdicts on a source, by a log of this
/// name: other logs number their entries alike, and source and id together name an event
/// everywhere (CloudEvents 1.0.2, section "source").
pub(crate) fn verdicts_of(log: &str, source: &str) -> String {
    format!("{SOURCES}verdicts:{log}#{}", judged_by(source).unwrap_or(source))
}

/// The source of the platform whose verdicts come from this source; nothing for others.
pub fn judged_by(source: &str) -> Option<&str> {
    source.strip_prefix(VERDICTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_verdicts_names_whose_they_are() {
        let source = verdicts_on("https://shop.example/#1");
        assert_eq!(source, "urn:ephor:verdicts#https://shop.example/#1");
        assert_eq!(judged_by(&source), Some("https://shop.example/#1"));
        assert_eq!(verdicts_on(&source), source, "also where a verdict was judged");
        assert!(is_own_source(&source) && is_own_type(VERDICT_TYPE));
        assert_eq!(judged_by("/shop"), None);
    }
}

//! What somebody may have meant.

/// The known word that is nearest, if one is near enough.
pub(super) fn nearest<'known>(word: &str, known: impl Iterator<Item = &'known str>) -> Option<&'known str> {
    let lower = word.to_lowercase();
    let near = known.map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), known));
    near.filter(|(distance, known)| *distance <= (known.len() / 3).max(1)).min().map(|(_, known)| known)
}

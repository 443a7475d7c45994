//! A picture of an inclusion proof: the way from an entry up to the root.

use maud::{Markup, html};

use crate::ledger::tree::{Hash, node_hash};

/// Width of the picture, and of a box in it; a box has its middle at one of two columns.
const WIDTH: usize = 340;
const BOX_WIDTH: usize = 150;
const BOX_HEIGHT: usize = 30;
/// From one level to the next.
const LEVEL: usize = 58;
const MARGIN: usize = 6;

/// One step up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Whether the hash of the step before is the left one.
    pub own_is_left: bool,
    /// The hash of the other side, which the proof has.
    pub sibling: Hash,
    /// What the two give.
    pub node: Hash,
}

/// The steps from a leaf to the root (RFC 9162, 2.1.3.2). The path is the log's own, so it
/// is not checked here: that is for whoever doubts it.
pub fn steps(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Vec<Step> {
    let (mut node, mut last, mut hash) = (index, size.saturating_sub(1), leaf);
    let step = |sibling: &Hash| {
        let own_is_left = node & 1 == 0 && node != last;
        hash = if own_is_left { node_hash(&hash, sibling) } else { node_hash(sibling, &hash) };
        if !own_is_left {
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        }
        node >>= 1;
        last >>= 1;
        Step { own_is_left, sibling: *sibling, node: hash }
    };
    path.iter().map(step).collect()
}

/// The words in the picture.
pub struct Words<'w> {
    pub description: &'w str,
    pub entry: &'w str,
    pub root: &'w str,
}

/// A box of the picture: its middle, from the left, and its upper edge.
struct Place {
    middle: usize,
    top: usize,
}

/// The picture, the root at the top. Boxes on the way are filled, those of the proof are
/// not.
pub fn draw(leaf: Hash, steps: &[Step], words: &Words<'_>) -> Markup {
    let height = steps.len() * LEVEL + BOX_HEIGHT + 2 * MARGIN;
    // The level above decides nothing: a box is left or right of its sibling.
    let column = |level: usize, own: bool| match steps.get(level) {
        Some(step) if step.own_is_left == own => MARGIN + BOX_WIDTH / 2,
        Some(_) => WIDTH - MARGIN - BOX_WIDTH / 2,
        None => WIDTH / 2,
    };
    let place = |level: usize, own: bool| Place { middle: column(level, own), top: MARGIN + (steps.len() - level) * LEVEL };
    let hashes = || std::iter::once(leaf).chain(steps.iter().map(|step| step.node));
    html! {
        svg.proof-picture viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(words.description) {
            @for (level, _) in steps.iter().enumerate() {
                @for own in [true, false] {
                    (line(&place(level, own), &place(level + 1, true)))
                }
            }
            @for (level, hash) in hashes().enumerate() {
                @let name = if level == steps.len() { words.root } else if level == 0 { words.entry } else { "" };
                (labelled(&place(level, true), "own", &hash, name))
                @if let Some(step) = steps.get(level) {
                    (labelled(&place(level, false), "sibling", &step.sibling, ""))
                }
            }
        }
    }
}

fn line(from: &Place, to: &Place) -> Markup {
    html! { line x1=(from.middle) y1=(from.top) x2=(to.middle) y2=(to.top + BOX_HEIGHT) {} }
}

fn labelled(place: &Place, class: &str, hash: &Hash, name: &str) -> Markup {
    let hash = hash.to_string();
    let text = if name.is_empty() { format!("{}…", &hash[..10]) } else { format!("{name} {}…", &hash[..8]) };
    html! {
        g class=(class) {
            title { (hash) }
            rect x=(place.middle - BOX_WIDTH / 2) y=(place.top) width=(BOX_WIDTH) height=(BOX_HEIGHT) rx="4" {}
            text x=(place.middle) y=(place.top + BOX_HEIGHT / 2 + 5) text-anchor="middle" { (text) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tree::{leaf_hash, verify_inclusion};

    /// The tree of RFC 6962, 2.1.3: seven leaves, and the paths of d3 and d6.
    #[test]
    fn the_way_up_ends_at_the_root() {
        let leaves: Vec<Hash> = (0..7u8).map(|leaf| leaf_hash(&[leaf])).collect();
        let node = |left: usize, right: usize| node_hash(&leaves[left], &leaves[right]);
        let (g, h, i, j) = (node(0, 1), node(2, 3), node(4, 5), leaves[6]);
        let (k, l) = (node_hash(&g, &h), node_hash(&i, &j));
        let root = node_hash(&k, &l);
        for (index, path, left) in [(3, vec![leaves[2], g, l], vec![false, false, true]), (6, vec![i, k], vec![false, false])] {
            assert_eq!(verify_inclusion(&leaves[index], index as u64, 7, &path, &root), Ok(()));
            let steps = steps(leaves[index], index as u64, 7, &path);
            assert_eq!(steps.last().map(|step| step.node), Some(root));
            assert_eq!(steps.iter().map(|step| step.own_is_left).collect::<Vec<_>>(), left);
        }
    }
}

//! The automaton of Aho and Corasick ("Efficient string matching", 1975) over characters:
//! all phrases of a list in one pass. Our own for its size: with the crate `aho-corasick`,
//! which has much that is not needed here, `negative-list` was 54 KB larger, a sixth.

/// What has been read so far: the longest end of it that a phrase begins with.
#[derive(Clone, Debug, Default)]
struct Node {
    /// Where each further character leads, by character.
    next: Vec<(char, usize)>,
    /// The longest proper end of this that is a node.
    fall_back: usize,
    phrase: Option<usize>,
    /// The longest proper end of this that is a phrase; the root if there is none.
    shorter: usize,
}

/// Nodes by number; 0 is the root, where nothing has been read.
#[derive(Clone, Debug)]
pub(super) struct Automaton(Vec<Node>);

impl Automaton {
    /// Adds a phrase, unless another one has the same characters: then it gives that one.
    pub(super) fn add(&mut self, characters: impl Iterator<Item = char>, phrase: usize) -> Option<usize> {
        let mut node = 0;
        for c in characters {
            node = match self.0[node].next.binary_search_by_key(&c, |it| it.0) {
                Ok(found) => self.0[node].next[found].1,
                Err(place) => {
                    let new = self.0.len();
                    self.0[node].next.insert(place, (c, new));
                    self.0.push(Node::default());
                    new
                }
            };
        }
        let before = self.0[node].phrase;
        self.0[node].phrase = before.or(Some(phrase));
        before
    }

    /// To be called when all phrases are there.
    pub(super) fn link(&mut self) {
        // From the root outwards: what is shorter is linked first.
        let mut order = vec![0];
        let mut at = 0;
        while let Some(&node) = order.get(at) {
            at += 1;
            for (c, child) in self.0[node].next.clone() {
                let fall_back = if node == 0 { 0 } else { self.step(self.0[node].fall_back, c) };
                let end = &self.0[fall_back];
                let shorter = if end.phrase.is_some() { fall_back } else { end.shorter };
                (self.0[child].fall_back, self.0[child].shorter) = (fall_back, shorter);
                order.push(child);
            }
        }
    }

    /// The node after one more character.
    pub(super) fn step(&self, mut node: usize, c: char) -> usize {
        loop {
            let Node { next, fall_back, .. } = &self.0[node];
            match next.binary_search_by_key(&c, |it| it.0) {
                Ok(found) => return next[found].1,
                Err(_) if node == 0 => return 0,
                Err(_) => node = *fall_back,
            }
        }
    }

    /// The phrase that a node is the end of, if it is one; and the next node to ask, which
    /// is the root when there are no more.
    pub(super) fn phrase(&self, node: usize) -> (Option<usize>, usize) {
        (self.0[node].phrase, self.0[node].shorter)
    }
}

impl Default for Automaton {
    fn default() -> Self {
        Self(vec![Node::default()])
    }
}

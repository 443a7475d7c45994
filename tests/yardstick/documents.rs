//! Orders as CloudEvents whose ids are other each time: a ledger would know them otherwise.

/// An event around an order, ready to be sent again and again. The document stays as it is,
/// byte by byte; only the envelope is added, and in it the id changes in its place.
#[derive(Clone)]
pub struct Template {
    pub bytes: Vec<u8>,
    at: usize,
}

/// Digits of the number in an id.
const DIGITS: usize = 12;

impl Template {
    /// `before` and `behind` go around the event, such as the head of a request; what is
    /// before is told how long the event is.
    pub fn new(document: &str, prefix: &str, before: impl Fn(usize) -> String, behind: &str) -> Self {
        let head = format!("{{\"specversion\":\"1.0\",\"id\":\"{prefix}-");
        let rest = format!(
            "\",\"source\":\"/orders\",\"type\":\"order.placed\",\"time\":\"2026-01-01T00:00:00Z\",\"datacontenttype\":\"application/json\",\"data\":{document}}}"
        );
        let before = before(head.len() + DIGITS + rest.len());
        let at = before.len() + head.len();
        Template { bytes: format!("{before}{head}{}{rest}{behind}", "0".repeat(DIGITS)).into_bytes(), at }
    }

    /// Gives the event another number.
    pub fn number(&mut self, number: u64) {
        let mut bytes = std::mem::take(&mut self.bytes);
        self.number_in(&mut bytes, number);
        self.bytes = bytes;
    }

    /// The same in a copy of the bytes.
    pub fn number_in(&self, bytes: &mut [u8], mut number: u64) {
        for digit in bytes[self.at..self.at + DIGITS].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }
}

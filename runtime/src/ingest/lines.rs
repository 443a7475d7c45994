//! Splits a stream of bytes in lines, for NDJSON.

use bytes::{Buf as _, Bytes, BytesMut};

/// A line has more bytes than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineTooLong;

/// Lines out of chunks. A line ends with LF or CRLF; the last one may lack its
/// end. Lines of nothing but white space are passed over.
///
/// A line that is too long is reported once and skipped to its end; what comes
/// after it is read as usual. Memory stays within one line and one chunk.
#[derive(Debug)]
pub struct Lines {
    line_bytes_max: usize,
    /// The beginning of a line whose end has not come yet.
    begun: BytesMut,
    chunk: Bytes,
    skipping: bool,
    number: u64,
}

impl Lines {
    /// Splits in lines of at most so many bytes, their ends not counted.
    pub fn new(line_bytes_max: usize) -> Self {
        Lines { line_bytes_max, begun: BytesMut::new(), chunk: Bytes::new(), skipping: false, number: 0 }
    }

    /// The number of the line that was given last, counting all lines of the
    /// stream from 1, blank ones too: what an editor shows.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Takes the next chunk. The lines of the one before must have been taken.
    pub fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "lines of the chunk before were left");
        self.chunk = chunk;
    }

    /// The next whole line that is here already.
    #[expect(clippy::should_implement_trait, reason = "an iterator that ends would have to go on after the next chunk")]
    pub fn next(&mut self) -> Option<Result<Bytes, LineTooLong>> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.chunk) else {
                if !self.skipping {
                    self.begun.extend_from_slice(&self.chunk);
                    // One more than a line may have: a CR that belongs to its end.
                    if self.begun.len() > self.line_bytes_max + 1 {
                        self.chunk.clear();
                        self.begun.clear();
                        self.skipping = true;
                        self.number += 1;
                        return Some(Err(LineTooLong));
                    }
                }
                self.chunk.clear();
                return None;
            };
            let part = self.chunk.split_to(end);
            self.chunk.advance(1);
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            self.number += 1;
            let line = if self.begun.is_empty() {
                part
            } else {
                self.begun.extend_from_slice(&part);
                self.begun.split().freeze()
            };
            if let Some(line) = self.finished(line) {
                return Some(line);
            }
        }
    }

    /// What is left when the stream has ended.
    pub fn finish(&mut self) -> Option<Result<Bytes, LineTooLong>> {
        if std::mem::take(&mut self.skipping) {
            return None;
        }
        self.number += 1;
        let line = self.begun.split().freeze();
        self.finished(line)
    }

    fn finished(&self, mut line: Bytes) -> Option<Result<Bytes, LineTooLong>> {
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        if line.len() > self.line_bytes_max {
            return Some(Err(LineTooLong));
        }
        (!line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))).then_some(Ok(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `text` in chunks of `size` and returns the lines with their numbers;
    /// `None` for one that was too long.
    fn split(text: &[u8], size: usize, max: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut lines = Lines::new(max);
        let mut found = Vec::new();
        for chunk in text.chunks(size) {
            lines.push(Bytes::copy_from_slice(chunk));
            while let Some(line) = lines.next() {
                found.push((lines.number(), line.ok().map(|line| line.to_vec())));
            }
        }
        let last = lines.finish();
        found.extend(last.map(|line| (lines.number(), line.ok().map(|line| line.to_vec()))));
        found
    }

    #[test]
    fn ht_18_lines_end_with_lf_or_crlf_or_the_stream() {
        for size in 1..20 {
            let found = split(b"one\r\ntwo\n\n \r\nthree", size, 5);
            assert_eq!(found, [(1, Some(b"one".to_vec())), (2, Some(b"two".to_vec())), (5, Some(b"three".to_vec()))]);
        }
    }

    #[test]
    fn ht_18_a_line_too_long_is_reported_once_and_passed_over() {
        for size in 1..30 {
            let found = split(b"short\nthis is too long\nfine\nagain too long", size, 5);
            assert_eq!(found, [(1, Some(b"short".to_vec())), (2, None), (3, Some(b"fine".to_vec())), (4, None)], "chunks of {size}");
        }
    }

    proptest::proptest! {
        #[test]
        fn chunks_do_not_matter(text in proptest::collection::vec(proptest::sample::select(b"ab \r\n".to_vec()), 0..64), size in 1usize..9, max in 1usize..6) {
            proptest::prop_assert_eq!(split(&text, size, max), split(&text, text.len().max(1), max));
        }
    }
}

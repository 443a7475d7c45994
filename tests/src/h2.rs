//! HTTP/2 (RFC 9113) by hand: frames that no well-behaved client sends.

use std::io;
use std::time::{Duration, Instant};

use crate::raw::Raw;

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113, section 6).
pub const DATA: u8 = 0;
/// Opens a stream.
pub const HEADERS: u8 = 1;
/// Resets a stream.
pub const RST_STREAM: u8 = 3;
/// Says how one wants to be spoken to.
pub const SETTINGS: u8 = 4;
/// Wants an answer.
pub const PING: u8 = 6;
/// Ends a connection, and says why.
pub const GOAWAY: u8 = 7;
/// Lets the other end send more.
pub const WINDOW_UPDATE: u8 = 8;
/// Goes on with HEADERS.
pub const CONTINUATION: u8 = 9;

/// The last frame of a stream; of SETTINGS and PING, the answer.
pub const END_STREAM: u8 = 1;
/// The last frame of a header.
pub const END_HEADERS: u8 = 4;

/// Reason of GOAWAY for who asks too much (RFC 9113, section 7).
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame as it came.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Why a connection is ended, if this frame says so.
    pub fn reason(&self) -> Option<u32> {
        let bytes = self.payload.get(4..8).filter(|_| self.kind == GOAWAY)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).expect("a short frame").to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header in HPACK (RFC 7541), each field a literal that nobody has to remember.
pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    fn text(bytes: &mut Vec<u8>, text: &str) {
        match text.len() {
            short @ 0..127 => bytes.push(short as u8),
            long => {
                // An integer with a prefix of seven bits (RFC 7541, section 5.1).
                bytes.push(127);
                let mut left = long - 127;
                while left >= 128 {
                    bytes.push((left % 128) as u8 | 128);
                    left /= 128;
                }
                bytes.push(left as u8);
            }
        }
        bytes.extend(text.as_bytes());
    }
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        text(&mut bytes, name);
        text(&mut bytes, value);
    }
    bytes
}

/// The header of a request.
pub fn request(method: &str, path: &str) -> Vec<u8> {
    fields(&[(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost")])
}

/// One connection in HTTP/2.
pub struct H2(Raw);

impl H2 {
    /// Begins with the preface and empty settings.
    pub fn begin(mut raw: Raw) -> H2 {
        raw.write([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
        H2(raw)
    }

    /// Sends bytes; says whether they could be sent.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.try_write(bytes)
    }

    /// The next frame.
    ///
    /// # Errors
    ///
    /// If the connection ends before.
    pub fn read(&mut self) -> io::Result<Frame> {
        let head = self.0.read_exactly(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Ok(Frame { kind: head[3], flags: head[4], stream, payload: self.0.read_exactly(length)? })
    }

    /// Reads to the end of the connection, and gives the reason that was said, if any was.
    pub fn reason_of_the_end(&mut self) -> Option<u32> {
        let mut reason = None;
        while let Ok(frame) = self.read() {
            reason = frame.reason().or(reason);
        }
        reason
    }

    /// Sends the same again and again until the server closes; says how often, or nothing
    /// if it does not within `patience`.
    pub fn flood(&mut self, bytes: &[u8], patience: Duration) -> Option<usize> {
        let begin = Instant::now();
        let mut sent = 0;
        while begin.elapsed() < patience {
            if !self.0.try_write(bytes) {
                return Some(sent);
            }
            sent += 1;
        }
        None
    }

    /// Waits until the server closes, and says how long that took.
    pub fn closed_within(&mut self, patience: Duration) -> Option<Duration> {
        self.0.closed_within(patience)
    }

    /// Sends a request and reads whether it is answered with `:status` 200, which has an
    /// index of its own in HPACK (RFC 7541, appendix A).
    pub fn is_served(&mut self, stream: u32, path: &str) -> bool {
        self.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, &request("GET", path)));
        self.is_answered_with_200(stream)
    }

    /// Reads whether a stream is answered so.
    pub fn is_answered_with_200(&mut self, stream: u32) -> bool {
        loop {
            match self.read() {
                Ok(frame) if frame.kind == HEADERS && frame.stream == stream => return frame.payload.first() == Some(&0x88),
                Ok(frame) if frame.kind == GOAWAY || (frame.kind == RST_STREAM && frame.stream == stream) => return false,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }
}

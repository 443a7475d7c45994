//! What is remembered of a key: its windows.

use std::collections::BTreeSet;
use std::time::Duration;

use ephor_sdk::serde::{Deserialize, Serialize};
use ephor_sdk::state::{self, Count, Distinct, Sliding, Tumbling};
use ephor_sdk::time::Time;
use ephor_table::program::{Measure, Program, Window};

use crate::eval::Fault;
use crate::value::Value;

/// How many windows on the clock are kept: the latest, one that a late event falls into,
/// and one for an event whose time is wrong.
const KEPT: usize = 3;

const TOO_LARGE: Fault = Fault::Number("a sum does not fit into 64 bits");

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "ephor_sdk::serde")]
enum Memory {
    Counts(Sliding<()>),
    Sums(Sliding<i64>),
    Values(Sliding<String>),
    /// Counts and sums.
    Steps(Tumbling<i64>),
    StepsOfValues(Tumbling<Distinct<String>>),
}

/// The windows of one key, in the order of the file; none until its first event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(crate = "ephor_sdk::serde")]
pub struct Memories(Vec<Memory>);

/// What an event adds to a window.
pub enum Added {
    Nothing,
    One,
    Number(i64),
    Text(String),
}

/// Tells states of these windows from those of others. Another release whose windows
/// are others takes another `state_version`.
pub fn shape(program: &Program) -> u8 {
    let mut hash: u32 = 0x811c_9dc5;
    let bytes = program.windows.iter().flat_map(|window| window.shape().into_iter().chain(window.over.to_le_bytes()));
    for byte in bytes {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash.to_le_bytes().into_iter().fold(0, |folded, byte| folded ^ byte)
}

impl Memories {
    /// Reads what [`Self::encode`] wrote; no state is no windows.
    ///
    /// # Errors
    ///
    /// Says what is wrong if the bytes are not such a state.
    pub fn decode(program: &Program, bytes: Option<&[u8]>) -> Result<Self, String> {
        let read: Self = bytes.map_or_else(|| Ok(Self::default()), |bytes| state::read(shape(program), bytes))?;
        if !read.0.is_empty() && read.0.len() != program.windows.len() {
            return Err("it has other windows; windows that change need another `state_version`".to_owned());
        }
        Ok(read)
    }

    /// The state for the host to keep.
    pub fn encode(&self, program: &Program) -> Option<Vec<u8>> {
        state::write(shape(program), self)
    }

    /// Puts an event into a window, and says what the window has then.
    pub fn see<'a>(&mut self, program: &Program, index: u16, at: i64, added: Added) -> Result<Value<'a>, Fault> {
        if self.0.is_empty() {
            self.0.extend(program.windows.iter().map(Memory::of));
        }
        let window = &program.windows[usize::from(index)];
        self.0[usize::from(index)].see(window, index, Time(at), added)
    }
}

impl Memory {
    fn of(window: &Window) -> Self {
        match (window.slides, &window.measure) {
            (true, Measure::Count) => Self::Counts(Sliding::default()),
            (true, Measure::Sum(_)) => Self::Sums(Sliding::default()),
            (true, Measure::Distinct(_)) => Self::Values(Sliding::default()),
            (false, Measure::Count | Measure::Sum(_)) => Self::Steps(Tumbling::default()),
            (false, Measure::Distinct(_)) => Self::StepsOfValues(Tumbling::default()),
        }
    }

    fn see<'a>(&mut self, window: &Window, index: u16, at: Time, added: Added) -> Result<Value<'a>, Fault> {
        let over = Duration::from_micros(window.over.unsigned_abs());
        let (keep, most) = (over.saturating_mul(2), window.most as usize);
        let is_kept = match (&mut *self, added) {
            (_, Added::Nothing) => true,
            (Self::Counts(events), _) => events.add(at, (), keep, most),
            (Self::Sums(events), Added::Number(number)) => events.add(at, number, keep, most),
            (Self::Values(events), Added::Text(text)) => events.add(at, text, keep, most),
            (Self::Steps(steps), added) => {
                let step = steps.at(at, over, KEPT).ok_or(Fault::Late(index))?;
                let more = if let Added::Number(number) = added { number } else { 1 };
                *step = step.checked_add(more).ok_or(TOO_LARGE)?;
                true
            }
            (Self::StepsOfValues(steps), Added::Text(text)) => {
                steps.at(at, over, KEPT).ok_or(Fault::Late(index))?.see(text.as_str(), most);
                true
            }
            (Self::Sums(_) | Self::Values(_) | Self::StepsOfValues(_), _) => true,
        };
        if !is_kept {
            return Err(Fault::Late(index));
        }
        match self {
            Self::Counts(events) => Ok(number(events.window(at, over).count())),
            Self::Sums(events) => {
                let events = events.window(at, over);
                let problem = if events.is_complete() { TOO_LARGE } else { Fault::Unknown(index) };
                events.sum().map(Value::Integer).ok_or(problem)
            }
            Self::Values(events) => {
                let events = events.window(at, over);
                let different = events.iter().map(|(_, text)| text).collect::<BTreeSet<_>>().len() as u64;
                Ok(number(if events.is_complete() { Count::exactly(different) } else { Count::at_least(different) }))
            }
            Self::Steps(steps) => {
                // A copy is asked, for asking makes a window where there is none.
                let step = steps.clone().at(at, over, KEPT).copied();
                step.map(Value::Integer).ok_or(Fault::Late(index))
            }
            Self::StepsOfValues(steps) => {
                let step = steps.clone().at(at, over, KEPT).map(|step| step.count());
                step.map(number).ok_or(Fault::Late(index))
            }
        }
    }
}

fn number<'a>(count: Count) -> Value<'a> {
    let least = i64::try_from(count.least()).unwrap_or(i64::MAX);
    if count.most() == Some(count.least()) { Value::Integer(least) } else { Value::AtLeast(least) }
}

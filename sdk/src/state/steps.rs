use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Values by ascending numbers, such as times. Each number is written as what it
/// is beyond the one before, which takes a byte or a few instead of eight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Steps<T>(pub(super) Vec<(i64, T)>);

impl<T> Default for Steps<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Serialize> Serialize for Steps<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut last = 0;
        serializer.collect_seq(self.0.iter().map(|(number, value)| {
            let step = number.wrapping_sub(last);
            last = *number;
            (step, value)
        }))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Steps<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut values = Vec::<(i64, T)>::deserialize(deserializer)?;
        let mut last: i64 = 0;
        for (number, _) in &mut values {
            last = last.wrapping_add(*number);
            *number = last;
        }
        Ok(Self(values))
    }
}

//! Words that texts are searched for: the SDK's lists, made once where the words are known.

use std::borrow::Cow;

use ephor_sdk::text::WordList;

use crate::value::Value;

/// Words, ready to be searched for.
pub struct Words {
    list: WordList,
    /// In upper case, as findings name them.
    shown: Vec<String>,
}

impl Words {
    /// A text, or a list of texts. What has no letter and no digit is in no text, and what
    /// says the same as a word before it is that word. `whole` asks for separators also in
    /// scripts that have none.
    pub fn of(value: &Value<'_>, whole: bool) -> Self {
        let mut words: Vec<Cow<'_, str>> = match value {
            Value::List(values) => values.iter().map(Value::text).collect(),
            value => vec![value.text()],
        };
        let list = loop {
            match WordList::new(words.iter()) {
                Ok(list) => break list,
                Err(refused) => drop(words.remove(refused.phrase)),
            }
        };
        let list = if whole { list.between_separators() } else { list };
        Self { list, shown: words.iter().map(|word| word.to_uppercase()).collect() }
    }

    /// Whether a text has one of them.
    pub fn is_in(&self, text: &str) -> bool {
        self.list.is_in(text)
    }

    /// Those that a text has, each once, in its order.
    pub fn listed<'a>(&self, text: &str) -> Vec<Value<'a>> {
        let mut found = Vec::new();
        for it in self.list.find(text) {
            if !found.contains(&it.phrase) {
                found.push(it.phrase);
            }
        }
        found.into_iter().map(|phrase| Value::Text(Cow::Owned(self.shown[phrase].clone()))).collect()
    }
}

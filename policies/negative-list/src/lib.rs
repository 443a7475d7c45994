//! Goods whose description has a word of the negative list may not be sold.

use ephor_sdk::prelude::*;
use ephor_sdk::text::WordList;

/// A line of an invoice.
#[derive(Fields)]
pub struct Line<'a> {
    #[field("/data/description", purpose = "look for words of the negative list")]
    description: Option<&'a str>,
}

/// What is on the list.
#[settings]
pub struct Settings {
    /// Words of letters and digits. Their case does not matter.
    words: Vec<String>,
}

/// What a line can break.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// The description has a word of the list.
    #[rule(
        id = "listed-word",
        action = deny,
        severity = high,
        legal_basis = "E-Commerce Law of the People's Republic of China, article 13",
        en = "the description contains the listed word {word}",
        zh = "商品描述包含负面清单词语 {word}"
    )]
    ListedWord,
}

/// The list: in upper case for the evidence, and as texts are searched for it.
pub struct NegativeList {
    words: Vec<String>,
    list: WordList,
}

#[policy(
    name = "negative-list",
    summary = "Denies invoice lines whose description has a word of the negative list.",
    events = ["retail.invoice.line", "retail.cancellation.line"]
)]
impl Policy for NegativeList {
    type Fields<'a> = Line<'a>;
    type Settings = Settings;
    type State = ();
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        let mut errors = SettingsErrors::default();
        for (index, word) in settings.words.iter().enumerate() {
            if word.is_empty() || !word.chars().all(char::is_alphanumeric) {
                errors.push(format!("/words/{index}"), "expected one word of letters and digits");
            }
        }
        errors.or(())?;
        let list =
            WordList::new(&settings.words).map_err(|it| SettingsErrors::at(format!("/words/{}", it.phrase), it.problem.to_string()))?;
        let words = settings.words.iter().map(|word| word.to_uppercase()).collect();
        Ok(Self { words, list: list.between_separators() })
    }

    fn evaluate(&self, line: Line<'_>, (): &mut (), out: &mut Out<Rule>) {
        let Some(description) = line.description else { return };
        let mut found = Vec::new();
        for it in self.list.find(description) {
            if !found.contains(&it.phrase) {
                found.push(it.phrase);
                out.find(Rule::ListedWord).with("word", &self.words[it.phrase]);
            }
        }
    }
}

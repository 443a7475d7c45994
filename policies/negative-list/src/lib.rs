//! Goods whose description has a word of the negative list may not be sold.

use ephor_sdk::prelude::*;

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

/// The list in upper case.
pub struct NegativeList {
    words: Vec<String>,
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
        let mut words = Vec::with_capacity(settings.words.len());
        for (index, word) in settings.words.iter().enumerate() {
            let upper = word.to_uppercase();
            if word.is_empty() || !word.chars().all(char::is_alphanumeric) {
                errors.push(format!("/words/{index}"), "expected one word of letters and digits");
            } else if words.contains(&upper) {
                errors.push(format!("/words/{index}"), "the word is on the list before");
            }
            words.push(upper);
        }
        errors.or(Self { words })
    }

    fn evaluate(&self, line: Line<'_>, (): &mut (), out: &mut Out<Rule>) {
        let Some(description) = line.description else { return };
        let mut found = Vec::new();
        for run in description.split(|it: char| !it.is_alphanumeric()) {
            let Some(word) = self.words.iter().find(|word| same(run, word)) else { continue };
            if !found.contains(&word) {
                found.push(word);
                out.find(Rule::ListedWord).with("word", word);
            }
        }
    }
}

/// Whether a run of the description is a word of the list, which is in upper case.
fn same(run: &str, word: &str) -> bool {
    if run.is_ascii() {
        return run.eq_ignore_ascii_case(word);
    }
    run.chars().flat_map(char::to_uppercase).eq(word.chars())
}

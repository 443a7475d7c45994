//! What the page says, one file for each language.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A language of the page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::server) enum Language {
    #[default]
    English,
    Chinese,
}

impl Language {
    pub(in crate::server) const ALL: [Language; 2] = [Language::English, Language::Chinese];

    /// What the address and the cookie have (BCP 47).
    pub(in crate::server) fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Chinese => "zh",
        }
    }

    /// What the markup has: which glyphs a browser chooses depends on the script.
    pub(in crate::server) fn markup(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Chinese => "zh-Hans",
        }
    }

    /// Its own name.
    pub(in crate::server) fn own_name(self) -> &'static str {
        match self {
            Language::English => "English",
            Language::Chinese => "中文",
        }
    }

    /// The language of a tag, whatever region and script it says.
    pub(in crate::server) fn named(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Language::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    fn texts(self) -> &'static Texts {
        static ENGLISH: LazyLock<Texts> = LazyLock::new(|| read(include_str!("texts/en.toml")));
        static CHINESE: LazyLock<Texts> = LazyLock::new(|| read(include_str!("texts/zh.toml")));
        match self {
            Language::English => &ENGLISH,
            Language::Chinese => &CHINESE,
        }
    }
}

/// By `section.name`.
type Texts = BTreeMap<String, String>;

fn read(file: &str) -> Texts {
    let sections: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(file).unwrap_or_default();
    let flat = |(section, texts): (String, BTreeMap<String, String>)| {
        texts.into_iter().map(move |(name, text)| (format!("{section}.{name}"), text))
    };
    sections.into_iter().flat_map(flat).collect()
}

/// A text. Where there is none its key has to do; a test keeps that from happening.
pub(super) fn get(language: Language, key: &str) -> &'static str {
    match language.texts().get_key_value(key) {
        Some((_, text)) => text,
        None => {
            debug_assert!(false, "there is no text {key}");
            "…"
        }
    }
}

/// The texts of a section, by their names in it, for scripts.
pub(super) fn section(language: Language, section: &str) -> BTreeMap<&'static str, &'static str> {
    let texts = language.texts().iter();
    texts.filter_map(|(key, text)| Some((key.strip_prefix(section)?.strip_prefix('.')?, text.as_str()))).collect()
}

/// Puts values in the places of `{name}`; what is put there is not looked at again.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len() + 16);
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((name, behind)) = behind.split_once('}') else { break };
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
            filled.push_str(value);
        }
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
    }

    #[test]
    fn both_languages_say_the_same_things() {
        let (english, chinese) = (Language::English.texts(), Language::Chinese.texts());
        assert!(english.len() > 50, "the texts are read");
        let keys = |texts: &Texts| texts.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(english), keys(chinese));
        for (key, text) in english {
            assert_eq!(placeholders(text), placeholders(&chinese[key]), "{key}");
            assert!(!text.trim().is_empty() && !chinese[key].trim().is_empty(), "{key}");
        }
    }

    /// Keys of the code, scripts included, stand in the files.
    #[test]
    fn what_the_code_says_is_there() {
        fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    walk(&path, found);
                } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "js") {
                    found.push((path.display().to_string(), std::fs::read_to_string(&path).expect("text")));
                }
            }
        }
        let mut files = Vec::new();
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/page"), &mut files);
        let english = Language::English.texts();
        let mut seen = 0;
        for (file, code) in files.iter().filter(|(file, _)| !file.ends_with("texts.rs")) {
            let script = file.ends_with(".js");
            for (call, endings) in
                [("text(\"", &[""][..]), ("text_with(\"", &[""]), ("count(\"", &[".one", ".other"]), ("count_with(\"", &[".one", ".other"])]
            {
                for (at, _) in code.match_indices(call) {
                    // `getContext("2d")` is another word.
                    if code[..at].ends_with(|before: char| before.is_alphanumeric()) {
                        continue;
                    }
                    let rest = &code[at + call.len()..];
                    let key = rest.split('"').next().unwrap_or_default();
                    for ending in endings {
                        let key = format!("{}{key}{ending}", if script { "script." } else { "" });
                        assert!(english.contains_key(&key), "{file} says {key}, which is no text");
                        seen += 1;
                    }
                }
            }
        }
        assert!(seen > 30, "the code says something");
    }

    #[test]
    fn values_are_put_in_once() {
        assert_eq!(fill("{n} of {m}", &[("n", "{m}"), ("m", "2")]), "{m} of 2");
    }

    #[test]
    fn a_tag_may_have_a_region() {
        assert_eq!(Language::named("zh-CN"), Some(Language::Chinese));
        assert_eq!(Language::named("EN-us"), Some(Language::English));
        assert_eq!(Language::named("de"), None);
    }
}

//! What a policy declares: fields with their purposes, rules with legal basis and
//! messages, states, the key. What the macros refuse is theirs to say.

use std::collections::BTreeSet;

use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Ident, LitStr, Token};

use super::source::{Crate, derives, has, is_test};
use super::{At, Finding, Lint};

/// The fewest words of a purpose, and of a legal basis; of scripts that are written
/// without blanks the fewest characters.
const PURPOSE_WORDS_MIN: usize = 2;
const PURPOSE_LETTERS_MIN: usize = 4;
const BASIS_WORDS_MIN: usize = 3;
const BASIS_LETTERS_MIN: usize = 6;

/// Words that stand where something else is to stand.
const PLACEHOLDERS: [&str; 4] = ["todo", "tbd", "lorem", "n/a"];

/// Types whose values have no bound of their own.
const UNBOUNDED: [&str; 10] =
    ["String", "Vec", "VecDeque", "BTreeMap", "BTreeSet", "BinaryHeap", "LinkedList", "HashMap", "HashSet", "Value"];

/// All of a crate.
#[derive(Debug, Default)]
pub struct Declared {
    pub fields: Vec<FieldStruct>,
    pub rules: Vec<Rule>,
    /// Pointers of the key.
    pub key: BTreeSet<String>,
}

/// A struct of fields.
#[derive(Debug)]
pub struct FieldStruct {
    pub name: String,
    pub file: String,
    pub members: Vec<Member>,
}

#[derive(Debug)]
pub struct Member {
    pub name: String,
    pub pointer: String,
    pub at: At,
}

/// A clause.
#[derive(Debug)]
pub struct Rule {
    /// The enum that it is a variant of.
    pub rules: String,
    pub variant: String,
    pub id: String,
    pub file: String,
    pub at: At,
}

/// Reads what is declared, and says what is wrong with it.
pub fn look(sources: &Crate, findings: &mut Vec<Finding>) -> Declared {
    let mut declared = Declared::default();
    for source in &sources.files {
        let file = source.text.shown.clone();
        let mut reading = Reading { file, declared: &mut declared, findings };
        reading.visit_file(&source.parsed);
    }
    declared
}

struct Reading<'r> {
    file: String,
    declared: &'r mut Declared,
    findings: &'r mut Vec<Finding>,
}

impl Reading<'_> {
    fn say(&mut self, at: At, lint: Lint, what: String, remedy: impl Into<String>) {
        self.findings.push(Finding::new(&self.file, at, lint, what, remedy));
    }

    fn fields(&mut self, item: &syn::ItemStruct) {
        let mut members = Vec::new();
        for field in &item.fields {
            let Some(ident) = &field.ident else { continue };
            let Some(attribute) = field.attrs.iter().find(|attribute| attribute.path().is_ident("field")) else { continue };
            let read = attribute.parse_args_with(|input: ParseStream<'_>| {
                let pointer: LitStr = input.parse()?;
                input.parse::<Token![,]>()?;
                input.parse::<Ident>()?;
                input.parse::<Token![=]>()?;
                let purpose: LitStr = input.parse()?;
                input.parse::<proc_macro2::TokenStream>()?;
                Ok((pointer, purpose))
            });
            let Ok((pointer, purpose)) = read else { continue };
            let (pointer, said) = (pointer.value(), purpose.value());
            if is_thin(&said, PURPOSE_WORDS_MIN, PURPOSE_LETTERS_MIN) {
                let what = format!("the purpose of `{ident}` ({pointer}) says nothing: {said:?}");
                let remedy = "say in a few words what the rule does with the value, such as \"count the orders of each merchant\"";
                self.say(At::of(purpose.span()), Lint::ThinPurpose, what, remedy);
            }
            members.push(Member { name: ident.unraw().to_string(), pointer, at: At::of(ident.span()) });
        }
        self.declared.fields.push(FieldStruct { name: item.ident.to_string(), file: self.file.clone(), members });
    }

    fn rules(&mut self, item: &syn::ItemEnum) {
        for variant in &item.variants {
            let Some(attribute) = variant.attrs.iter().find(|attribute| attribute.path().is_ident("rule")) else { continue };
            let parts = attribute.parse_args_with(|input: ParseStream<'_>| {
                let mut parts: Vec<(Ident, Option<LitStr>)> = Vec::new();
                while !input.is_empty() {
                    let key = input.call(Ident::parse_any)?;
                    input.parse::<Token![=]>()?;
                    let text = match input.peek(LitStr) {
                        true => Some(input.parse()?),
                        false => {
                            input.call(Ident::parse_any)?;
                            None
                        }
                    };
                    parts.push((key, text));
                    input.parse::<Option<Token![,]>>()?;
                }
                Ok(parts)
            });
            let Ok(parts) = parts else { continue };
            let text = |name: &str| parts.iter().find(|(key, _)| key == name).and_then(|(_, text)| text.as_ref());
            let Some(id) = text("id") else { continue };
            if let Some(basis) = text("legal_basis")
                && is_thin(&basis.value(), BASIS_WORDS_MIN, BASIS_LETTERS_MIN)
            {
                let what = format!("the legal basis of `{}` names no provision: {:?}", id.value(), basis.value());
                let remedy = "name the law and the place in it, such as \"Order Act, section 5\"";
                self.say(At::of(basis.span()), Lint::ThinLegalBasis, what, remedy);
            }
            let known = ["id", "action", "severity", "legal_basis"];
            let languages: Vec<&Ident> = parts.iter().map(|(key, _)| key).filter(|key| known.iter().all(|known| key != known)).collect();
            if let [only] = languages[..] {
                let what = format!("the messages of `{}` are in `{only}` only", id.value());
                let other = if only == "en" { "zh" } else { "en" };
                let remedy = format!("add the message in another language that is read where the rule holds, such as `{other} = \"…\"`");
                self.say(At::of(id.span()), Lint::OneLanguage, what, remedy);
            }
            self.declared.rules.push(Rule {
                rules: item.ident.to_string(),
                variant: variant.ident.to_string(),
                id: id.value(),
                file: self.file.clone(),
                at: At::of(id.span()),
            });
        }
    }

    fn state(&mut self, item: &syn::ItemStruct) {
        for field in &item.fields {
            let Some(kind) = unbounded(&field.ty) else { continue };
            let name = field.ident.as_ref().map(|ident| ident.unraw().to_string()).unwrap_or_default();
            let what = format!("`{}.{name}` is a `{kind}`, which has no bound of its own", item.ident);
            let remedy = match kind.as_str() {
                "String" => {
                    "remember a number, a time or a short code instead; if the text has a bound, say it above the line: `// lint: allow(unbounded-state): its bound`"
                }
                _ => {
                    "use a type of `ephor_sdk::state` (`Distinct`, `Sliding`, `Tumbling`, `Rate`), or cut it in `evaluate` and say so above the line: `// lint: allow(unbounded-state): its bound`"
                }
            };
            self.say(At::of(field.ident.as_ref().map_or_else(|| field.ty.span(), Ident::span)), Lint::UnboundedState, what, remedy);
        }
    }
}

impl<'ast> Visit<'ast> for Reading<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        if derives(&item.attrs, "Fields") {
            self.fields(item);
        }
        if has(&item.attrs, "state") {
            self.state(item);
        }
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        if derives(&item.attrs, "Rules") {
            self.rules(item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let attribute = item.attrs.iter().find(|attribute| attribute.path().segments.last().is_some_and(|last| last.ident == "policy"));
        let Some(syn::Meta::List(list)) = attribute.map(|attribute| &attribute.meta) else { return };
        let tokens: Vec<proc_macro2::TokenTree> = list.tokens.clone().into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            let is_key = matches!(token, proc_macro2::TokenTree::Ident(ident) if ident == "key");
            if let (true, Some(proc_macro2::TokenTree::Group(group))) = (is_key, tokens.get(at + 2)) {
                let pointers = group.stream().into_iter().filter_map(|token| syn::parse_str::<LitStr>(&token.to_string()).ok());
                self.declared.key.extend(pointers.map(|pointer| pointer.value()));
            }
        }
    }
}

/// Whether a text has too few words, or words that stand for others.
fn is_thin(text: &str, words_min: usize, letters_min: usize) -> bool {
    let lower = text.to_lowercase();
    let words: Vec<&str> =
        lower.split(|letter: char| letter.is_whitespace() || ",.;:()".contains(letter)).filter(|word| !word.is_empty()).collect();
    if words.iter().any(|word| PLACEHOLDERS.contains(word)) {
        return true;
    }
    let wide = text.chars().filter(|letter| *letter as u32 > 0x2e7f && letter.is_alphanumeric()).count();
    words.len() < words_min && wide < letters_min
}

/// A type without a bound in a type, by its name.
fn unbounded(kind: &syn::Type) -> Option<String> {
    struct Names(Option<String>);
    impl<'ast> Visit<'ast> for Names {
        fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
            let name = segment.ident.to_string();
            if self.0.is_none() && UNBOUNDED.contains(&name.as_str()) {
                self.0 = Some(name);
            }
            visit::visit_path_segment(self, segment);
        }
    }
    let mut names = Names(None);
    names.visit_type(kind);
    names.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_say_nothing_are_told_from_short_ones() {
        let basis = |text| is_thin(text, BASIS_WORDS_MIN, BASIS_LETTERS_MIN);
        for thin in ["none", "n/a", "the law", concat!("TO", "DO: name the law and the section"), "法律"] {
            assert!(basis(thin), "{thin}");
        }
        for good in ["Order Act, section 5", "31 CFR chapter V", "《电子商务法》第十三条", "GDPR art. 6"] {
            assert!(!basis(good), "{good}");
        }
        let purpose = |text| is_thin(text, PURPOSE_WORDS_MIN, PURPOSE_LETTERS_MIN);
        assert!(purpose("amount") && purpose("tbd later") && !purpose("compare amounts") && !purpose("比较订单金额"));
    }

    #[test]
    fn types_without_a_bound_are_found_inside_others() {
        let of = |kind: &str| unbounded(&syn::parse_str(kind).expect("a type"));
        assert_eq!(of("Option<Vec<u64>>").as_deref(), Some("Vec"));
        assert_eq!(of("std::collections::BTreeMap<u64, u64>").as_deref(), Some("BTreeMap"));
        assert_eq!(of("Tumbling<Distinct<String>>").as_deref(), Some("String"));
        assert_eq!(of("[u64; 4]"), None);
        assert_eq!(of("Sliding<i64>"), None);
    }
}

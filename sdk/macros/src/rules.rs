use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Fields, Ident, LitStr, Result, Token, Variant, ext::IdentExt, parse::ParseStream, parse2};

use crate::text;

/// `manifest.rules` holds at most this many.
const MOST_RULES: usize = 1_000;
const ACTIONS: [&str; 2] = ["flag", "deny"];
const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = parse2(item)?;
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(input.ident.span(), "`Rules` is for enums: one variant per rule"));
    };
    if let Some(parameter) = input.generics.params.first() {
        return Err(Error::new_spanned(parameter, "an enum of rules has no parameters"));
    }
    if data.variants.is_empty() || data.variants.len() > MOST_RULES {
        return Err(Error::new(input.ident.span(), "a policy has at least one rule and at most 1,000"));
    }
    let mut ids = HashSet::new();
    let mut rules = Vec::new();
    let mut arms = Vec::new();
    for (variant, index) in data.variants.iter().zip(0_u16..) {
        let rule = rule(variant)?;
        if !ids.insert(rule.id.value()) {
            return Err(Error::new(rule.id.span(), "another rule has this id"));
        }
        let ident = &variant.ident;
        arms.push(quote!(Self::#ident => #index));
        rules.push(rule.declaration());
    }
    let name = &input.ident;
    Ok(quote! {
        impl ::ephor_sdk::rule::Rules for #name {
            const RULES: &'static [::ephor_sdk::rule::RuleDeclaration] = &[#(#rules),*];
            #[inline]
            fn index(self) -> u16 {
                match self { #(#arms,)* }
            }
        }
    })
}

struct Rule {
    id: LitStr,
    action: Ident,
    severity: Ident,
    legal_basis: LitStr,
    messages: Vec<(String, LitStr)>,
}

impl Rule {
    fn declaration(&self) -> TokenStream {
        let Self { id, legal_basis, .. } = self;
        let action = format_ident!("{}", capital(&self.action), span = self.action.span());
        let severity = format_ident!("{}", capital(&self.severity), span = self.severity.span());
        let messages = self.messages.iter().map(|(language, text)| quote!((#language, #text)));
        quote! {
            ::ephor_sdk::rule::RuleDeclaration {
                id: #id,
                action: ::ephor_sdk::rule::Action::#action,
                severity: ::ephor_sdk::rule::Severity::#severity,
                legal_basis: #legal_basis,
                messages: &[#(#messages),*],
            }
        }
    }
}

fn capital(ident: &Ident) -> String {
    let text = ident.to_string();
    text[..1].to_ascii_uppercase() + &text[1..]
}

fn rule(variant: &Variant) -> Result<Rule> {
    if !matches!(variant.fields, Fields::Unit) || variant.discriminant.is_some() {
        return Err(Error::new_spanned(variant, "a rule is a bare variant; what a finding rests on goes into its evidence"));
    }
    let mut attributes = variant.attrs.iter().filter(|it| it.path().is_ident("rule"));
    let (Some(attribute), None) = (attributes.next(), attributes.next()) else {
        return Err(Error::new(
            variant.ident.span(),
            "each rule needs one `#[rule(id = \"…\", action = …, severity = …, legal_basis = \"…\", en = \"…\")]`",
        ));
    };
    attribute.parse_args_with(|input: ParseStream<'_>| {
        let (mut id, mut action, mut severity, mut legal_basis) = (None, None, None, None);
        let mut messages: Vec<(String, LitStr)> = Vec::new();
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            input.parse::<Token![=]>()?;
            let word = key.to_string();
            let twice = match word.as_str() {
                "id" => id.replace(parsed(input, text::name)?).is_some(),
                "action" => action.replace(one_of(input, &ACTIONS)?).is_some(),
                "severity" => severity.replace(one_of(input, &SEVERITIES)?).is_some(),
                "legal_basis" => legal_basis.replace(parsed(input, text::sentence)?).is_some(),
                _ => {
                    let language = language(&key)?;
                    let twice = messages.iter().any(|(other, _)| *other == language);
                    messages.push((language, parsed(input, text::message)?));
                    twice
                }
            };
            if twice {
                return Err(Error::new(key.span(), format!("`{word}` is given twice")));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let missing = |key: &str| Error::new(variant.ident.span(), format!("the rule lacks `{key}`"));
        if messages.is_empty() {
            return Err(missing("en = \"…\"` or a message in another language, `zh = \"…\""));
        }
        Ok(Rule {
            id: id.ok_or_else(|| missing("id"))?,
            action: action.ok_or_else(|| missing("action"))?,
            severity: severity.ok_or_else(|| missing("severity"))?,
            legal_basis: legal_basis.ok_or_else(|| {
                let what = "the rule lacks `legal_basis`; name the law and the place in it: `legal_basis = \"Order Act, section 5\"`";
                Error::new(variant.ident.span(), what)
            })?,
            messages,
        })
    })
}

fn parsed(input: ParseStream<'_>, check: fn(&LitStr) -> Result<()>) -> Result<LitStr> {
    let literal: LitStr = input.parse()?;
    check(&literal)?;
    Ok(literal)
}

fn one_of(input: ParseStream<'_>, allowed: &[&str]) -> Result<Ident> {
    let ident: Ident = input.parse()?;
    if allowed.iter().any(|word| ident == word) {
        return Ok(ident);
    }
    Err(Error::new(ident.span(), format!("expected one of `{}`", allowed.join("`, `"))))
}

/// The tag as RFC 5646 section 2.1 shapes it, as far as a typing error would show.
fn language(key: &Ident) -> Result<String> {
    let tag = key.to_string().replace('_', "-");
    let mut parts = tag.split('-');
    let primary = parts.next().is_some_and(|part| (2..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_lowercase()));
    let rest = parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if primary && rest {
        return Ok(tag);
    }
    Err(Error::new(key.span(), "expected `id`, `action`, `severity`, `legal_basis` or a language, such as `en` or `zh_Hant`"))
}

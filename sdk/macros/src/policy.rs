use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Error, Ident, ItemImpl, LitInt, LitStr, Result, Token, bracketed, parse::Parse, parse::ParseStream, parse2, spanned::Spanned};

use crate::text;

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let Arguments { name, summary, events, key, state_version, migrates_from, resets, timers, lists } = parse2(arguments)?;
    let item: ItemImpl = parse2(item)?;
    let is_policy = item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last()).is_some_and(|segment| segment.ident == "Policy");
    if !is_policy || !item.generics.params.is_empty() {
        return Err(Error::new(item.impl_token.span(), "`#[policy]` goes on an `impl Policy for …` without parameters"));
    }

    counterpart(&item, "wake", timers.as_ref(), "timers")?;
    counterpart(&item, "migrate", migrates_from.as_ref().map(|(argument, _)| argument), "migrates_from = […]")?;

    let policy = &item.self_ty;
    let fields = quote!(
        <<#policy as ::ephor_sdk::Policy>::Fields<'static>
            as ::ephor_sdk::fields::Fields<'static>>::FIELDS
    );
    let indices = key.iter().map(|pointer| {
        // The span makes a pointer that is no required field an error at the pointer.
        quote_spanned!(pointer.span()=> ::ephor_sdk::declaration::key_index(#fields, #pointer))
    });
    let keyed = !key.is_empty();
    let state_version = state_version.map_or_else(|| quote!(0), |version| quote!(#version));
    let migrates_from = migrates_from.map(|(_, versions)| versions).unwrap_or_default();
    let (resets, timers) = (resets.is_some(), timers.is_some());
    let state = item
        .items
        .iter()
        .find_map(|it| match it {
            syn::ImplItem::Type(alias) if alias.ident == "State" => Some(alias.ty.span()),
            _ => None,
        })
        .unwrap_or_else(Span::call_site);
    let check = quote_spanned! {state=>
        const _: () = ::core::assert!(
            <<#policy as ::ephor_sdk::Policy>::State as ::ephor_sdk::state::State>::KEYED == #keyed,
            "a state other than `()` needs `key` and `state_version` in `#[policy]`, and they need a state",
        );
    };
    Ok(quote! {
        #item

        impl ::ephor_sdk::declaration::Declared for #policy {
            const DECLARATION: ::ephor_sdk::declaration::Declaration =
                ::ephor_sdk::declaration::Declaration {
                    name: #name,
                    version: ::core::env!("CARGO_PKG_VERSION"),
                    summary: #summary,
                    events: &[#(#events),*],
                    key: &[#(const { #indices }),*],
                    state_version: #state_version,
                    migrates_from: &[#(#migrates_from),*],
                    resets: #resets,
                    timers: #timers,
                    lists: &[#(#lists),*],
                };
        }

        #check

        ::ephor_sdk::__export!(#policy);
    })
}

/// What is declared must be carried out, and what is carried out declared:
/// otherwise a function is never called, or an argument without effect.
fn counterpart(item: &ItemImpl, function: &str, argument: Option<&Ident>, shown: &str) -> Result<()> {
    let carried_out = item.items.iter().find_map(|it| match it {
        syn::ImplItem::Fn(it) if it.sig.ident == function => Some(&it.sig.ident),
        _ => None,
    });
    match (carried_out, argument) {
        (None, Some(argument)) => Err(Error::new(argument.span(), format!("needs a `fn {function}`"))),
        (Some(carried_out), None) => Err(Error::new(carried_out.span(), format!("needs `{shown}` in `#[policy]`"))),
        _ => Ok(()),
    }
}

struct Arguments {
    name: LitStr,
    summary: LitStr,
    events: Vec<LitStr>,
    key: Vec<LitStr>,
    state_version: Option<LitInt>,
    migrates_from: Option<(Ident, Vec<LitInt>)>,
    resets: Option<Ident>,
    timers: Option<Ident>,
    lists: Vec<LitStr>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let (mut name, mut summary, mut events) = (None, None, None);
        let (mut key, mut state_version, mut lists) = (None, None, None);
        let (mut migrates_from, mut resets, mut timers) = (None, None, None);
        while !input.is_empty() {
            let argument: Ident = input.parse()?;
            let word = argument.to_string();
            let is_flag = matches!(word.as_str(), "resets" | "timers");
            if !is_flag {
                input.parse::<Token![=]>()?;
            }
            let place = argument.clone();
            let twice = match word.as_str() {
                "name" => name.replace(checked(input, text::name)?).is_some(),
                "summary" => summary.replace(checked(input, text::sentence)?).is_some(),
                "events" => events.replace(checked_list(input, text::sentence)?).is_some(),
                "key" => key.replace(checked_list(input, text::pointer)?).is_some(),
                "state_version" => state_version.replace(version(input)?).is_some(),
                "migrates_from" => migrates_from.replace((argument, versions(input)?)).is_some(),
                "resets" => resets.replace(argument).is_some(),
                "timers" => timers.replace(argument).is_some(),
                "lists" => lists.replace(checked_list(input, text::name)?).is_some(),
                _ => {
                    return Err(Error::new(
                        place.span(),
                        "expected `name`, `summary`, `events`, `key`, `state_version`, `migrates_from`, `resets`, `timers` or `lists`",
                    ));
                }
            };
            if twice {
                return Err(Error::new(place.span(), "given twice"));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let missing = |what: &str| Error::new(Span::call_site(), format!("`#[policy]` lacks `{what}`"));
        match (&key, &state_version) {
            (Some(_), None) => return Err(missing("state_version = 1")),
            (None, Some(_)) => return Err(missing("key = [\"…\"]")),
            _ => {}
        }
        let of_state = migrates_from.iter().map(|(argument, _)| argument).chain(&resets).chain(&timers).next();
        if let (Some(argument), None) = (of_state, &key) {
            return Err(Error::new(argument.span(), "is for policies with state, which have a `key`"));
        }
        Self::check_versions(state_version.as_ref(), migrates_from.as_ref())?;
        Ok(Self {
            name: name.ok_or_else(|| missing("name = \"…\""))?,
            summary: summary.ok_or_else(|| missing("summary = \"…\""))?,
            events: events.ok_or_else(|| missing("events = [\"…\"]"))?,
            key: key.unwrap_or_default(),
            state_version,
            migrates_from,
            resets,
            timers,
            lists: lists.unwrap_or_default(),
        })
    }
}

impl Arguments {
    /// None twice, and not the version that the policy itself writes.
    fn check_versions(own: Option<&LitInt>, migrates_from: Option<&(Ident, Vec<LitInt>)>) -> Result<()> {
        let mut known = own.iter().map(|own| own.base10_parse()).collect::<Result<Vec<u32>>>()?;
        for literal in migrates_from.iter().flat_map(|(_, versions)| versions) {
            let version = literal.base10_parse()?;
            if known.contains(&version) {
                return Err(Error::new(literal.span(), "is given twice, or is the `state_version`, which needs no migration"));
            }
            known.push(version);
        }
        Ok(())
    }
}

fn version(input: ParseStream<'_>) -> Result<LitInt> {
    let literal: LitInt = input.parse()?;
    literal.base10_parse::<u32>()?;
    Ok(literal)
}

fn versions(input: ParseStream<'_>) -> Result<Vec<LitInt>> {
    list(input, version)
}

fn checked(input: ParseStream<'_>, check: fn(&LitStr) -> Result<()>) -> Result<LitStr> {
    let literal: LitStr = input.parse()?;
    check(&literal)?;
    Ok(literal)
}

fn checked_list(input: ParseStream<'_>, check: fn(&LitStr) -> Result<()>) -> Result<Vec<LitStr>> {
    list(input, |input| checked(input, check))
}

fn list<T>(input: ParseStream<'_>, element: impl Fn(ParseStream<'_>) -> Result<T>) -> Result<Vec<T>> {
    let content;
    let bracket = bracketed!(content in input);
    let mut elements = Vec::new();
    while !content.is_empty() {
        elements.push(element(&content)?);
        if !content.is_empty() {
            content.parse::<Token![,]>()?;
        }
    }
    if elements.is_empty() {
        return Err(Error::new(bracket.span.join(), "expected at least one"));
    }
    Ok(elements)
}

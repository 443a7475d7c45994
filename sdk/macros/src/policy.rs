use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Error, Ident, ItemImpl, LitInt, LitStr, Result, Token, bracketed, parse::Parse, parse::ParseStream, parse2, punctuated::Punctuated,
    spanned::Spanned,
};

use crate::text;

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let Arguments { name, summary, events, key, state_version, lists } = parse2(arguments)?;
    let item: ItemImpl = parse2(item)?;
    let is_policy = item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last()).is_some_and(|segment| segment.ident == "Policy");
    if !is_policy || !item.generics.params.is_empty() {
        return Err(Error::new(item.impl_token.span(), "`#[policy]` goes on an `impl Policy for …` without parameters"));
    }

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
                    lists: &[#(#lists),*],
                };
        }

        #check

        ::ephor_sdk::__export!(#policy);
    })
}

struct Arguments {
    name: LitStr,
    summary: LitStr,
    events: Vec<LitStr>,
    key: Vec<LitStr>,
    state_version: Option<LitInt>,
    lists: Vec<LitStr>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let (mut name, mut summary, mut events) = (None, None, None);
        let (mut key, mut state_version, mut lists) = (None, None, None);
        while !input.is_empty() {
            let argument: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let twice = match argument.to_string().as_str() {
                "name" => name.replace(checked(input, text::name)?).is_some(),
                "summary" => summary.replace(checked(input, text::sentence)?).is_some(),
                "events" => events.replace(checked_list(input, text::sentence)?).is_some(),
                "key" => key.replace(checked_list(input, text::pointer)?).is_some(),
                "state_version" => state_version.replace(version(input)?).is_some(),
                "lists" => lists.replace(checked_list(input, text::name)?).is_some(),
                _ => {
                    return Err(Error::new(argument.span(), "expected `name`, `summary`, `events`, `key`, `state_version` or `lists`"));
                }
            };
            if twice {
                return Err(Error::new(argument.span(), "given twice"));
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
        Ok(Self {
            name: name.ok_or_else(|| missing("name = \"…\""))?,
            summary: summary.ok_or_else(|| missing("summary = \"…\""))?,
            events: events.ok_or_else(|| missing("events = [\"…\"]"))?,
            key: key.unwrap_or_default(),
            state_version,
            lists: lists.unwrap_or_default(),
        })
    }
}

fn version(input: ParseStream<'_>) -> Result<LitInt> {
    let literal: LitInt = input.parse()?;
    literal.base10_parse::<u32>()?;
    Ok(literal)
}

fn checked(input: ParseStream<'_>, check: fn(&LitStr) -> Result<()>) -> Result<LitStr> {
    let literal: LitStr = input.parse()?;
    check(&literal)?;
    Ok(literal)
}

fn checked_list(input: ParseStream<'_>, check: fn(&LitStr) -> Result<()>) -> Result<Vec<LitStr>> {
    let content;
    let bracket = bracketed!(content in input);
    let literals = Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?;
    if literals.is_empty() {
        return Err(Error::new(bracket.span.join(), "expected at least one"));
    }
    for literal in &literals {
        check(literal)?;
    }
    Ok(literals.into_iter().collect())
}

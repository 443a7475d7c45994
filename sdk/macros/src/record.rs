use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, Ident, Result, parse2};

pub(crate) fn settings(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = parse2(item)?;
    let closed = if arguments.is_empty() {
        quote!(, deny_unknown_fields)
    } else {
        let word: Ident = parse2(arguments)?;
        if word != "open" {
            return Err(Error::new(word.span(), "expected nothing, or `open` to let unknown members through"));
        }
        quote!()
    };
    Ok(quote! {
        #[derive(::ephor_sdk::serde::Deserialize, ::ephor_sdk::schemars::JsonSchema)]
        #[serde(crate = "::ephor_sdk::serde" #closed)]
        #[schemars(crate = "::ephor_sdk::schemars")]
        #input
    })
}

pub(crate) fn state(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "`#[state]` takes no arguments; `state_version` is one of `#[policy]`"));
    }
    let input: DeriveInput = parse2(item)?;
    let named = matches!(&input.data, Data::Struct(data) if matches!(data.fields, Fields::Named(_)));
    if !named || !input.generics.params.is_empty() {
        return Err(Error::new(input.ident.span(), "a state is a struct with named fields and without parameters"));
    }
    let name = &input.ident;
    Ok(quote! {
        #[derive(
            ::core::default::Default,
            ::core::cmp::PartialEq,
            ::ephor_sdk::serde::Serialize,
            ::ephor_sdk::serde::Deserialize,
        )]
        #[serde(crate = "::ephor_sdk::serde", default, deny_unknown_fields)]
        #input

        impl ::ephor_sdk::state::State for #name {
            const KEYED: bool = true;
            fn decode(bytes: &[u8]) -> ::core::result::Result<Self, ::std::string::String> {
                ::ephor_sdk::state::from_json(bytes)
            }
            fn encode(&self) -> ::core::option::Option<::std::vec::Vec<u8>> {
                ::ephor_sdk::state::to_json(self)
            }
        }
    })
}

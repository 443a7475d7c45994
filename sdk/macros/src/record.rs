use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DataStruct, DeriveInput, Error, Field, Fields, FieldsNamed, Ident, Result, parse2};

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
    let members = match &input.data {
        Data::Struct(DataStruct { fields: Fields::Named(members), .. }) if input.generics.params.is_empty() => members,
        _ => return Err(Error::new(input.ident.span(), "a state is a struct with named fields and without parameters")),
    };
    let shape = shape(members);
    let name = &input.ident;
    Ok(quote! {
        #[derive(
            ::core::default::Default,
            ::core::cmp::PartialEq,
            ::ephor_sdk::serde::Serialize,
            ::ephor_sdk::serde::Deserialize,
        )]
        #[serde(crate = "::ephor_sdk::serde")]
        #input

        impl ::ephor_sdk::state::State for #name {
            const KEYED: bool = true;
            fn decode(bytes: &[u8]) -> ::core::result::Result<Self, ::std::string::String> {
                ::ephor_sdk::state::read(#shape, bytes)
            }
            fn encode(&self) -> ::core::option::Option<::std::vec::Vec<u8>> {
                ::ephor_sdk::state::write(#shape, self)
            }
        }
    })
}

/// A byte that another struct most probably does not have: FNV-1a over the names
/// and types of the members, in order, without blanks.
fn shape(members: &FieldsNamed) -> u8 {
    let mut hash = 0x811c_9dc5_u32;
    for Field { ident, ty, .. } in &members.named {
        let declared = quote!(#ident: #ty;).to_string();
        for byte in declared.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }
    let [a, b, c, d] = hash.to_le_bytes();
    a ^ b ^ c ^ d
}

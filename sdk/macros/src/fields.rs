use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    Attribute, Data, DeriveInput, Error, Field, Fields, GenericParam, Ident, Lifetime, LitStr, Result, Token, Type, parse::ParseStream,
    parse2, spanned::Spanned,
};

use crate::text;

/// `manifest.fields` holds at most this many.
const MOST_FIELDS: usize = 64;

const FORMS: [(&str, &str); 4] = [("plain", "Plain"), ("pseudonym", "Pseudonym"), ("mask", "Mask"), ("coarse", "Coarse")];

struct Declared {
    ident: Ident,
    kind: Type,
    pointer: LitStr,
    purpose: LitStr,
    /// As a variant of the contract's `form`.
    form: Ident,
}

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = parse2(item)?;
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(input.ident.span(), "`Fields` is for structs: one field per value of the event"));
    };
    let Fields::Named(named) = &data.fields else {
        return Err(Error::new(input.ident.span(), "`Fields` needs a struct with named fields"));
    };
    let lifetime = lifetime(&input)?;
    let declared = named.named.iter().map(declared).collect::<Result<Vec<_>>>()?;
    if let Some(beyond) = declared.get(MOST_FIELDS) {
        return Err(Error::new(beyond.ident.span(), "a policy declares at most 64 fields"));
    }

    let name = &input.ident;
    let own = input.generics.params.first().map(|_| quote!(<#lifetime>));
    let value = quote!(::ephor_sdk::fields::Value<#lifetime>);
    let manifest = declared.iter().map(|field| {
        let Declared { kind, pointer, purpose, form, .. } = field;
        // The span makes a form that the type cannot have an error at the form.
        let form = quote_spanned! {form.span()=>
            ::ephor_sdk::fields::form(::ephor_sdk::fields::Form::#form, <#kind as #value>::KIND, <#kind as #value>::IS_ENUM)
        };
        // The span makes "`Value` is not implemented" point at the field's type.
        quote_spanned! {kind.span()=>
            ::ephor_sdk::fields::FieldDeclaration {
                pointer: #pointer,
                kind: <#kind as #value>::KIND,
                required: <#kind as #value>::REQUIRED,
                purpose: #purpose,
                form: #form,
            }
        }
    });
    let columns = declared.iter().map(|Declared { kind, .. }| quote!(<#kind as #value>::Column));
    let bind = declared.iter().enumerate().map(|(index, Declared { kind, .. })| quote!(<#kind as #value>::column(columns, #index)));
    let take = declared.iter().enumerate().map(|(index, Declared { ident, kind, .. })| {
        let index = syn::Index::from(index);
        quote!(#ident: <#kind as #value>::at(&columns.#index, row))
    });
    let unknown = declared.iter().enumerate().map(|(index, Declared { kind, pointer, .. })| {
        let index = syn::Index::from(index);
        quote! {
            if let ::core::option::Option::Some(unknown) = <#kind as #value>::unknown(&columns.#index, row) {
                return ::core::option::Option::Some(::std::format!("{}: {unknown}", #pointer));
            }
        }
    });
    Ok(quote! {
        impl<#lifetime> ::ephor_sdk::fields::Fields<#lifetime> for #name #own {
            const FIELDS: &'static [::ephor_sdk::fields::FieldDeclaration] = &[#(#manifest),*];
            type Columns = (#(#columns,)*);
            fn columns(columns: &#lifetime [::ephor_sdk::fields::Column]) -> Self::Columns {
                (#(#bind,)*)
            }
            #[inline]
            fn row(columns: &Self::Columns, row: usize) -> Self {
                Self { #(#take,)* }
            }
            #[inline]
            fn unknown(columns: &Self::Columns, row: usize) -> ::core::option::Option<::std::string::String> {
                #(#unknown)*
                ::core::option::Option::None
            }
        }
    })
}

fn lifetime(input: &DeriveInput) -> Result<Lifetime> {
    let mut found = None;
    for parameter in &input.generics.params {
        match parameter {
            GenericParam::Lifetime(lifetime) if found.is_none() => {
                found = Some(lifetime.lifetime.clone());
            }
            other => {
                return Err(Error::new(
                    other.span(),
                    "a struct of fields has one lifetime at most, that of the batch, and no other parameters",
                ));
            }
        }
    }
    Ok(found.unwrap_or_else(|| Lifetime::new("'batch", input.ident.span())))
}

fn declared(field: &Field) -> Result<Declared> {
    let ident = field.ident.clone().expect("the fields are named");
    let mut attributes = field.attrs.iter().filter(|it| it.path().is_ident("field"));
    let (Some(attribute), None) = (attributes.next(), attributes.next()) else {
        return Err(Error::new(ident.span(), "each field needs one `#[field(\"/data/…\", purpose = \"…\")]`"));
    };
    let (pointer, purpose, form) = arguments(attribute)?;
    text::pointer(&pointer)?;
    text::sentence(&purpose)?;
    Ok(Declared { ident, kind: field.ty.clone(), pointer, purpose, form })
}

fn arguments(attribute: &Attribute) -> Result<(LitStr, LitStr, Ident)> {
    attribute.parse_args_with(|input: ParseStream<'_>| {
        let pointer = input.parse()?;
        input.parse::<Token![,]>()?;
        let key: Ident = input.parse()?;
        if key != "purpose" {
            return Err(Error::new(key.span(), "expected `purpose = \"…\"`: why the policy needs to see this value"));
        }
        input.parse::<Token![=]>()?;
        let purpose = input.parse()?;
        let mut form = Ident::new("Plain", attribute.span());
        if input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            let key: Ident = input.parse()?;
            if key != "form" {
                return Err(Error::new(key.span(), "expected `form = …`, or nothing: a field has a pointer, a purpose and a form"));
            }
            input.parse::<Token![=]>()?;
            form = parse_form(input)?;
            input.parse::<Option<Token![,]>>()?;
        }
        if !input.is_empty() {
            return Err(input.error("a field has a pointer, a purpose and a form only"));
        }
        Ok((pointer, purpose, form))
    })
}

fn parse_form(input: ParseStream<'_>) -> Result<Ident> {
    let word: Ident = input.parse()?;
    match FORMS.iter().find(|(name, _)| word == name) {
        Some((_, variant)) => Ok(Ident::new(variant, word.span())),
        None => Err(Error::new(word.span(), "expected one of `plain`, `pseudonym`, `mask`, `coarse`")),
    }
}

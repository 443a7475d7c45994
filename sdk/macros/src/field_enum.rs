use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, Ident, LitStr, Result, Variant, parse2};

/// What a variant stands for.
enum Stands {
    /// This text.
    For(LitStr),
    /// Every other text.
    ForOthers,
}

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = parse2(item)?;
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(input.ident.span(), "`FieldEnum` is for enums: one variant per text that the field can be"));
    };
    if let Some(parameter) = input.generics.params.first() {
        return Err(Error::new_spanned(parameter, "an enum of a field has no parameters"));
    }
    if data.variants.is_empty() {
        return Err(Error::new(input.ident.span(), "expected at least one variant"));
    }
    let mut known = HashSet::new();
    let (mut values, mut variants) = (Vec::new(), Vec::new());
    let mut other: Option<&Ident> = None;
    for variant in &data.variants {
        match stands(variant)? {
            Stands::For(value) => {
                if !known.insert(value.value()) {
                    return Err(Error::new(value.span(), "another variant stands for this text"));
                }
                values.push(value);
                variants.push(&variant.ident);
            }
            Stands::ForOthers => {
                if other.replace(&variant.ident).is_some() {
                    return Err(Error::new(variant.ident.span(), "another variant stands for all other texts"));
                }
            }
        }
    }

    let name = &input.ident;
    let (or_other, shown) = match other {
        Some(other) => (quote!(::core::option::Option::Some(Self::#other)), quote!(Self::#other => "other",)),
        None => (quote!(::core::option::Option::None), quote!()),
    };
    Ok(quote! {
        impl ::ephor_sdk::fields::FieldEnum for #name {
            const VALUES: &'static [&'static str] = &[#(#values),*];
            fn of(text: &str) -> ::core::option::Option<Self> {
                match text {
                    #(#values => ::core::option::Option::Some(Self::#variants),)*
                    _ => #or_other,
                }
            }
            fn as_str(self) -> &'static str {
                match self {
                    #(Self::#variants => #values,)*
                    #shown
                }
            }
        }

        impl<'batch> ::ephor_sdk::fields::Scalar<'batch> for #name {
            const KIND: ::ephor_sdk::fields::Kind = ::ephor_sdk::fields::Kind::Text;
            const IS_ENUM: bool = true;
            type Values = ::ephor_sdk::fields::Texts<'batch>;
            fn values(column: &'batch ::ephor_sdk::fields::Column) -> ::core::option::Option<(&'batch [u8], Self::Values)> {
                <&'batch str as ::ephor_sdk::fields::Scalar<'batch>>::values(column)
            }
            #[inline]
            fn at(values: &Self::Values, row: usize) -> Self {
                ::ephor_sdk::fields::enum_at(values, row)
            }
            fn unknown(values: &Self::Values, row: usize) -> ::core::option::Option<::std::string::String> {
                ::ephor_sdk::fields::unknown_enum::<Self>(values, row)
            }
        }

        impl ::ephor_sdk::evidence::IntoEvidence for #name {
            fn into_evidence(self) -> ::std::string::String {
                ::ephor_sdk::fields::FieldEnum::as_str(self).to_owned()
            }
        }
    })
}

fn stands(variant: &Variant) -> Result<Stands> {
    if !matches!(variant.fields, Fields::Unit) {
        return Err(Error::new_spanned(variant, "a variant stands for one text, and holds nothing"));
    }
    let mut attributes = variant.attrs.iter().filter(|it| it.path().is_ident("value") || it.path().is_ident("other"));
    let (Some(attribute), None) = (attributes.next(), attributes.next()) else {
        return Err(Error::new(
            variant.ident.span(),
            "each variant needs one `#[value(\"…\")]`, the text in the event; one may have `#[other]` instead, for all other texts",
        ));
    };
    if attribute.path().is_ident("other") {
        attribute.meta.require_path_only()?;
        return Ok(Stands::ForOthers);
    }
    Ok(Stands::For(attribute.parse_args()?))
}

//! `#[cos::task]`.

mod advice;
mod expansion;
mod fingerprint;
mod signature;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn};

use signature::Signature;

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = function(&attribute, &item).and_then(|function| {
        let signature = Signature::of(&function)?;
        Ok(expansion::generate(&function, &signature))
    });
    // The function stays in any case, so that one mistake is one error.
    match expanded {
        Ok(twin) => quote!(#item #twin),
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#error #item)
        }
    }
}

fn function(attribute: &TokenStream, item: &TokenStream) -> Result<ItemFn, Error> {
    if !attribute.is_empty() {
        let advice = "`#[cos::task]` takes no arguments";
        return Err(Error::new_spanned(attribute, advice));
    }
    syn::parse2(item.clone()).map_err(|_| {
        let advice = "`#[cos::task]` belongs before a function with a body, outside of any `impl` or `trait`";
        Error::new_spanned(item, advice)
    })
}

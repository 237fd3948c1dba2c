//! `#[cos::main]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, ItemFn};

use crate::library;

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let function = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            let advice = "`#[cos::main]` belongs before `async fn main()`";
            let error = Error::new_spanned(&item, advice).into_compile_error();
            return quote!(#error #item);
        }
    };
    match check(&attribute, &function) {
        Ok(()) => generate(&function),
        Err(error) => {
            let error = error.into_compile_error();
            // A `main` of some kind, so that there is one error and not two.
            let name = &function.sig.ident;
            quote!(#error fn #name() {})
        }
    }
}

fn check(attribute: &TokenStream, function: &ItemFn) -> Result<(), Error> {
    let signature = &function.sig;
    if !attribute.is_empty() {
        let advice = "`#[cos::main]` takes no arguments; set a machine by `cos::set_vm`";
        return Err(Error::new_spanned(attribute, advice));
    }
    if signature.asyncness.is_none() {
        let advice = "write `async fn`: `#[cos::main]` runs it as the first microthread";
        return Err(Error::new_spanned(signature.fn_token, advice));
    }
    if !signature.inputs.is_empty() {
        let advice = "`main` takes no arguments; see `std::env::args`";
        return Err(Error::new_spanned(&signature.inputs, advice));
    }
    if !signature.generics.params.is_empty() {
        let advice = "`main` has no generic parameters";
        return Err(Error::new_spanned(&signature.generics, advice));
    }
    Ok(())
}

fn generate(function: &ItemFn) -> TokenStream {
    let cos = library::path();
    let ItemFn {
        attrs,
        vis,
        sig,
        block,
        ..
    } = function;
    let (name, output) = (&sig.ident, &sig.output);
    // An error about the returned type is shown at that type.
    let run = quote_spanned!(output.span()=> #cos::__private::main(#name));
    quote! {
        #(#attrs)*
        #vis fn #name() -> ::std::process::ExitCode {
            async fn #name() #output #block
            #run
        }
    }
}

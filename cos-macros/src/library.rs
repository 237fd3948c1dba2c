//! What generated code calls `cos-core`.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

/// The path of the library, whatever its user has called it.
pub(crate) fn path() -> TokenStream {
    let name = match crate_name("cos-core") {
        Ok(FoundCrate::Name(name)) => name,
        // `cos-core` calls itself so too, which serves its examples and integration tests. Where nothing is found, the
        // compiler's own error about the missing crate says it best.
        Ok(FoundCrate::Itself) | Err(_) => "cos_core".to_owned(),
    };
    let name = Ident::new(&name, Span::call_site());
    quote!(::#name)
}

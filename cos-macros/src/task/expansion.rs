//! What stands beside the function afterwards.
//!
//! Everything but the twin is in an anonymous constant, so it names nothing in the user's module. A codec is asked for
//! once for each type, at its place in the signature, so that a type that cannot travel is one error there.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Index, ItemFn, ReturnType};

use super::fingerprint;
use super::signature::{Argument, Output, Signature};
use crate::library;

pub(super) fn generate(function: &ItemFn, signature: &Signature) -> TokenStream {
    let cos = library::path();
    let (visibility, name) = (&function.vis, &function.sig.ident);
    let value = signature.output.value();
    let (arguments, call) = (arguments(&cos, signature), call(&cos, function, signature));
    let conditions: Vec<&Attribute> = with_path(function, "cfg").collect();
    let twin = twin(function);
    let fingerprint = fingerprint::of(signature);
    let parameters = signature.arguments.iter().map(|argument| {
        let Argument { name, kind } = argument;
        quote!(#name: #kind)
    });
    let names = signature.arguments.iter().map(|argument| &argument.name);
    let value_codec = quote_spanned!(value.span()=> #cos::__private::value::<#value>());
    let shown = name.to_string();
    let job_doc =
        format!("A job that calls [`{shown}()`] with these arguments, here or elsewhere.");
    quote! {
        #twin

        #(#conditions)*
        #[allow(clippy::all, clippy::pedantic, deprecated, non_camel_case_types)]
        const _: () = {
            #arguments

            enum __Task {}

            impl #cos::__private::Task for __Task {
                const NAME: &'static str = ::core::concat!(::core::module_path!(), "::", #shown);
                const FINGERPRINT: u64 = #fingerprint;
                type Arguments = __Arguments;
                type Value = #value;
                const VALUE: #cos::__private::Codec<#value> = #value_codec;

                #call
            }

            #[#cos::__private::linkme::distributed_slice(#cos::__private::HANDLERS)]
            #[linkme(crate = #cos::__private::linkme)]
            static HANDLER: #cos::__private::Handler = #cos::__private::Handler::of::<__Task>(
                ::core::file!(),
                ::core::line!(),
            );

            impl #name {
                #[doc = #job_doc]
                #[must_use = "a job does nothing until it is spawned or dispatched"]
                #[allow(dead_code, clippy::too_many_arguments)]
                #visibility fn job(#(#parameters),*) -> #cos::job::Job<#value> {
                    #cos::__private::job::<__Task>(__Arguments(#(#names),*))
                }
            }
        };
    }
}

/// The type of the function's name. It has no values, so `double {}` is nothing, and the name of the function is free.
fn twin(function: &ItemFn) -> TokenStream {
    let (visibility, name) = (&function.vis, &function.sig.ident);
    let documentation =
        format!("The task [`{name}()`]: `{name}::job(..)` is a job that calls it.\n\n");
    let kept = ["cfg", "doc", "deprecated"];
    let kept = kept.iter().flat_map(|path| with_path(function, path));
    quote! {
        #[doc = #documentation]
        #(#kept)*
        #[allow(non_camel_case_types, dead_code)]
        #visibility enum #name {}
    }
}

/// The arguments as one type that can travel.
fn arguments(cos: &TokenStream, signature: &Signature) -> TokenStream {
    let kinds = signature.arguments.iter().map(|argument| &argument.kind);
    let numbered = || signature.arguments.iter().enumerate();
    let codec = |position: usize| format_ident!("__CODEC_{position}");
    let codecs = numbered().map(|(position, argument)| {
        let (codec, kind) = (codec(position), &argument.kind);
        let made = quote_spanned!(kind.span()=> #cos::__private::argument::<#kind>());
        quote!(const #codec: #cos::__private::Codec<#kind> = #made;)
    });
    let encoded = numbered().map(|(position, argument)| {
        let (codec, name) = (codec(position), argument.name.to_string());
        let index = Index::from(position);
        quote!(encoder.argument(&#codec, #name, &self.#index);)
    });
    let decoded = numbered().map(|(position, argument)| {
        let (codec, name) = (codec(position), argument.name.to_string());
        quote!(decoder.argument(&#codec, #name)?)
    });
    quote! {
        #(#codecs)*

        struct __Arguments(#(#kinds),*);

        impl #cos::__private::Arguments for __Arguments {
            #[allow(unused_variables)]
            fn encode(&self, encoder: &mut #cos::__private::Encoder) {
                #(#encoded)*
            }

            #[allow(unused_variables)]
            fn decode(
                decoder: &mut #cos::__private::Decoder<'_>,
            ) -> ::core::result::Result<Self, #cos::__private::Undecodable> {
                ::core::result::Result::Ok(Self(#(#decoded),*))
            }
        }
    }
}

/// The call of the function.
fn call(cos: &TokenStream, function: &ItemFn, signature: &Signature) -> TokenStream {
    let name = &function.sig.ident;
    let value = signature.output.value();
    let variables: Vec<_> = (0..signature.arguments.len())
        .map(|position| format_ident!("__argument_{position}"))
        .collect();
    let await_it = function.sig.asyncness.map(|_| quote!(.await));
    let called = quote!(#name(#(#variables),*)#await_it);
    let result = match &signature.output {
        Output::Value(_) => quote!(::core::result::Result::Ok(#called)),
        Output::Result { .. } => {
            let output = match &function.sig.output {
                ReturnType::Type(_, kind) => kind.span(),
                ReturnType::Default => function.sig.output.span(),
            };
            let text = quote_spanned!(output=> |error| #cos::__private::error_text(&error));
            quote!(#called.map_err(#text))
        }
    };
    let body = match function.sig.asyncness {
        None => quote!(#cos::__private::Called::Done(#result)),
        Some(_) => quote!(#cos::__private::Called::future(async move { #result })),
    };
    quote! {
        fn call(
            __Arguments(#(#variables),*): __Arguments,
        ) -> #cos::__private::Called<::core::result::Result<#value, ::std::string::String>> {
            #body
        }
    }
}

/// The function's attributes of this name.
fn with_path<'a>(function: &'a ItemFn, path: &str) -> impl Iterator<Item = &'a Attribute> {
    function
        .attrs
        .iter()
        .filter(move |attribute| attribute.path().is_ident(path))
}

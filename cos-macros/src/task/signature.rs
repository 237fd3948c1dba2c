//! What a task takes and gives.

use proc_macro2::{Ident, Span};
use quote::format_ident;
use syn::punctuated::Punctuated;
use syn::{
    Error, FnArg, GenericArgument, ItemFn, Pat, PathArguments, ReturnType, Type,
    parse_quote_spanned,
};

use super::advice;

/// A signature that a task can have.
pub(super) struct Signature {
    pub(super) arguments: Vec<Argument>,
    pub(super) output: Output,
}

pub(super) struct Argument {
    /// What `job` calls it.
    pub(super) name: Ident,
    pub(super) kind: Type,
}

/// What the function gives.
pub(super) enum Output {
    /// A value.
    Value(Type),
    /// Its signature says `Result`: a value or an error.
    Result { value: Type },
}

impl Output {
    pub(super) fn value(&self) -> &Type {
        match self {
            Self::Value(value) | Self::Result { value } => value,
        }
    }
}

impl Signature {
    /// Of a function that can be a task.
    ///
    /// # Errors
    /// What is to be changed, all of it.
    pub(super) fn of(function: &ItemFn) -> Result<Self, Error> {
        let mut advice = advice::of_function(&function.sig);
        let mut arguments = Vec::new();
        for (position, input) in function.sig.inputs.iter().enumerate() {
            match input {
                FnArg::Receiver(receiver) => advice.push(advice::of_receiver(receiver)),
                FnArg::Typed(typed) => {
                    advice.extend(advice::of_argument(&typed.ty));
                    let name = match &*typed.pat {
                        Pat::Ident(pattern) => pattern.ident.clone(),
                        _ => format_ident!("argument_{}", position + 1),
                    };
                    let kind = Type::clone(&typed.ty);
                    arguments.push(Argument { name, kind });
                }
            }
        }
        let output = match &function.sig.output {
            ReturnType::Default => {
                let span = Span::call_site();
                Output::Value(parse_quote_spanned!(span=> ()))
            }
            ReturnType::Type(_, kind) => match value_of_result(kind) {
                Some(value) => Output::Result { value },
                None => Output::Value(Type::clone(kind)),
            },
        };
        advice.extend(advice::of_value(output.value()));
        let together = advice.into_iter().reduce(|mut first, next| {
            first.combine(next);
            first
        });
        match together {
            Some(error) => Err(error),
            None => Ok(Self { arguments, output }),
        }
    }
}

/// The `T` of a type that is written `Result<T, ..>` or `Result<T>`, with or without a path.
fn value_of_result(kind: &Type) -> Option<Type> {
    let path = match kind {
        Type::Path(path) => &path.path,
        Type::Group(group) => return value_of_result(&group.elem),
        Type::Paren(paren) => return value_of_result(&paren.elem),
        _ => return None,
    };
    let last = path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    let arguments: &Punctuated<GenericArgument, _> = &arguments.args;
    match (last.ident == "Result", arguments.first()) {
        (true, Some(GenericArgument::Type(value))) => Some(value.clone()),
        _ => None,
    }
}

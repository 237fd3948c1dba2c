//! What is to be changed in a function that cannot be a task as it stands.

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Error, GenericParam, Receiver, Safety, Signature, Type, TypeImplTrait, TypeReference};

/// Of the function as such.
pub(super) fn of_function(signature: &Signature) -> Vec<Error> {
    let mut advice = Vec::new();
    if let Safety::Unsafe(keyword) = &signature.safety {
        let text =
            "a task is a safe function: nobody on the host could keep what an unsafe one asks for";
        advice.push(Error::new_spanned(keyword, text));
    }
    if let Some(variadic) = &signature.variadic {
        let text = "a task has a fixed number of arguments";
        advice.push(Error::new_spanned(variadic, text));
    }
    for parameter in &signature.generics.params {
        let text = match parameter {
            GenericParam::Lifetime(_) => {
                "a task borrows nothing, since its arguments come from another process: take owned values"
            }
            GenericParam::Type(_) | GenericParam::Const(_) => {
                "a task is one function, found by its name: write one without generic parameters that calls this one"
            }
        };
        advice.push(Error::new_spanned(parameter, text));
    }
    advice
}

/// Of `self`.
pub(super) fn of_receiver(receiver: &Receiver) -> Error {
    let text = "a task has no `self`: write a function outside of the `impl`, and pass what it needs as an argument";
    Error::new_spanned(receiver, text)
}

/// Of the type of an argument.
pub(super) fn of_argument(kind: &Type) -> Vec<Error> {
    of_type(kind, "an argument of a task comes from another process")
}

/// Of the type of the value.
pub(super) fn of_value(kind: &Type) -> Vec<Error> {
    match kind {
        Type::Never(_) => vec![Error::new_spanned(kind, "a task returns a value, or `()`")],
        _ => of_type(kind, "the value of a task goes to another process"),
    }
}

fn of_type(kind: &Type, reason: &'static str) -> Vec<Error> {
    let mut types = Types {
        reason,
        advice: Vec::new(),
    };
    types.visit_type(kind);
    types.advice
}

/// Looks for what cannot travel in a type, however deep.
struct Types {
    reason: &'static str,
    advice: Vec<Error>,
}

impl<'ast> Visit<'ast> for Types {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        let text = format!("{}: write `{}`", self.reason, owned(&reference.elem));
        self.advice.push(Error::new_spanned(reference, text));
    }

    fn visit_type_impl_trait(&mut self, kind: &'ast TypeImplTrait) {
        let text = format!("{}, which has to know its type: name it", self.reason);
        self.advice.push(Error::new_spanned(kind, text));
    }

    fn visit_type(&mut self, kind: &'ast Type) {
        visit::visit_type(self, kind);
    }
}

/// What owns what a reference borrows.
fn owned(borrowed: &Type) -> String {
    match borrowed {
        Type::Slice(slice) => format!("Vec<{}>", text(&slice.elem)),
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if last.ident == "str" => "String".to_owned(),
            Some(last) if last.ident == "Path" => "PathBuf".to_owned(),
            Some(last) if last.ident == "OsStr" => "OsString".to_owned(),
            Some(last) if last.ident == "CStr" => "CString".to_owned(),
            _ => text(borrowed),
        },
        other => text(other),
    }
}

/// A type as it is usually written.
fn text(kind: &Type) -> String {
    let mut text = kind.to_token_stream().to_string();
    for (spaced, tight) in [
        (" < ", "<"),
        (" >", ">"),
        (" ,", ","),
        (" :: ", "::"),
        ("& ", "&"),
    ] {
        text = text.replace(spaced, tight);
    }
    text
}

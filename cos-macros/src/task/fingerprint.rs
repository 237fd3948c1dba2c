//! The fingerprint of a signature: the same wherever the same types are written in the same order.
//!
//! It covers the types as they are written, token by token, so neither formatting nor the version of a compiler changes it.
//! Names of arguments and `async` do not count: they are not seen from outside. A type that keeps its name and changes
//! its fields is not noticed here; its bytes do not decode, or they decode to something else, as with any format without
//! field names.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;

use super::signature::{Output, Signature};

/// Before the types, so that another rule gives other fingerprints.
const RULE: &str = "cos task 1";

pub(super) fn of(signature: &Signature) -> u64 {
    let mut hash = Fnv1a::new();
    hash.token(RULE);
    for argument in &signature.arguments {
        hash.token("argument");
        hash.tokens(argument.kind.to_token_stream());
    }
    // An error travels as text, so its type is nobody's business.
    hash.token(match signature.output {
        Output::Value(_) => "value",
        Output::Result { .. } => "result",
    });
    hash.tokens(signature.output.value().to_token_stream());
    hash.0
}

/// FNV-1a, 64 bits: small, and the same for ever.
struct Fnv1a(u64);

impl Fnv1a {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }

    fn token(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.byte(byte));
        self.byte(b' ');
    }

    fn tokens(&mut self, tokens: TokenStream) {
        for tree in tokens {
            match tree {
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::Bracket => ("[", "]"),
                        // Only there because a macro made it.
                        Delimiter::None => ("", ""),
                    };
                    if !open.is_empty() {
                        self.token(open);
                    }
                    self.tokens(group.stream());
                    if !close.is_empty() {
                        self.token(close);
                    }
                }
                TokenTree::Ident(ident) => self.token(&ident.to_string()),
                TokenTree::Punct(punct) => self.token(punct.as_char().encode_utf8(&mut [0; 4])),
                TokenTree::Literal(literal) => self.token(&literal.to_string()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn fingerprint(function: &syn::ItemFn) -> u64 {
        of(&Signature::of(function).expect("a task"))
    }

    #[test]
    fn it_is_the_same_in_every_build() {
        let function = parse_quote!(
            fn double(x: u64) -> u64 {
                2 * x
            }
        );
        // Written down once: a change would part workers from clients of the same release.
        assert_eq!(fingerprint(&function), 0x6327_9431_735c_8ce4);
    }

    #[test]
    fn it_is_the_types_that_count() {
        let first = fingerprint(&parse_quote!(
            fn f(rows: Vec<(u8, f64)>, n: usize) -> Result<Option<String>, String> {
                todo!()
            }
        ));
        let same = fingerprint(&parse_quote!(
            async fn g(lines: Vec<(u8, f64)>, mut m: usize) -> std::io::Result<Option<String>> {
                todo!()
            }
        ));
        assert_eq!(first, same);
        let others: [syn::ItemFn; 4] = [
            parse_quote!(
                fn f(rows: Vec<(u8, f32)>, n: usize) -> Result<Option<String>, String> {}
            ),
            parse_quote!(
                fn f(n: usize, rows: Vec<(u8, f64)>) -> Result<Option<String>, String> {}
            ),
            parse_quote!(
                fn f(rows: Vec<(u8, f64)>, n: usize) -> Option<String> {}
            ),
            parse_quote!(
                fn f(rows: Vec<(u8, f64)>) -> Result<Option<String>, String> {}
            ),
        ];
        for other in &others {
            assert_ne!(first, fingerprint(other));
        }
    }
}

//! Two attribute macros that make a blocking and an asynchronous face out of one source.
//!
//! A file is written once, in its asynchronous form, and compiled as a module twice. Every item that has
//! an `async` or an `.await` in it carries the attribute `#[face]`; the module that includes the file decides
//! what that name stands for:
//!
//! ```text
//! #[path = "faces"] mod blocking     { use evenkeel_macros::blocking as face;     pub mod log; } // faces/log.rs
//! #[path = "faces"] mod asynchronous { use evenkeel_macros::asynchronous as face; pub mod log; } // the same file
//! ```
//!
//! ```
//! mod blocking {
//!     use evenkeel_macros::blocking as face;
//!     #[face] async fn read() -> u8 { 7 }
//!     #[face] pub async fn twice() -> u8 { 2 * read().await }
//! }
//! mod asynchronous {
//!     use evenkeel_macros::asynchronous as face;
//!     #[face] async fn read() -> u8 { 7 }
//!     #[face] pub async fn twice() -> u8 { 2 * read().await }
//! }
//! use core::{future::Future, pin::pin, task::{Context, Poll, Waker}};
//!
//! assert_eq!(blocking::twice(), 14); // a plain function
//! assert_eq!(pin!(asynchronous::twice()).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(14));
//! ```
//!
//! Running asynchronous code to its end with a poll, the other way of having both faces, costs code size and
//! links a panic on a microcontroller; here the blocking face holds no future at all.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// Leaves the item as it is written: the asynchronous face.
#[proc_macro_attribute]
pub fn asynchronous(_: TokenStream, item: TokenStream) -> TokenStream {
    item
}

/// Takes every `async` and every `.await` out of the item: the blocking face.
///
/// What was awaited stands there as a plain value, so the functions called must be of the blocking face too:
/// they are, where the item names them through a module that was itself compiled twice.
#[proc_macro_attribute]
pub fn blocking(_: TokenStream, item: TokenStream) -> TokenStream {
    strip(item)
}

fn strip(tokens: TokenStream) -> TokenStream {
    let mut out: Vec<TokenTree> = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(word) if word.to_string() == "async" => {}
            TokenTree::Ident(word) if word.to_string() == "await" && after_dot(&out) => {
                out.pop();
            }
            TokenTree::Group(group) => out.push(TokenTree::Group(inside(&group))),
            other => out.push(other),
        }
    }
    out.into_iter().collect()
}

fn inside(group: &Group) -> Group {
    let delimiter: Delimiter = group.delimiter();
    let mut stripped = Group::new(delimiter, strip(group.stream()));
    stripped.set_span(group.span());
    stripped
}

fn after_dot(out: &[TokenTree]) -> bool {
    matches!(out.last(), Some(TokenTree::Punct(dot)) if dot.as_char() == '.')
}

//! Which replies are compressed for callers that accept it.

use axum::http::{Extensions, HeaderMap, StatusCode, Version};
use tower_http::compression::predicate::{DefaultPredicate, Predicate};

/// Marks a reply that is sent faster than it could be compressed.
#[derive(Clone, Copy)]
pub(crate) struct AsItIs;

/// All but short ones, pictures, and those that are marked.
pub(super) fn worth_it() -> impl Predicate {
    let marked = |_: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions| {
        extensions.get::<AsItIs>().is_none()
    };
    DefaultPredicate::new().and(marked)
}

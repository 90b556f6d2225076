//! What clients of other servers send and expect, so that they can call this one instead.
//!
//! One file a server. Each has a `router`, whose handlers take a request apart, call the
//! [service](crate::service) and encode its answer in the words of that server. Its errors are the words that
//! [`Error`](crate::error::Error)s have there, told with [`observe::in_other_words`](crate::observe::in_other_words),
//! so that they are logged and counted like all others.

mod flask;
pub mod max;
pub mod segmenter_web;
pub mod torchserve;
pub mod wowboard;

//! The function: a picture in, its objects out, over HTTP, gRPC and the command line.

pub mod engine;
pub mod error;
pub mod fetch;
pub mod readiness;

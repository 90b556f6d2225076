//! The function: a picture in, its objects out, over HTTP, gRPC and the command line.

pub mod bucket;
pub mod cli;
pub mod config;
pub mod dialects;
pub mod download;
pub mod encode;
pub mod engine;
pub mod error;
pub mod fetch;
pub mod forward;
pub mod gpus;
pub mod grpc;
pub mod http;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod listen;
pub mod logging;
pub mod metrics;
pub mod observe;
pub mod readiness;
mod room;
pub mod samples;
pub mod service;
pub mod store;
#[cfg(test)]
mod testing;

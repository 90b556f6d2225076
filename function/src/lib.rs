//! The function: a picture in, its objects out, over HTTP, gRPC and the command line.

pub mod error;

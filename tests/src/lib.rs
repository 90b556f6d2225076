//! The harness of the tests that cross packages: the real binary, started as a process of its own,
//! real sockets, pictures made by code and pictures from the folder of shared data.
//!
//! What fails here fails the test that asked for it, so everything panics with a message rather than
//! answering an error.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a failure of the harness is a failure of the test"
)]

pub mod browser;
pub mod http;
pub mod lambda;
pub mod picture_host;
pub mod pictures;
pub mod proto;
pub mod python;
pub mod quality;
pub mod s3;
pub mod server;
pub mod shared;

pub use browser::Browser;
pub use http::client;
pub use lambda::Lambda;
pub use picture_host::PictureHost;
pub use s3::S3;
pub use server::Server;
pub use shared::shared;

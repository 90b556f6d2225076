//! The operator: makes what a [`api::SegmenterService`] asks for, and says how that goes.

pub mod api;
mod chain;
pub mod cli;
pub mod controller;
pub mod foreign;
pub mod metrics;
pub mod runtime;

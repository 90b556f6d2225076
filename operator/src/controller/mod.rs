//! From a service to its objects and back to its status.
//!
//! [`observe`] what there is, [`build`] what there should be, [`apply`] the difference, and say in the
//! [`status`] how that went, whatever way it went.

pub mod apply;
pub mod build;
#[cfg(test)]
mod fixtures;
pub mod handover;
pub mod identity;
pub mod kind;
pub mod memory;
pub mod observe;
mod reconcile;
pub mod status;

pub use self::reconcile::{Context, ReconcileError, error_policy, reconcile};

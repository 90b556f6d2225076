//! A real Kubernetes for tests.
//!
//! A [`ControlPlane`] is etcd, the API server with RBAC and an audit log, and the controller manager with the real
//! garbage collector, as processes of their own on loopback ports. There is no node: Pods are made and stay pending.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use segmenter_cluster::{ControlPlane, Options, Tools};
//!
//! let plane = ControlPlane::start(&Tools::find()?, Options::default()).await?;
//! let pods = plane.kubectl(&["get", "pods", "--all-namespaces"]).await?.ok()?;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Cluster`] has a node beside it, where pods run, and the neighbours that clusters usually have; it needs root and
//! lives in a [`Sandbox`]. [`image`] packs what it runs. [`Suite`] runs many tests against one control plane or cluster and
//! says aloud which were skipped.

mod access;
mod api_server;
mod audit;
mod cluster;
mod command;
mod control_plane;
mod controllers;
mod crds;
pub mod document;
mod error;
mod etcd;
mod folder;
pub mod image;
mod kubeconfig;
mod neighbours;
mod node;
mod pki;
mod port;
mod process;
mod ready;
mod sandbox;
mod suite;
mod tools;

pub use access::Access;
pub use audit::{AuditEvent, AuditPosition};
pub use cluster::Cluster;
pub use command::Output;
pub use control_plane::{ControlPlane, Options, Program};
pub use crds::Crds;
pub use error::Error;
pub use ready::eventually;
pub use sandbox::{Entered, Sandbox, SandboxError, enter};
pub use suite::{Ground, Skipped, Suite};
pub use tools::{Missing, Tools};

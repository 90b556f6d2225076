//! What a cluster usually has beside Kubernetes: names, ingress, metrics of pods, Prometheus.

mod ingress;
mod metrics;
mod names;
mod prometheus;

use crate::{access::Access, error::Error, node::Ground, process::Process};

pub(crate) use ingress::ADDRESS as INGRESS;
pub(crate) use prometheus::images;

/// The neighbours, which are all the real ones. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Neighbours {
    _processes: Vec<Process>,
}

impl Neighbours {
    /// Starts them.
    pub(crate) async fn start(ground: &Ground<'_>, access: &Access) -> Result<Self, Error> {
        Ok(Self {
            _processes: vec![
                names::start(ground).await?,
                metrics::start(ground, access).await?,
                ingress::start(ground, access).await?,
                prometheus::start(ground, access).await?,
            ],
        })
    }
}

async fn apply(access: &Access, manifest: &str) -> Result<(), Error> {
    access
        .kubectl_with_input(&["apply", "--server-side", "--filename", "-"], manifest)
        .await?
        .ok()?;
    Ok(())
}

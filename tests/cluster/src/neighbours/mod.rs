//! What a cluster usually has beside Kubernetes: names, ingress, metrics of pods, Prometheus.

mod ingress;
mod metrics;
mod names;
mod prometheus;

use crate::{access::Access, error::Error, node::Site, process::Process};

pub(crate) use ingress::ADDRESS as INGRESS;
pub(crate) use prometheus::images;

/// The neighbours, which are all the real ones. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Neighbours {
    _processes: Vec<Process>,
}

impl Neighbours {
    /// Starts them.
    pub(crate) async fn start(site: &Site<'_>, access: &Access) -> Result<Self, Error> {
        Ok(Self {
            _processes: vec![
                names::start(site).await?,
                metrics::start(site, access).await?,
                ingress::start(site, access).await?,
                prometheus::start(site, access).await?,
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

//! The whole: a control plane, a node and their neighbours.

use std::{net::Ipv4Addr, path::Path};

use crate::{
    access::Access,
    control_plane::{ControlPlane, Options},
    crds::Crds,
    error::Error,
    neighbours::{self, INGRESS, Neighbours},
    node::{self, Node},
    sandbox::{NODE, Sandbox, WORLD},
    tools::{Missing, Tools},
};

/// What a cluster needs beside a control plane.
const PROGRAMS: [&str; 13] = [
    "containerd",
    "containerd-shim-runc-v2",
    "coredns",
    "ctr",
    "kube-proxy",
    "kube-scheduler",
    "kubelet",
    "metrics-server",
    "pause",
    "prometheus",
    "prometheus-config-reloader",
    "prometheus-operator",
    "traefik",
];

/// A running cluster of one node, in a sandbox, which ends what is left of it when it ends.
#[derive(Debug)]
pub struct Cluster {
    // Fields are dropped in this order: first those who would complain.
    _neighbours: Neighbours,
    node: Node,
    plane: ControlPlane,
    sandbox: Sandbox,
}

impl Cluster {
    /// Where the programs are, if they are all there.
    ///
    /// # Errors
    /// [`Missing`] with the first that is not.
    pub fn tools() -> Result<Tools, Missing> {
        let tools = Tools::find()?;
        for program in PROGRAMS {
            tools.program(program)?;
        }
        node::check()?;
        Ok(tools)
    }

    /// Starts one that knows the images of these archives, and waits until it works.
    ///
    /// # Errors
    /// Where a program is missing, cannot be started, ends by itself or does not get ready; with the end of
    /// its log.
    pub async fn start(tools: &Tools, sandbox: &Sandbox, images: &[&Path]) -> Result<Self, Error> {
        let options = Options {
            crds: vec![Crds::GatewayApi, Crds::PrometheusOperator],
            address: Some(NODE),
            folder: Some(sandbox.folder().to_owned()),
            // Autoscalers look once in 15 s by default.
            controller_manager: vec!["--horizontal-pod-autoscaler-sync-period=5s".to_owned()],
            ..Options::default()
        };
        let plane = ControlPlane::start(tools, options).await?;
        let site = plane.site(sandbox);
        let node = Node::start(&site).await?;
        let own = neighbours::images(tools, sandbox.folder())?;
        let own = own.iter().map(AsRef::as_ref);
        for archive in own.chain(images.iter().copied()) {
            node.import(archive).await?;
        }
        let neighbours = Neighbours::start(&site, &plane.access()).await?;
        Ok(Self {
            _neighbours: neighbours,
            node,
            plane,
            sandbox: sandbox.clone(),
        })
    }

    /// Its control plane.
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// The ways of the user `admin`.
    pub fn access(&self) -> Access {
        self.plane.access()
    }

    /// Where it is.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Where callers from outside come in: the address of what serves Ingresses and Gateways.
    pub fn ingress() -> &'static str {
        INGRESS
    }

    /// The address of the rest of the world: every name that is not the cluster's leads there, and whoever listens
    /// on it plays its part.
    pub fn world() -> Ipv4Addr {
        WORLD
    }

    /// Makes the images of an OCI archive known to the node, as if they had been pulled.
    ///
    /// # Errors
    /// Where containerd refuses it.
    pub async fn import(&self, archive: &Path) -> Result<(), Error> {
        self.node.import(archive).await
    }

    /// Gives an image of the node another name, such as one with a digest.
    ///
    /// # Errors
    /// Where there is no such image.
    pub async fn tag(&self, image: &str, name: &str) -> Result<(), Error> {
        self.node.tag(image, name).await
    }
}

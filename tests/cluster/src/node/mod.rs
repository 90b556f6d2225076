//! A node: containers that run, and a network between them.

mod containerd;
mod kubelet;
mod proxy;
mod scheduler;

use std::path::Path;

use serde_json::Value;

use crate::{
    api_server::ApiServer,
    error::Error,
    folder::Folder,
    kubeconfig::Files,
    pki::Authority,
    process::Process,
    sandbox::Sandbox,
    tools::{Missing, Tools},
};

use containerd::Containerd;

/// What the node is called.
pub(crate) const NAME: &str = "node";

/// The addresses of pods.
const PODS: &str = "10.244.0.0/16";

/// A running node. It ends when this is dropped, its containers with the sandbox.
#[derive(Debug)]
pub(crate) struct Node {
    // Fields are dropped in this order: first those who would complain.
    _kubelet: Process,
    _proxy: Process,
    _scheduler: Process,
    containerd: Containerd,
}

/// What all programs of a node are started with.
pub(crate) struct Site<'a> {
    pub(crate) tools: &'a Tools,
    pub(crate) folder: &'a Folder,
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) authority: &'a Authority,
    pub(crate) api_server: &'a ApiServer,
}

impl Site<'_> {
    /// A kubeconfig of a user.
    pub(crate) fn kubeconfig(&self, user: &str, groups: &[&str]) -> Result<Files, Error> {
        let identity = self.authority.client(user, groups)?;
        Files::write(
            self.folder,
            user.rsplit(':').next().unwrap_or(user),
            &self.api_server.url(),
            self.authority.certificate(),
            &identity,
        )
    }

    /// A file of settings in JSON, which is YAML.
    fn settings(&self, name: &str, settings: &Value) -> Result<String, Error> {
        let path = self.folder.write(name, settings.to_string())?;
        Ok(path.display().to_string())
    }

    /// The path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// What the system has to have.
///
/// # Errors
/// [`Missing`] with the first that it has not.
pub(crate) fn check() -> Result<(), Missing> {
    containerd::runtime()?;
    proxy::rules()
}

impl Node {
    /// Starts one; it is ready a while later.
    pub(crate) async fn start(site: &Site<'_>) -> Result<Self, Error> {
        let containerd = containerd::start(site).await?;
        let scheduler = scheduler::start(site).await?;
        let proxy = proxy::start(site).await?;
        let kubelet = kubelet::start(site).await?;
        Ok(Self {
            _kubelet: kubelet,
            _proxy: proxy,
            _scheduler: scheduler,
            containerd,
        })
    }

    /// Makes an image known to the node, as if it had been pulled. See [`Containerd::import`].
    pub(crate) async fn import(&self, archive: &Path) -> Result<(), Error> {
        self.containerd.import(archive).await
    }

    /// Gives an image of the node another name.
    pub(crate) async fn tag(&self, image: &str, name: &str) -> Result<(), Error> {
        self.containerd.tag(image, name).await
    }
}

//! Custom resource definitions: those of other projects, and any.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, runtime::conditions::is_crd_established, runtime::wait::Condition as _};

use crate::{
    error::Error,
    tools::{Missing, Tools},
};

/// How long the API server may take to serve a new kind.
const SERVED: Duration = Duration::from_secs(30);

/// Custom resource definitions to install.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Crds {
    /// The Gateway API, standard channel.
    GatewayApi,
    /// The Prometheus Operator's `monitoring.coreos.com`.
    PrometheusOperator,
    /// KEDA.
    Keda,
    /// A manifest, or a folder of manifests.
    Path(PathBuf),
    /// The text of a manifest.
    Manifest(String),
}

/// Where `kubectl apply --filename` finds something.
pub(crate) enum Source<'a> {
    Path(PathBuf),
    Text(&'a str),
}

impl Crds {
    pub(crate) fn source(&self, tools: &Tools) -> Result<Source<'_>, Missing> {
        let path = match self {
            Self::GatewayApi => tools.definitions("gateway-api")?,
            Self::PrometheusOperator => tools.definitions("prometheus-operator")?,
            Self::Keda => tools.definitions("keda")?,
            Self::Path(path) => path.clone(),
            Self::Manifest(text) => return Ok(Source::Text(text)),
        };
        Ok(Source::Path(path))
    }
}

/// Waits until every version of a definition that is to be served is.
pub(crate) async fn wait_until_served(client: &Client, name: &str) -> Result<(), Error> {
    let begin = Instant::now();
    while !is_served(client, name).await {
        if begin.elapsed() > SERVED {
            return Err(Error::Late {
                what: format!("the service of {name}"),
                limit: SERVED,
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Whether the API server has accepted a definition and lists its kind: being `Established` comes a moment
/// before being found.
async fn is_served(client: &Client, name: &str) -> bool {
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    // A request that fails is one to repeat.
    let Ok(definition) = definitions.get(name).await else {
        return false;
    };
    if !is_crd_established().matches_object(Some(&definition)) {
        return false;
    }
    let spec = definition.spec;
    for version in spec.versions.iter().filter(|version| version.served) {
        let group = format!("{}/{}", spec.group, version.name);
        // An unknown group is answered with 404 until it is known.
        let Ok(list) = client.list_api_group_resources(&group).await else {
            return false;
        };
        if !list
            .resources
            .iter()
            .any(|kind| kind.name == spec.names.plural)
        {
            return false;
        }
    }
    true
}

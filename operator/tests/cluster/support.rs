//! An operator in this process, and ways to look at what it does.

#[path = "rights.rs"]
pub(crate) mod rights;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Namespace};
use kube::{
    Api, Client, Resource,
    api::{DynamicObject, ObjectMeta, Patch, PatchParams, PostParams},
};
use segmenter_cluster::{AuditEvent, AuditPosition, ControlPlane, eventually};
use segmenter_operator::{
    api::SegmenterService,
    controller::{build::Defaults, kind::Kind},
    metrics::Metrics,
    runtime::{Operator, discovery},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) type Result<T = ()> = anyhow::Result<T>;

/// How long anything may take. Generous: the machine may be busy with other tests.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// How often the operator asks which kinds there are, in tests.
pub(crate) const DISCOVERY: Duration = Duration::from_millis(500);

/// The operator's ServiceAccount in each namespace.
const ACCOUNT: &str = "operator";

/// A namespace with an operator that looks after nothing else.
pub(crate) struct Stage {
    pub(crate) plane: Arc<ControlPlane>,
    pub(crate) namespace: String,
    /// Of an administrator, not of the operator.
    pub(crate) client: Client,
    /// Who the operator is, for the audit log.
    pub(crate) user: String,
    operator: Option<Running>,
}

/// An operator in this process.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Stage {
    /// A new namespace with an operator.
    pub(crate) async fn new(plane: Arc<ControlPlane>, namespace: &str) -> Result<Self> {
        let mut stage = Self::without_operator(plane, namespace).await?;
        stage.start(defaults()).await?;
        Ok(stage)
    }

    pub(crate) async fn without_operator(
        plane: Arc<ControlPlane>,
        namespace: &str,
    ) -> Result<Self> {
        let client = plane.client()?;
        let object = Namespace {
            metadata: ObjectMeta {
                name: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let namespaces = Api::<Namespace>::all(client);
        namespaces.create(&PostParams::default(), &object).await?;
        Self::in_namespace(plane, namespace)
    }

    /// A namespace that is there already.
    pub(crate) fn in_namespace(plane: Arc<ControlPlane>, namespace: &str) -> Result<Self> {
        let client = plane.client()?;
        Ok(Self {
            plane,
            namespace: namespace.to_owned(),
            client,
            user: format!("system:serviceaccount:{namespace}:{ACCOUNT}"),
            operator: None,
        })
    }

    /// A client as the operator has it: with the rights that the chart gives it, in this namespace alone.
    pub(crate) async fn operators_client(&self) -> Result<Client> {
        let kubeconfig = self.operators_kubeconfig().await?;
        Ok(self.plane.client_from(&kubeconfig).await?)
    }

    /// The same as a file.
    pub(crate) async fn operators_kubeconfig(&self) -> Result<PathBuf> {
        let (plane, namespace) = (&self.plane, &self.namespace);
        rights::give(plane, namespace, ACCOUNT).await?;
        Ok(plane.kubeconfig_for_account(namespace, ACCOUNT).await?)
    }

    /// Starts the operator, after stopping the one that runs.
    pub(crate) async fn start(&mut self, defaults: Defaults) -> Result {
        let client = self.operators_client().await?;
        self.start_with(defaults, client).await
    }

    pub(crate) async fn start_with(&mut self, defaults: Defaults, client: Client) -> Result {
        self.stop().await?;
        let metrics = Arc::new(Metrics::new()?);
        let served = discovery::follow(client.clone(), DISCOVERY, Arc::clone(&metrics)).await;
        let namespaces = [self.namespace.clone()];
        let operator = Operator::new(client, defaults, &namespaces, served, metrics);
        let stop = CancellationToken::new();
        let task = tokio::spawn(operator.run(stop.clone()));
        self.operator = Some(Running { stop, task });
        Ok(())
    }

    pub(crate) async fn stop(&mut self) -> Result {
        if let Some(Running { stop, task }) = self.operator.take() {
            stop.cancel();
            tokio::time::timeout(SOON, task)
                .await
                .context("the operator does not stop")??;
        }
        Ok(())
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn children(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind.resource())
    }

    pub(crate) fn services(&self) -> Api<SegmenterService> {
        self.api()
    }

    /// Applies a service, as `kubectl apply --server-side` would.
    pub(crate) async fn apply(&self, name: &str, spec: &Value) -> Result<SegmenterService> {
        let object = json!({
            "apiVersion": "segmenter.dev/v1alpha1",
            "kind": "SegmenterService",
            "metadata": {"name": name},
            "spec": spec,
        });
        let parameters = PatchParams::apply("tests").force();
        Ok(self
            .services()
            .patch(name, &parameters, &Patch::Apply(&object))
            .await?)
    }

    /// Waits until the service has exactly these kinds of objects.
    pub(crate) async fn has_exactly(&self, name: &str, kinds: &[Kind]) -> Result {
        let what = format!("{name} with {kinds:?}");
        eventually(&what, SOON, async || {
            let mut found = Vec::new();
            for kind in Kind::ALL {
                let name = child_name(kind, name);
                match self.children(kind).get_opt(&name).await {
                    Ok(Some(_)) => found.push(kind),
                    Ok(None) => {}
                    // The kind is not served.
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if found == kinds {
                return Ok(Some(()));
            }
            let service = self.services().get_opt(name).await?;
            let status = service.and_then(|service| service.status);
            anyhow::bail!("found {found:?}, and this status: {status:#?}")
        })
        .await
    }

    /// Waits until a condition has this status and reason; answers its message.
    pub(crate) async fn condition(
        &self,
        name: &str,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> Result<String> {
        let what = format!("{name}: {kind} {status}/{reason}");
        eventually(&what, SOON, async || {
            let service = self.services().get(name).await?;
            let generation = service.metadata.generation;
            let conditions = service
                .status
                .map(|status| status.conditions)
                .unwrap_or_default();
            let found = conditions.iter().find(|condition| condition.type_ == kind);
            let found = found.with_context(|| format!("there is no {kind} yet"))?;
            anyhow::ensure!(
                (found.status.as_str(), found.reason.as_str()) == (status, reason)
                    && found.observed_generation == generation,
                "it is {}/{}: {}",
                found.status,
                found.reason,
                found.message
            );
            Ok(Some(found.message.clone()))
        })
        .await
    }

    /// Waits until the operator has written nothing for a while.
    pub(crate) async fn quiet(&self) -> Result {
        const WHILE: Duration = Duration::from_millis(1500);
        let begin = std::time::Instant::now();
        loop {
            let position = self.plane.audit_position().await?;
            tokio::time::sleep(WHILE).await;
            let writes = self.writes_since(position).await?;
            if writes.is_empty() {
                return Ok(());
            }
            anyhow::ensure!(
                begin.elapsed() < SOON,
                "the operator does not rest: {writes:#?}"
            );
        }
    }

    /// What the operator wrote since.
    pub(crate) async fn writes_since(&self, position: AuditPosition) -> Result<Vec<AuditEvent>> {
        let mut events = self.plane.audit_since(position).await?;
        events.retain(|event| event.user == self.user && event.is_write());
        Ok(events)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(running) = &self.operator {
            running.stop.cancel();
        }
    }
}

pub(crate) fn defaults() -> Defaults {
    Defaults {
        image: "registry.example.com/segmenter:1".to_owned(),
        accelerator_image: "registry.example.com/segmenter-gpu:1".to_owned(),
        monitor_labels: BTreeMap::new(),
    }
}

/// What the service's object of this kind is called.
pub(crate) fn child_name(kind: Kind, name: &str) -> String {
    match kind {
        Kind::ConfigMap => format!("{name}-dashboard"),
        _ => name.to_owned(),
    }
}

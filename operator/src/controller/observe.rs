//! What the cluster has of a service, as the watches saw it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::DynamicObject,
    runtime::reflector::{ObjectRef, Store},
};
use serde::de::DeserializeOwned;

use super::{
    identity::{INSTANCE, Identity},
    kind::Kind,
};

/// What the watches have seen, kept up by them.
#[derive(Clone, Debug)]
pub struct Stores {
    /// The objects that the operator made, [reduced](super::memory::reduce).
    pub children: BTreeMap<Kind, Store<DynamicObject>>,
    /// The pods of services.
    pub pods: Store<Pod>,
}

/// The kinds that the cluster serves, Kubernetes' own among them.
pub type Served = BTreeSet<Kind>;

/// What the cluster has of one service.
#[derive(Clone, Debug)]
pub struct Observed {
    children: BTreeMap<Kind, Arc<DynamicObject>>,
    /// Its pods.
    pub pods: Vec<Arc<Pod>>,
    served: Served,
}

impl Stores {
    /// Waits until everything was listed once.
    pub async fn synced(&self, served: &Served) {
        // A writer that is gone has a controller that has ended.
        let _ = self.pods.wait_until_ready().await;
        for (kind, store) in &self.children {
            if served.contains(kind) {
                let _ = store.wait_until_ready().await;
            }
        }
    }

    /// What there is of this service.
    pub fn observe(&self, identity: &Identity, served: Served) -> Observed {
        let child = |kind: Kind, store: &Store<DynamicObject>| {
            // What was seen of a kind that is gone since is gone too.
            if !served.contains(&kind) {
                return None;
            }
            let name = identity.name_of(kind);
            let reference = ObjectRef::new_with(&name, kind.resource()).within(&identity.namespace);
            store
                .get(&reference)
                .filter(|found| identity.owns(&found.metadata))
                .map(|found| (kind, found))
        };
        let children = self.children.iter();
        let children = children.filter_map(|(kind, store)| child(*kind, store));
        let pods = self.pods.state_filter(|pod| {
            pod.namespace().as_deref() == Some(&identity.namespace)
                && pod.labels().get(INSTANCE) == Some(&identity.name)
        });
        Observed {
            children: children.collect(),
            pods,
            served,
        }
    }
}

impl Observed {
    /// These objects, in a cluster that has these kinds.
    #[cfg(test)]
    pub(super) fn of(children: Vec<(Kind, DynamicObject)>, served: Served) -> Self {
        let children = children.into_iter();
        Self {
            children: children
                .map(|(kind, child)| (kind, Arc::new(child)))
                .collect(),
            pods: Vec::new(),
            served,
        }
    }

    /// The service's object of this kind.
    pub fn child(&self, kind: Kind) -> Option<&DynamicObject> {
        self.children.get(&kind).map(AsRef::as_ref)
    }

    /// The status of the service's object of this kind, as far as it has one that can be read.
    pub fn status<S: DeserializeOwned>(&self, kind: Kind) -> Option<S> {
        let status = self.child(kind)?.data.get("status")?;
        S::deserialize(status).ok()
    }

    /// How many pods the Deployment asks for.
    pub fn replicas(&self) -> Option<i32> {
        let replicas = self.child(Kind::Deployment)?.data.get("replicas")?;
        replicas.as_i64()?.try_into().ok()
    }

    /// Whether the cluster has this kind.
    pub fn serves(&self, kind: Kind) -> bool {
        self.served.contains(&kind)
    }
}

//! Writing a service's objects: only what differs, in an order in which nothing dips.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
};

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, ValidationDirective},
};
use serde_json::{Value, json};
use tracing::Instrument;

use super::{
    build::Children,
    handover,
    identity::{FIELD_MANAGER, Identity},
    kind::Kind,
    observe::Observed,
};
use crate::api::SegmenterServiceSpec;

/// What was done about a service's objects.
#[derive(Debug, Default)]
pub struct Applied {
    /// Objects that could not be written or deleted, and why.
    pub failures: Vec<ApplyError>,
    /// Kinds that the cluster does not have.
    pub not_served: Vec<Kind>,
    /// Objects that wait until another is gone.
    pub waiting: Vec<Kind>,
    /// How many requests wrote something.
    pub writes: usize,
}

/// Why an object could not be written or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else has an object of this name.
    #[error(
        "there is a {kind} {name} already that is not this service's: rename the service, or delete it",
        kind = .kind.name()
    )]
    Taken {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// The API server refused or did not answer.
    #[error("cannot {verb} the {kind} {name}", kind = .kind.name())]
    Api {
        /// What was tried.
        verb: &'static str,
        /// On which kind.
        kind: Kind,
        /// On which object.
        name: String,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
}

impl ApplyError {
    /// For conditions, events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "NameTaken",
            Self::Api { source, .. } => match &**source {
                kube::Error::Api(status) if status.is_forbidden() => "Forbidden",
                kube::Error::Api(status) if status.is_invalid() || status.code == 400 => "Rejected",
                kube::Error::Api(status) if status.is_conflict() => "Conflict",
                _ => "ApiServerUnavailable",
            },
        }
    }

    /// Whether only a change of the service or of the cluster helps.
    pub fn is_hopeless(&self) -> bool {
        matches!(self.reason(), "NameTaken" | "Forbidden" | "Rejected")
    }
}

/// What every object was when the operator last wrote it, so that it is not written again.
///
/// A cache and nothing more: without it everything is applied once more, which changes nothing.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<(String, Kind), Written>>);

#[derive(Clone, Copy, Debug)]
struct Written {
    /// Hash of what the operator asked for.
    desired: u64,
    /// Hash of what the object was then.
    fingerprint: u64,
    resource_version: u64,
}

impl Memory {
    /// Drops what is known of a service that is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().retain(|(owner, _), _| owner != uid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, Kind), Written>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the object is as the operator left it, and what is asked for too.
    fn holds(&self, uid: &str, kind: Kind, desired: u64, found: &DynamicObject) -> bool {
        let written = self.lock().get(&(uid.to_owned(), kind)).copied();
        written.is_some_and(|written| {
            // What the watch has may be older than the last write.
            let behind = resource_version(found) < written.resource_version;
            written.desired == desired && (behind || written.fingerprint == fingerprint(found))
        })
    }

    fn note(&self, uid: &str, kind: Kind, desired: u64, object: &DynamicObject) {
        let written = Written {
            desired,
            fingerprint: fingerprint(object),
            resource_version: resource_version(object),
        };
        self.lock().insert((uid.to_owned(), kind), written);
    }
}

/// Resource versions can be compared since Kubernetes 1.35, and could in effect before.
fn resource_version(object: &DynamicObject) -> u64 {
    let version = object.metadata.resource_version.as_deref();
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

const FINGERPRINT: &str = "fingerprint";

/// Reduces an object that is watched to what the operator looks at: metadata, status, and a hash of all
/// that somebody could have changed.
pub fn reduce(object: &mut DynamicObject) {
    let fingerprint = fingerprint(object);
    object.metadata.managed_fields = None;
    object.metadata.annotations = None;
    let status = object.data.get_mut("status").map(Value::take);
    object.data = json!({ FINGERPRINT: fingerprint, "status": status });
}

/// A hash of all of an object that is not its status or the server's bookkeeping.
fn fingerprint(object: &DynamicObject) -> u64 {
    if let Some(kept) = object.data.get(FINGERPRINT).and_then(Value::as_u64) {
        return kept;
    }
    let mut hasher = DefaultHasher::new();
    let metadata = &object.metadata;
    metadata.labels.hash(&mut hasher);
    metadata.annotations.hash(&mut hasher);
    let owners = metadata.owner_references.iter().flatten();
    owners.for_each(|owner| (&owner.uid, owner.controller).hash(&mut hasher));
    metadata.deletion_timestamp.is_some().hash(&mut hasher);
    for (field, value) in object.data.as_object().into_iter().flatten() {
        if field != "status" {
            (field, value.to_string()).hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// Writes what differs and deletes what is no longer asked for.
pub async fn apply(
    client: &Client,
    memory: &Memory,
    identity: &Identity,
    spec: &SegmenterServiceSpec,
    children: &Children,
    observed: &Observed,
) -> Applied {
    let desired: Vec<_> = children.objects().into_iter().map(Desired::new).collect();
    let mut writer = Writer {
        client,
        memory,
        identity,
        observed,
        applied: Applied::default(),
    };
    let unwanted = |kind: &Kind| !desired.iter().any(|wanted| wanted.kind == *kind);
    // An autoscaler that is to go would fight over the replicas with whoever comes after it.
    let autoscalers = [Kind::HorizontalPodAutoscaler, Kind::ScaledObject];
    for kind in autoscalers.into_iter().filter(unwanted) {
        writer.delete(kind).await;
    }
    for wanted in &desired {
        if wanted.kind == Kind::Deployment {
            writer.deployment(spec, &children.deployment, wanted).await;
        } else {
            writer.write(wanted).await;
        }
    }
    // Routes that are to go end when those that replace them are there.
    let others = Kind::ALL
        .into_iter()
        .filter(|kind| !autoscalers.contains(kind));
    for kind in others.filter(unwanted) {
        writer.delete(kind).await;
    }
    writer.applied
}

/// An object that is asked for.
struct Desired {
    kind: Kind,
    object: Value,
    /// Tells it from what was asked for before.
    hash: u64,
}

impl Desired {
    fn new((kind, object): (Kind, Value)) -> Self {
        let mut hasher = DefaultHasher::new();
        object.to_string().hash(&mut hasher);
        let hash = hasher.finish();
        Self { kind, object, hash }
    }
}

struct Writer<'a> {
    client: &'a Client,
    memory: &'a Memory,
    identity: &'a Identity,
    observed: &'a Observed,
    applied: Applied,
}

impl Writer<'_> {
    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.client.clone(),
            &self.identity.namespace,
            &kind.resource(),
        )
    }

    /// The Deployment, whose replicas may have to change hands first.
    async fn deployment(
        &mut self,
        spec: &SegmenterServiceSpec,
        deployment: &Deployment,
        desired: &Desired,
    ) {
        let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
        if replicas.is_none()
            && self.observed.child(Kind::Deployment).is_some()
            && !self.is_current(desired)
        {
            let deployments = Api::namespaced(self.client.clone(), &self.identity.namespace);
            match handover::hand_over(&deployments, &self.identity.name, &spec.scaling).await {
                Ok(written) => self.applied.writes += usize::from(written),
                // Without it the replicas would drop to 1: everything else has to wait.
                Err(error) => return self.failed("hand over", Kind::Deployment, error),
            }
        }
        self.write(desired).await;
    }

    /// Applies an object, if it is not as asked for already.
    async fn write(&mut self, desired: &Desired) {
        let kind = desired.kind;
        if !self.observed.serves(kind) {
            self.applied.not_served.push(kind);
            return;
        }
        // Two autoscalers of one Deployment undo each other's work.
        let rival = match kind {
            Kind::HorizontalPodAutoscaler => Some(Kind::ScaledObject),
            Kind::ScaledObject => Some(Kind::HorizontalPodAutoscaler),
            _ => None,
        };
        if rival.is_some_and(|rival| self.observed.child(rival).is_some()) {
            self.applied.waiting.push(kind);
            return;
        }
        if self.is_current(desired) {
            return;
        }
        let span = tracing::info_span!("apply", kind = kind.name());
        if let Err(error) = self.patch(desired).instrument(span).await {
            self.applied.failures.push(error);
        }
    }

    fn is_current(&self, desired: &Desired) -> bool {
        let Desired { kind, hash, .. } = *desired;
        let found = self.observed.child(kind);
        found.is_some_and(|found| self.memory.holds(&self.identity.uid, kind, hash, found))
    }

    async fn patch(&mut self, desired: &Desired) -> Result<(), ApplyError> {
        let kind = desired.kind;
        let api = self.api(kind);
        let name = self.identity.name_of(kind);
        let failed = |verb, source| ApplyError::Api {
            verb,
            kind,
            name: name.clone(),
            source: Box::new(source),
        };
        if self.observed.child(kind).is_none() {
            let found = api.get_metadata_opt(&name).await;
            let found = found.map_err(|error| failed("look for", error))?;
            if found.is_some_and(|found| !self.identity.owns(&found.metadata)) {
                return Err(ApplyError::Taken { kind, name });
            }
        }
        let parameters = PatchParams {
            // A field that this cluster does not know would otherwise be dropped in silence.
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::apply(FIELD_MANAGER).force()
        };
        let object = api
            .patch(&name, &parameters, &Patch::Apply(&desired.object))
            .await;
        let object = object.map_err(|error| failed("apply", error))?;
        self.applied.writes += 1;
        let uid = &self.identity.uid;
        self.memory.note(uid, kind, desired.hash, &object);
        Ok(())
    }

    /// Deletes the service's object of this kind, if there is one.
    async fn delete(&mut self, kind: Kind) {
        let Some(found) = self.observed.child(kind) else {
            return;
        };
        if found.metadata.deletion_timestamp.is_some() {
            return;
        }
        let name = found.name_any();
        let parameters = DeleteParams {
            // Not another of the same name, made since.
            preconditions: Some(Preconditions {
                uid: found.uid(),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        match self.api(kind).delete(&name, &parameters).await {
            Ok(_) => self.applied.writes += 1,
            Err(kube::Error::Api(status)) if status.code == 404 || status.is_conflict() => {}
            Err(error) => self.failed("delete", kind, error),
        }
    }

    fn failed(&mut self, verb: &'static str, kind: Kind, error: kube::Error) {
        self.applied.failures.push(ApplyError::Api {
            verb,
            kind,
            name: self.identity.name_of(kind),
            source: Box::new(error),
        });
    }
}

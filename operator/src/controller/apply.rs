//! Writing a service's objects: only what differs, in an order in which nothing dips.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client,
    api::{
        DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, Preconditions,
        ValidationDirective,
    },
};
use serde_json::Value;
use tracing::Instrument;

use super::{
    build::Children,
    handover,
    identity::{FIELD_MANAGER, Identity},
    kind::Kind,
    memory::Memory,
    observe::Observed,
};
use crate::api::SegmenterServiceSpec;

/// What was done about a service's objects.
#[derive(Debug, Default)]
pub struct Applied {
    /// Objects that could not be written or deleted, and why.
    pub failures: Vec<ApplyError>,
    /// Objects that wait until another is gone.
    pub waiting: Vec<Kind>,
    /// How many requests wrote something.
    pub writes: usize,
}

impl Applied {
    /// Whether the object of this kind could not be written or deleted.
    pub fn failed(&self, kind: Kind) -> bool {
        self.failures.iter().any(|error| error.kind() == kind)
    }
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
    /// What could not be written or deleted.
    fn kind(&self) -> Kind {
        match self {
            Self::Taken { kind, .. } | Self::Api { kind, .. } => *kind,
        }
    }

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
        // Also where none was seen: one that was just made may not have been seen yet.
        if replicas.is_none() && !self.is_current(desired) {
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
            return;
        }
        // Two autoscalers of one Deployment undo each other's work.
        let rival = match kind {
            Kind::HorizontalPodAutoscaler => Some(Kind::ScaledObject),
            Kind::ScaledObject => Some(Kind::HorizontalPodAutoscaler),
            _ => None,
        };
        let is_there = |rival| {
            self.observed.child(rival).is_some()
                || self.memory.has_written(&self.identity.uid, rival)
        };
        if rival.is_some_and(is_there) {
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
        let found = match self.observed.child(kind) {
            Some(found) => Some(found.metadata.clone()),
            None => self.unseen(kind).await,
        };
        let Some(found) = found.filter(|found| found.deletion_timestamp.is_none()) else {
            return;
        };
        let name = self.identity.name_of(kind);
        let parameters = DeleteParams {
            // Not another of the same name, made since.
            preconditions: Some(Preconditions {
                uid: found.uid,
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

    /// The service's object of this kind that was written once and is not seen: not yet, or no longer.
    async fn unseen(&mut self, kind: Kind) -> Option<ObjectMeta> {
        let uid = &self.identity.uid;
        if !self.memory.has_written(uid, kind) {
            return None;
        }
        let name = self.identity.name_of(kind);
        match self.api(kind).get_metadata_opt(&name).await {
            Ok(Some(found)) if self.identity.owns(&found.metadata) => Some(found.metadata),
            Ok(_) => {
                self.memory.forget_object(uid, kind);
                None
            }
            Err(error) => {
                self.failed("look for", kind, error);
                None
            }
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

#[cfg(test)]
mod tests;

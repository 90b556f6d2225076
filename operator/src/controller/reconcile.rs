use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::DeserializeGuard,
    runtime::{
        controller::Action,
        events::{Event, EventType, Recorder},
    },
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    apply::{self, Applied, ApplyError},
    build::{Blueprint, Built, Defaults, Pin, build},
    identity::{FIELD_MANAGER, Identity},
    kind::Kind,
    memory::{self, Memory},
    observe::{Served, Stores},
    status::{Assessment, Finding, Type, assess},
};
use crate::{
    api::{SegmenterService, SegmenterServiceStatus},
    chain::chain,
    metrics::Metrics,
};

/// When everything is looked at again though nothing was seen to change.
const RESYNC: Duration = Duration::from_mins(10);
/// How long to wait for the first lists.
const SYNC: Duration = Duration::from_secs(10);
/// The shortest and the longest time before another try.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_mins(2));

/// Who owns what is said of a service that cannot be read.
const UNREADABLE_MANAGER: &str = "segmenter-operator-unreadable";

/// What all reconciliations share.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What the watches have seen.
    pub stores: Stores,
    /// The kinds that the cluster serves.
    pub served: watch::Receiver<Served>,
    /// What the operator is told for all services.
    pub defaults: Defaults,
    /// What is remembered of services.
    pub memory: Memory,
    /// Tells of transitions.
    pub recorder: Recorder,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Set when every watch has seen everything once.
    pub synced: OnceCell<()>,
    /// When no more is to be begun.
    pub stop: CancellationToken,
}

/// Why a reconciliation has to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// An object could not be written.
    #[error(transparent)]
    Apply(ApplyError),
    /// The status could not be written.
    #[error("cannot write the status")]
    Status(#[source] Box<kube::Error>),
}

impl ReconcileError {
    /// For metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Apply(error) => error.reason(),
            Self::Status(_) => "StatusNotWritten",
        }
    }
}

impl Context {
    /// Waits until every watch has seen everything once: what is not seen yet would be applied again, and
    /// what is no longer asked for would stay. A kind that may not be listed does not hold up the others
    /// forever. Answers false when the operator is told to stop before: nothing is watched any more then.
    async fn synced(&self) -> bool {
        let synced = self.synced.get_or_init(async || {
            let served = self.served.borrow().clone();
            if tokio::time::timeout(SYNC, self.stores.synced(&served))
                .await
                .is_err()
            {
                tracing::warn!("some kinds could not be listed yet, going on without");
            }
        });
        tokio::select! {
            // What was seen in time is acted on.
            biased;
            _ = synced => true,
            () = self.stop.cancelled() => false,
        }
    }
}

/// Brings what there is closer to what is asked for.
pub async fn reconcile(
    service: Arc<DeserializeGuard<SegmenterService>>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    if !context.synced().await {
        return Ok(Action::await_change());
    }
    let started = Instant::now();
    context.metrics.in_flight.inc();
    let result = match &service.0 {
        Ok(service) => reconcile_readable(service, &context).await,
        Err(invalid) => unreadable(&context, &service, &invalid.error).await,
    };
    context.metrics.in_flight.dec();
    context.metrics.reconciled(
        started.elapsed(),
        result.as_ref().map(|_| ()).map_err(ReconcileError::reason),
    );
    if result.is_ok() {
        context.memory.succeeded(&*service);
    }
    result
}

/// When to try again: later each time.
#[allow(
    clippy::needless_pass_by_value,
    reason = "kube's Controller passes both so"
)]
pub fn error_policy(
    service: Arc<DeserializeGuard<SegmenterService>>,
    error: &ReconcileError,
    context: Arc<Context>,
) -> Action {
    let attempt = context.memory.failed(&*service);
    let (shortest, longest) = BACKOFF;
    let wait = shortest
        .saturating_mul(1 << (attempt - 1).min(16))
        .min(longest);
    tracing::warn!(
        service = %memory::reference(&*service),
        reason = error.reason(),
        error = %chain(error),
        "will try again in {wait:?}"
    );
    Action::requeue(wait)
}

async fn reconcile_readable(
    service: &SegmenterService,
    context: &Context,
) -> Result<Action, ReconcileError> {
    // What is being deleted goes with all that it owns; anything made now would only be in the way.
    let Some(identity) =
        Identity::of(service).filter(|_| service.meta().deletion_timestamp.is_none())
    else {
        return Ok(Action::await_change());
    };
    context.memory.readable(&identity.uid);
    let earlier = context.memory.status(service);
    let served = context.served.borrow().clone();
    let observed = context.stores.observe(&identity, served);
    let pinned = earlier.image.clone().zip(earlier.pod_template.clone());
    let built = build(&Blueprint {
        identity: &identity,
        spec: &service.spec,
        defaults: &context.defaults,
        pinned: pinned.map(|(image, template)| Pin { image, template }),
    });
    let applied = match &built {
        Ok(Built { children, .. }) if !service.spec.paused => {
            let (client, memory) = (&context.client, &context.memory);
            apply::apply(
                client,
                memory,
                &identity,
                &service.spec,
                children,
                &observed,
            )
            .await
        }
        _ => Applied::default(),
    };
    context.metrics.writes.inc_by(applied.writes as u64);

    let memory = &context.memory;
    let mut behind = Kind::ALL.to_vec();
    behind.retain(|kind| {
        observed
            .child(*kind)
            .is_some_and(|found| memory.is_ahead_of(&identity.uid, *kind, found))
    });
    let status = assess(&Assessment {
        identity: &identity,
        spec: &service.spec,
        generation: service.meta().generation,
        observed: &observed,
        built: built.as_ref().map(|built| &built.pin),
        applied: &applied,
        behind: &behind,
        earlier: &earlier,
        now: Timestamp::now(),
    });
    if status != earlier {
        let written = context.write_status(service, &status);
        written
            .instrument(tracing::info_span!("write status"))
            .await?;
        context
            .tell(service, &earlier.conditions, &status.conditions)
            .await;
    }
    match applied.failures.into_iter().next() {
        Some(error) => Err(ReconcileError::Apply(error)),
        None => Ok(Action::requeue(RESYNC)),
    }
}

/// Says so in the status of a service that cannot be read, which only happens when the CRD in the cluster is
/// another than the operator's.
async fn unreadable(
    context: &Context,
    service: &DeserializeGuard<SegmenterService>,
    error: &str,
) -> Result<Action, ReconcileError> {
    let generation = service.meta().generation;
    let uid = service.uid().unwrap_or_default();
    let finding = Finding::no(
        "Unreadable",
        format!("{error}; is the CRD of the same version as the operator?"),
    );
    // The same each time, or what is written would be a change that is looked at again.
    let now = context.memory.unreadable_since(&uid, Timestamp::now());
    let conditions: Vec<_> = [Type::Ready, Type::Accepted]
        .into_iter()
        .map(|kind| finding.clone().condition(kind, generation, &[], now))
        .collect();
    let status = json!({"conditions": conditions, "observedGeneration": generation});
    // Under another name than usual: what is not said would be taken back, the image that was chosen among it.
    context
        .apply_status(service, &status, UNREADABLE_MANAGER)
        .await?;
    Ok(Action::await_change())
}

impl Context {
    async fn write_status(
        &self,
        service: &SegmenterService,
        status: &SegmenterServiceStatus,
    ) -> Result<(), ReconcileError> {
        let written = self.apply_status(service, status, FIELD_MANAGER).await?;
        if let Some(written) = written {
            self.metrics.writes.inc();
            self.memory.note_status(&written, status);
        }
        Ok(())
    }

    /// Applies a service's status; answers what the service is then, if it is still there.
    async fn apply_status(
        &self,
        service: &impl Resource<DynamicType = ()>,
        status: &impl Serialize,
        manager: &str,
    ) -> Result<Option<DeserializeGuard<SegmenterService>>, ReconcileError> {
        let name = service.name_any();
        let patch = json!({
            "apiVersion": SegmenterService::api_version(&()),
            "kind": SegmenterService::kind(&()),
            "metadata": {"name": name, "uid": service.uid()},
            "status": status,
        });
        let namespace = service.namespace().unwrap_or_default();
        let api = Api::namespaced(self.client.clone(), &namespace);
        let parameters = PatchParams::apply(manager).force();
        let patch = Patch::Apply(patch);
        match api.patch_status(&name, &parameters, &patch).await {
            Ok(written) => Ok(Some(written)),
            // It is gone, or another of its name has come: nothing is to be said of it any more.
            Err(kube::Error::Api(answer)) if answer.code == 404 || answer.is_conflict() => Ok(None),
            Err(error) => Err(ReconcileError::Status(Box::new(error))),
        }
    }

    /// Tells of what changed, in events of the service.
    async fn tell(&self, service: &SegmenterService, earlier: &[Condition], now: &[Condition]) {
        for condition in now {
            let before = earlier
                .iter()
                .find(|before| before.type_ == condition.type_);
            let Some(type_) = worth_telling(before, condition) else {
                continue;
            };
            let event = Event {
                type_,
                reason: condition.reason.clone(),
                note: Some(condition.message.clone()).filter(|message| !message.is_empty()),
                action: condition.type_.clone(),
                secondary: None,
            };
            if let Err(error) = self
                .recorder
                .publish(&event, &service.object_ref(&()))
                .await
            {
                // An event is a courtesy: the status says the same.
                tracing::debug!(%error, "cannot publish an event");
            }
        }
    }
}

/// Whether a change of this condition is told of: that it answers, that it does not any more, and why
/// something fails.
fn worth_telling(before: Option<&Condition>, now: &Condition) -> Option<EventType> {
    let changed =
        before.is_none_or(|before| (&before.status, &before.reason) != (&now.status, &now.reason));
    if !changed {
        return None;
    }
    match (now.type_.as_str(), now.status.as_str()) {
        ("Ready", "True") => Some(EventType::Normal),
        ("Ready", _) => before
            .is_some_and(|before| before.status == "True")
            .then_some(EventType::Normal),
        ("Degraded", "True") => Some(EventType::Warning),
        ("Progressing", "False") if before.is_some() && now.reason != "Settled" => {
            Some(EventType::Warning)
        }
        _ => None,
    }
}

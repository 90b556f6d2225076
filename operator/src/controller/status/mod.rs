//! What a service's status says: pure functions of what was observed and done.

mod conditions;
mod pods;

use k8s_openapi::{
    api::{apps::v1::DeploymentStatus, networking::v1::IngressStatus},
    jiff::Timestamp,
};
use serde::Deserialize;

pub use self::{
    conditions::{Finding, Type},
    pods::{WRONG_DIGEST, failure},
};
use super::{
    apply::Applied,
    build::{InvalidSpec, MODEL_CONTAINER, Pin},
    identity::Identity,
    kind::Kind,
    observe::Observed,
};
use crate::{
    api::{
        Failure, Gateway, ModelSource, ModelStatus, ParentRef, ScalingMode, SegmenterServiceSpec,
        SegmenterServiceStatus,
    },
    chain::chain,
};

/// All that a status depends on.
#[derive(Debug)]
pub struct Assessment<'a> {
    /// Whose it is.
    pub identity: &'a Identity,
    /// What is asked for.
    pub spec: &'a SegmenterServiceSpec,
    /// The generation of that.
    pub generation: Option<i64>,
    /// What there is.
    pub observed: &'a Observed,
    /// The image that was chosen, or why nothing could be built.
    pub built: Result<&'a Pin, &'a InvalidSpec>,
    /// What was done about it.
    pub applied: &'a Applied,
    /// Kinds of which what is observed is older than what was last written.
    pub behind: &'a [Kind],
    /// The status so far.
    pub earlier: &'a SegmenterServiceStatus,
    /// When this is.
    pub now: Timestamp,
}

impl Assessment<'_> {
    /// Whether the operator brings the cluster closer to the spec.
    fn carried_out(&self) -> bool {
        self.built.is_ok() && !self.spec.paused
    }
}

/// The status.
pub fn assess(assessment: &Assessment<'_>) -> SegmenterServiceStatus {
    let Assessment {
        identity,
        spec,
        generation,
        observed,
        built,
        applied,
        earlier,
        now,
        ..
    } = *assessment;
    let deployment: DeploymentStatus = observed.status(Kind::Deployment).unwrap_or_default();
    let workload = Workload::of(assessment, &deployment);
    let model = model(spec, &workload);
    let scaling = scaling(assessment);
    let routed = routed(assessment);
    let monitored = monitored(assessment);
    let accepted = accepted(assessment);
    let workload_ready = workload.finding();
    let progressing = workload.progressing(spec);
    let ready = ready(&accepted, &model, &workload, &workload_ready, &routed);
    let degraded = degraded(&[
        (Type::Accepted, &accepted),
        (Type::ModelReady, &model),
        (Type::WorkloadReady, &workload_ready),
        (Type::ScalingReady, &scaling),
        (Type::Routed, &routed),
    ]);
    let failure = workload.failure.clone();
    let carried_out = assessment.carried_out();
    let why_not = (!carried_out).then(|| accepted.clone());
    let mut findings = [
        (Type::Ready, ready),
        (Type::Accepted, accepted),
        (Type::ModelReady, model),
        (Type::WorkloadReady, workload_ready),
        (Type::ScalingReady, scaling),
        (Type::Routed, routed),
        (Type::Monitored, monitored),
        (Type::Progressing, progressing),
        (Type::Degraded, degraded),
    ];
    if let Some(why_not) = why_not {
        claim_nothing(&mut findings, &why_not);
    }
    let conditions = findings
        .into_iter()
        .map(|(kind, finding)| finding.condition(kind, generation, &earlier.conditions, now));
    // What the Deployment does not have yet is chosen anew when it gets it.
    let pin = built
        .ok()
        .filter(|_| carried_out && !applied.failed(Kind::Deployment));
    let (url, grpc_address, model) = if carried_out {
        let model = ModelStatus {
            name: spec.model.name.clone(),
            source: source(&spec.model.source).to_owned(),
            digest: spec.model.digest.clone(),
        };
        (
            Some(url(assessment)),
            Some(grpc_address(assessment)),
            Some(model),
        )
    } else {
        (
            earlier.url.clone(),
            earlier.grpc_address.clone(),
            earlier.model.clone(),
        )
    };
    SegmenterServiceStatus {
        observed_generation: generation,
        conditions: conditions.collect(),
        replicas: deployment.replicas.unwrap_or(0),
        ready_replicas: deployment.ready_replicas.unwrap_or(0),
        readiness: Some(format!("{}/{}", workload.ready, workload.wanted)),
        selector: Some(identity.selector_text()),
        url,
        grpc_address,
        image: pin.map_or_else(|| earlier.image.clone(), |pin| Some(pin.image.clone())),
        pod_template: pin.map_or_else(
            || earlier.pod_template.clone(),
            |pin| Some(pin.template.clone()),
        ),
        model,
        failure,
    }
}

/// Of a spec that is not carried out nothing is claimed: what holds, holds of what was asked for before.
fn claim_nothing(findings: &mut [(Type, Finding)], why_not: &Finding) {
    for (kind, finding) in findings.iter_mut().filter(|(_, finding)| finding.holds()) {
        let message = match kind {
            // How many pods answer is worth knowing all the same.
            Type::Ready | Type::WorkloadReady => {
                format!("{}; {}", why_not.message, finding.message)
            }
            Type::Accepted
            | Type::ModelReady
            | Type::ScalingReady
            | Type::Routed
            | Type::Monitored => why_not.message.clone(),
            // They are about what there is.
            Type::Progressing | Type::Degraded => continue,
        };
        *finding = Finding::unknown(&why_not.reason, message);
    }
}

const NOT_CARRIED_OUT: &str = "the Deployment's last change is not carried out yet";

/// How the pods are.
struct Workload {
    exists: bool,
    /// Whether it is to become what is asked for.
    carried_out: bool,
    /// Whether the figures are about the Deployment as it is now.
    current: bool,
    wanted: i32,
    ready: i32,
    updated: i32,
    available: i32,
    total: i32,
    failure: Option<Failure>,
    /// The Deployment's own complaints: that pods cannot be made, that it takes too long.
    complaint: Option<(String, String)>,
    suspended: bool,
}

impl Workload {
    fn of(assessment: &Assessment<'_>, status: &DeploymentStatus) -> Self {
        let (observed, spec) = (assessment.observed, assessment.spec);
        let deployment = observed.child(Kind::Deployment);
        let generation = deployment.and_then(|deployment| deployment.metadata.generation);
        let total = status.replicas.unwrap_or(0);
        let carried_out = assessment.carried_out();
        let suspended = carried_out && spec.suspend;
        let wanted = match spec.scaling.mode {
            _ if suspended => 0,
            ScalingMode::Fixed if carried_out => spec.scaling.replicas,
            // Not as many as there are: a new Deployment's first status counts no pods, whatever is wanted.
            ScalingMode::Fixed | ScalingMode::Hpa | ScalingMode::Keda => {
                observed.replicas().unwrap_or(total)
            }
        };
        let ready = status.ready_replicas.unwrap_or(0);
        let updated = status.updated_replicas.unwrap_or(0);
        let complaints = status.conditions.iter().flatten();
        let complaint = complaints
            .filter(|condition| match condition.type_.as_str() {
                "ReplicaFailure" => condition.status == "True",
                "Progressing" => condition.status == "False",
                _ => false,
            })
            .map(|condition| {
                (
                    condition.reason.clone().unwrap_or_default(),
                    condition.message.clone().unwrap_or_default(),
                )
            })
            .next();
        let mut workload = Self {
            exists: deployment.is_some(),
            carried_out,
            current: deployment.is_some()
                && !assessment.behind.contains(&Kind::Deployment)
                && status.observed_generation >= generation,
            wanted,
            ready,
            updated,
            available: status.available_replicas.unwrap_or(0),
            total,
            failure: None,
            complaint,
            suspended,
        };
        if !workload.settled() {
            workload.failure = pods::failure(observed.pods.iter().map(AsRef::as_ref));
        }
        workload
    }

    /// Whether there are as many pods as there should be, ready and of one version.
    fn settled(&self) -> bool {
        self.ready >= self.wanted && self.updated >= self.wanted && self.total == self.updated
    }

    /// Whether all pods that there should be are of the newest version and answer.
    fn complete(&self) -> bool {
        self.current && self.settled() && self.available >= self.wanted
    }

    fn finding(&self) -> Finding {
        let count = format!("{} of {} pods are ready", self.ready, self.wanted);
        if self.suspended {
            return match self.total {
                0 => Finding::yes(
                    "Suspended",
                    "there are no pods because spec.suspend is true",
                ),
                total => Finding::no("Suspending", format!("{total} pods are still ending")),
            };
        }
        if let Some(failure) = &self.failure {
            return Finding::no(&failure.reason, format!("{count}; {}", described(failure)));
        }
        if let Some((reason, message)) = &self.complaint {
            return Finding::no(reason, format!("{count}; {message}"));
        }
        if !self.exists {
            return Finding::no("Creating", "there is no Deployment yet");
        }
        if !self.current {
            return Finding::unknown("Updating", NOT_CARRIED_OUT);
        }
        if self.complete() {
            return match self.wanted {
                0 if self.carried_out => Finding::yes(
                    "Idle",
                    "there are no pods, as the autoscaler or spec.scaling.replicas wants it",
                ),
                _ => Finding::yes("Available", count),
            };
        }
        if self.updated < self.wanted || self.total > self.updated {
            return Finding::no(
                "RollingOut",
                format!(
                    "{count}; {} of {} are of the newest version",
                    self.updated,
                    self.all()
                ),
            );
        }
        Finding::no("Starting", count)
    }

    /// How many pods there are or will be, older ones among them.
    fn all(&self) -> i32 {
        self.total.max(self.wanted)
    }

    fn progressing(&self, spec: &SegmenterServiceSpec) -> Finding {
        let out_of_accelerators = self.failure.as_ref().is_some_and(|failure| {
            failure.reason == "Unschedulable"
                && spec
                    .accelerator
                    .as_ref()
                    .is_some_and(|accelerator| failure.message.contains(&accelerator.resource_name))
        });
        if out_of_accelerators && self.total > self.updated.min(self.ready) {
            return Finding::no(
                "InsufficientAccelerators",
                "a new pod waits for an accelerator that an old one holds: with all of them in use, \
                 set spec.rollout.strategy to InPlace",
            );
        }
        if let Some((reason, message)) = &self.complaint
            && reason == "ProgressDeadlineExceeded"
        {
            return Finding::no(reason, message);
        }
        if self.complete() || !self.exists && !self.carried_out {
            return Finding::no("Settled", "nothing is being replaced");
        }
        if self.exists && !self.current {
            return Finding::yes("RollingOut", NOT_CARRIED_OUT);
        }
        Finding::yes(
            "RollingOut",
            format!(
                "{} of {} pods are of the newest version",
                self.updated,
                self.all()
            ),
        )
    }
}

fn described(failure: &Failure) -> String {
    let container = failure.container.as_ref();
    let place = container.map_or_else(
        || format!("pod {}", failure.pod),
        |container| format!("container {container} of pod {}", failure.pod),
    );
    let code = failure
        .exit_code
        .map_or_else(String::new, |code| format!(" (exit code {code})"));
    format!("{place}{code}: {}", failure.message)
}

fn accepted(assessment: &Assessment<'_>) -> Finding {
    if let Err(error) = assessment.built {
        return Finding::no("InvalidSpec", format!("{error}; nothing was changed"));
    }
    if assessment.spec.paused {
        let message = "spec.paused is true, so the spec is not carried out";
        return Finding::unknown("Paused", message);
    }
    match assessment.applied.failures.first() {
        Some(error) => Finding::no(error.reason(), chain(error)),
        None => Finding::yes("Valid", "everything that was asked for can be had"),
    }
}

fn model(spec: &SegmenterServiceSpec, workload: &Workload) -> Finding {
    let name = &spec.model.name;
    if let Some(failure) = &workload.failure {
        let fetching = failure.container.as_deref() == Some(MODEL_CONTAINER);
        if failure.reason == "DigestMismatch" {
            return Finding::no("DigestMismatch", described(failure));
        }
        if fetching {
            return Finding::no("FetchFailed", described(failure));
        }
    }
    if workload.suspended || workload.wanted == 0 {
        return Finding::unknown(
            "NoPods",
            format!("no pod has {name}, because there are none"),
        );
    }
    if workload.current && workload.ready > 0 && workload.updated > 0 {
        let verified = match &spec.model.digest {
            Some(digest) => format!("{name} is {digest}"),
            None => format!("{name} is loaded"),
        };
        return Finding::yes("Loaded", verified);
    }
    Finding::unknown("Waiting", format!("no pod has loaded {name} yet"))
}

fn missing(kind: Kind) -> String {
    format!(
        "the cluster has no {}: install {}, and it is used without further ado",
        kind.name(),
        kind.provider().unwrap_or("it")
    )
}

/// Conditions as HorizontalPodAutoscalers, ScaledObjects and routes have them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Conditions {
    conditions: Vec<Said>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Said {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: String,
    message: String,
    observed_generation: Option<i64>,
}

impl Conditions {
    fn find(&self, kind: &str) -> Option<&Said> {
        self.conditions.iter().find(|said| said.kind == kind)
    }
}

fn scaling(assessment: &Assessment<'_>) -> Finding {
    let (spec, observed) = (assessment.spec, assessment.observed);
    if spec.suspend {
        return Finding::yes("Suspended", "there are to be no pods");
    }
    let (kind, telling) = match spec.scaling.mode {
        ScalingMode::Fixed => {
            let count = spec.scaling.replicas;
            return Finding::yes("Fixed", format!("spec.scaling.replicas is {count}"));
        }
        ScalingMode::Hpa => (Kind::HorizontalPodAutoscaler, "ScalingActive"),
        ScalingMode::Keda => (Kind::ScaledObject, "Ready"),
    };
    if !observed.serves(kind) {
        return Finding::no("CRDNotInstalled", missing(kind));
    }
    if assessment.applied.waiting.contains(&kind) {
        return Finding::unknown("Waiting", "the autoscaler of before is not gone yet");
    }
    let status: Conditions = observed.status(kind).unwrap_or_default();
    match status.find(telling) {
        Some(said) if said.status == "True" => Finding::yes("Active", &said.message),
        Some(said) => Finding::no(&said.reason, &said.message),
        None => Finding::unknown("Waiting", format!("the {} has no status yet", kind.name())),
    }
}

/// The status of a route: each Gateway says what it thinks.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RouteStatus {
    parents: Vec<Parent>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parent {
    parent_ref: ParentRef,
    #[serde(flatten)]
    said: Conditions,
}

impl Parent {
    /// Whether this is about that Gateway. Some controllers write out what was left to its default: the
    /// namespace, or the listeners.
    fn is(&self, wanted: &ParentRef, namespace: &str) -> bool {
        let of = |parent: &ParentRef| parent.namespace.clone().unwrap_or(namespace.to_owned());
        let listener =
            wanted.section_name.is_none() || wanted.section_name == self.parent_ref.section_name;
        self.parent_ref.name == wanted.name && of(&self.parent_ref) == of(wanted) && listener
    }

    /// Why the Gateway has not taken this generation of the route; `None` if it has.
    fn objection(&self, kind: Kind, generation: Option<i64>) -> Option<Finding> {
        for telling in ["Accepted", "ResolvedRefs"] {
            // Of a controller that does not say which generation it means the newest is assumed.
            let said = self.said.find(telling).filter(|said| {
                let of = said.observed_generation;
                of.is_none() || of >= generation
            });
            match said {
                Some(said) if said.status == "True" => {}
                Some(said) if said.status == "False" => {
                    let message = format!("the {}: {}", kind.name(), said.message);
                    return Some(Finding::no(&said.reason, message));
                }
                _ => return Some(not_taken_yet(kind, &self.parent_ref)),
            }
        }
        None
    }
}

fn not_taken_yet(kind: Kind, gateway: &ParentRef) -> Finding {
    let (route, name) = (kind.name(), &gateway.name);
    Finding::unknown(
        "Waiting",
        format!("the Gateway {name} has not taken the {route} as it is now"),
    )
}

/// Why some Gateway has not taken the route as it is now; `None` if all have.
fn not_taken(assessment: &Assessment<'_>, kind: Kind, gateway: &Gateway) -> Option<Finding> {
    let (observed, identity) = (assessment.observed, assessment.identity);
    let route = observed.child(kind);
    let generation = route.and_then(|route| route.metadata.generation);
    // What is observed of a route that was written since is about the one before.
    let status: Option<RouteStatus> = observed
        .status(kind)
        .filter(|_| !assessment.behind.contains(&kind));
    let parents = status.unwrap_or_default().parents;
    gateway.parent_refs.iter().find_map(|wanted| {
        let answers = parents
            .iter()
            .filter(|parent| parent.is(wanted, &identity.namespace));
        let objections: Option<Vec<_>> = answers
            .map(|answer| answer.objection(kind, generation))
            .collect();
        // One of several listeners, or of the controllers that the Gateway had, is enough.
        let mut objections = objections?;
        let refusal = objections.iter().position(Finding::fails);
        Some(refusal.map_or_else(
            || not_taken_yet(kind, wanted),
            |refusal| objections.swap_remove(refusal),
        ))
    })
}

fn routed(assessment: &Assessment<'_>) -> Finding {
    let (spec, observed) = (assessment.spec, assessment.observed);
    if observed.child(Kind::Service).is_none() {
        return Finding::no("Creating", "there is no Service yet");
    }
    let mut ways = Vec::new();
    let gateway = spec.exposure.gateway.as_ref();
    for (kind, wanted) in [
        (Kind::HttpRoute, gateway.filter(|gateway| gateway.http)),
        (Kind::GrpcRoute, gateway.filter(|gateway| gateway.grpc)),
    ] {
        let Some(gateway) = wanted else {
            continue;
        };
        if !observed.serves(kind) {
            return Finding::no("CRDNotInstalled", missing(kind));
        }
        if let Some(finding) = not_taken(assessment, kind, gateway) {
            return finding;
        }
        ways.push(kind.name());
    }
    if spec.exposure.ingress.is_some() {
        if observed.child(Kind::Ingress).is_none() {
            return Finding::no("Creating", "there is no Ingress yet");
        }
        ways.push(Kind::Ingress.name());
    }
    if ways.is_empty() {
        return Finding::yes(
            "ClusterOnly",
            "the Service is there; nothing leads to it from outside",
        );
    }
    Finding::yes(
        "Routed",
        format!(
            "the Service is there, and leading to it: {}",
            ways.join(", ")
        ),
    )
}

fn monitored(assessment: &Assessment<'_>) -> Finding {
    let (spec, observed) = (assessment.spec, assessment.observed);
    let wanted = [
        (
            Kind::ServiceMonitor,
            spec.observability.service_monitor.enabled,
        ),
        (Kind::PrometheusRule, spec.observability.rules.enabled),
    ];
    let wanted: Vec<_> = wanted
        .into_iter()
        .filter_map(|(kind, wanted)| wanted.then_some(kind))
        .collect();
    if wanted.is_empty() {
        return Finding::no(
            "Disabled",
            "spec.observability asks for neither ServiceMonitor nor PrometheusRule",
        );
    }
    for kind in &wanted {
        if !observed.serves(*kind) {
            return Finding::no("CRDNotInstalled", missing(*kind));
        }
        if observed.child(*kind).is_none() {
            return Finding::no("Creating", format!("there is no {} yet", kind.name()));
        }
    }
    let names: Vec<_> = wanted.iter().map(|kind| kind.name()).collect();
    Finding::yes(
        "Applied",
        format!(
            "there is a {}; whether Prometheus selects it depends on its labels",
            names.join(" and a ")
        ),
    )
}

/// Whether what was asked for runs and is found. While a newer version is rolled out it is not, though the
/// older one answers: who waits for Ready after a change waits for that change.
fn ready(
    accepted: &Finding,
    model: &Finding,
    workload: &Workload,
    workload_ready: &Finding,
    routed: &Finding,
) -> Finding {
    for finding in [accepted, model, routed] {
        if finding.fails() {
            return Finding::no(&finding.reason, &finding.message);
        }
    }
    if workload.suspended {
        return Finding::no("Suspended", "spec.suspend is true");
    }
    if !workload_ready.holds() {
        // A newer version that does not start is no reason to call the old one ready: what was asked for
        // does not run.
        return Finding::no(&workload_ready.reason, &workload_ready.message);
    }
    if routed.holds() {
        let reason = if workload.wanted == 0 {
            "Idle"
        } else {
            "Available"
        };
        return Finding::yes(reason, &workload_ready.message);
    }
    Finding::no(&routed.reason, &routed.message)
}

/// Whether something does not work that would have to.
fn degraded(findings: &[(Type, &Finding)]) -> Finding {
    const TRANSIENT: [&str; 5] = [
        "Creating",
        "Starting",
        "RollingOut",
        "Updating",
        "Suspending",
    ];
    let failed = findings
        .iter()
        .find(|(_, finding)| finding.fails() && !TRANSIENT.contains(&finding.reason.as_str()));
    match failed {
        Some((kind, finding)) => Finding::yes(
            &finding.reason,
            format!("{} is False: {}", kind.name(), finding.message),
        ),
        None => Finding::no("AsExpected", "nothing fails"),
    }
}

fn source(source: &ModelSource) -> &'static str {
    match source {
        ModelSource { http: Some(_), .. } => "http",
        ModelSource { pvc: Some(_), .. } => "pvc",
        ModelSource { image: Some(_), .. } => "image",
        ModelSource { .. } => "embedded",
    }
}

/// Where HTTP is answered: through the Ingress if there is one, else inside the cluster. Not through a
/// Gateway: its scheme and port are its listeners', which the operator has no right to read.
fn url(assessment: &Assessment<'_>) -> String {
    let (identity, spec) = (assessment.identity, assessment.spec);
    if let Some(ingress) = &spec.exposure.ingress {
        let scheme = if ingress.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let status: IngressStatus = assessment
            .observed
            .status(Kind::Ingress)
            .unwrap_or_default();
        let balancer = status.load_balancer.and_then(|balancer| balancer.ingress);
        let address = balancer
            .into_iter()
            .flatten()
            .find_map(|point| point.hostname.or(point.ip));
        if let Some(host) = ingress.hosts.first().cloned().or(address) {
            return format!("{scheme}://{host}{}", ingress.path.trim_end_matches('/'));
        }
    }
    format!(
        "http://{}.{}.svc:{}",
        identity.name, identity.namespace, spec.serving.http_port
    )
}

fn grpc_address(assessment: &Assessment<'_>) -> String {
    let (identity, spec) = (assessment.identity, assessment.spec);
    let gateway = spec.exposure.gateway.as_ref();
    match gateway.and_then(|gateway| gateway.grpc_hosts.first()) {
        Some(host) => host.clone(),
        None => format!(
            "{}.{}.svc:{}",
            identity.name, identity.namespace, spec.serving.grpc_port
        ),
    }
}

#[cfg(test)]
mod tests;

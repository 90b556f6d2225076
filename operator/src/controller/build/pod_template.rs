use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, HTTPGetAction,
        ImageVolumeSource, LocalObjectReference, PersistentVolumeClaimVolumeSource,
        PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile,
        SecurityContext, TopologySpreadConstraint, Volume, VolumeMount,
    },
    apimachinery::pkg::{
        api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString,
    },
};
use sha2::{Digest, Sha256};

use super::{
    Blueprint, InvalidSpec, Pin, overlay,
    service::{GRPC, HTTP},
};
use crate::api::{Image, Model, ModelSource, SegmenterServiceSpec, TopologySpread};

/// The container that serves.
pub const CONTAINER: &str = "segmenter";
/// The container that downloads the model before that.
pub const MODEL_CONTAINER: &str = "model";

/// Where models that are not in the image are mounted.
const MODEL_DIR: &str = "/var/lib/segmenter/models";
const MODEL_VOLUME: &str = "model";
/// The user that the image is made for; any other would do.
const USER: i64 = 65532;
/// What a pod needs after its last request to end by itself, in seconds.
const END: i32 = 5;

/// The pod template, and which image it has.
pub(super) fn build(blueprint: &Blueprint<'_>) -> Result<(PodTemplateSpec, Pin), InvalidSpec> {
    let spec = blueprint.spec;
    let hash = {
        let template = with_image(blueprint, "")?;
        // All of it are strings, numbers and sorted maps.
        let text = serde_json::to_vec(&template).unwrap_or_default();
        let digest = Sha256::digest(text);
        digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let default = match &spec.accelerator {
        Some(_) => &blueprint.defaults.accelerator_image,
        None => &blueprint.defaults.image,
    };
    let default = match &blueprint.pinned {
        Some(pin) if pin.template == hash => &pin.image,
        _ => default,
    };
    let template = with_image(blueprint, &reference(&spec.image, default))?;
    let pin = Pin {
        image: default.clone(),
        template: hash,
    };
    Ok((template, pin))
}

/// The whole reference of an image: what is not given is that of `default`.
fn reference(image: &Image, default: &str) -> String {
    let (name, digest) = default
        .split_once('@')
        .map_or((default, None), |(name, digest)| (name, Some(digest)));
    // A colon after the last slash begins a tag; one before it a port.
    let tag_at = name.rfind(':').filter(|&at| !name[at..].contains('/'));
    let (repository, tag) = tag_at.map_or((name, None), |at| (&name[..at], Some(&name[at + 1..])));
    let theirs = image.repository.is_none() && image.tag.is_none() && image.digest.is_none();
    if theirs {
        return default.to_owned();
    }
    let repository = image.repository.as_deref().unwrap_or(repository);
    // A tag or digest of the default's says nothing of another repository, nor a digest of another tag.
    let own = image.repository.is_none();
    let tag = image
        .tag
        .as_deref()
        .or_else(|| tag.filter(|_| own && image.digest.is_none()));
    let digest = image
        .digest
        .as_deref()
        .or_else(|| digest.filter(|_| own && image.tag.is_none()));
    let mut reference = repository.to_owned();
    if let Some(tag) = tag {
        reference.extend([":", tag]);
    }
    if let Some(digest) = digest {
        reference.extend(["@", digest]);
    }
    reference
}

fn with_image(blueprint: &Blueprint<'_>, image: &str) -> Result<PodTemplateSpec, InvalidSpec> {
    let (identity, spec) = (blueprint.identity, blueprint.spec);
    let mut labels = identity.labels();
    labels.extend(spec.pod.labels.clone());
    let pod = &spec.pod;
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: (!pod.annotations.is_empty()).then(|| pod.annotations.clone()),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            init_containers: model_container(spec, image).map(|container| vec![container]),
            containers: vec![container(spec, image)],
            volumes: model_volume(&spec.model).map(|volume| vec![volume]),
            // It never talks to the API server, and needs no variable for each Service.
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            service_account_name: spec.security.service_account_name.clone(),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(USER),
                run_as_group: Some(USER),
                fs_group: Some(USER),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            termination_grace_period_seconds: Some(i64::from(
                spec.serving.drain_seconds + spec.serving.grace_seconds + END,
            )),
            image_pull_secrets: some(
                spec.image
                    .pull_secrets
                    .iter()
                    .map(|name| LocalObjectReference { name: name.clone() })
                    .collect(),
            ),
            runtime_class_name: spec
                .accelerator
                .as_ref()
                .and_then(|accelerator| accelerator.runtime_class_name.clone()),
            topology_spread_constraints: topology_spread(blueprint),
            node_selector: (!pod.node_selector.is_empty()).then(|| pod.node_selector.clone()),
            tolerations: some(pod.tolerations.clone()),
            affinity: pod.affinity.clone(),
            priority_class_name: pod.priority_class_name.clone(),
            ..PodSpec::default()
        }),
    };
    match &pod.overlay {
        Some(overlay) => overlay::lay(&template, overlay, identity),
        None => Ok(template),
    }
}

/// The container that serves.
fn container(spec: &SegmenterServiceSpec, image: &str) -> Container {
    let serving = &spec.serving;
    let probe = |path: &str, period, failures| Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(HTTP.to_owned()),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        timeout_seconds: Some(2),
        ..Probe::default()
    };
    let port = |name: &str, number| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    Container {
        name: CONTAINER.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some(spec.image.pull_policy.as_str().to_owned()),
        args: Some(vec!["serve".to_owned()]),
        env: Some(environment(spec)),
        ports: Some(vec![
            port(HTTP, serving.http_port),
            port(GRPC, serving.grpc_port),
        ]),
        resources: Some(resources(spec)),
        // It starts in a fraction of a second with the default model; a large one may take the time that a
        // rollout may take.
        startup_probe: Some(probe(
            "/startupz",
            1,
            spec.rollout.progress_deadline_seconds,
        )),
        readiness_probe: Some(probe("/readyz", 2, 1)),
        liveness_probe: Some(probe("/livez", 10, 6)),
        security_context: Some(restricted()),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: model_volume(&spec.model).map(|_| vec![model_mount(true)]),
        ..Container::default()
    }
}

/// The container that downloads the model, where it is downloaded.
fn model_container(spec: &SegmenterServiceSpec, image: &str) -> Option<Container> {
    let model = &spec.model;
    let http = model.source.http.as_ref()?;
    let mut environment = vec![
        variable("SEGMENTER_MODEL_DIR", MODEL_DIR),
        variable("SEGMENTER_LOG_FORMAT", "json"),
    ];
    if let Some(url) = &http.url {
        environment.push(variable("SEGMENTER_URL", url));
    }
    environment.extend(sha256(model));
    let amount = |amount: &str| Some([("memory".to_owned(), Quantity(amount.to_owned()))].into());
    Some(Container {
        name: MODEL_CONTAINER.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some(spec.image.pull_policy.as_str().to_owned()),
        args: Some(vec!["pull".to_owned(), model.name.clone()]),
        env: Some(environment),
        // It holds a buffer of the file at a time.
        resources: Some(ResourceRequirements {
            requests: amount("64Mi"),
            limits: amount("128Mi"),
            claims: None,
        }),
        security_context: Some(restricted()),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(vec![model_mount(false)]),
        ..Container::default()
    })
}

fn environment(spec: &SegmenterServiceSpec) -> Vec<EnvVar> {
    let (model, serving) = (&spec.model, &spec.serving);
    let mut environment = vec![
        variable("SEGMENTER_MODEL", &model.name),
        // What it needs is there when it starts.
        variable("SEGMENTER_OFFLINE", "true"),
        variable("SEGMENTER_HTTP", &format!("[::]:{}", serving.http_port)),
        variable("SEGMENTER_GRPC", &format!("[::]:{}", serving.grpc_port)),
        variable("SEGMENTER_QUEUE", &serving.queue.to_string()),
        variable(
            "SEGMENTER_DEADLINE",
            &format!("{}s", serving.deadline_seconds),
        ),
        variable(
            "SEGMENTER_DRAIN_DELAY",
            &format!("{}s", serving.drain_seconds),
        ),
        variable("SEGMENTER_GRACE", &format!("{}s", serving.grace_seconds)),
        variable("SEGMENTER_LOG_LEVEL", serving.log_level.as_str()),
        variable("SEGMENTER_LOG_FORMAT", "json"),
    ];
    match &model.source {
        ModelSource { http: Some(_), .. } => {
            environment.push(variable("SEGMENTER_MODEL_DIR", MODEL_DIR));
        }
        ModelSource { pvc: Some(pvc), .. } => {
            environment.push(variable(
                "SEGMENTER_WEIGHTS",
                &format!("{MODEL_DIR}/{}", pvc.path),
            ));
        }
        ModelSource {
            image: Some(image), ..
        } => {
            environment.push(variable(
                "SEGMENTER_WEIGHTS",
                &format!("{MODEL_DIR}/{}", image.path),
            ));
        }
        ModelSource { .. } => {}
    }
    environment.extend(sha256(model));
    if let Some(threshold) = model.threshold {
        environment.push(variable("SEGMENTER_THRESHOLD", &threshold.to_string()));
    }
    if !model.classes.is_empty() {
        environment.push(variable("SEGMENTER_CLASSES", &model.classes.join(",")));
    }
    if spec.accelerator.is_some() {
        environment.push(variable("SEGMENTER_DEVICE", "gpu"));
    }
    environment.extend(serving.env.iter().cloned());
    environment
}

fn sha256(model: &Model) -> Option<EnvVar> {
    let digest = model.digest.as_deref()?;
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    Some(variable("SEGMENTER_SHA256", hex))
}

fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        value_from: None,
    }
}

/// What is asked for, and the accelerator, of which Kubernetes wants request and limit to be the same.
fn resources(spec: &SegmenterServiceSpec) -> ResourceRequirements {
    let mut resources = spec.resources.clone();
    if let Some(accelerator) = &spec.accelerator {
        for amounts in [&mut resources.requests, &mut resources.limits] {
            let amounts = amounts.get_or_insert_default();
            let count = Quantity(accelerator.count.to_string());
            amounts.insert(accelerator.resource_name.clone(), count);
        }
    }
    resources
}

/// As the Pod Security Standard "restricted" wants it, and with a file system that cannot be written.
fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: None,
        }),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}

/// The volume with the model, if it is not in the image.
fn model_volume(model: &Model) -> Option<Volume> {
    let volume = Volume {
        name: MODEL_VOLUME.to_owned(),
        ..Volume::default()
    };
    match &model.source {
        ModelSource { http: Some(_), .. } => Some(Volume {
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..volume
        }),
        ModelSource { pvc: Some(pvc), .. } => Some(Volume {
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: pvc.claim_name.clone(),
                read_only: Some(true),
            }),
            ..volume
        }),
        ModelSource {
            image: Some(image), ..
        } => Some(Volume {
            image: Some(ImageVolumeSource {
                reference: Some(image.reference.clone()),
                pull_policy: Some(image.pull_policy.as_str().to_owned()),
            }),
            ..volume
        }),
        ModelSource { .. } => None,
    }
}

fn model_mount(read_only: bool) -> VolumeMount {
    VolumeMount {
        name: MODEL_VOLUME.to_owned(),
        mount_path: MODEL_DIR.to_owned(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    }
}

fn topology_spread(blueprint: &Blueprint<'_>) -> Option<Vec<TopologySpreadConstraint>> {
    let unsatisfied = match blueprint.spec.availability.topology_spread {
        TopologySpread::Preferred => "ScheduleAnyway",
        TopologySpread::Required => "DoNotSchedule",
        TopologySpread::None => return None,
    };
    let constraints = ["topology.kubernetes.io/zone", "kubernetes.io/hostname"].map(|key| {
        TopologySpreadConstraint {
            max_skew: 1,
            topology_key: key.to_owned(),
            when_unsatisfiable: unsatisfied.to_owned(),
            label_selector: Some(blueprint.identity.label_selector()),
            // Pods of the version that is going do not count.
            match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
            ..TopologySpreadConstraint::default()
        }
    });
    Some(constraints.into())
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

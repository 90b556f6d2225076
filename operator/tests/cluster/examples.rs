//! The files that users copy from.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, ensure};
use segmenter_cluster::ControlPlane;
use segmenter_operator::{controller::kind::Kind, metrics::Metrics, runtime::discovery};

use crate::support::{DISCOVERY, Result, Stage, rights::file};

/// What each consists of, in a cluster that has everything.
const EXAMPLES: [(&str, &[Kind]); 7] = [
    ("minimal", &[]),
    (
        "autoscaled",
        &[Kind::PodDisruptionBudget, Kind::HorizontalPodAutoscaler],
    ),
    (
        "exposed",
        &[Kind::Ingress, Kind::HttpRoute, Kind::GrpcRoute],
    ),
    ("scale-to-zero", &[Kind::ScaledObject]),
    ("own-weights", &[]),
    ("accelerated", &[]),
    (
        "everything",
        &[
            Kind::PodDisruptionBudget,
            Kind::NetworkPolicy,
            Kind::HorizontalPodAutoscaler,
            Kind::Ingress,
            Kind::HttpRoute,
            Kind::GrpcRoute,
            Kind::ConfigMap,
        ],
    ),
];

/// What all of them have.
const ALWAYS: [Kind; 4] = [
    Kind::Deployment,
    Kind::Service,
    Kind::ServiceMonitor,
    Kind::PrometheusRule,
];

pub(crate) async fn each_is_accepted_and_carried_out(plane: Arc<ControlPlane>) -> Result {
    let stage = Stage::new(plane, "examples").await?;
    let served = discovery::follow(stage.client.clone(), DISCOVERY, Arc::new(Metrics::new()?));
    let served = served.await.borrow().clone();
    let expected: BTreeMap<_, _> = EXAMPLES.into_iter().collect();
    let files = std::fs::read_dir(file("examples"))?;
    let names = files.map(|file| Ok(file?.path()));
    let names = names.collect::<std::io::Result<Vec<_>>>()?;
    ensure!(names.len() == expected.len(), "{names:?}");
    for path in names {
        let text = std::fs::read_to_string(&path)?;
        ensure!(text.starts_with("# "), "{path:?} does not say why");
        let apply = [
            "apply",
            "--validate=strict",
            "--namespace=examples",
            "--filename=-",
        ];
        let output = stage.plane.kubectl_with_input(&apply, &text).await?;
        output.ok()?;
        let name = path.file_stem().and_then(|name| name.to_str());
        let name = name.context("names are UTF-8")?;
        let kinds = expected.get(name).context("what does it consist of?")?;
        let mut kinds = [&ALWAYS, *kinds].concat();
        kinds.retain(|kind| kind.provider().is_none() || served.contains(kind));
        kinds.sort();
        stage.has_exactly(name, &kinds).await?;
        stage.condition(name, "Accepted", "True", "Valid").await?;
    }
    Ok(())
}

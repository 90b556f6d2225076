use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::controller::{
    build::{Blueprint, Defaults, build},
    fixtures::{UID, service},
};

/// What the API server is asked to write while it has these objects and the watches have seen none of them.
async fn written(spec: &Value, memory: &Memory, there: Vec<(&'static str, Value)>) -> Vec<String> {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&requests);
    let answer = move |request: Request<Body>| {
        let path = request.uri().path().to_owned();
        let kind = path.trim_end_matches("/demo").rsplit('/').next();
        let kind = kind.unwrap_or_default().to_owned();
        let found = there.iter().find(|(there, _)| *there == kind);
        let (status, body) = match (request.method(), found) {
            (&Method::GET, None) => (
                StatusCode::NOT_FOUND,
                json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": ""}),
            ),
            (_, found) => {
                let object = found.map(|(_, object)| object.clone());
                (
                    StatusCode::OK,
                    object.unwrap_or_else(|| json!({"metadata": {"name": "demo"}})),
                )
            }
        };
        if request.method() != Method::GET {
            let manager = request.uri().query().unwrap_or_default();
            let manager = manager.split('&').find(|pair| pair.contains("handover"));
            let manager = manager.map_or_else(String::new, |_| " by handover".to_owned());
            log.lock()
                .unwrap()
                .push(format!("{} {kind}{manager}", request.method()));
        }
        let mut response = Response::new(Body::from(body.to_string().into_bytes()));
        *response.status_mut() = status;
        async { Ok::<_, Infallible>(response) }
    };
    let client = Client::new(tower::service_fn(answer), "team");
    let service = service("demo", spec);
    let identity = Identity::of(&service).unwrap();
    let built = build(&Blueprint {
        identity: &identity,
        spec: &service.spec,
        defaults: &Defaults::default(),
        pinned: None,
    });
    let children = built.unwrap().children;
    let observed = Observed::of(Vec::new(), Kind::ALL.into_iter().collect());
    let applied = apply(
        &client,
        memory,
        &identity,
        &service.spec,
        &children,
        &observed,
    )
    .await;
    assert!(applied.failures.is_empty(), "{:?}", applied.failures);
    requests.lock().unwrap().clone()
}

fn metadata() -> Value {
    json!({
        "name": "demo", "namespace": "team", "uid": "1",
        "ownerReferences": [{
            "apiVersion": "segmenter.dev/v1alpha1", "kind": "SegmenterService",
            "name": "demo", "uid": UID, "controller": true,
        }],
    })
}

fn keda() -> Value {
    json!({"scaling": {"mode": "KEDA", "maxReplicas": 4, "keda": {"prometheusAddress": "http://prometheus:9090"}}})
}

#[tokio::test]
async fn an_autoscaler_that_was_just_made_goes_before_another_comes() {
    let memory = Memory::default();
    let object = serde_json::from_value(json!({"metadata": metadata()})).unwrap();
    memory.note(UID, Kind::HorizontalPodAutoscaler, 0, &object);
    let there = ("horizontalpodautoscalers", json!({"metadata": metadata()}));
    let requests = written(&keda(), &memory, vec![there]).await;
    assert!(
        requests.contains(&"DELETE horizontalpodautoscalers".to_owned()),
        "{requests:?}"
    );
    assert!(
        !requests.contains(&"PATCH scaledobjects".to_owned()),
        "{requests:?}"
    );
    // It is gone.
    let requests = written(&keda(), &memory, Vec::new()).await;
    assert!(
        requests.contains(&"PATCH scaledobjects".to_owned()),
        "{requests:?}"
    );
}

#[tokio::test]
async fn replicas_of_a_deployment_that_was_just_made_are_handed_over() {
    let mut metadata = metadata();
    metadata["managedFields"] = json!([{
        "manager": FIELD_MANAGER, "operation": "Apply",
        "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }]);
    let deployment = json!({"metadata": metadata, "spec": {
        "replicas": 3, "selector": {}, "template": {},
    }});
    let there = vec![("deployments", deployment)];
    let requests = written(&keda(), &Memory::default(), there).await;
    let first = requests.first().map(String::as_str);
    assert_eq!(first, Some("PATCH deployments by handover"), "{requests:?}");
}

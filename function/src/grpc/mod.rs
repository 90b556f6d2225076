//! Port 9090: the main API, the full one, the Open Inference Protocol, health and reflection.

mod admission;
mod codec;
mod detector;
mod full;
mod health;

use std::sync::Arc;

use axum::{Router, middleware};
use tonic::{Status, metadata::MetadataValue, service::Routes};
use tonic_health::server::HealthReporter;
use tonic_reflection::server::Builder as Reflection;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    dialects::open_inference,
    error::Error,
    observe::{Observer, Protocol, observe},
    service::Segmenter,
};
pub(crate) use admission::ticket;
pub use health::report;

/// The main API and the Open Inference Protocol, generated from `inference.proto` and `open_inference.proto`.
pub mod inference {
    #![expect(missing_docs, reason = "generated")]
    tonic::include_proto!("inference");
}

/// The full API, generated from `segmenter.proto`.
pub mod v1 {
    #![expect(missing_docs, reason = "generated")]
    tonic::include_proto!("segmenter.v1");
}

/// What reflection tells of them.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Every method of port 9090, as it is called in paths and in metrics.
pub const METHODS: &[&str] = &[
    "/inference.InstanceDetector/Predict",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
    "/inference.GRPCInferenceService/ModelReady",
    "/inference.GRPCInferenceService/ServerMetadata",
    "/inference.GRPCInferenceService/ModelMetadata",
    "/inference.GRPCInferenceService/ModelInfer",
    "/segmenter.v1.Segmenter/Predict",
    "/segmenter.v1.Segmenter/Models",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// What a message adds to the picture in it, in bytes: tags, lengths, other fields.
const ENVELOPE: usize = 64 << 10;

/// In bytes: enough for a hundred masks of a 64 megapixel picture as run lengths or outlines, and more than masks as PNG may
/// take.
pub(crate) const LARGEST_REPLY: usize = 256 << 20;

/// All services of port 9090. Health follows `health`, which [`report`] keeps up to date.
pub fn router(
    segmenter: &Arc<Segmenter>,
    health: HealthReporter,
) -> Result<Router, tonic_reflection::server::Error> {
    let observer = Observer {
        segmenter: Arc::clone(segmenter),
        protocol: Protocol::Grpc,
    };
    let largest = segmenter.limits().picture.max_body.saturating_add(ENVELOPE);
    let reflection = || {
        Reflection::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let health = tonic_health::server::HealthService::from_health_reporter(health);
    Ok(Routes::new(detector::service(Arc::clone(segmenter)))
        .add_service(full::service(Arc::clone(segmenter), largest))
        .add_service(open_inference::grpc::service(
            Arc::clone(segmenter),
            largest,
        ))
        .add_service(tonic_health::pb::health_server::HealthServer::new(health))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .into_axum_router()
        .layer(middleware::from_fn_with_state(
            Arc::clone(segmenter),
            admission::admit,
        ))
        .layer(CatchPanicLayer::custom(|_| {
            status(&Error::internal()).into_http::<axum::body::Body>()
        }))
        .layer(middleware::from_fn_with_state(observer, observe)))
}

/// What a gRPC client is told of an error. When a retry is worth it goes where clients look for that:
/// <https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback>.
pub(crate) fn status(error: &Error) -> Status {
    let mut status = Status::new(error.grpc_code(), error.to_string());
    if let Error::Overloaded { retry_after, .. } = error {
        let ms = i32::try_from(retry_after.as_millis()).unwrap_or(i32::MAX);
        status
            .metadata_mut()
            .insert("grpc-retry-pushback-ms", MetadataValue::from(ms));
    }
    status
}

#[cfg(test)]
mod tests;

//! Health, for each service and for the server.

use tokio::sync::watch;
use tonic::server::NamedService;
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{
    detector::Detector,
    full::Full,
    inference::{
        grpc_inference_service_server::GrpcInferenceServiceServer,
        instance_detector_server::InstanceDetectorServer,
    },
    v1::segmenter_server::SegmenterServer,
};
use crate::dialects::open_inference::grpc::OpenInference;

/// The server as a whole, and what it offers.
const SERVICES: [&str; 4] = [
    "",
    InstanceDetectorServer::<Detector>::NAME,
    GrpcInferenceServiceServer::<OpenInference>::NAME,
    SegmenterServer::<Full>::NAME,
];

/// Says that all services are serving while nothing is pending, until `stop`; then all who watch are
/// let go, so that they do not keep the server from ending.
pub async fn report(
    mut reporter: HealthReporter,
    mut pending: watch::Receiver<Vec<&'static str>>,
    stop: impl Future<Output = ()>,
) {
    let follow = async {
        loop {
            let status = if pending.borrow_and_update().is_empty() {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            for service in SERVICES {
                reporter.set_service_status(service, status).await;
            }
            if pending.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = follow => {}
        () = stop => {}
    }
    for service in SERVICES {
        reporter.clear_service_status(service).await;
    }
}

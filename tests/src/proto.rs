//! The gRPC clients.
#![allow(missing_docs, reason = "generated; the protos carry the documentation")]

/// The main API, and the Open Inference Protocol.
pub mod inference {
    tonic::include_proto!("inference");
}

/// The full API.
pub mod segmenter {
    tonic::include_proto!("segmenter.v1");
}

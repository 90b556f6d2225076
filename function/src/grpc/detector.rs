//! `inference.InstanceDetector`: the names of the objects in a picture.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{
    admission::ticket,
    inference::{
        InstanceDetectorInput, InstanceDetectorOutput,
        instance_detector_server::{InstanceDetector, InstanceDetectorServer},
    },
    status,
};
use crate::{
    encode,
    service::{Handling, Segmenter, Source, Wish},
};

pub(super) fn service(segmenter: Arc<Segmenter>) -> InstanceDetectorServer<Detector> {
    // URLs are short: the default limit of 4 MiB is more than enough.
    InstanceDetectorServer::new(Detector { segmenter })
}

pub(super) struct Detector {
    segmenter: Arc<Segmenter>,
}

#[tonic::async_trait]
impl InstanceDetector for Detector {
    async fn predict(
        &self,
        request: Request<InstanceDetectorInput>,
    ) -> Result<Response<InstanceDetectorOutput>, Status> {
        let ticket = ticket(&self.segmenter, request.extensions())?;
        let source = Source::Url(request.into_inner().url);
        let answer = async {
            let query = self.segmenter.query(&Wish::default())?;
            self.segmenter
                .predict(&ticket, source, query, Handling::default())
                .await
        };
        let answer = answer.await.map_err(|error| status(&error))?;
        let names = encode::names(&answer);
        Ok(Response::new(InstanceDetectorOutput {
            objects: names.into_iter().map(str::to_owned).collect(),
        }))
    }
}

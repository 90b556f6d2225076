//! `segmenter.v1.Segmenter`: boxes, scores and outlines.

use std::{sync::Arc, time::Instant};

use segmenter_imaging::{polygon::outlines, rle::Rle};
use tonic::{Request, Response, Status};

use super::{
    LARGEST_REPLY,
    admission::ticket,
    status,
    v1::{
        self, MaskFormat, ModelInfo, ModelsReply, ModelsRequest, PredictReply, PredictRequest,
        detection, predict_request,
        segmenter_server::{Segmenter as Service, SegmenterServer},
    },
};
use crate::{
    encode::{self, PngBudget, class_names, label, task_name},
    error::Error,
    service::{Answer, Handling, Segmenter, Source, Wish},
};

pub(super) fn service(segmenter: Arc<Segmenter>, largest: usize) -> SegmenterServer<Full> {
    SegmenterServer::new(Full { segmenter })
        .max_decoding_message_size(largest)
        .max_encoding_message_size(LARGEST_REPLY)
}

pub(super) struct Full {
    segmenter: Arc<Segmenter>,
}

#[tonic::async_trait]
impl Service for Full {
    async fn predict(
        &self,
        request: Request<PredictRequest>,
    ) -> Result<Response<PredictReply>, Status> {
        let ticket = ticket(&self.segmenter, request.extensions())?;
        let request = request.into_inner();
        let answer = async {
            let masks = mask_format(request.masks)?;
            let source = source(request.source)?;
            let query = self.segmenter.query(&Wish {
                model: Some(request.model).filter(|name| !name.is_empty()),
                threshold: request.threshold,
                max_detections: request.max_detections.map(|most| most as usize),
                classes: request.classes,
                masks: masks != encode::MaskFormat::None,
                ..Wish::default()
            })?;
            let answer = self
                .segmenter
                .predict(&ticket, source, query, Handling::default())
                .await?;
            let deadline = ticket.deadline;
            let (reply, _) = self
                .segmenter
                .encode(&ticket, answer, move |answer| {
                    reply(answer, masks, deadline, PngBudget::default())
                })
                .await?;
            Ok(reply)
        };
        answer
            .await
            .map(Response::new)
            .map_err(|error: Error| status(&error))
    }

    async fn models(&self, _: Request<ModelsRequest>) -> Result<Response<ModelsReply>, Status> {
        let models = self.segmenter.models().iter().map(|model| {
            let entry = model.entry;
            ModelInfo {
                name: entry.name.to_owned(),
                task: task_name(entry.task).to_owned(),
                summary: entry.summary.to_owned(),
                classes: class_names(entry).map(str::to_owned).collect(),
                threshold: model.threshold,
                licence: entry.licence.to_owned(),
                loaded: model.is_loaded(),
                device: model.device().map(|device| device.to_string()),
                precision: model.precision().map(|precision| precision.to_string()),
            }
        });
        Ok(Response::new(ModelsReply {
            models: models.collect(),
        }))
    }
}

fn source(source: Option<predict_request::Source>) -> Result<Source, Error> {
    match source {
        Some(predict_request::Source::Url(url)) => Ok(Source::Url(url)),
        Some(predict_request::Source::Image(image)) if !image.is_empty() => {
            Ok(Source::Bytes(image.into()))
        }
        _ => Err(Error::BadInput(
            "the request has no picture, expected image or url".to_owned(),
        )),
    }
}

fn mask_format(number: i32) -> Result<encode::MaskFormat, Error> {
    match MaskFormat::try_from(number) {
        Ok(MaskFormat::Unspecified | MaskFormat::Rle) => Ok(encode::MaskFormat::Rle),
        Ok(MaskFormat::None) => Ok(encode::MaskFormat::None),
        Ok(MaskFormat::Polygon) => Ok(encode::MaskFormat::Polygon),
        Ok(MaskFormat::Png) => Ok(encode::MaskFormat::Png),
        Err(_) => Err(Error::BadInput(format!(
            "masks is {number}, expected a value of MaskFormat"
        ))),
    }
}

fn reply(
    answer: &Answer,
    masks: encode::MaskFormat,
    deadline: Instant,
    mut budget: PngBudget,
) -> Result<PredictReply, Error> {
    let prediction = &answer.prediction;
    let detections = encode::detections(answer)
        .iter()
        .map(|detection| {
            let [x0, y0, x1, y1] = detection.bbox;
            encode::in_time(deadline)?;
            let mask = detection.mask.as_ref();
            Ok(v1::Detection {
                label: label(answer.entry, detection.class).to_owned(),
                class_id: detection.class,
                score: detection.score,
                r#box: Some(v1::Box { x0, y0, x1, y1 }),
                mask: mask.map_or(Ok(None), |mask| encoded(mask, masks, &mut budget))?,
            })
        })
        .collect::<Result<_, Error>>()?;
    Ok(PredictReply {
        model: answer.entry.name.to_owned(),
        width: prediction.width,
        height: prediction.height,
        detections,
    })
}

fn encoded(
    mask: &Rle,
    format: encode::MaskFormat,
    budget: &mut PngBudget,
) -> Result<Option<detection::Mask>, Error> {
    Ok(match format {
        encode::MaskFormat::None => None,
        encode::MaskFormat::Rle => Some(detection::Mask::Rle(v1::Rle {
            height: mask.height(),
            width: mask.width(),
            counts: mask.to_coco_string(),
        })),
        encode::MaskFormat::Polygon => {
            let polygons = outlines(mask).into_iter().map(|part| v1::Polygon {
                exterior: points(&part.exterior),
                holes: part
                    .holes
                    .iter()
                    .map(|hole| v1::Ring {
                        points: points(hole),
                    })
                    .collect(),
            });
            Some(detection::Mask::Polygon(v1::MultiPolygon {
                polygons: polygons.collect(),
            }))
        }
        encode::MaskFormat::Png => {
            let png = encode::mask_png(mask)?;
            budget.take(png.len())?;
            Some(detection::Mask::Png(png))
        }
    })
}

/// x0, y0, x1, y1, ...
fn points(ring: &[[u32; 2]]) -> Vec<f32> {
    ring.as_flattened()
        .iter()
        .map(|side| *side as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::two_objects;

    #[test]
    fn masks_as_png_have_the_end_that_they_have_over_http() {
        let answer = two_objects();
        let later = Instant::now() + Duration::from_mins(1);
        let png = encode::MaskFormat::Png;
        assert!(reply(&answer, png, later, PngBudget::default()).is_ok());
        let large = reply(&answer, png, later, PngBudget::new(10)).unwrap_err();
        assert!(matches!(large, Error::TooLarge(_)), "{large}");
        let rle = encode::MaskFormat::Rle;
        assert!(reply(&answer, rle, later, PngBudget::new(10)).is_ok());
    }
}

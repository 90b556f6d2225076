//! The full reply in JSON.

use std::time::Instant;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytesize::ByteSize;
use segmenter_imaging::{polygon::outlines, rle::Rle};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{detections, failed, in_time, label, mask_png};
use crate::{error::Error, service::Answer};

/// How masks are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MaskFormat {
    /// COCO's compressed run lengths.
    Rle,
    /// Outlines with holes.
    Polygon,
    /// A greyscale PNG as large as the picture, 255 inside.
    Png,
    /// Not at all; then none are computed.
    None,
}

impl MaskFormat {
    /// By its name in parameters.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "rle" => Some(Self::Rle),
            "polygon" => Some(Self::Polygon),
            "png" => Some(Self::Png),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

/// Everything that was found on a picture.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reply {
    /// The model that answered.
    model: &'static str,
    /// Width of the picture in pixels, with its EXIF orientation applied.
    width: u32,
    /// Height of the picture in pixels, with its EXIF orientation applied.
    height: u32,
    /// The most certain first.
    detections: Vec<Found>,
}

/// One object.
#[derive(Debug, Serialize, ToSchema)]
struct Found {
    /// Name of its class.
    label: &'static str,
    /// Number of its class.
    class_id: u32,
    /// Confidence, 0 to 1.
    score: f32,
    r#box: Corners,
    /// Its outline, where asked for and the model has outlines.
    #[serde(skip_serializing_if = "Option::is_none")]
    mask: Option<Mask>,
}

/// A box in pixels, x to the right and y down from the top left of the picture.
#[derive(Debug, Serialize, ToSchema)]
struct Corners {
    x0: f32,
    y0: f32,
    x1: f32,
    y1: f32,
}

/// An outline in the form that was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Mask {
    /// COCO's run lengths.
    Rle {
        /// Height and width of the picture in pixels.
        size: [u32; 2],
        /// Runs column after column, in COCO's compressed form.
        counts: String,
    },
    /// The connected parts.
    Polygon(Vec<Part>),
    /// A greyscale PNG as large as the picture in base64, 255 inside.
    Png(String),
}

/// A connected part of an outline. Corners are in pixels, the first is not repeated at the end.
#[derive(Debug, Serialize, ToSchema)]
struct Part {
    /// Its outer edge.
    exterior: Vec<[u32; 2]>,
    /// The edges of the holes in it.
    holes: Vec<Vec<[u32; 2]>>,
}

impl Mask {
    fn new(mask: &Rle, format: MaskFormat) -> Result<Option<Self>, Error> {
        Ok(match format {
            MaskFormat::None => None,
            MaskFormat::Rle => Some(Self::Rle {
                size: [mask.height(), mask.width()],
                counts: mask.to_coco_string(),
            }),
            MaskFormat::Polygon => {
                let parts = outlines(mask).into_iter().map(|part| Part {
                    exterior: part.exterior,
                    holes: part.holes,
                });
                Some(Self::Polygon(parts.collect()))
            }
            MaskFormat::Png => Some(Self::Png(BASE64_STANDARD.encode(mask_png(mask)?))),
        })
    }
}

/// More of masks as PNG than this, in bytes of the reply, is not answered: some small pictures have a hundred of them.
const MOST_PNG: usize = 64 << 20;

/// How much masks as PNG have taken of a reply.
pub struct PngBudget {
    most: usize,
    taken: usize,
}

impl Default for PngBudget {
    fn default() -> Self {
        Self::new(MOST_PNG)
    }
}

impl PngBudget {
    /// Of so many bytes.
    pub fn new(most: usize) -> Self {
        Self { most, taken: 0 }
    }

    /// Takes a mask's bytes of it.
    pub fn take(&mut self, bytes: usize) -> Result<(), Error> {
        self.taken += bytes;
        if self.taken > self.most {
            let most = ByteSize::b(self.most as u64).display().iec();
            return Err(Error::TooLarge(format!(
                "the masks as PNG take more than {most}: ask for masks=rle, which are run lengths, or for fewer \
                 max_detections"
            )));
        }
        Ok(())
    }
}

/// Writes the full reply. After `deadline` nobody waits for it, and no mask is begun.
pub fn json(answer: &Answer, masks: MaskFormat, deadline: Instant) -> Result<Vec<u8>, Error> {
    json_within(answer, masks, deadline, MOST_PNG)
}

/// The same with another limit to masks as PNG.
pub fn json_within(
    answer: &Answer,
    masks: MaskFormat,
    deadline: Instant,
    most_png: usize,
) -> Result<Vec<u8>, Error> {
    let prediction = &answer.prediction;
    let mut budget = PngBudget::new(most_png);
    let mut encoded = |mask: &Rle| {
        in_time(deadline)?;
        let mask = Mask::new(mask, masks)?;
        if let Some(Mask::Png(png)) = &mask {
            budget.take(png.len())?;
        }
        Ok::<_, Error>(mask)
    };
    let reply = Reply {
        model: answer.entry.name,
        width: prediction.width,
        height: prediction.height,
        detections: detections(answer)
            .iter()
            .map(|detection| {
                let [x0, y0, x1, y1] = detection.bbox;
                let mask = detection.mask.as_ref();
                Ok(Found {
                    label: label(answer.entry, detection.class),
                    class_id: detection.class,
                    score: detection.score,
                    r#box: Corners { x0, y0, x1, y1 },
                    mask: mask.map_or(Ok(None), &mut encoded)?,
                })
            })
            .collect::<Result<_, Error>>()?,
    };
    serde_json::to_vec(&reply).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::two_objects;

    #[test]
    fn masks_as_png_have_an_end_in_bytes_and_in_time() {
        let answer = two_objects();
        let later = Instant::now() + Duration::from_mins(1);
        assert!(json(&answer, MaskFormat::Png, later).is_ok());
        let large = json_within(&answer, MaskFormat::Png, later, 10).unwrap_err();
        assert!(matches!(large, Error::TooLarge(_)), "{large}");
        assert!(large.to_string().contains("masks=rle"), "{large}");
        assert!(json_within(&answer, MaskFormat::Rle, later, 10).is_ok());
        let late = json(&answer, MaskFormat::Png, Instant::now()).unwrap_err();
        assert!(matches!(late, Error::Deadline(_)), "{late}");
    }
}

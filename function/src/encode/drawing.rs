//! The picture with what was found drawn on it.

use segmenter_imaging::{
    Image,
    draw::{Annotation, class_colour, draw as annotate},
    encode,
};

use super::{detections, failed, label};
use crate::{config::PictureLimits, error::Error, service::Answer};

/// The format of a drawn picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawing {
    /// Lossless.
    Png,
    /// Smaller.
    Jpeg,
}

/// Fine lines stay fine.
const JPEG_QUALITY: u8 = 90;

impl Drawing {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }

    /// A picture in this format.
    pub(super) fn write(self, image: &Image) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        match self {
            Self::Png => encode::png(image, &mut bytes),
            Self::Jpeg => encode::jpeg(image, JPEG_QUALITY, &mut bytes),
        }
        .map_err(|error| failed(&error))?;
        Ok(bytes)
    }
}

/// Draws the findings on their picture, which is decoded again for it.
pub fn draw(answer: &Answer, drawing: Drawing, limits: PictureLimits) -> Result<Vec<u8>, Error> {
    draw_on(answer.image(limits)?, answer, drawing)
}

/// Draws the findings on this picture, which is theirs.
pub fn draw_on(mut image: Image, answer: &Answer, drawing: Drawing) -> Result<Vec<u8>, Error> {
    let detections = detections(answer);
    let annotations: Vec<_> = detections
        .iter()
        .map(|detection| {
            let name = label(answer.entry, detection.class);
            Annotation {
                label: format!("{name} {:.2}", detection.score),
                bbox: detection.bbox,
                mask: detection.mask.as_ref(),
                colour: class_colour(detection.class),
            }
        })
        .collect();
    annotate(&mut image, &annotations);
    drawing.write(&image)
}

//! The picture with what was found drawn on it.

use crate::{config::PictureLimits, error::Error, service::Answer};

/// The format of a drawn picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawing {
    /// Lossless.
    Png,
    /// Smaller.
    Jpeg,
}

impl Drawing {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }
}

/// Draws.
pub fn draw(_answer: &Answer, _drawing: Drawing, _limits: PictureLimits) -> Result<Vec<u8>, Error> {
    Err(Error::internal())
}

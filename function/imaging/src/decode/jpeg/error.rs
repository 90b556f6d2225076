//! Why a JPEG picture cannot be decoded.

use crate::decode::DecodeError;

/// What libjpeg too calls fatal. Lesser damage shows in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JpegError {
    /// The bytes end before the end-of-image marker.
    #[error("it ends before its end-of-image marker")]
    Truncated,
    /// A part of T.81, or of what came after it, that few encoders use.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// A segment is shorter or longer than what it holds.
    #[error("its {0} segment has a wrong length")]
    Length(&'static str),
    /// A number in a segment is outside its range.
    #[error("its {0} is out of range")]
    OutOfRange(&'static str),
    /// Something that a scan refers to is not there.
    #[error("a scan refers to a {0} that is not there")]
    Missing(&'static str),
    /// Something that there is one of is there twice.
    #[error("it has a second {0}")]
    Duplicate(&'static str),
    /// The lengths of its codes do not make a Huffman code.
    #[error("its Huffman table is none")]
    HuffmanTable,
    /// A marker that no part of the standard defines.
    #[error("it has a reserved marker, 0xff{0:02x}")]
    ReservedMarker(u8),
    /// An end-of-image marker, and no scan before it.
    #[error("it has no scan")]
    NoScan,
    /// See `MAX_PASSES`.
    #[error("its scans pass too often over the picture")]
    TooManyScans,
}

/// The name of the format in errors.
const FORMAT: &str = "JPEG";

impl From<JpegError> for DecodeError {
    fn from(error: JpegError) -> Self {
        match error {
            JpegError::Truncated => Self::Truncated { format: FORMAT },
            error => Self::Damaged {
                format: FORMAT,
                source: error.into(),
            },
        }
    }
}

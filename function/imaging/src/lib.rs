//! Pictures in and out.
//!
//! Everything between bytes and tensors that is not a network: decoding with limits ([`decode`]),
//! resampling that equals Pillow's and torch's to the last bit ([`resample`], [`interpolate`]),
//! masks as COCO run lengths ([`rle`], [`paste`]), their outlines ([`polygon`]) and drawing them on
//! the picture ([`draw`]).
//!
//! Coordinates are pixels, `x` to the right and `y` down from the top left corner of the picture as a
//! person sees it (EXIF orientation applied). A box is `[x0, y0, x1, y1]`; pixel `i` covers `i..i + 1`.

mod image;
pub mod rle;

pub use image::Image;

//! Pictures in and out.
//!
//! Everything between bytes and tensors that is not a network: resampling that equals Pillow's and torch's to the last bit ([`resample`], [`interpolate`]),
//! masks as COCO run lengths ([`rle`], [`paste`]).
//!
//! Coordinates are pixels, `x` to the right and `y` down from the top left corner of the picture as a
//! person sees it (EXIF orientation applied). A box is `[x0, y0, x1, y1]`; pixel `i` covers `i..i + 1`.

mod image;
pub mod interpolate;
pub mod paste;
pub mod resample;
pub mod rle;

pub use image::Image;

//! Pictures in and out.
//!
//! Everything between bytes and tensors that is not a network: decoding with limits ([`decode`]), all at
//! once or while a [`Picture`] is resized, which equals Pillow's resizing ([`resample`]) and torch's
//! ([`interpolate`]), pixels as networks take them ([`normalise`]), masks as COCO run lengths ([`rle`]),
//! pasted into the picture from a network's small ones ([`paste`]), their outlines ([`polygon`]), findings
//! drawn on the picture ([`draw`]) and pictures as bytes again ([`encode`]).
//!
//! Coordinates are pixels, `x` to the right and `y` down from the top left corner of the picture as a
//! person sees it (EXIF orientation applied). A box is `[x0, y0, x1, y1]`; pixel `i` covers `i..i + 1`.

pub mod decode;
pub mod draw;
pub mod encode;
mod image;
pub mod interpolate;
pub mod normalise;
pub mod paste;
mod picture;
pub mod polygon;
pub mod resample;
pub mod rle;

pub use image::Image;
pub use picture::Picture;

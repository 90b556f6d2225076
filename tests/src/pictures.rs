//! Pictures made by code.

use std::io::{Cursor, Write as _};

use image::{ExtendedColorType, ImageEncoder as _, Rgb, RgbImage};
use segmenter_scenes::{Family, Scene, Settings};

/// A picture with edges in it: a gradient with a bright disc and a dark bar.
pub fn scene(width: u32, height: u32) -> RgbImage {
    let radius = width.min(height) / 4;
    let inside = |x: u32, y: u32| {
        let (dx, dy) = (x.abs_diff(width / 2), y.abs_diff(height / 2));
        dx * dx + dy * dy < radius * radius
    };
    RgbImage::from_fn(width, height, |x, y| {
        if inside(x, y) {
            Rgb([240, 200, 30])
        } else if x < width / 8 {
            Rgb([20, 20, 60])
        } else {
            Rgb([shade(x, width), shade(y, height), 128])
        }
    })
}

/// A board with sticky notes on it, for the model that is built in.
pub fn board() -> RgbImage {
    image_of(&segmenter_scenes::demo([960, 720]))
}

/// Any scene with such notes and boards, or without.
pub fn notes(seed: u64) -> RgbImage {
    let settings = Settings {
        size: [480, 360],
        family: Family::HeldOut,
    };
    image_of(&segmenter_scenes::scene(seed, &settings))
}

fn image_of(scene: &Scene) -> RgbImage {
    let image = &scene.image;
    let samples = image.pixels().to_vec();
    RgbImage::from_raw(image.width(), image.height(), samples).expect("as many samples as it says")
}

fn shade(at: u32, length: u32) -> u8 {
    u8::try_from(at * 255 / length).unwrap_or(u8::MAX)
}

/// Encodes as JPEG.
pub fn jpeg(picture: &RgbImage) -> Vec<u8> {
    encode(picture, image::ImageFormat::Jpeg)
}

/// Encodes as PNG.
pub fn png(picture: &RgbImage) -> Vec<u8> {
    encode(picture, image::ImageFormat::Png)
}

fn encode(picture: &RgbImage, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut bytes), format)
        .expect("writing a picture to memory");
    bytes
}

/// A JPEG that a viewer turns: `orientation` is EXIF's, 1 to 8; from 5 on width and height swap.
pub fn jpeg_with_orientation(picture: &RgbImage, orientation: u8) -> Vec<u8> {
    // A TIFF header and one directory with one entry: tag 0x0112, type SHORT, count 1.
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);

    let mut bytes = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
    encoder
        .set_exif_metadata(exif)
        .expect("the JPEG encoder writes EXIF");
    encoder
        .write_image(
            picture.as_raw(),
            picture.width(),
            picture.height(),
            ExtendedColorType::Rgb8,
        )
        .expect("writing a picture to memory");
    bytes
}

/// A well-formed PNG of `side` x `side` black pixels that is about 1/8000 of the size of its pixels:
/// at a side of 30000, 100 kB.
pub fn png_bomb(side: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header().expect("writing to memory");
    let mut rows = writer.stream_writer().expect("writing to memory");
    let row = vec![0; side.div_ceil(8) as usize];
    for _ in 0..side {
        rows.write_all(&row).expect("writing to memory");
    }
    rows.finish().expect("writing to memory");
    writer.finish().expect("writing to memory");
    bytes
}

#[cfg(test)]
mod tests {
    use super::{jpeg_with_orientation, png_bomb, scene};

    #[test]
    fn the_bomb_is_small_and_its_header_is_not() {
        let bytes = png_bomb(30_000);
        assert!(bytes.len() < 200_000, "{} bytes", bytes.len());
        let size = image::ImageReader::new(std::io::Cursor::new(&bytes))
            .with_guessed_format()
            .unwrap()
            .into_dimensions()
            .unwrap();
        assert_eq!(size, (30_000, 30_000));
    }

    #[test]
    fn the_orientation_is_where_decoders_look() {
        use image::ImageDecoder as _;
        let bytes = jpeg_with_orientation(&scene(32, 16), 6);
        let orientation = image::ImageReader::new(std::io::Cursor::new(&bytes))
            .with_guessed_format()
            .unwrap()
            .into_decoder()
            .unwrap()
            .orientation()
            .unwrap();
        assert_eq!(orientation, image::metadata::Orientation::Rotate90);
    }
}

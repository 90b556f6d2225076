//! Whole pictures, compared with what Pillow makes of them.

use std::path::PathBuf;

use proptest::prelude::*;

use crate::{
    decode::{DecodeError, Exif, Limits, Options, decode},
    picture::tests::{assert_resized_alike, exif},
};

/// Printed by `scripts/pillow_jpeg.py`: name, hash of the pixels, the file in hexadecimal digits.
const EXAMPLES: &str = include_str!("tests/examples.tsv");

/// Printed by `scripts/pillow_jpeg.py` for the pictures that tests may use: path, hash of the pixels.
const PICTURES: &str = include_str!("tests/pictures.tsv");

const AS_STORED: Options = Options {
    limits: Limits {
        max_pixels: 1 << 20,
        max_side: 1 << 12,
    },
    exif: Exif::Ignore,
};

fn fnv1a(bytes: &[u8]) -> String {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
    format!("{hash:016x}")
}

/// Names, hashes and files.
fn examples() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let example = |line: &'static str| {
        let [name, hash, digits] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("three columns");
        };
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        let file = digits.as_bytes().chunks(2).map(byte);
        (name, hash, file.collect::<Result<_, _>>().unwrap())
    };
    EXAMPLES.lines().map(example).collect()
}

/// The messages of an error and its cause.
fn refusal(bytes: &[u8]) -> String {
    let error = decode(bytes, &AS_STORED).unwrap_err();
    std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string)
}

#[test]
fn examples_are_what_pillow_makes_of_them() {
    for (name, hash, file) in examples() {
        let image = decode(&file, &AS_STORED).unwrap();
        assert_eq!((image.width(), image.height()), (29, 21), "{name}");
        assert_eq!(fnv1a(image.pixels()), hash, "{name}");
    }
}

#[test]
fn pictures_are_what_pillow_makes_of_them() {
    let shared = std::env::var_os("SEGMENTER_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let folder = shared.join("images");
    if !folder.exists() {
        println!(
            "skipped: pictures_are_what_pillow_makes_of_them: {} is not there",
            folder.display()
        );
        return;
    }
    for line in PICTURES.lines() {
        let (path, hash) = line.split_once('\t').unwrap();
        let image = decode(&std::fs::read(folder.join(path)).unwrap(), &AS_STORED).unwrap();
        assert_eq!(fnv1a(image.pixels()), hash, "{path}");
    }
}

#[test]
fn examples_in_any_orientation_are_resized_as_if_they_were_whole() {
    for (name, _, file) in examples() {
        for orientation in 1..=8 {
            let exif = [b"Exif\0\0", &exif(orientation)[..]].concat();
            let length = (exif.len() as u16 + 2).to_be_bytes();
            let turned = [&file[..2], b"\xff\xe1", &length, &exif, &file[2..]].concat();
            assert_resized_alike(&format!("{name}, orientation {orientation}"), &turned);
        }
    }
}

#[test]
fn a_picture_that_is_cut_anywhere_is_truncated() {
    for (name, _, file) in examples() {
        // guess_format needs three bytes.
        for length in 3..file.len() {
            let result = decode(&file[..length], &AS_STORED);
            let is_truncated = matches!(result, Err(DecodeError::Truncated { .. }));
            assert!(is_truncated, "{name}, {length} bytes: {result:?}");
        }
        assert!(decode(&[&file[..], b"trailer"].concat(), &AS_STORED).is_ok());
    }
}

#[test]
fn an_end_within_a_segment_is_none() {
    let (_, _, file) = examples().swap_remove(0);
    let thumbnail = b"\xff\xe1\x00\x06\xff\xd8\xff\xd9";
    let whole = [&file[..2], thumbnail, &file[2..]].concat();
    assert!(decode(&whole, &AS_STORED).is_ok());
    let cut = decode(&whole[..whole.len() - 2], &AS_STORED);
    assert!(matches!(cut, Err(DecodeError::Truncated { .. })));
}

#[test]
fn what_is_not_read_is_named() {
    let (_, _, file) = examples().swap_remove(0);
    let frame = file
        .windows(2)
        .position(|pair| pair == b"\xff\xc0")
        .unwrap();
    let with = |offset: usize, value: u8| {
        let mut file = file.clone();
        file[frame + offset] = value;
        refusal(&file)
    };
    assert_eq!(with(1, 0xc3), "lossless coding is not supported");
    assert_eq!(with(1, 0xc9), "arithmetic coding is not supported");
    assert_eq!(with(1, 0xc5), "hierarchical coding is not supported");
    assert_eq!(with(1, 0xf1), "it has a reserved marker, 0xfff1");
    assert_eq!(with(4, 12), "a precision of 12 bits is not supported");
    assert_eq!(refusal(b"\xff\xd8\xff\xd9"), "it has no scan");
    let no_frame = b"\xff\xd8\xff\xda\x00\x02\xff\xd9";
    assert_eq!(
        refusal(no_frame),
        "a scan refers to a frame that is not there"
    );
}

#[test]
fn motion_jpeg_needs_no_huffman_tables() {
    // An encoder that uses the typical tables, and a file from which they are taken out.
    let picture =
        image::RgbImage::from_fn(40, 24, |x, y| image::Rgb([x as u8 * 6, y as u8 * 9, 77]));
    let mut file = Vec::new();
    picture
        .write_with_encoder(image::codecs::jpeg::JpegEncoder::new(&mut file))
        .unwrap();
    let mut without = file.clone();
    while let Some(start) = without.windows(2).position(|pair| pair == b"\xff\xc4") {
        let length = u16::from_be_bytes([without[start + 2], without[start + 3]]);
        without.drain(start..start + 2 + usize::from(length));
    }
    assert!(without.len() + 400 < file.len());
    let [expected, found] = [file, without].map(|file| decode(&file, &AS_STORED).unwrap());
    assert_eq!(found.pixels(), expected.pixels());
}

#[test]
fn a_lost_stretch_leaves_the_rest_as_it_is() {
    let (_, _, file) = examples().swap_remove(3);
    let whole = decode(&file, &AS_STORED).unwrap();
    // A restart interval is one unit of 16 x 16 pixels; the data of the second one are lost.
    let marker = |number| {
        file.windows(2)
            .position(|pair| pair == [0xff, number])
            .unwrap()
    };
    let holed = [&file[..marker(0xd0) + 2], &file[marker(0xd1)..]].concat();
    let rest = decode(&holed, &AS_STORED).unwrap();
    let row = |image: &crate::Image, y: usize| image.pixels()[y * 29 * 3..][..29 * 3].to_vec();
    assert_eq!(row(&rest, 2)[..14 * 3], row(&whole, 2)[..14 * 3]);
    assert_ne!(row(&rest, 2), row(&whole, 2));
    assert_eq!(row(&rest, 20), row(&whole, 20));
}

#[test]
fn scans_without_end_are_refused() {
    let (_, _, file) = examples().swap_remove(4);
    let scans = file
        .windows(2)
        .position(|pair| pair == b"\xff\xda")
        .unwrap();
    let end = file.len() - 2;
    let length = usize::from(file[scans + 3]) + 2;
    let header = &file[scans..scans + length];
    let many = [&file[..scans], &header.repeat(200), &file[end..]].concat();
    assert_eq!(refusal(&many), "its scans pass too often over the picture");
}

proptest! {
    #[test]
    fn damaged_pictures_are_read_or_refused(
        example in 0..10usize,
        flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<usize>()),
    ) {
        let (_, _, mut file) = examples().swap_remove(example);
        let end = file.len();
        for (position, value) in flips {
            // The format must still be seen.
            file[3 + position % (end - 3)] = value;
        }
        if let Some(cut) = cut {
            let start = 3 + cut % (end - 3);
            file.drain(start..(start + cut % 50).min(end));
        }
        if let Ok(mut rows) = super::Rows::open(&file, &AS_STORED.limits) {
            let [width, height] = rows.size().map(|side| side as usize);
            let (all, mut pixels): (Vec<usize>, _) = ((0..height).collect(), Vec::new());
            while rows.read(&all, &mut pixels) {}
            prop_assert_eq!(pixels.len(), width * height * 3);
        }
    }
}

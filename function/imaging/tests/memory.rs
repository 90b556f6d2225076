//! What large pictures and their masks take of memory. A process of its own, for it asks the system for the most
//! that the process ever had.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{self, Write as _};

use segmenter_imaging::{
    decode::{Options, open},
    encode::mask_png,
    interpolate::{Corners, bilinear},
    normalise::Normalisation,
    paste::paste,
    polygon::outlines,
    resample::{Filter, resize},
};

/// In pixels: 30 million in all.
const WIDTH: u16 = 6000;
/// In pixels.
const HEIGHT: u16 = 5000;

/// The pixels alone would take 90 MB.
const MOST: usize = 12 << 20;

/// A segment of a JPEG file.
fn segment(marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 2).to_be_bytes();
    [&[0xff, marker], &length[..], payload].concat()
}

/// A Huffman table of one code, a zero bit.
fn table(slot: u8, symbol: u8) -> Vec<u8> {
    let mut payload = vec![slot, 1];
    payload.extend([0; 15]);
    payload.push(symbol);
    segment(0xc4, &payload)
}

/// A grey picture of 4:2:0 in colour, turned on its side, all of whose codes are zero bits.
fn jpeg(is_progressive: bool) -> Vec<u8> {
    const NO_DIFFERENCE: u8 = 0;
    const END_OF_BLOCK: u8 = 0;
    /// Of 2^14 blocks, and as many as 14 more bits say.
    const END_OF_BANDS: u8 = 0xe0;

    let ([y1, y0], [x1, x0]) = (HEIGHT.to_be_bytes(), WIDTH.to_be_bytes());
    let components = [1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0];
    let frame = [&[8, y1, y0, x1, x0, 3], &components[..]].concat();
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let blocks = usize::from(WIDTH) * usize::from(HEIGHT) / 64 * 2;
    let scan = |header: &[u8], bits: usize| [segment(0xda, header), vec![0; bits / 8]].concat();
    let mut file = vec![
        b"\xff\xd8".to_vec(),
        segment(0xe1, exif),
        segment(0xdb, &[[0].as_slice(), &[1; 64]].concat()),
        segment(if is_progressive { 0xc2 } else { 0xc0 }, &frame),
        table(0x00, NO_DIFFERENCE),
    ];
    if is_progressive {
        file.push(table(0x10, END_OF_BANDS));
        file.push(scan(&[3, 1, 0, 2, 0, 3, 0, 0, 0, 0], blocks));
        for component in 1..=3 {
            file.push(scan(&[1, component, 0, 1, 63, 0], blocks / 1000));
        }
    } else {
        file.push(table(0x10, END_OF_BLOCK));
        file.push(scan(&[3, 1, 0, 2, 0, 3, 0, 0, 63, 0], blocks * 2));
    }
    file.push(b"\xff\xd9".to_vec());
    file.concat()
}

/// A black picture.
fn png() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, WIDTH.into(), HEIGHT.into());
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    let mut rows = writer.stream_writer().unwrap();
    for _ in 0..HEIGHT {
        rows.write_all(&vec![0; usize::from(WIDTH) * 3]).unwrap();
    }
    rows.finish().unwrap();
    writer.finish().unwrap();
    file
}

/// The most memory that the process ever had, in bytes.
fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: usize = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes << 10)
}

/// Runs what should take little memory.
fn assert_takes_little<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let before = peak();
    let result = work();
    match before.zip(peak()) {
        Some((before, after)) => {
            let taken = after - before;
            assert!(taken < MOST, "{name}: {} MB", taken >> 20);
        }
        None => println!("skipped: memory of {name}: there is no /proc/self/status"),
    }
    result
}

/// One test, for the most is that of the whole process.
#[test]
fn large_pictures_and_masks_take_little_memory() {
    for (name, file, grey) in [
        ("JPEG", jpeg(false), 128),
        ("progressive JPEG", jpeg(true), 128),
        ("PNG", png(), 0),
    ] {
        let picture = || open(&file, &Options::default()).unwrap();
        let pixels = assert_takes_little(name, || {
            let none = Normalisation::NONE;
            let mut pixels = vec![[0.0; 4]; 320 * 256];
            bilinear(picture(), 320, 256, Corners::Aligned, &none, &mut pixels).unwrap();
            pixels
        });
        let grey_pixel = [grey, grey, grey, 0].map(f32::from);
        assert!(pixels.iter().all(|&pixel| pixel == grey_pixel));
        let image = assert_takes_little(name, || {
            resize(picture(), 513, 513, Filter::Lanczos).unwrap()
        });
        assert!(image.pixels().iter().all(|&sample| sample == grey));
    }

    let [width, height] = [WIDTH, HEIGHT].map(u32::from);
    let bbox = [10.0, 10.0, width as f32 - 10.0, height as f32 - 10.0];
    let mask = assert_takes_little("paste", || {
        paste(&[1.0; 28 * 28], 28, bbox, [width, height], 0.5)
    });
    assert!(mask.area() > 20_000_000);
    assert_takes_little("outlines", || assert_eq!(outlines(&mask).len(), 1));
    assert_takes_little("PNG of a mask", || mask_png(&mask, io::sink()).unwrap());
}

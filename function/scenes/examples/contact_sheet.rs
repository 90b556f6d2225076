//! Draws many scenes into one PNG, the outlines of their masks in the classes' colours.
//!
//! ```sh
//! cargo run --release -p segmenter-scenes --example contact_sheet -- sheet.png [first seed] [held-out|demo] [plain] [portrait] [empty|fronts|backs|bare|cups]
//! ```

use std::{env, error::Error, fs::File, io::BufWriter, time::Instant};

use segmenter_imaging::{Image, encode};
use segmenter_scenes::{Class, Family, Scene, Settings, cups, demo, scene};

const COLUMNS: u32 = 4;
const ROWS: u32 = 6;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let path = words
        .first()
        .ok_or("the path of the PNG to write is missing")?;
    let first = words
        .iter()
        .find_map(|word| word.parse::<u64>().ok())
        .unwrap_or(0);
    let is = |name: &str| words.iter().any(|word| word == name);
    let outlined = !is("plain");
    if is("demo") {
        let mut scene = demo([1280, 960]);
        if outlined {
            outline(&mut scene);
        }
        encode::png(&scene.image, BufWriter::new(File::create(path)?))?;
        return Ok(());
    }
    let family = if is("held-out") {
        Family::HeldOut
    } else {
        Family::Training
    };
    let [width, height] = if is("portrait") {
        [312, 416]
    } else {
        [416, 312]
    };
    let mut samples = vec![0; (COLUMNS * width * ROWS * height * 3) as usize];
    let started = Instant::now();
    let mut drawing = std::time::Duration::ZERO;
    let mut seed = first;
    let mut drawn = 0;
    for index in 0..COLUMNS * ROWS {
        let mut scene = loop {
            let begun = Instant::now();
            let size = [width, height];
            let settings = Settings { size, family };
            let draw = if is("cups") { cups } else { scene };
            let scene = draw(seed, &settings);
            drawing += begun.elapsed();
            (seed, drawn) = (seed + 1, drawn + 1);
            let has = |class| scene.objects.iter().any(|object| object.class == class);
            let (front, back) = (has(Class::WowboardFront), has(Class::WowboardBack));
            if !(is("empty") && !scene.objects.is_empty()
                || is("fronts") && !front
                || is("backs") && !back
                || is("bare") && (front || back || !has(Class::StickyNote)))
            {
                break scene;
            }
        };
        if outlined {
            outline(&mut scene);
        }
        let (column, row) = (index % COLUMNS, index / COLUMNS);
        for (y, line) in (0..).zip(scene.image.pixels().chunks_exact((width * 3) as usize)) {
            let start = ((row * height + y) * COLUMNS + column) * width * 3;
            samples[start as usize..][..line.len()].copy_from_slice(line);
        }
    }
    println!(
        "{:.1} ms a scene, {:.2} s in all",
        drawing.as_secs_f64() * 1e3 / f64::from(drawn),
        started.elapsed().as_secs_f64()
    );
    let sheet =
        Image::new(COLUMNS * width, ROWS * height, samples).ok_or("a sheet without pixels")?;
    encode::png(&sheet, BufWriter::new(File::create(path)?))?;
    Ok(())
}

/// Colours the pixels inside of each mask's edge.
fn outline(scene: &mut Scene) {
    let (width, height) = (scene.image.width() as usize, scene.image.height() as usize);
    for object in &scene.objects {
        let colour = match object.class {
            Class::StickyNote => [255, 0, 255],
            Class::WowboardFront => [0, 255, 0],
            Class::WowboardBack => [0, 80, 255],
            Class::Cup => [255, 160, 0],
        };
        let mask = object.mask.to_bitmap();
        let inside = |x: usize, y: usize| x < width && y < height && mask[y * width + x];
        for y in 0..height {
            for x in 0..width {
                let edge = !(inside(x.wrapping_sub(1), y)
                    && inside(x + 1, y)
                    && inside(x, y.wrapping_sub(1))
                    && inside(x, y + 1));
                if mask[y * width + x] && edge {
                    let start = (y * width + x) * 3;
                    scene.image.pixels_mut()[start..start + 3].copy_from_slice(&colour);
                }
            }
        }
    }
}

//! Writes what `deeplabv3_mnv2_pascal` makes of pictures, a grey picture of class ids each, for
//! `scripts/agreement_litert.py`:
//!
//! ```text
//! class_maps f32|int8 WEIGHTS OUT_DIR PICTURE...
//! ```
//!
//! Pictures are not turned by their EXIF orientation.

use std::{
    error::Error,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use segmenter_imaging::decode::{Exif, Options, open};
use segmenter_models::{Device, Isa, Outcome, Selection, catalogue, load};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let [precision, weights, out] = [(); 3].map(|()| arguments.next());
    let (Some(precision), Some(weights), Some(out)) = (precision, weights, out) else {
        return Err("expected: class_maps f32|int8 WEIGHTS OUT_DIR PICTURE...".into());
    };
    let device = match precision.to_str() {
        Some("f32") => Device::kernels(Isa::best()),
        Some("int8") => Device::integers(Isa::best()),
        _ => return Err("expected f32 or int8".into()),
    };
    let entry = catalogue::find("deeplabv3_mnv2_pascal").ok_or("not in the catalogue")?;
    let model = load(entry, &weights, &device)?;

    let options = Options {
        exif: Exif::Ignore,
        ..Options::default()
    };
    let selection = Selection {
        threshold: 0.0,
        max_detections: 0,
        classes: None,
        masks: false,
        map_size: None,
        scores: false,
    };
    for path in arguments {
        let bytes = fs::read(&path)?;
        let picture = open(&bytes, &options)?;
        let size = [picture.width(), picture.height()];
        let input = model.preprocess(picture, &selection)?;
        let outputs = model.forward(vec![(input, &selection)]);
        for output in outputs {
            let prediction = model.postprocess(output, size, &selection);
            let Outcome::ClassMap(map) = prediction.outcome else {
                return Err("not a semantic segmenter".into());
            };
            let mut grey = format!("P5 {} {} 255\n", map.width, map.height).into_bytes();
            grey.extend(&map.classes);
            let name = path.file_stem().unwrap_or(OsStr::new("picture"));
            fs::write(Path::new(&out).join(name).with_extension("pgm"), grey)?;
        }
    }
    Ok(())
}

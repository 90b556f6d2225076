//! Pictures of one's own, annotated in COCO's format.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use hotcoco::COCO;
use rayon::prelude::*;
use segmenter_imaging::{
    Image,
    decode::{Options, decode},
    encode,
    resample::{Filter, resize},
    rle::Rle,
};

use crate::{
    example::{Example, Object},
    random::Random,
    source::Source,
    variation::{self, Cut},
};

/// Annotated pictures of a folder.
pub struct Pictures {
    classes: Vec<String>,
    pictures: Vec<Picture>,
    /// Whether each comes cut, mirrored and coloured in another way each time.
    varied: bool,
    seed: u64,
}

/// A picture as it is kept: no larger than what it takes, so that many fit.
struct Picture {
    jpeg: Vec<u8>,
    objects: Vec<Object>,
}

/// The longer side of a kept picture at most, in pixels: twice that of an input, so that a part of it is still sharp.
const LONGER: u32 = 1024;

const QUALITY: u8 = 95;

impl Pictures {
    /// Reads `annotations`, a file in COCO's format, and the pictures that it names, in `folder`.
    ///
    /// # Errors
    /// Where a file cannot be read, a picture has another size than the file says, or there is nothing to find.
    pub fn read(annotations: &Path, folder: &Path, seed: u64) -> anyhow::Result<Self> {
        let name = annotations.display();
        let coco = COCO::new(annotations).with_context(|| format!("cannot read {name}"))?;
        let mut categories: Vec<_> = coco.dataset.categories.iter().collect();
        categories.sort_by_key(|category| category.id);
        let classes: Vec<_> = categories.iter().map(|one| one.name.clone()).collect();
        ensure!(!classes.is_empty(), "{name} names no categories");
        let ids: BTreeMap<u64, usize> = (0..)
            .zip(&categories)
            .map(|(index, category)| (category.id, index))
            .collect();
        let pictures = coco.dataset.images.par_iter().map(|image| {
            let path = folder.join(&image.file_name);
            let mut objects = Vec::new();
            for &id in coco.get_ann_ids_for_img(image.id) {
                let Some(annotation) = coco.get_ann(id) else {
                    continue;
                };
                let class = ids
                    .get(&annotation.category_id)
                    .with_context(|| format!("annotation {id} is of no category of the file"))?;
                let mask = coco.ann_to_rle(annotation).with_context(|| {
                    format!("annotation {id} has no segmentation that can be read")
                })?;
                let mask = Rle::from_counts(mask.h, mask.w, mask.counts)
                    .with_context(|| format!("the segmentation of annotation {id} is damaged"))?;
                let seen = if annotation.iscrowd { 0.0 } else { 1.0 };
                objects.extend(Object::new(*class, mask, seen));
            }
            Picture::read(&path, [image.width, image.height], objects)
        });
        let pictures = pictures.collect::<anyhow::Result<Vec<_>>>()?;
        let mut objects = pictures.iter().flat_map(|picture| &picture.objects);
        ensure!(
            objects.any(Object::is_seen),
            "{name} has no objects to learn from"
        );
        Ok(Self {
            classes,
            pictures,
            varied: true,
            seed,
        })
    }

    /// The same pictures whole, to measure on.
    #[must_use]
    pub fn as_they_are(self) -> Self {
        Self {
            varied: false,
            ..self
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.pictures.len()
    }
}

impl Picture {
    fn read(path: &PathBuf, size: [u32; 2], objects: Vec<Object>) -> anyhow::Result<Self> {
        let name = path.display();
        let bytes = fs::read(path).with_context(|| format!("cannot read {name}"))?;
        let image =
            decode(&bytes, &Options::default()).with_context(|| format!("cannot decode {name}"))?;
        let found = [image.width(), image.height()];
        ensure!(
            found == size,
            "{name} is {}x{} pixels, and annotated as {}x{}",
            found[0],
            found[1],
            size[0],
            size[1]
        );
        let longer = found[0].max(found[1]);
        if longer <= LONGER {
            let jpeg = jpeg(&image)?;
            return Ok(Self { jpeg, objects });
        }
        let [width, height] = found.map(|side| {
            let side = f64::from(side) * f64::from(LONGER) / f64::from(longer);
            (side.round() as u32).max(1)
        });
        let small = resize(&image, width, height, Filter::Bilinear)?;
        let whole = Cut::whole(found);
        let objects = objects.iter();
        Ok(Self {
            jpeg: jpeg(&small)?,
            objects: objects
                .filter_map(|object| whole.object(object, [width, height]))
                .collect(),
        })
    }
}

fn jpeg(image: &Image) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    encode::jpeg(image, QUALITY, &mut bytes)?;
    Ok(bytes)
}

impl Source for Pictures {
    fn classes(&self) -> Vec<String> {
        self.classes.clone()
    }

    fn example(&self, number: u64, size: [u32; 2]) -> anyhow::Result<Example> {
        let mut random = Random::new(self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let index = if self.varied {
            random.below(self.pictures.len())
        } else {
            number as usize % self.pictures.len().max(1)
        };
        let picture = self.pictures.get(index).context("no pictures")?;
        let image = decode(&picture.jpeg, &Options::default())?;
        if self.varied {
            return variation::varied(&image, &picture.objects, size, &mut random);
        }
        Ok(Example {
            objects: picture.objects.clone(),
            image,
        })
    }
}

/// Writes examples as pictures `000000.jpg` and on in `folder`, and `instances.json` beside them.
///
/// # Errors
/// Where they cannot be written.
pub fn write(
    folder: &Path,
    classes: &[String],
    examples: impl Iterator<Item = anyhow::Result<Example>>,
) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for (index, example) in examples.enumerate() {
        let Example { image, objects } = example?;
        let name = format!("{index:06}.jpg");
        let path = folder.join(&name);
        fs::write(&path, jpeg(&image)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        images.push(serde_json::json!({
            "id": index + 1,
            "file_name": name,
            "width": image.width(),
            "height": image.height(),
        }));
        for object in &objects {
            let id = annotations.len() + 1;
            annotations.push(annotation(id, index as u64 + 1, object, object.is_seen()));
        }
    }
    let categories = classes.iter().enumerate();
    let categories: Vec<_> = categories
        .map(|(index, name)| serde_json::json!({ "id": index + 1, "name": name }))
        .collect();
    let file = serde_json::json!({
        "images": images,
        "annotations": annotations,
        "categories": categories,
    });
    let path = folder.join("instances.json");
    fs::write(&path, serde_json::to_vec(&file)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// An object in this format, of the category that is its class counted from one. What does not count is a crowd, COCO's
/// word for what is neither missed nor wrongly found.
pub fn annotation(id: usize, image: u64, object: &Object, counts: bool) -> serde_json::Value {
    let Object {
        class, bbox, mask, ..
    } = object;
    let [x0, y0, x1, y1] = bbox;
    serde_json::json!({
        "id": id,
        "image_id": image,
        "category_id": class + 1,
        "iscrowd": u8::from(!counts),
        "area": mask.area(),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "segmentation": {
            "size": [mask.height(), mask.width()],
            "counts": mask.to_coco_string(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A red square at the upper left of a grey picture.
    fn example() -> Example {
        let (width, height) = (64, 48);
        let inside = |x: u32, y: u32| x < 16 && (8..24).contains(&y);
        let pixels = (0..width * height).flat_map(|i| {
            if inside(i % width, i / width) {
                [220, 20, 20]
            } else {
                [128; 3]
            }
        });
        let image = Image::new(width, height, pixels.collect()).unwrap();
        let mask: Vec<_> = (0..width * height)
            .map(|i| inside(i % width, i / width))
            .collect();
        let mask = Rle::from_bitmap(height, width, &mask).unwrap();
        Example {
            image,
            objects: vec![Object::new(0, mask, 1.0).unwrap()],
        }
    }

    fn written(folder: &Path) -> Pictures {
        let classes = ["square".to_owned()];
        write(folder, &classes, [Ok(example())].into_iter()).unwrap();
        Pictures::read(&folder.join("instances.json"), folder, 3).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = written(folder.path()).as_they_are();
        assert_eq!(pictures.classes(), ["square"]);
        let read = pictures.example(0, [1, 1]).unwrap();
        assert_eq!(read.objects[0].mask, example().objects[0].mask);
        assert_eq!(read.objects[0].bbox, [0.0, 8.0, 16.0, 24.0]);
        assert_eq!(read.objects[0].seen, 1.0);
    }

    #[test]
    fn crowds_count_neither_way() {
        let mut example = example();
        example.objects[0].seen = 0.1;
        let folder = tempfile::tempdir().unwrap();
        let classes = ["square".to_owned()];
        write(folder.path(), &classes, [Ok(example)].into_iter()).unwrap();
        let path = folder.path().join("instances.json");
        let error = Pictures::read(&path, folder.path(), 3).err().unwrap();
        assert!(
            error.to_string().contains("no objects to learn from"),
            "{error}"
        );
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path());
        let path = folder.path().join("instances.json");
        let text = fs::read_to_string(&path).unwrap();
        let read = |text: String| {
            fs::write(&path, text).unwrap();
            let error = Pictures::read(&path, folder.path(), 0).err().unwrap();
            format!("{error:#}")
        };
        let error = read(text.replace("\"width\":64", "\"width\":63"));
        assert!(
            error.contains("is 64x48 pixels, and annotated as 63x48"),
            "{error}"
        );
        let error = read(text.replace("000000.jpg", "gone.jpg"));
        assert!(
            error.contains("cannot read") && error.contains("gone.jpg"),
            "{error}"
        );
        let error = read("{}".to_owned());
        assert!(error.contains("names no categories"), "{error}");
    }
}

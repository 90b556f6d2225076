//! Files that are written of pictures: where they go, and what is in them.

use std::{
    collections::HashSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{STANDARD_INPUT, is_url};
use crate::{
    config::PictureLimits,
    encode::{self, Drawing},
    service::Answer,
};

/// Where each picture is drawn to.
pub(super) struct Drawings {
    targets: Vec<(PathBuf, Drawing)>,
}

impl Drawings {
    pub(super) fn new(out: &Path, pictures: &[String]) -> anyhow::Result<Self> {
        if let Some(drawing) = drawing_by_name(out).filter(|_| !out.is_dir()) {
            anyhow::ensure!(
                pictures.len() == 1,
                "--draw {} is one file, and there are {} pictures: name a folder",
                out.display(),
                pictures.len()
            );
            return Ok(Self {
                targets: vec![(out.to_owned(), drawing)],
            });
        }
        make_folder(out)?;
        let mut taken = HashSet::new();
        let targets = pictures.iter().map(|picture| {
            let name = format!("{}.png", free_name(picture, &mut taken));
            (out.join(name), Drawing::Png)
        });
        Ok(Self {
            targets: targets.collect(),
        })
    }

    pub(super) fn target(&self, index: usize) -> (PathBuf, Drawing) {
        self.targets[index].clone()
    }
}

/// Draws the findings into a file, and answers which.
pub(super) fn draw(
    answer: &Answer,
    (path, drawing): (PathBuf, Drawing),
    limits: PictureLimits,
) -> anyhow::Result<PathBuf> {
    write(&path, &encode::draw(answer, drawing, limits)?)?;
    Ok(path)
}

/// What each picture's objects are cut out to.
pub(super) struct CutOuts {
    targets: Vec<CutOut>,
}

/// What the objects of a picture are cut out to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CutOut {
    folder: PathBuf,
    /// Of the picture, without what is behind the dot.
    name: String,
    /// What is behind it: the picture's own where such files are written here.
    extension: String,
    drawing: Drawing,
}

impl CutOuts {
    pub(super) fn new(folder: &Path, pictures: &[String]) -> anyhow::Result<Self> {
        make_folder(folder)?;
        let mut taken = HashSet::new();
        let target = |picture: &String| {
            let path = path_of(picture);
            let own = path.extension().and_then(|extension| extension.to_str());
            let (extension, drawing) = own
                .zip(drawing_by_name(path))
                .unwrap_or(("png", Drawing::Png));
            let target = CutOut {
                folder: folder.to_owned(),
                name: free_name(picture, &mut taken),
                extension: extension.to_owned(),
                drawing,
            };
            let drawn = target.path("");
            anyhow::ensure!(
                is_url(picture) || !is_same_file(path, &drawn),
                "--crops {} would write over the picture {picture}: name another folder",
                folder.display()
            );
            anyhow::Ok(target)
        };
        Ok(Self {
            targets: pictures.iter().map(target).collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn target(&self, index: usize) -> CutOut {
        self.targets[index].clone()
    }
}

impl CutOut {
    /// Writes the drawn picture, each object from left to right, and their centres. Answers how many there are.
    pub(super) fn write(&self, answer: &Answer, limits: PictureLimits) -> anyhow::Result<usize> {
        write(&self.path(""), &encode::draw(answer, self.drawing, limits)?)?;
        let image = answer.image(limits)?;
        let mut boxes: Vec<_> = encode::detections(answer)
            .iter()
            .map(|detection| detection.bbox)
            .collect();
        boxes.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let mut centres = String::new();
        for (number, bbox) in (1..).zip(&boxes) {
            let crop = encode::crop(&image, *bbox, self.drawing)?;
            write(&self.path(&format!("_{number}")), &crop)?;
            let [x, y] = encode::covered(*bbox, [image.width(), image.height()])
                .map(|side| (side.start + side.end) / 2);
            // Writing to a `String` does not fail.
            let _ = writeln!(centres, "({y}, {x})");
        }
        let list = format!("{}_coord.txt", self.name);
        write(&self.folder.join(list), centres.as_bytes())?;
        Ok(boxes.len())
    }

    /// Of a picture whose name has this behind it.
    fn path(&self, suffix: &str) -> PathBuf {
        let Self {
            name, extension, ..
        } = self;
        self.folder.join(format!("{name}{suffix}.{extension}"))
    }
}

fn make_folder(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let (one, other) = (one.canonicalize(), other.canonicalize());
    one.is_ok_and(|one| other.is_ok_and(|other| one == other))
}

fn drawing_by_name(path: &Path) -> Option<Drawing> {
    match path.extension()?.to_ascii_lowercase().to_str()? {
        "png" => Some(Drawing::Png),
        "jpg" | "jpeg" => Some(Drawing::Jpeg),
        _ => None,
    }
}

/// A URL's without its query.
fn path_of(picture: &str) -> &Path {
    let path = if is_url(picture) {
        picture.split(['?', '#']).next().unwrap_or(picture)
    } else {
        picture
    };
    Path::new(path)
}

/// The picture's own name without what is behind its dot, numbered where several have the same.
fn free_name(picture: &str, taken: &mut HashSet<String>) -> String {
    let stem = path_of(picture)
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .filter(|stem| stem != STANDARD_INPUT)
        .unwrap_or_else(|| "picture".to_owned());
    let mut name = stem.clone();
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("{stem}-{number}");
        number += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_pictures_of_one_name_do_not_overwrite_each_other() {
        let mut taken = HashSet::new();
        let names: Vec<_> = ["a/x.jpg", "b/x.png", "http://host/x.jpg?size=2", "-"]
            .iter()
            .map(|picture| free_name(picture, &mut taken))
            .collect();
        assert_eq!(names, ["x", "x-2", "x-3", "picture"]);
    }

    #[test]
    fn one_file_takes_one_drawing() {
        let pictures = ["a.jpg".to_owned(), "b.jpg".to_owned()];
        let drawings = Drawings::new(Path::new("out.jpg"), &pictures[..1]).unwrap();
        assert_eq!(
            drawings.target(0),
            (PathBuf::from("out.jpg"), Drawing::Jpeg)
        );
        assert!(Drawings::new(Path::new("out.jpg"), &pictures).is_err());
    }

    #[test]
    fn what_is_cut_out_is_named_after_its_picture_and_does_not_replace_it() {
        let folder = tempfile::tempdir().unwrap();
        let picture = folder.path().join("a.JPG").to_string_lossy().into_owned();
        fs::write(&picture, b"").unwrap();
        let pictures = [picture, "b.webp".to_owned()];
        let out = folder.path().join("out");
        let targets = CutOuts::new(&out, &pictures).unwrap();
        let paths = [0, 1].map(|index| targets.target(index).path("_1"));
        assert_eq!(paths, [out.join("a_1.JPG"), out.join("b_1.png")]);

        let refused = CutOuts::new(folder.path(), &pictures).err().unwrap();
        assert!(refused.to_string().contains("write over"), "{refused}");
    }
}

//! Pictures to try the server with: those of a folder, or a few that are drawn here.

mod canvas;
mod scenes;

use std::{fs, io, path::PathBuf, sync::LazyLock};

use bytes::Bytes;
use segmenter_imaging::encode;
use uuid::Uuid;

use canvas::Canvas;

/// Where samples come from.
#[derive(Clone, Debug)]
pub enum Samples {
    /// The `*.jpg` of a folder, listed anew each time.
    Folder(PathBuf),
    /// Scenes that are drawn when the first is asked for, and kept.
    Drawn,
}

/// A picture with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Of its file.
    pub name: String,
    /// An encoded JPEG.
    pub bytes: Bytes,
}

static DRAWN: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let scenes: [(_, fn() -> Canvas); 4] = [
        ("street.jpg", scenes::street),
        ("clock.jpg", scenes::clock),
        ("beach.jpg", scenes::beach),
        ("fruit.jpg", scenes::fruit),
    ];
    let draw = |(name, scene): (&str, fn() -> Canvas)| {
        let mut bytes = Vec::new();
        encode::jpeg(&scene().finish()?, QUALITY, &mut bytes).ok()?;
        Some(Sample {
            name: name.to_owned(),
            bytes: bytes.into(),
        })
    };
    scenes.into_iter().filter_map(draw).collect()
});

const QUALITY: u8 = 90;

impl Samples {
    /// One of them by chance, each as likely as any other; `None` where there are none.
    ///
    /// # Errors
    /// If the folder or the picture cannot be read.
    pub fn any(&self) -> io::Result<Option<Sample>> {
        let folder = match self {
            Self::Drawn => return Ok(pick(&DRAWN).cloned()),
            Self::Folder(folder) => folder,
        };
        let paths = fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .filter(|path| {
                let path = path.as_ref();
                path.map_or(true, |path| {
                    path.extension().is_some_and(|end| end == "jpg")
                })
            })
            .collect::<io::Result<Vec<_>>>()?;
        let sample = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            Ok(Sample {
                name: name.to_string_lossy().into_owned(),
                bytes: fs::read(path)?.into(),
            })
        };
        pick(&paths).map(sample).transpose()
    }
}

fn pick<T>(all: &[T]) -> Option<&T> {
    let chance = Uuid::new_v4().as_u128();
    let index = chance.checked_rem(all.len() as u128)?;
    all.get(index as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use segmenter_imaging::decode::{Options, decode};

    use super::*;

    fn names(samples: &Samples) -> BTreeSet<String> {
        let names = (0..200).map(|_| samples.any().unwrap().unwrap().name);
        names.collect()
    }

    #[test]
    fn every_drawn_picture_comes_up_and_is_one() {
        let expected = ["beach.jpg", "clock.jpg", "fruit.jpg", "street.jpg"];
        assert_eq!(names(&Samples::Drawn), expected.map(str::to_owned).into());
        for sample in &*DRAWN {
            let picture = decode(&sample.bytes, &Options::default()).unwrap();
            assert_eq!((picture.width(), picture.height()), (640, 480));
        }
    }

    #[test]
    fn a_folder_gives_its_pictures_unchanged_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let samples = Samples::Folder(folder.path().to_owned());
        assert_eq!(samples.any().unwrap(), None);
        for name in ["a.jpg", "b.jpg", "c.txt"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        assert_eq!(
            names(&samples),
            ["a.jpg", "b.jpg"].map(str::to_owned).into()
        );
        let sample = samples.any().unwrap().unwrap();
        assert_eq!(sample.bytes, sample.name);
        folder.close().unwrap();
        assert!(samples.any().is_err());
    }
}

//! Models of one's own: files that `segmenter-training` wrote.

use std::path::Path;

use crate::{
    catalogue::{Entry, Task, WeightsFormat, WeightsSource},
    networks::Network,
    weights::{Trained, WeightError},
};

/// A threshold at which about as much is missed as is found where nothing is: scores are how well a box is expected to
/// fit.
const THRESHOLD: f32 = 0.5;

/// What would stand in the catalogue for such a file, by the file's name without its extension.
///
/// An entry lives as long as the process, as those of the catalogue do: this is for the few that a command line names.
///
/// # Errors
/// If the file cannot be read, or is none that training wrote.
pub fn entry(path: &Path) -> Result<&'static Entry, WeightError> {
    let bytes = std::fs::read(path).map_err(|source| WeightError::Open {
        path: path.to_owned(),
        source,
    })?;
    let classes = Trained::read(&bytes)?.classes.into_iter();
    let classes: Vec<&'static str> = classes.map(forever).collect();
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(Box::leak(Box::new(Entry {
        name: forever(name.into_owned()),
        task: Task::InstanceSegmentation,
        summary: "objects of one's own with outlines, from a file of trained weights",
        classes: Vec::leak(classes),
        threshold: THRESHOLD,
        weights: WeightsSource::Given,
        format: WeightsFormat::Trained,
        licence: "NOASSERTION",
        network: Network::CenterMask,
        as_good_in_integers: false,
    })))
}

fn forever(text: String) -> &'static str {
    String::leak(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::weights::Storage;

    #[test]
    fn a_file_says_what_it_finds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cups.safetensors");
        let trained = Trained {
            classes: vec!["cup".to_owned(), "saucer".to_owned()],
            tensors: BTreeMap::new(),
        };
        std::fs::write(&path, trained.write(Storage::Int8).unwrap()).unwrap();
        let entry = entry(&path).unwrap();
        assert_eq!(entry.name, "cups");
        assert_eq!(entry.classes, ["cup", "saucer"]);

        let error = super::entry(&path.with_extension("pth")).unwrap_err();
        assert!(error.to_string().contains("cannot open"), "{error}");
    }
}

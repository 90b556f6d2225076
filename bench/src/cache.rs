//! What is made once and kept outside of the checkout: weights, exported networks, pictures of exact sizes.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, ensure};
use segmenter_imaging::{
    Image,
    decode::{Options, open},
    encode,
    resample::{Filter, resize},
};

use crate::process::command;

/// Counts the changes of what `peers/prepare.py` makes, so that no older file is taken for it.
const EDITION: u32 = 1;

/// The folder.
#[derive(Debug)]
pub(crate) struct Cache(PathBuf);

impl Cache {
    /// Makes the folder if it is not there.
    pub(crate) fn open(folder: PathBuf) -> anyhow::Result<Self> {
        let logs = folder.join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        Ok(Self(folder))
    }

    /// Where the weights of a model are.
    pub(crate) fn weights(&self, model: &str) -> PathBuf {
        self.0.join(format!("{model}-{EDITION}.pth"))
    }

    /// Where a model is that was exported to ONNX.
    pub(crate) fn onnx(&self, model: &str) -> PathBuf {
        self.0.join(format!("{model}-{EDITION}.onnx"))
    }

    /// Where the complaints of something go.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        self.0.join("logs").join(format!("{name}.log"))
    }

    /// Where PyTorch keeps what it compiles, so that a second start is quicker.
    pub(crate) fn compiled(&self) -> PathBuf {
        self.0.join("inductor")
    }

    /// Runs `prepare.py` with this Python for a model's weights, and its exported network where wanted.
    pub(crate) fn prepare(&self, python: &Path, model: &str, onnx: bool) -> anyhow::Result<()> {
        let export = if onnx { ", exported to ONNX" } else { "" };
        eprintln!("making weights of {model} by a formula{export}");
        let log = self.log(&format!("prepare {model}"));
        let output = File::create(&log)?;
        let status = command(python)
            .arg(script("prepare.py"))
            .arg(model)
            .arg(self.weights(model))
            .args(onnx.then(|| self.onnx(model)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .status()
            .with_context(|| format!("cannot run {}", python.display()))?;
        ensure!(status.success(), "prepare.py failed, see {}", log.display());
        Ok(())
    }

    /// A PNG of `picture`, stretched to `[width, height]`.
    pub(crate) fn picture(&self, picture: &[u8], size: [u32; 2]) -> anyhow::Result<PathBuf> {
        let [width, height] = size;
        let path = self.0.join(format!("{width}x{height}.png"));
        let image = stretched(picture, size)?;
        let mut bytes = Vec::new();
        encode::png(&image, &mut bytes)?;
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// A script of the peers.
pub(crate) fn script(name: &str) -> PathBuf {
    repository().join("bench/peers").join(name)
}

/// Where this was built; on another machine the current folder.
pub(crate) fn repository() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if built.is_dir() { built } else { ".".into() }
}

/// An encoded picture as one of `[width, height]`.
pub(crate) fn stretched(picture: &[u8], [width, height]: [u32; 2]) -> anyhow::Result<Image> {
    let picture = open(picture, &Options::default())?;
    Ok(resize(picture, width, height, Filter::Bilinear)?)
}

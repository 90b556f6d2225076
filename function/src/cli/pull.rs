//! `segmenter pull`: downloads weights.

use std::{
    io::{IsTerminal, stderr},
    path::{Path, PathBuf},
};

use anyhow::Context;
use bytesize::ByteSize;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use segmenter_models::catalogue::{DEFAULT, Entry, WeightsSource};
use url::Url;

use super::BadConfiguration;
use crate::{
    config,
    download::{Download, Progress},
    store::{self, ModelDir, StoreError},
};

/// Shown after the flags.
pub(super) const EXAMPLES: &str = "\
Examples:
  segmenter pull
  segmenter pull deeplabv3_resnet50 --model-dir /models
  segmenter pull deeplabv3_resnet50 --url https://mirror.internal/deeplabv3.pth";

/// Which models to download, from where to where.
#[derive(Args, Clone, Debug)]
pub(super) struct PullArgs {
    /// The models; `segmenter models` lists them [default: the first listed]
    #[arg(value_name = "NAME", value_parser = config::parse_model)]
    models: Vec<&'static Entry>,
    /// Where models are kept [default: segmenter in the user's cache directory]
    #[arg(long, env = "SEGMENTER_MODEL_DIR", value_name = "DIR")]
    model_dir: Option<PathBuf>,
    /// Download the model from here instead, for one model
    #[arg(long, env = "SEGMENTER_URL", value_name = "URL", value_parser = parse_url)]
    url: Option<Url>,
    /// The SHA-256 that the file should have instead of the catalogue's, for one model
    #[arg(long, env = "SEGMENTER_SHA256", value_name = "HEX", value_parser = config::parse_sha256)]
    sha256: Option<String>,
}

/// Downloads the models, one after the other.
pub(super) fn run(args: &PullArgs) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async thread")?
        .block_on(pull(args))
}

async fn pull(args: &PullArgs) -> anyhow::Result<()> {
    let dir = ModelDir::new(args.model_dir.as_deref())?;
    let models = match args.models.as_slice() {
        [] => vec![DEFAULT],
        models => models.to_vec(),
    };
    if models.len() > 1 && (args.url.is_some() || args.sha256.is_some()) {
        let count = models.len();
        return Err(BadConfiguration(format!(
            "--url and --sha256 are for one model, not for {count}"
        ))
        .into());
    }
    for entry in models {
        let Some(weights) = entry.download() else {
            let name = entry.name;
            if args.url.is_some() || args.sha256.is_some() {
                return Err(BadConfiguration(format!(
                    "{name} is built in: --url and --sha256 are for a model that is downloaded"
                ))
                .into());
            }
            eprintln!("{name} is built in, there is nothing to download");
            continue;
        };
        let mut download = Download::new(weights)?;
        if let Some(url) = &args.url {
            download.url = url.clone();
        }
        if let Some(sha256) = &args.sha256 {
            download.sha256.clone_from(sha256);
        }
        let path = download_with_progress(&download, &dir, entry.name).await?;
        super::print(&format!("{}\n", path.display()))?;
    }
    Ok(())
}

/// Weights that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Located {
    /// A file that has them.
    File(PathBuf),
    /// What such a file would hold.
    BuiltIn(&'static [u8]),
}

/// Where the model's weights are: the file that is given, or this program, or the model directory, or what is now
/// downloaded into it, unless `--offline` forbids that.
pub(super) async fn locate(model: &config::Model) -> anyhow::Result<Located> {
    let entry = model.entry();
    let sha256 = model.sha256.clone();
    if let Some(path) = super::weights_file(model)?.map(Path::to_owned) {
        let check = move || check_given(entry, path, sha256);
        return Ok(Located::File(tokio::task::spawn_blocking(check).await??));
    }
    let weights = match &entry.weights {
        WeightsSource::Download(weights) => weights,
        WeightsSource::BuiltIn(bytes) => {
            if let Some(sha256) = sha256 {
                store::verify_bytes(
                    &format!("{}, which is built in,", entry.name),
                    bytes,
                    &sha256,
                )?;
            }
            return Ok(Located::BuiltIn(bytes));
        }
        WeightsSource::Given => {
            let name = entry.name;
            return Err(BadConfiguration(format!("{name} is a file, and none is given")).into());
        }
    };
    let dir = ModelDir::new(model.model_dir.as_deref())?;
    let sha256 = sha256.unwrap_or_else(|| weights.sha256.to_owned());
    let found = {
        let (dir, sha256) = (dir.clone(), sha256.clone());
        tokio::task::spawn_blocking(move || dir.find(weights, &sha256)).await??
    };
    if let Some(path) = found {
        return Ok(Located::File(path));
    }
    if model.offline {
        return Err(dir.missing(entry.name, weights).into());
    }
    let mut download = Download::new(weights)?;
    download.sha256 = sha256;
    download_with_progress(&download, &dir, entry.name)
        .await
        .map(Located::File)
        .with_context(|| dir.missing(entry.name, weights))
}

/// Checks a file that was asked for by name. It may hold weights of one's own: unless it is said which
/// they have to be, a file that is not the catalogue's is told of and not refused; whether it fits the
/// network is seen when it is read.
fn check_given(
    entry: &'static Entry,
    path: PathBuf,
    sha256: Option<String>,
) -> anyhow::Result<PathBuf> {
    if let Some(sha256) = sha256 {
        store::verify(&path, &sha256)?;
        return Ok(path);
    }
    let Some(weights) = entry.download() else {
        return Ok(path);
    };
    match store::verify(&path, weights.sha256) {
        Err(error @ StoreError::Checksum { .. }) => {
            tracing::warn!("{error}; used because --weights names it");
        }
        verified => verified?,
    }
    Ok(path)
}

async fn download_with_progress(
    download: &Download,
    dir: &ModelDir,
    model: &'static str,
) -> anyhow::Result<PathBuf> {
    let mut progress = Reporter::new(model);
    let path = download.run(dir, &mut progress).await;
    progress.bar.finish_and_clear();
    Ok(path?)
}

/// Tells of a download on the error output: as a bar on a terminal, else in a line for its start and
/// one for each tenth.
struct Reporter {
    model: &'static str,
    bar: ProgressBar,
    lines: bool,
    /// Tenths that have been told of.
    tenths: Option<u64>,
}

impl Reporter {
    fn new(model: &'static str) -> Self {
        let style = ProgressStyle::with_template(
            "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        );
        let bar = ProgressBar::no_length().with_message(format!("pulling {model}"));
        Self {
            model,
            // The template is right, or else the default style is shown.
            bar: style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style)),
            lines: !stderr().is_terminal(),
            tenths: None,
        }
    }
}

impl Progress for Reporter {
    fn waiting(&mut self) {
        eprintln!("waiting for another pull into the same directory");
    }

    fn bytes(&mut self, done: u64, total: Option<u64>) {
        if !self.lines {
            if let Some(total) = total {
                self.bar.set_length(total);
            }
            self.bar.set_position(done);
            return;
        }
        let tenths = total.map_or(0, |total| 10 * done / total.max(1));
        if self.tenths.is_none_or(|told| tenths > told) {
            self.tenths = Some(tenths);
            let of = total.map_or_else(String::new, |total| format!(" of {}", size(total)));
            eprintln!("pulling {}: {}{of}", self.model, size(done));
        }
    }
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    ByteSize(bytes).display().si().to_string()
}

fn parse_url(url: &str) -> Result<Url, String> {
    let parsed = Url::parse(url).map_err(|error| error.to_string())?;
    match parsed.scheme() {
        "http" | "https" => Ok(parsed),
        scheme => Err(format!("its scheme is {scheme}, expected http or https")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use segmenter_models::catalogue::BUILT_IN;
    use sha2::{Digest, Sha256};

    use super::*;

    #[derive(Parser)]
    struct Cli<A: Args> {
        #[command(flatten)]
        args: A,
    }

    fn parse<A: Args>(args: &[&str]) -> Result<A, String> {
        Cli::try_parse_from([&["segmenter"], args].concat())
            .map(|cli| cli.args)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_are_checked_before_anything_is_downloaded() {
        let name = DEFAULT.name;
        let refused = |argument| parse::<PullArgs>(&[argument]).unwrap_err();
        let args: PullArgs = parse(&[name, "--url=http://mirror/a.pth"]).unwrap();
        assert_eq!(args.models[0].name, name);
        let unknown = refused("yolo");
        assert!(unknown.contains(name), "{unknown}");
        assert!(refused("--url=ftp://a/b").contains("scheme is ftp"));
        assert!(refused("--sha256=abcd").contains("64 hex digits"));
    }

    #[test]
    fn one_url_is_for_one_model() {
        let name = DEFAULT.name;
        let args = parse(&[name, name, "--url=http://mirror/a.pth"]).unwrap();
        let error = run(&args).unwrap_err().to_string();
        assert!(error.contains("for one model, not for 2"), "{error}");
    }

    #[tokio::test]
    async fn weights_that_are_not_there_come_with_advice() {
        let dir = tempfile::tempdir().unwrap();
        let mut model: config::Model = parse(&["--offline"]).unwrap();
        model.model_dir = Some(dir.path().to_owned());
        let error = locate(&model).await.unwrap_err().to_string();
        let file_name = DEFAULT.download().unwrap().file_name;
        for advice in ["segmenter pull", file_name, "--weights"] {
            assert!(error.contains(advice), "{error}");
        }
    }

    #[tokio::test]
    async fn what_is_built_in_is_there_and_has_its_digest() {
        let name = BUILT_IN.name;
        let mut model: config::Model = parse(&["--offline", "--model", name]).unwrap();
        let Located::BuiltIn(bytes) = locate(&model).await.unwrap() else {
            panic!("{name} is not built in");
        };
        model.sha256 = Some(store::hex(&Sha256::digest(bytes)));
        assert_eq!(locate(&model).await.unwrap(), Located::BuiltIn(bytes));
        model.sha256 = Some("0".repeat(64));
        let other = locate(&model).await.unwrap_err().to_string();
        assert!(
            other.starts_with(name) && other.contains("SHA-256"),
            "{other}"
        );
    }

    #[test]
    fn what_is_built_in_is_not_pulled_from_elsewhere() {
        let name = BUILT_IN.name;
        run(&parse(&[name]).unwrap()).unwrap();
        let error = run(&parse(&[name, "--url=http://mirror/a.pth"]).unwrap()).unwrap_err();
        assert!(error.to_string().contains("is built in"), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_is_given_is_used_though_it_be_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.pth");
        let mut model: config::Model = parse(&["--offline"]).unwrap();
        model.weights = Some(path.clone());
        let missing = locate(&model).await.unwrap_err().to_string();
        assert!(missing.contains("mine.pth"), "{missing}");
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(locate(&model).await.unwrap(), Located::File(path));
        // Unless it is said which file it has to be.
        model.sha256 = Some("0".repeat(64));
        let other = locate(&model).await.unwrap_err().to_string();
        assert!(other.contains("mine.pth"), "{other}");
    }
}

//! `segmenter models`: lists the catalogue.

use std::path::PathBuf;

use clap::{Args, builder::FalseyValueParser};
use segmenter_models::catalogue::{CATALOGUE, DEFAULT, Entry, FileSize, WeightsSource};
use serde::Serialize;

use super::pull::size;
use crate::{encode::task_name, store::ModelDir};

/// How to list the models.
#[derive(Args, Clone, Debug)]
pub(super) struct ModelsArgs {
    /// Where models are kept [default: segmenter in the user's cache directory]
    #[arg(long, env = "SEGMENTER_MODEL_DIR", value_name = "DIR")]
    model_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long, env = "SEGMENTER_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
}

/// Prints the models.
pub(super) fn run(args: &ModelsArgs) -> anyhow::Result<()> {
    let dir = ModelDir::new(args.model_dir.as_deref())?;
    let rows: Vec<Row> = CATALOGUE
        .iter()
        .map(|entry| Row::new(entry, &dir))
        .collect();
    let text = if args.json {
        serde_json::to_string_pretty(&rows)? + "\n"
    } else {
        format!(
            "{}\nModels are kept in {}.\n",
            table(&rows),
            dir.path().display()
        )
    };
    super::print(&text)
}

/// One model, as it is listed.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    default: bool,
    task: &'static str,
    summary: &'static str,
    licence: &'static str,
    /// Bytes: of the file, or as the catalogue has it.
    size: Option<u64>,
    /// Whether that is in round figures, as of a file that is not there.
    size_is_rounded: bool,
    installed: bool,
    built_in: bool,
    /// Of what is not built in, as the next two.
    path: Option<PathBuf>,
    url: Option<&'static str>,
    sha256: Option<&'static str>,
}

impl Row {
    fn new(entry: &'static Entry, dir: &ModelDir) -> Self {
        let file = entry.download();
        let path = file.map(|file| dir.weights_path(file));
        let built_in = matches!(entry.weights, WeightsSource::BuiltIn(_));
        let installed = built_in || file.is_some_and(|file| dir.has(file));
        let found = path.as_ref().filter(|_| installed);
        let found = found.and_then(|path| std::fs::metadata(path).ok());
        let size = match (&entry.weights, found) {
            (WeightsSource::BuiltIn(bytes), _) => Some(FileSize::Exactly(bytes.len() as u64)),
            (WeightsSource::Download(_), Some(found)) => Some(FileSize::Exactly(found.len())),
            (WeightsSource::Download(file), None) => Some(file.size),
            (WeightsSource::Given, _) => None,
        };
        Self {
            name: entry.name,
            default: entry.name == DEFAULT.name,
            task: task_name(entry.task),
            summary: entry.summary,
            licence: entry.licence,
            size: size.map(FileSize::bytes),
            size_is_rounded: matches!(size, Some(FileSize::About(_))),
            installed,
            built_in,
            path,
            url: file.map(|file| file.url),
            sha256: file.map(|file| file.sha256),
        }
    }

    fn size_in_words(&self) -> String {
        let about = if self.size_is_rounded { "about " } else { "" };
        let bytes = self.size.map(size).unwrap_or_default();
        format!("{about}{bytes}")
    }
}

fn table(rows: &[Row]) -> String {
    let head = ["NAME", "FINDS", "LICENCE", "SIZE", "INSTALLED", "FOR"].map(str::to_owned);
    let mut lines = vec![head];
    lines.extend(rows.iter().map(|row| {
        [
            row.name.to_owned(),
            row.task.to_owned(),
            row.licence.to_owned(),
            row.size_in_words(),
            (if row.installed { "yes" } else { "no" }).to_owned(),
            format!(
                "{}{}",
                row.summary,
                if row.default { " (default)" } else { "" }
            ),
        ]
    }));
    super::table::table(&lines)
}

#[cfg(test)]
mod tests {
    use segmenter_models::catalogue::BUILT_IN;

    use super::*;

    #[test]
    fn every_model_has_a_line_and_the_columns_are_straight() {
        let dir = tempfile::tempdir().unwrap();
        let weights = DEFAULT.download().unwrap();
        let file = std::fs::File::create(dir.path().join(weights.file_name)).unwrap();
        file.set_len(weights.size.bytes()).unwrap();
        let dir = ModelDir::new(Some(dir.path())).unwrap();
        let rows: Vec<Row> = CATALOGUE
            .iter()
            .map(|entry| Row::new(entry, &dir))
            .collect();
        assert!(rows[0].default && !rows[1..].iter().any(|row| row.default));
        for row in &rows {
            assert_eq!(row.built_in, row.name == BUILT_IN.name);
            assert_eq!(row.installed, row.default || row.built_in, "{}", row.name);
            assert_eq!(row.path.is_none(), row.built_in, "{}", row.name);
            // As GET /v1/models has it.
            assert!(row.task == "detection" || row.task.ends_with("-segmentation"));
        }

        let text = table(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + CATALOGUE.len());
        let column = lines[0].find("LICENCE").unwrap();
        for (line, row) in lines[1..].iter().zip(&rows) {
            assert!(line.starts_with(row.name), "{line}");
            assert!(line[column..].starts_with(row.licence), "{line}");
            assert!(line.contains(" MB "), "{line}");
        }
        assert!(lines[1].ends_with("(default)"), "{text}");
    }
}

//! Images without Docker: what a Dockerfile lays out, packed of files that are there already.
//!
//! Only the stage that ships is packed, which must be made of nothing but copies out of others; where these leave
//! their files is told by whoever built them. The same files make the same image, byte by byte.

mod archive;
mod dockerfile;
mod elf;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use archive::{Archive, Layer};
use dockerfile::Stage;

/// What is copied: a file or folder of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The stage.
    pub stage: String,
    /// Its path there, absolute.
    pub path: String,
    /// Where it is here.
    pub here: PathBuf,
}

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// `sha256:` and 64 hex digits, by which registries and pods know the image.
    pub digest: String,
    /// Its layers, compressed, in bytes.
    pub size: u64,
}

/// Why an image cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was tried, in the infinitive.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The Dockerfile says something that cannot be done without Docker.
    #[error("line {line} of the Dockerfile: {reason}")]
    Dockerfile {
        /// Counted from 1.
        line: usize,
        /// What it is.
        reason: String,
    },
    /// There is no such stage.
    #[error("the Dockerfile has no stage {0:?}")]
    Stage(String),
    /// Nobody said where a stage left its file.
    #[error("where is {path} of the stage {stage}? (--built {stage}:{path}=FILE)")]
    NotBuilt {
        /// The stage.
        stage: String,
        /// Its path there.
        path: String,
    },
    /// The program does not run in an image without anything else.
    #[error("{} {reason}", path.display())]
    Program {
        /// The program.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl ImageError {
    fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }
}

/// Packs a stage of a Dockerfile as an OCI archive at `to`, whose image is called `name`.
pub fn pack(
    dockerfile: &Path,
    stage: &str,
    built: &[Built],
    name: &str,
    to: &Path,
) -> Result<Packed, ImageError> {
    let text = fs::read_to_string(dockerfile).map_err(ImageError::file("read", dockerfile))?;
    pack_text(&text, stage, built, name, to)
}

/// [`pack`] with the text of a Dockerfile.
pub fn pack_text(
    dockerfile: &str,
    stage: &str,
    built: &[Built],
    name: &str,
    to: &Path,
) -> Result<Packed, ImageError> {
    let stage = Stage::read(dockerfile, stage)?;
    let mut layers = Vec::with_capacity(stage.copies.len());
    let mut architecture = None;
    for copy in &stage.copies {
        let found = built
            .iter()
            .find(|built| built.stage == copy.stage && built.path == copy.from);
        let found = found.ok_or_else(|| ImageError::NotBuilt {
            stage: copy.stage.clone(),
            path: copy.from.clone(),
        })?;
        if stage.entrypoint.first() == Some(&copy.to) {
            architecture = Some(elf::architecture(&found.here)?);
        }
        layers.push(Layer::of(&found.here, &copy.to, &copy.line)?);
    }
    let architecture = architecture.ok_or_else(|| ImageError::Program {
        path: stage.entrypoint.first().cloned().unwrap_or_default().into(),
        reason: "is the entry point, and nothing copies it into the image",
    })?;
    Archive::new(&stage, architecture, layers).write(name, to)
}

/// The name and the digest of the image in an archive that was packed here.
pub fn identify(archive: &Path) -> Result<(String, String), ImageError> {
    archive::identify(archive)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read};

    use flate2::read::GzDecoder;
    use serde_json::{Value, json};

    use super::*;

    const DOCKERFILE: &str = r#"
# A comment.
FROM rust AS build
RUN cargo build \
    && install program /out/program

FROM scratch AS base
COPY --from=build /out/program /program
COPY --from=build /models /models
ENV MODEL_DIR=/models \
    OFFLINE=1
USER 65532:65532
EXPOSE 8080 9090
ENTRYPOINT ["/program"]
CMD ["serve"]

FROM base AS other
CMD ["lambda"]
"#;

    /// An ELF header of a program for 64-bit x86 without anything in it.
    fn program() -> Vec<u8> {
        let mut program = vec![0; 64];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        program[18] = 0x3e;
        program
    }

    fn entries(archive: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.mtime().unwrap(), header.uid().unwrap()), (0, 0));
            let mode = header.mode().unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (path, (mode, content))
        });
        entries.collect()
    }

    #[test]
    fn an_image_has_what_its_stage_copies_and_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("Dockerfile"), DOCKERFILE).unwrap();
        fs::write(path("program"), program()).unwrap();
        fs::create_dir_all(path("models/more")).unwrap();
        fs::write(path("models/b"), "two").unwrap();
        fs::write(path("models/more/a"), "one").unwrap();
        let built =
            [("/out/program", "program"), ("/models", "models")].map(|(from, here)| Built {
                stage: "build".to_owned(),
                path: from.to_owned(),
                here: path(here),
            });
        let pack = |stage: &str, to: &str| {
            pack(
                &path("Dockerfile"),
                stage,
                &built,
                "example.com/program:1",
                &path(to),
            )
        };
        let packed = pack("other", "image.tar").unwrap();
        let again = pack("other", "again.tar").unwrap();
        assert_eq!(packed, again);
        let identified = identify(&path("image.tar")).unwrap();
        assert_eq!(
            identified,
            ("example.com/program:1".to_owned(), packed.digest.clone())
        );
        let bytes = fs::read(path("image.tar")).unwrap();
        assert_eq!(bytes, fs::read(path("again.tar")).unwrap());

        let files = entries(&bytes);
        let blob = |digest: &Value| {
            let digest = digest.as_str().unwrap();
            let hex = digest.strip_prefix("sha256:").unwrap();
            let content = &files[&format!("blobs/sha256/{hex}")].1;
            assert_eq!(archive::digest(content), digest);
            content
        };
        let json_of = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        assert_eq!(
            json_of(&files["oci-layout"].1)["imageLayoutVersion"],
            "1.0.0"
        );
        let index = json_of(&files["index.json"].1);
        let [manifest] = index["manifests"].as_array().unwrap().as_slice() else {
            panic!("{index}");
        };
        assert_eq!(manifest["digest"], packed.digest);
        assert_eq!(
            manifest["annotations"]["io.containerd.image.name"],
            "example.com/program:1"
        );
        let manifest = json_of(blob(&manifest["digest"]));
        let config = json_of(blob(&manifest["config"]["digest"]));
        assert_eq!(config["architecture"], "amd64");
        let expected = json!({
            "User": "65532:65532",
            "ExposedPorts": {"8080/tcp": {}, "9090/tcp": {}},
            "Env": ["MODEL_DIR=/models", "OFFLINE=1"],
            "Entrypoint": ["/program"],
            "Cmd": ["lambda"]
        });
        assert_eq!(config["config"], expected);

        let layers = manifest["layers"].as_array().unwrap();
        let sizes = layers.iter().map(|layer| layer["size"].as_u64().unwrap());
        assert_eq!(sizes.sum::<u64>(), packed.size);
        let contents: Vec<_> = layers
            .iter()
            .zip(config["rootfs"]["diff_ids"].as_array().unwrap())
            .map(|(layer, diff_id)| {
                let mut plain = Vec::new();
                let mut decoder = GzDecoder::new(&blob(&layer["digest"])[..]);
                decoder.read_to_end(&mut plain).unwrap();
                assert_eq!(*diff_id, archive::digest(&plain));
                entries(&plain)
            })
            .collect();
        let file = |mode, content: &[u8]| (mode, content.to_vec());
        let expected = [
            BTreeMap::from([("program".to_owned(), file(0o755, &program()))]),
            BTreeMap::from([
                ("models".to_owned(), file(0o755, b"")),
                ("models/b".to_owned(), file(0o644, b"two")),
                ("models/more".to_owned(), file(0o755, b"")),
                ("models/more/a".to_owned(), file(0o644, b"one")),
            ]),
        ];
        assert_eq!(contents, expected);
    }

    #[test]
    fn what_cannot_be_packed_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let program_at = |bytes: &[u8]| {
            fs::write(path("program"), bytes).unwrap();
            [Built {
                stage: "build".to_owned(),
                path: "/out/program".to_owned(),
                here: path("program"),
            }]
        };
        let refusal = |text: &str, stage: &str, built: &[Built]| {
            fs::write(path("Dockerfile"), text).unwrap();
            let packed = pack(
                &path("Dockerfile"),
                stage,
                built,
                "name",
                &path("image.tar"),
            );
            packed.unwrap_err().to_string()
        };
        let good = program_at(&program());
        let stage = "FROM scratch AS a\nCOPY --from=build /out/program /program\n";
        let entry = format!("{stage}ENTRYPOINT [\"/program\"]\n");
        for (text, stage, built, part) in [
            (DOCKERFILE, "nonesuch", &good[..], "no stage \"nonesuch\""),
            (
                DOCKERFILE,
                "build",
                &good,
                "line 3 of the Dockerfile: FROM rust",
            ),
            (
                DOCKERFILE,
                "base",
                &good,
                "where is /models of the stage build?",
            ),
            (stage, "a", &good, "is the entry point"),
            (
                "FROM scratch AS a\nRUN ls\n",
                "a",
                &good,
                "line 2 of the Dockerfile: RUN",
            ),
            ("FROM scratch AS a\nCOPY a b\n", "a", &good, "line 2"),
            ("FROM scratch AS a\nCMD serve\n", "a", &good, "line 2"),
            (
                "FROM a AS b\nFROM b AS a\n",
                "a",
                &good,
                "line 1 of the Dockerfile: FROM a",
            ),
        ] {
            let error = refusal(text, stage, built);
            assert!(error.contains(part), "{error}");
        }
        let script = program_at(b"#!/bin/sh\n");
        let error = refusal(&entry, "a", &script);
        assert!(error.contains("no ELF program"), "{error}");
        // One program header, which names an interpreter.
        let mut dynamic = program();
        dynamic[32] = 64;
        dynamic[54] = 56;
        dynamic[56] = 1;
        dynamic.extend([3, 0, 0, 0]);
        dynamic.extend([0; 52]);
        let error = refusal(&entry, "a", &program_at(&dynamic));
        assert!(error.contains("linked statically"), "{error}");
        let truncated = program_at(&dynamic[..66]);
        let error = refusal(&entry, "a", &truncated);
        assert!(error.contains("no ELF program"), "{error}");
    }
}

//! An image as an archive: <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::{ImageError, Packed, dockerfile::Stage};

/// No file is younger, so that the same files make the same image.
const CREATED: &str = "1970-01-01T00:00:00Z";

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// containerd's annotation for the name of an image.
const NAME: &str = "io.containerd.image.name";

const CONTENTS: &str = "index.json";

/// What an instruction adds to an image.
pub(super) struct Layer {
    compressed: Blob,
    /// The digest of what is in it before it is compressed.
    plain: String,
    /// The instruction.
    line: String,
}

/// Something that is known by its digest.
struct Blob {
    digest: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            digest: digest(&bytes),
            bytes,
        }
    }

    fn json(value: &Value) -> Self {
        Self::new(value.to_string().into_bytes())
    }

    fn described(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

/// As registries write it.
pub(super) fn digest(bytes: &[u8]) -> String {
    let hex = Sha256::digest(bytes);
    let hex = hex.iter().map(|byte| format!("{byte:02x}"));
    format!("sha256:{}", hex.collect::<String>())
}

impl Layer {
    /// Of a file or folder here, which goes `to` there.
    pub(super) fn of(here: &Path, to: &str, line: &str) -> Result<Self, ImageError> {
        let mut layer = Builder::new(Vec::new());
        add(&mut layer, here, Path::new(to.trim_start_matches('/')))?;
        let finished = layer.into_inner().and_then(|plain| {
            // Without a name and a time.
            let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
            gzip.write_all(&plain)?;
            Ok((digest(&plain), gzip.finish()?))
        });
        let (plain, compressed) = finished.map_err(ImageError::file("pack", here))?;
        Ok(Self {
            compressed: Blob::new(compressed),
            plain,
            line: line.to_owned(),
        })
    }
}

/// Adds a file, or a folder with all that is in it, in the order of their names.
fn add(layer: &mut Builder<Vec<u8>>, here: &Path, to: &Path) -> Result<(), ImageError> {
    let failed = |doing| ImageError::file(doing, here);
    // Links are followed: where they lead there is nothing in the image.
    let metadata = fs::metadata(here).map_err(failed("read"))?;
    if !metadata.is_dir() {
        let content = fs::read(here).map_err(failed("read"))?;
        let is_program = metadata.permissions().mode() & 0o111 != 0;
        let is_program = is_program || content.starts_with(b"\x7fELF");
        let mode = if is_program { 0o755 } else { 0o644 };
        return append(layer, to, EntryType::Regular, mode, &content).map_err(failed("pack"));
    }
    append(layer, to, EntryType::Directory, 0o755, &[]).map_err(failed("pack"))?;
    let entries = fs::read_dir(here).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(failed("read"))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        add(layer, &entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn append(
    archive: &mut Builder<Vec<u8>>,
    path: &Path,
    kind: EntryType,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    archive.append_data(&mut header, path, content)
}

/// An image that is not written yet.
pub(super) struct Archive {
    layers: Vec<Layer>,
    config: Blob,
}

impl Archive {
    pub(super) fn new(stage: &Stage, architecture: &str, layers: Vec<Layer>) -> Self {
        let ports: serde_json::Map<_, _> = stage
            .ports
            .iter()
            .map(|port| match port.contains('/') {
                true => (port.clone(), json!({})),
                false => (format!("{port}/tcp"), json!({})),
            })
            .collect();
        let plain: Vec<_> = layers.iter().map(|layer| &layer.plain).collect();
        let history = layers
            .iter()
            .map(|layer| json!({"created": CREATED, "created_by": layer.line}));
        let config = Blob::json(&json!({
            "created": CREATED,
            "architecture": architecture,
            "os": "linux",
            "config": {
                "User": stage.user,
                "ExposedPorts": ports,
                "Env": stage.env,
                "Entrypoint": stage.entrypoint,
                "Cmd": stage.command
            },
            "rootfs": {"type": "layers", "diff_ids": plain},
            "history": history.collect::<Vec<_>>()
        }));
        Self { layers, config }
    }

    /// Writes it under a name, and answers its digest.
    pub(super) fn write(self, name: &str, to: &Path) -> Result<Packed, ImageError> {
        let layers: Vec<_> = self
            .layers
            .iter()
            .map(|layer| layer.compressed.described(LAYER))
            .collect();
        let manifest = Blob::json(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.config.described(CONFIG),
            "layers": layers
        }));
        let mut described = manifest.described(MANIFEST);
        // As containerd, and as others call it.
        described["annotations"] = json!({
            NAME: full_name(name),
            "org.opencontainers.image.ref.name": name
        });
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]});
        let layout = json!({"imageLayoutVersion": "1.0.0"});

        let size = |layer: &Layer| layer.compressed.bytes.len() as u64;
        let packed = Packed {
            digest: manifest.digest.clone(),
            size: self.layers.iter().map(size).sum(),
        };
        let layers = self.layers.into_iter().map(|layer| layer.compressed);
        let blobs = [self.config, manifest].into_iter().chain(layers);
        let mut archive = Builder::new(Vec::new());
        let mut add = |path: &str, content: &[u8]| {
            append(
                &mut archive,
                Path::new(path),
                EntryType::Regular,
                0o644,
                content,
            )
        };
        let written = add("oci-layout", layout.to_string().as_bytes())
            .and_then(|()| add(CONTENTS, index.to_string().as_bytes()))
            .and_then(|()| {
                for blob in blobs {
                    add(
                        &format!("blobs/{}", blob.digest.replace(':', "/")),
                        &blob.bytes,
                    )?;
                }
                Ok(())
            })
            .and_then(|()| archive.into_inner())
            .and_then(|archive| fs::write(to, archive));
        written.map_err(ImageError::file("write", to))?;
        Ok(packed)
    }
}

/// A name with its registry, which is Docker's where none is named.
fn full_name(name: &str) -> String {
    match name.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

/// The name and the digest of the only image in an archive.
pub(super) fn identify(archive: &Path) -> Result<(String, String), ImageError> {
    let read = || -> io::Result<_> {
        let mut files = tar::Archive::new(fs::File::open(archive)?);
        for file in files.entries()? {
            let file = file?;
            if file.path()?.as_os_str() != CONTENTS {
                continue;
            }
            let contents: Value = serde_json::from_reader(file)?;
            let image = &contents["manifests"][0];
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let found = text(&image["annotations"][NAME]).zip(text(&image["digest"]));
            return found.ok_or_else(|| io::Error::other("its only image has no name"));
        }
        Err(io::Error::other("it has no index.json"))
    };
    read().map_err(ImageError::file("read", archive))
}

//! The zip archive that `torch.save` and `torch.jit.save` write.

use std::io::{Read, Seek, SeekFrom};

use zip::{ZipArchive, result::ZipError};

use super::{WeightError, views::malformed};

/// An archive `<root>/data.pkl`, `<root>/data/0`, `<root>/data/1`, and so on.
pub(super) struct Archive<R> {
    zip: ZipArchive<R>,
    root: String,
    /// Bytes that may still be read. In a sound archive no two entries share a byte, so together they
    /// are no longer than the file; the check keeps a small file from claiming to hold much. Code is
    /// compressed, but what is read of it is little beside the tensors.
    left: u64,
}

impl<R: Read + Seek> Archive<R> {
    /// Opens the archive in `file`.
    pub(super) fn open(mut file: R) -> Result<Self, WeightError> {
        let left = file.seek(SeekFrom::End(0))?;
        let zip = ZipArchive::new(file).map_err(|error| damaged(error, "its directory"))?;
        let root = zip
            .file_names_raw()
            .filter_map(|name| str::from_utf8(name).ok()?.strip_suffix("/data.pkl"))
            .find(|root| !root.contains('/'))
            .map(str::to_owned)
            .ok_or_else(|| malformed("a zip archive without data.pkl".to_owned()))?;
        let mut archive = Self { zip, root, left };
        if archive.contains("byteorder") && archive.read("byteorder")? != b"little" {
            return Err(malformed(
                "its numbers are big-endian, expected little-endian".to_owned(),
            ));
        }
        Ok(archive)
    }

    fn contains(&self, name: &str) -> bool {
        let name = format!("{}/{name}", self.root);
        self.zip.index_for_name(&name).is_some()
    }

    /// The entry `name`, whole; its checksum is verified.
    pub(super) fn read(&mut self, name: &str) -> Result<Vec<u8>, WeightError> {
        let name = format!("{}/{name}", self.root);
        let entry = self
            .zip
            .by_name(&name)
            .map_err(|error| damaged(error, &name))?;
        let size = entry.size();
        if size > self.left {
            return Err(malformed(format!(
                "{name} claims {size} bytes where at most {} are left",
                self.left
            )));
        }
        self.left -= size;
        let mut bytes = Vec::new();
        // One byte more than claimed, so that the reader comes to the end and checks the checksum.
        entry
            .take(size + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| malformed(format!("{name}: {error}")))?;
        if bytes.len() as u64 != size {
            return Err(malformed(format!(
                "{name} has {} bytes, expected {size}",
                bytes.len()
            )));
        }
        Ok(bytes)
    }
}

fn damaged(error: ZipError, part: &str) -> WeightError {
    match error {
        ZipError::Io(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => error.into(),
        ZipError::FileNotFound => malformed(format!("{part} is missing")),
        error => malformed(format!("{part}: {error}")),
    }
}

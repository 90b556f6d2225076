//! Weight files made by code, for tests.

use std::io::{Cursor, Read, Write};

use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

/// Writes the opcodes of a pickle.
#[derive(Default)]
pub(super) struct Pickler {
    bytes: Vec<u8>,
}

impl Pickler {
    pub(super) fn new() -> Self {
        Self {
            bytes: b"\x80\x02".to_vec(),
        }
    }

    pub(super) fn op(mut self, opcodes: &[u8]) -> Self {
        self.bytes.extend_from_slice(opcodes);
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.op(b"X")
            .op(&(text.len() as u32).to_le_bytes())
            .op(text.as_bytes())
    }

    pub(super) fn int(self, value: usize) -> Self {
        self.op(b"J").op(&(value as i32).to_le_bytes())
    }

    pub(super) fn sizes(self, sizes: &[usize]) -> Self {
        sizes.iter().fold(self.op(b"("), |p, &s| p.int(s)).op(b"t")
    }

    pub(super) fn global(self, module: &str, name: &str) -> Self {
        self.op(format!("c{module}\n{name}\n").as_bytes())
    }

    fn view(
        self,
        (storage, key, length): (&str, &str, usize),
        offset: usize,
        shape: &[usize],
        strides: &[usize],
    ) -> Self {
        self.op(b"(")
            .text("storage")
            .global("torch", storage)
            .text(key)
            .text("cpu")
            .int(length)
            .op(b"tQ")
            .int(offset)
            .sizes(shape)
            .sizes(strides)
    }

    /// A tensor that is a view of the storage `(type, key, length)`.
    pub(super) fn tensor(
        self,
        storage: (&str, &str, usize),
        offset: usize,
        shape: &[usize],
        strides: &[usize],
    ) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .op(b"(")
            .view(storage, offset, shape, strides)
            .op(b"\x89")
            .global("collections", "OrderedDict")
            .op(b")RtR")
    }

    /// A tensor of 8-bit integers in storage `q`, with scales in `s` and zero points in `z`.
    pub(super) fn quantized(self, q: &str, s: &str, z: &str, shape: &[usize]) -> Self {
        let length = shape.iter().product();
        let strides: Vec<usize> = (0..shape.len())
            .map(|axis| shape[axis + 1..].iter().product())
            .collect();
        self.global("torch._utils", "_rebuild_qtensor")
            .op(b"(")
            .view(("QInt8Storage", q, length), 0, shape, &strides)
            .op(b"(")
            .global("torch", "per_channel_affine")
            .tensor(("DoubleStorage", s, shape[0]), 0, &shape[..1], &[1])
            .tensor(("LongStorage", z, shape[0]), 0, &shape[..1], &[1])
            .int(0)
            .op(b"t\x89")
            .global("collections", "OrderedDict")
            .op(b")RtR")
    }

    pub(super) fn stop(self) -> Vec<u8> {
        self.op(b".").bytes
    }
}

/// A zip archive of the entries, under `name/`, of which code is compressed.
pub(super) fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let method = if name.starts_with("code/") {
            CompressionMethod::Deflated
        } else {
            CompressionMethod::Stored
        };
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(format!("name/{name}"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The archive with other bytes for some of its entries.
pub(super) fn replace(file: &[u8], others: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipArchive::new(Cursor::new(file)).unwrap();
    let entries: Vec<_> = (0..zip.len())
        .map(|index| {
            let mut entry = zip.by_index(index).unwrap();
            let name = entry.name().unwrap()["name/".len()..].to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (name, bytes)
        })
        .collect();
    let entries: Vec<(&str, &[u8])> = entries
        .iter()
        .map(|(name, bytes)| {
            let other = others.iter().find(|(other, _)| other == name);
            (name.as_str(), other.map_or(&bytes[..], |(_, bytes)| bytes))
        })
        .collect();
    archive(&entries)
}

/// Numbers as little-endian bytes.
pub(super) fn floats(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Reads every shortening of `file` and every file that differs from it in one byte: none may panic,
/// and the shortened ones must be refused.
pub(super) fn damage<T>(file: &[u8], read: impl Fn(&[u8]) -> Result<T, super::WeightError>) {
    assert!(read(file).is_ok());
    for length in 0..file.len() {
        assert!(read(&file[..length]).is_err(), "the first {length} bytes");
    }
    let mut damaged = file.to_vec();
    for position in 0..file.len() {
        for mask in [0x01, 0x80, 0xff] {
            damaged[position] ^= mask;
            drop(read(&damaged));
            damaged[position] ^= mask;
        }
    }
}

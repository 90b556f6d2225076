//! State dicts: named tensors, in the formats in which they are passed around.
//!
//! `torch.save` has written zip archives since PyTorch 1.6 and pickles followed by raw storages before;
//! checkpoints of both kinds end in `.pth`. Safetensors files are told apart by content too.

use std::{
    collections::BTreeMap,
    io::{Read, Seek, SeekFrom},
};

use super::{
    Tensor, WeightError,
    archive::Archive,
    pickle::{Id, MAX_PICKLE, Node, Pickle},
    safetensors,
    views::{Storage, View, check_total, malformed},
};

/// How a file of before PyTorch 1.6 begins: the pickle of the number 0x1950a86a20f9469cfc6c.
const LEGACY_MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// The tensors of the file, as 32-bit floats; batch norm's counters, which only training uses, are left
/// out.
pub(super) fn read(mut file: impl Read + Seek) -> Result<Vec<(String, Tensor)>, WeightError> {
    let mut head = Vec::new();
    file.by_ref().take(16).read_to_end(&mut head)?;
    file.rewind()?;
    if head.starts_with(b"PK\x03\x04") {
        read_archive(file)
    } else if head.starts_with(LEGACY_MAGIC) {
        read_legacy(file)
    } else if head.get(8) == Some(&b'{') {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        safetensors::read(&bytes)
    } else {
        let found = match head.as_slice() {
            [] => "it is empty".to_owned(),
            head => format!("it begins with \"{}\"", head.escape_ascii()),
        };
        Err(WeightError::Malformed {
            format: "PyTorch or safetensors",
            what: found,
        })
    }
}

fn read_archive(mut file: impl Read + Seek) -> Result<Vec<(String, Tensor)>, WeightError> {
    let length = length(&mut file)?;
    let mut archive = Archive::open(file)?;
    let data = archive.read("data.pkl")?;
    let pickle = Pickle::parse(&data)?;
    let mut tensors = Vec::new();
    for (key, named) in views_by_storage(&pickle, length)? {
        let storage = archive.read(&format!("data/{key}"))?;
        convert(&storage, &named, &mut tensors)?;
    }
    Ok(tensors)
}

/// Reads the format of before PyTorch 1.6: the pickles of a magic number, of the protocol's number, of
/// facts about the machine, of the state dict and of the storages' keys, then the storages in the order
/// of the keys, each as its length in elements (64 bits) and its elements.
fn read_legacy(mut file: impl Read + Seek) -> Result<Vec<(String, Tensor)>, WeightError> {
    let length = length(&mut file)?;
    let mut head = Vec::new();
    file.by_ref()
        .take(2 * MAX_PICKLE as u64)
        .read_to_end(&mut head)?;
    let mut position = LEGACY_MAGIC.len();
    let mut next = || -> Result<Pickle<'_>, WeightError> {
        let pickle = Pickle::parse(&head[position..])?;
        position += pickle.length;
        Ok(pickle)
    };
    let _protocol = next()?;
    let _machine = next()?;
    let state_dict = next()?;
    let keys = next()?;

    let elements: BTreeMap<_, _> = state_dict
        .nodes()
        .iter()
        .filter_map(|node| match node {
            Node::Persistent(id) => Some(Storage::from_persistent_id(&state_dict, *id)),
            _ => None,
        })
        .map(|storage| storage.map(|storage| (storage.key, storage.element)))
        .collect::<Result<_, _>>()?;
    let mut views = views_by_storage(&state_dict, length)?;
    let Node::List(keys_in_order) = keys.node(keys.root()) else {
        return Err(malformed(format!(
            "{} where the list of storages should be",
            keys.describe(keys.root())
        )));
    };
    let mut left = length.saturating_sub(position as u64);
    file.seek(SeekFrom::Start(position as u64))?;
    let mut tensors = Vec::new();
    for &key in keys_in_order {
        let key = keys.text(key).unwrap_or_default();
        let Some(element) = elements.get(key) else {
            return Err(malformed(format!("storage {key}, which nothing uses")));
        };
        let count = read_u64(&mut file, key)?;
        let size = count.checked_mul(element.size() as u64);
        let Some(size) = size.filter(|&size| size <= left) else {
            return Err(malformed(format!(
                "storage {key} claims {count} elements with {left} bytes left"
            )));
        };
        left -= size;
        match views.remove(key) {
            Some(named) => {
                let mut storage = Vec::new();
                file.by_ref().take(size).read_to_end(&mut storage)?;
                convert(&storage, &named, &mut tensors)?;
            }
            None => {
                // No more than is left of the file.
                file.seek_relative(size as i64)?;
            }
        }
    }
    match views.into_iter().next() {
        None => Ok(tensors),
        Some((key, named)) => Err(malformed(format!(
            "storage {key} of tensor {} is missing",
            named[0].0
        ))),
    }
}

/// A tensor's name and where its elements are.
type Named<'a> = (&'a str, View<'a>);

/// The tensors of the state dict that the pickle is of, by the keys of their storages, so that each
/// storage need be read once.
fn views_by_storage<'a>(
    pickle: &Pickle<'a>,
    file_length: u64,
) -> Result<BTreeMap<&'a str, Vec<Named<'a>>>, WeightError> {
    let root = pickle.root();
    let Some(items) = pickle.dict(root) else {
        return Err(malformed(format!(
            "{} where a state dict should be",
            pickle.describe(root)
        )));
    };
    let mut views = BTreeMap::new();
    for &(name, value) in items {
        let name = pickle.text(name).ok_or_else(|| {
            malformed(format!("a tensor whose name is {}", pickle.describe(name)))
        })?;
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        views.insert(name, view(pickle, value).map_err(|e| e.within(name))?);
    }
    check_total(
        views.values(),
        usize::try_from(file_length).unwrap_or(usize::MAX),
    )?;
    let mut by_storage = BTreeMap::<_, Vec<_>>::new();
    for (name, view) in views {
        by_storage
            .entry(view.storage.key)
            .or_default()
            .push((name, view));
    }
    Ok(by_storage)
}

fn view<'a>(pickle: &Pickle<'a>, id: Id) -> Result<View<'a>, WeightError> {
    View::parse(pickle, id)?
        .ok_or_else(|| malformed(format!("{} where a tensor should be", pickle.describe(id))))
}

fn convert(
    storage: &[u8],
    named: &[Named<'_>],
    tensors: &mut Vec<(String, Tensor)>,
) -> Result<(), WeightError> {
    for (name, view) in named {
        let tensor = view.tensor(storage).map_err(|e| e.within(name))?;
        tensors.push(((*name).to_owned(), tensor));
    }
    Ok(())
}

fn length(file: &mut impl Seek) -> Result<u64, WeightError> {
    let length = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    Ok(length)
}

fn read_u64(file: &mut impl Read, key: &str) -> Result<u64, WeightError> {
    let mut bytes = Vec::new();
    file.take(8).read_to_end(&mut bytes)?;
    <[u8; 8]>::try_from(bytes)
        .map(u64::from_le_bytes)
        .map_err(|_| malformed(format!("the file ends before storage {key}")))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::weights::fixture::{self, Pickler, archive, floats};

    fn read(file: &[u8]) -> Result<Vec<(String, Tensor)>, WeightError> {
        super::read(Cursor::new(file))
    }

    fn fails(file: &[u8]) -> String {
        read(file).unwrap_err().to_string()
    }

    /// The pickle of a state dict: a matrix, its transpose, its last column, a half-precision bias and a
    /// batch norm's counter.
    fn state_dict() -> Vec<u8> {
        Pickler::new()
            .global("collections", "OrderedDict")
            .op(b")R(")
            .text("weight")
            .tensor(("FloatStorage", "0", 6), 0, &[2, 3], &[3, 1])
            .text("transposed")
            .tensor(("FloatStorage", "0", 6), 0, &[3, 2], &[1, 3])
            .text("column")
            .tensor(("FloatStorage", "0", 6), 2, &[2, 1], &[3, 99])
            .text("bias")
            .tensor(("HalfStorage", "1", 2), 0, &[2], &[1])
            .text("bn.num_batches_tracked")
            .tensor(("LongStorage", "2", 1), 0, &[], &[])
            .op(b"u}(")
            .text("_metadata")
            .op(b"}ub")
            .stop()
    }

    const BIAS: &[u8] = &[0x00, 0x3c, 0x00, 0xc0];

    fn new_format() -> Vec<u8> {
        archive(&[
            ("data.pkl", &state_dict()),
            ("byteorder", b"little"),
            ("data/0", &floats(&[1., 2., 3., 4., 5., 6.])),
            ("data/1", BIAS),
            ("data/2", &[0; 8]),
        ])
    }

    fn legacy_format() -> Vec<u8> {
        let keys = Pickler::new().op(b"](").text("1").text("2").text("0");
        let length = |length: u64| length.to_le_bytes().to_vec();
        [
            LEGACY_MAGIC.to_vec(),
            Pickler::new().int(1001).stop(),
            Pickler::new().op(b"}").stop(),
            state_dict(),
            keys.op(b"e").stop(),
            length(2),
            BIAS.to_vec(),
            length(1),
            vec![0; 8],
            length(6),
            floats(&[1., 2., 3., 4., 5., 6.]),
        ]
        .concat()
    }

    #[test]
    fn both_formats_are_read_whatever_the_strides() {
        let expected = [
            ("bias", vec![2], vec![1., -2.]),
            ("column", vec![2, 1], vec![3., 6.]),
            ("transposed", vec![3, 2], vec![1., 4., 2., 5., 3., 6.]),
            ("weight", vec![2, 3], vec![1., 2., 3., 4., 5., 6.]),
        ];
        let expected: BTreeMap<_, _> = expected
            .into_iter()
            .map(|(name, shape, values)| (name.to_owned(), Tensor { shape, values }))
            .collect();
        for file in [new_format(), legacy_format()] {
            let found: BTreeMap<_, _> = read(&file).unwrap().into_iter().collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn damaged_files_are_refused_without_a_panic() {
        fixture::damage(&new_format(), read);
        fixture::damage(&legacy_format(), read);
    }

    #[test]
    fn what_is_no_state_dict_is_named() {
        assert!(fails(b"").contains("it is empty"));
        assert!(fails(b"<!DOCTYPE html><html>").contains("begins with \"<!DOCTYPE html>"));
        assert!(fails(&archive(&[("a.txt", b"")])).contains("without data.pkl"));
        let list = archive(&[("data.pkl", b"\x80\x02].")]);
        assert!(fails(&list).contains("a list where a state dict should be"));
        let big = archive(&[("data.pkl", b"}."), ("byteorder", b"big")]);
        assert!(fails(&big).contains("big-endian"));
    }

    #[test]
    fn a_tensor_outside_of_its_storage_is_named() {
        let file = |storage, offset, shape: &[usize], strides: &[usize]| {
            let pickler = Pickler::new().op(b"}(").text("layer.weight");
            let data = pickler
                .tensor(storage, offset, shape, strides)
                .op(b"u")
                .stop();
            archive(&[("data.pkl", &data), ("data/0", &floats(&[0.; 4]))])
        };
        let four = ("FloatStorage", "0", 4);
        assert!(read(&file(four, 0, &[2, 2], &[2, 1])).is_ok());
        for (offset, shape, strides) in [
            (1, &[2, 2][..], &[2, 1][..]),
            (0, &[2, 2], &[3, 1]),
            (0, &[8], &[0]),
            (0, &[1 << 30, 1 << 30, 1 << 30], &[0, 0, 0]),
        ] {
            let error = fails(&file(four, offset, shape, strides));
            assert!(error.contains("layer.weight: a tensor of shape"), "{error}");
        }
        let error = fails(&file(("FloatStorage", "0", 5), 0, &[5], &[1]));
        assert!(
            error.contains("storage 0 has 16 bytes, expected 5"),
            "{error}"
        );
        let error = fails(&file(("FloatStorage", "7", 4), 0, &[4], &[1]));
        assert!(error.contains("name/data/7 is missing"), "{error}");
        let error = fails(&file(("ComplexFloatStorage", "0", 4), 0, &[4], &[1]));
        assert!(error.contains("torch.ComplexFloatStorage"), "{error}");
    }

    #[test]
    fn many_views_of_one_storage_do_not_multiply() {
        let mut pickler = Pickler::new().op(b"}(");
        for i in 0..2000 {
            let name = format!("tensor {i}");
            pickler = pickler
                .text(&name)
                .tensor(("FloatStorage", "0", 1000), 0, &[1000], &[1]);
        }
        let data = pickler.op(b"u").stop();
        let file = archive(&[("data.pkl", &data), ("data/0", &floats(&[0.; 1000]))]);
        assert!(fails(&file).contains("more elements than"));
    }
}

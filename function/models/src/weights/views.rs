//! Tensors as PyTorch pickles them: strided views of storages, which lie outside the pickle.

use std::borrow::Cow;

use super::{
    Tensor, WeightError,
    elements::Element,
    pickle::{Id, Node, Pickle, PickleError},
};

/// The most axes of a tensor.
const MAX_AXES: usize = 8;

/// One storage: a named run of elements of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    /// Its name in the file.
    pub(super) key: &'a str,
    pub(super) element: Element,
    /// How many elements it has.
    pub(super) length: usize,
}

/// A tensor: elements of a storage at `offset + index · strides`.
///
/// It has no more elements than its storage, and none of them lies outside of it.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) storage: Storage<'a>,
    offset: usize,
    pub(super) shape: Vec<usize>,
    /// In elements; 0 along axes of length 1.
    strides: Vec<usize>,
}

impl<'a> Storage<'a> {
    /// The storage that the persistent id at `id` names: `("storage", type, key, device, length)`.
    pub(super) fn from_persistent_id(pickle: &Pickle<'a>, id: Id) -> Result<Self, WeightError> {
        let parts = match pickle.tuple(id) {
            // Before PyTorch 0.5 a sixth part said of which other storage this one is a part.
            Some(&[tag, element, key, _device, length, ref rest @ ..])
                if pickle.text(tag) == Some("storage")
                    && rest.iter().all(|&id| *pickle.node(id) == Node::None) =>
            {
                Some((element, key, length))
            }
            _ => None,
        };
        let Some((element, key, length)) = parts else {
            return Err(malformed(format!(
                "{} where the name of a storage should be",
                pickle.describe(id)
            )));
        };
        let element = match pickle.global(element) {
            Some(("torch", "DoubleStorage")) => Element::F64,
            Some(("torch", "FloatStorage")) => Element::F32,
            Some(("torch", "HalfStorage")) => Element::F16,
            Some(("torch", "BFloat16Storage")) => Element::Bf16,
            Some(("torch", "LongStorage")) => Element::I64,
            Some(("torch", "IntStorage")) => Element::I32,
            Some(("torch", "CharStorage" | "QInt8Storage")) => Element::I8,
            Some(("torch", "ByteStorage" | "BoolStorage")) => Element::U8,
            _ => {
                return Err(malformed(format!(
                    "a storage of type {}, which is not read here",
                    pickle.describe(element)
                )));
            }
        };
        let key = pickle
            .text(key)
            .ok_or_else(|| malformed("a storage whose key is not text".to_owned()))?;
        Ok(Self {
            key,
            element,
            length: size(pickle, length)?,
        })
    }
}

impl<'a> View<'a> {
    /// The tensor at `id`; `None` where something else is there.
    pub(super) fn parse(pickle: &Pickle<'a>, id: Id) -> Result<Option<Self>, WeightError> {
        let view = match pickle.call(id) {
            Some((("torch._utils", "_rebuild_tensor_v2"), arguments)) => arguments,
            Some((("torch._utils", "_rebuild_parameter"), &[data, ..])) => {
                match pickle.call(data) {
                    Some((("torch._utils", "_rebuild_tensor_v2"), arguments)) => arguments,
                    _ => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        Self::from_arguments(pickle, view).map(Some)
    }

    /// The view that `_rebuild_tensor_v2` and `_rebuild_qtensor` are called with first: storage,
    /// offset, shape, strides.
    pub(super) fn from_arguments(
        pickle: &Pickle<'a>,
        arguments: &[Id],
    ) -> Result<Self, WeightError> {
        let &[storage, offset, shape, strides, ..] = arguments else {
            return Err(malformed(format!(
                "a tensor of {} arguments, expected storage, offset, shape and strides",
                arguments.len()
            )));
        };
        let Node::Persistent(storage) = *pickle.node(storage) else {
            return Err(malformed(format!(
                "{} where a storage should be",
                pickle.describe(storage)
            )));
        };
        let storage = Storage::from_persistent_id(pickle, storage)?;
        let offset = size(pickle, offset)?;
        let shape = sizes(pickle, shape)?;
        let mut strides = sizes(pickle, strides)?;
        if shape.len() != strides.len() {
            return Err(malformed(format!(
                "a tensor of shape {shape:?} with strides {strides:?}"
            )));
        }
        for (stride, &length) in strides.iter_mut().zip(&shape) {
            if length == 1 {
                *stride = 0;
            }
        }
        let view = Self {
            storage,
            offset,
            shape,
            strides,
        };
        if !view.fits() {
            return Err(malformed(format!(
                "a tensor of shape {:?}, strides {:?} and offset {offset} does not fit its storage \
                 {} of {} elements",
                view.shape, view.strides, storage.key, storage.length
            )));
        }
        Ok(view)
    }

    /// How many elements it has.
    pub(super) fn len(&self) -> usize {
        // `fits` has shown that this is at most the length of the storage.
        self.shape.iter().product()
    }

    /// Whether the storage holds every element, and at least as many as the view has.
    fn fits(&self) -> bool {
        let length = self.storage.length;
        let elements = self
            .shape
            .iter()
            .try_fold(1usize, |product, &axis| product.checked_mul(axis));
        // An axis of no length makes the product 0 whatever overflows before it.
        if self.shape.contains(&0) {
            return true;
        }
        let last = self
            .shape
            .iter()
            .zip(&self.strides)
            .try_fold(self.offset, |sum, (&axis, &stride)| {
                sum.checked_add((axis - 1).checked_mul(stride)?)
            });
        elements.is_some_and(|elements| elements <= length)
            && last.is_some_and(|last| last < length)
    }

    /// The view's elements in row-major order, out of the bytes of its storage.
    pub(super) fn bytes<'b>(&self, storage: &'b [u8]) -> Result<Cow<'b, [u8]>, WeightError> {
        let size = self.storage.element.size();
        let expected = self.storage.length.checked_mul(size);
        if expected.is_none_or(|expected| storage.len() < expected) {
            return Err(malformed(format!(
                "storage {} has {} bytes, expected {} elements of {size}",
                self.storage.key,
                storage.len(),
                self.storage.length
            )));
        }
        if self.shape.contains(&0) {
            return Ok(Cow::Borrowed(&[]));
        }
        if self.is_contiguous() {
            let start = self.offset * size;
            return Ok(Cow::Borrowed(&storage[start..start + self.len() * size]));
        }
        let mut gathered = Vec::with_capacity(self.len() * size);
        let mut index = vec![0; self.shape.len()];
        let mut position = self.offset;
        for _ in 0..self.len() {
            gathered.extend_from_slice(&storage[position * size..(position + 1) * size]);
            for axis in (0..self.shape.len()).rev() {
                index[axis] += 1;
                position += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                position -= self.strides[axis] * self.shape[axis];
                index[axis] = 0;
            }
        }
        Ok(Cow::Owned(gathered))
    }

    /// The view as 32-bit floats, out of the bytes of its storage.
    pub(super) fn tensor(&self, storage: &[u8]) -> Result<Tensor, WeightError> {
        Ok(Tensor {
            shape: self.shape.clone(),
            values: self.storage.element.to_f32(&self.bytes(storage)?),
        })
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape
            .iter()
            .zip(&self.strides)
            .rev()
            .filter(|&(&axis, _)| axis != 1)
            .all(|(&axis, &stride)| {
                let contiguous = stride == expected;
                expected *= axis;
                contiguous
            })
    }
}

fn sizes(pickle: &Pickle<'_>, id: Id) -> Result<Vec<usize>, WeightError> {
    let items = pickle.tuple(id).ok_or_else(|| {
        malformed(format!(
            "{} where a tuple of lengths should be",
            pickle.describe(id)
        ))
    })?;
    if items.len() > MAX_AXES {
        return Err(malformed(format!(
            "a tensor of {} axes, expected at most {MAX_AXES}",
            items.len()
        )));
    }
    items.iter().map(|&item| size(pickle, item)).collect()
}

fn size(pickle: &Pickle<'_>, id: Id) -> Result<usize, WeightError> {
    pickle
        .int(id)
        .and_then(|value| usize::try_from(value).ok())
        .ok_or_else(|| malformed(format!("{} where a length should be", pickle.describe(id))))
}

/// Checks that the views together have no more elements than the file has bytes, so that nothing in a
/// small file can ask for much memory.
pub(super) fn check_total<'v, 'a: 'v>(
    views: impl IntoIterator<Item = &'v View<'a>>,
    bytes: usize,
) -> Result<(), WeightError> {
    let total = views
        .into_iter()
        .try_fold(0usize, |total, view| total.checked_add(view.len()));
    match total {
        Some(total) if total <= bytes => Ok(()),
        _ => Err(malformed(format!(
            "its tensors have more elements than the {bytes} bytes of the file can hold"
        ))),
    }
}

/// The file is not what PyTorch writes.
pub(super) fn malformed(what: String) -> WeightError {
    WeightError::Malformed {
        format: "PyTorch",
        what,
    }
}

impl WeightError {
    /// Names the tensor, or the module, in which something was wrong.
    pub(super) fn within(self, name: &str) -> Self {
        match self {
            Self::Malformed { format, what } => Self::Malformed {
                format,
                what: format!("{name}: {what}"),
            },
            error => error,
        }
    }
}

impl From<PickleError> for WeightError {
    fn from(error: PickleError) -> Self {
        malformed(error.to_string())
    }
}

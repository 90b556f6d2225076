//! What training writes: a safetensors file that says what its network finds.
//!
//! Its metadata has one entry, `segmenter`, a JSON object: `network` is `centermask`, `classes` their names in the
//! order of the scores. Weights may be 8-bit integers; of the tensor `name`, `name.scale` then holds what each index of
//! the first axis has to be multiplied with.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt::Display,
};

use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use super::{QuantizedTensor, Tensor, WeightError, Weights, elements::Element};

/// A network that was trained, by its tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// The names of what it finds.
    pub classes: Vec<String>,
    /// Its tensors by name.
    pub tensors: BTreeMap<String, Tensor>,
}

/// How numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// As they are, to be trained on.
    F32,
    /// What is multiplied with as 8-bit integers, a quarter as large.
    Int8,
}

/// The entry of the file's metadata.
const ENTRY: &str = "segmenter";

/// The only network there is.
const NETWORK: &str = "centermask";

/// The end of the name of a tensor of scales.
const SCALE: &str = ".scale";

#[derive(Serialize, Deserialize)]
struct Description {
    network: String,
    classes: Vec<String>,
}

impl Trained {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it is none, and where another program wrote it.
    pub fn read(bytes: &[u8]) -> Result<Self, WeightError> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
        let description = metadata.metadata().as_ref().and_then(|all| all.get(ENTRY));
        let description = description.ok_or_else(|| {
            malformed(
                "it does not say what it finds: only files that `segmenter-training` wrote do",
            )
        })?;
        let description: Description = serde_json::from_str(description).map_err(malformed)?;
        if description.network != NETWORK {
            let found = description.network;
            return Err(malformed(format!(
                "it is for the network {found}, and {NETWORK} is known"
            )));
        }
        if description.classes.is_empty() {
            return Err(malformed("it names no classes"));
        }
        let file = SafeTensors::deserialize(bytes).map_err(malformed)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let scaled = view.dtype() == Dtype::I8;
            if name.ends_with(SCALE) {
                continue;
            }
            let element = match view.dtype() {
                Dtype::F32 => Element::F32,
                Dtype::I8 => Element::I8,
                other => {
                    return Err(malformed(format!(
                        "tensor {name} is {other:?}, expected F32 or I8"
                    )));
                }
            };
            let shape = view.shape().to_vec();
            let mut values = element.to_f32(view.data());
            if scaled {
                let scales = file.tensor(&format!("{name}{SCALE}")).map_err(malformed)?;
                let scales = Element::F32.to_f32(scales.data());
                if Some(&scales.len()) != shape.first() {
                    return Err(malformed(format!("tensor {name} has not as many scales")));
                }
                let each = values.len() / scales.len().max(1);
                for (values, scale) in values.chunks_mut(each.max(1)).zip(scales) {
                    values.iter_mut().for_each(|value| *value *= scale);
                }
            }
            tensors.insert(name.to_owned(), Tensor { shape, values });
        }
        Ok(Self {
            classes: description.classes,
            tensors,
        })
    }

    /// The file's bytes, the same for the same tensors.
    ///
    /// # Errors
    /// Where two tensors would have one name.
    pub fn write(&self, storage: Storage) -> Result<Vec<u8>, WeightError> {
        let description = Description {
            network: NETWORK.to_owned(),
            classes: self.classes.clone(),
        };
        let description = serde_json::to_string(&description).map_err(malformed)?;
        let mut stored = Vec::new();
        for (name, tensor) in &self.tensors {
            if storage == Storage::Int8 && tensor.shape.len() > 1 {
                let QuantizedTensor {
                    shape,
                    values,
                    scales,
                    ..
                } = quantized(tensor);
                let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                stored.push((name.clone(), Stored::new(Dtype::I8, shape, bytes)));
                let bytes = scales.iter().flat_map(|scale| scale.to_le_bytes());
                let scales = Stored::new(Dtype::F32, vec![scales.len()], bytes);
                stored.push((format!("{name}{SCALE}"), scales));
            } else {
                let bytes = tensor.values.iter().flat_map(|value| value.to_le_bytes());
                let tensor = Stored::new(Dtype::F32, tensor.shape.clone(), bytes);
                stored.push((name.clone(), tensor));
            }
        }
        let metadata = HashMap::from([(ENTRY.to_owned(), description)]);
        safetensors::serialize(stored, Some(metadata)).map_err(malformed)
    }
}

impl From<Trained> for Weights {
    fn from(trained: Trained) -> Self {
        Self::new(trained.tensors)
    }
}

/// 8-bit integers, by the greatest magnitude of each index of the first axis.
fn quantized(tensor: &Tensor) -> QuantizedTensor {
    let rows = tensor.shape.first().copied().unwrap_or(1).max(1);
    let each = (tensor.values.len() / rows).max(1);
    let kernel = tensor.shape.iter().skip(2).product::<usize>().max(1);
    let mut values = Vec::with_capacity(tensor.values.len());
    let mut scales = Vec::with_capacity(rows);
    for row in tensor.values.chunks(each) {
        let greatest = row
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        let scale = if greatest > 0.0 {
            greatest / 127.0
        } else {
            1.0
        };
        for kernel in row.chunks(kernel) {
            let steps: Vec<f32> = kernel.iter().map(|value| value / scale).collect();
            values.extend(rounded(&steps));
        }
        scales.push(scale);
    }
    QuantizedTensor {
        shape: tensor.shape.clone(),
        values,
        zero_points: vec![0.0; scales.len()],
        scales,
    }
}

/// A kernel in integers, -127 to 127: the nearest ones, but for as many as keep its sum from being off by more than half
/// of one. Neighbouring pixels are much alike, and what each weight is off by would add up.
fn rounded(kernel: &[f32]) -> Vec<i8> {
    let mut integers: Vec<f32> = kernel.iter().map(|value| value.round()).collect();
    loop {
        let left: Vec<f32> = kernel.iter().zip(&integers).map(|(x, n)| x - n).collect();
        let off = left.iter().sum::<f32>();
        if off.abs() <= 0.5 {
            break;
        }
        let step = off.signum();
        let gain = |&i: &usize| left[i] * step;
        let places = (0..kernel.len()).filter(|&i| (integers[i] + step).abs() <= 127.0);
        let best = places.max_by(|a, b| gain(a).total_cmp(&gain(b)));
        // There may be none where they are as large as they can be.
        let Some(best) = best.filter(|best| gain(best) > 0.0) else {
            break;
        };
        integers[best] += step;
    }
    integers.into_iter().map(|integer| integer as i8).collect()
}

struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn new(dtype: Dtype, shape: Vec<usize>, bytes: impl Iterator<Item = u8>) -> Self {
        Self {
            dtype,
            shape,
            bytes: bytes.collect(),
        }
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

fn malformed(what: impl Display) -> WeightError {
    WeightError::Malformed {
        format: "trained safetensors",
        what: format!("{what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::fixture;

    fn trained() -> Trained {
        let tensor = |shape: &[usize], values: &[f32]| Tensor {
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        Trained {
            classes: vec!["cup".to_owned(), "stickynote".to_owned()],
            tensors: BTreeMap::from([
                ("a.bias".to_owned(), tensor(&[2], &[0.1, -7.0])),
                (
                    "a.weight".to_owned(),
                    tensor(&[2, 3], &[1.27, -0.5, 0.01, 0.0, 0.0, 0.0]),
                ),
            ]),
        }
    }

    #[test]
    fn floats_come_back_as_they_were() {
        let bytes = trained().write(Storage::F32).unwrap();
        assert_eq!(Trained::read(&bytes).unwrap(), trained());
        assert_eq!(trained().write(Storage::F32).unwrap(), bytes);
    }

    #[test]
    fn integers_keep_the_sum_of_a_kernel() {
        let nearest = [0.4, 3.0, -2.2, 5.1];
        assert_eq!(rounded(&nearest), [0, 3, -2, 5]);
        let smooth = [1.4, 1.33, 1.45, 1.4, 1.35, 1.4, 1.42, 1.4, 1.38];
        let integers = rounded(&smooth);
        assert_eq!(integers.iter().map(|&n| i32::from(n)).sum::<i32>(), 13);
        assert!(integers.iter().all(|n| [1, 2].contains(n)), "{integers:?}");
        assert_eq!(integers[2], 2);
        let negative = smooth.map(|value| -value);
        assert_eq!(
            rounded(&negative),
            integers.iter().map(|n| -n).collect::<Vec<_>>()
        );
        assert_eq!(rounded(&[127.0, -126.6, f32::NAN]), [127, -127, 0]);
    }

    #[test]
    fn integers_come_back_within_a_step() {
        let bytes = trained().write(Storage::Int8).unwrap();
        let read = Trained::read(&bytes).unwrap();
        assert_eq!(read.tensors["a.bias"], trained().tensors["a.bias"]);
        let weight = &read.tensors["a.weight"];
        for (read, value) in weight
            .values
            .iter()
            .zip(&trained().tensors["a.weight"].values)
        {
            assert!((read - value).abs() <= 0.01, "{read} for {value}");
        }
    }

    #[test]
    fn files_of_others_are_refused_by_what_they_lack() {
        let view = Stored::new(Dtype::F32, vec![1], [0; 4].into_iter());
        let foreign = safetensors::serialize([("a", view)], None).unwrap();
        let error = Trained::read(&foreign).unwrap_err().to_string();
        assert!(error.contains("segmenter-training"), "{error}");
        let bytes = trained().write(Storage::Int8).unwrap();
        fixture::damage(&bytes, Trained::read);
    }
}

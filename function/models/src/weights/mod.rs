//! Reading weights.
//!
//! A weights file is data from elsewhere. Reading it executes nothing, trusts no length in it, and a
//! file that is wrong, cut short or another network's is refused with the name of the tensor, what was
//! expected and what was found.

mod archive;
mod code;
mod elements;
#[cfg(test)]
mod fixture;
mod flatbuffer;
mod pickle;
mod safetensors;
#[cfg(test)]
pub(crate) mod seeded;
mod state_dict;
mod tflite;
mod torchscript;
mod trained;
mod views;

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, BufReader, Cursor},
    path::{Path, PathBuf},
};

use segmenter_kernels::quantized::Quantization;

use crate::{blocks::Precision, catalogue::WeightsFormat, onnx::OnnxError};

pub use trained::{Storage, Trained};

/// The tensors a network is built from, taken out one by one by name.
pub struct Weights {
    source: Source,
    /// What the bytes stand for that layers and other operations answer, by their names.
    outputs: BTreeMap<String, Quantization>,
}

enum Source {
    /// What a file held and nobody has taken yet.
    Read(BTreeMap<String, Held>),
    /// Made when asked for.
    Generated(Box<Generator>),
}

/// Makes the values of the tensor with this name and shape, in row-major order.
type Generator = dyn FnMut(&str, &[usize]) -> Vec<f32> + Send;

/// One tensor as 32-bit floats.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Lengths of the axes, outermost first.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

/// One tensor of 8-bit integers, `(value - zero point) * scale`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedTensor {
    /// Lengths of the axes, outermost first.
    pub shape: Vec<usize>,
    /// In row-major order.
    pub values: Vec<i8>,
    /// One for each index of the first axis.
    pub scales: Vec<f32>,
    /// As many.
    pub zero_points: Vec<f32>,
}

impl QuantizedTensor {
    /// Its values less their zero points, where these are 8-bit integers, too.
    pub fn centred(&self) -> Vec<i16> {
        let per_channel = self.values.len() / self.zero_points.len().max(1);
        let channels = self.values.chunks(per_channel.max(1));
        let channels = channels.zip(&self.zero_points);
        let centred = channels.flat_map(|(channel, &zero_point)| {
            let centred = move |&value| i16::from(value) - zero_point as i16;
            channel.iter().map(centred)
        });
        centred.collect()
    }

    /// What it stands for.
    fn dequantized(self) -> Tensor {
        let per_channel = self.values.len() / self.scales.len().max(1);
        let channels = self.values.chunks(per_channel.max(1));
        let of_channel = self.scales.iter().zip(&self.zero_points);
        let values = channels
            .zip(of_channel)
            .flat_map(|(channel, (scale, zero_point))| {
                channel
                    .iter()
                    .map(move |&value| (f32::from(value) - zero_point) * scale)
            });
        Tensor {
            values: values.collect(),
            shape: self.shape,
        }
    }
}

/// A tensor as its file has it.
#[derive(Clone, Debug, PartialEq)]
enum Held {
    Floats(Tensor),
    Integers(QuantizedTensor),
}

impl Held {
    fn shape(&self) -> &[usize] {
        match self {
            Self::Floats(tensor) => &tensor.shape,
            Self::Integers(tensor) => &tensor.shape,
        }
    }
}

/// What a file holds of a network.
#[derive(Debug)]
struct Network {
    tensors: Vec<(String, Held)>,
    /// What the bytes stand for that layers and other operations answer; empty unless that was asked for.
    outputs: Vec<(String, Quantization)>,
}

impl From<Network> for Weights {
    fn from(Network { tensors, outputs }: Network) -> Self {
        Self {
            source: Source::Read(tensors.into_iter().collect()),
            outputs: outputs.into_iter().collect(),
        }
    }
}

/// What bytes with this scale and zero point stand for; `None` unless the scale is a finite number of 32 bits
/// above zero and the zero point a byte.
fn quantization(scale: f64, zero_point: i64) -> Option<Quantization> {
    let scale = scale as f32;
    let zero_point = u8::try_from(zero_point).ok()?;
    (scale.is_finite() && scale > 0.0).then_some(Quantization { scale, zero_point })
}

impl Weights {
    /// Reads a file, as far as calculating in this precision takes it.
    pub fn read(
        path: &Path,
        format: WeightsFormat,
        precision: Precision,
    ) -> Result<Self, WeightError> {
        let open = |source| WeightError::Open {
            path: path.to_owned(),
            source,
        };
        // Only these are so large that they are sought in rather than read at once.
        if format == WeightsFormat::StateDict {
            let file = BufReader::new(File::open(path).map_err(open)?);
            return Ok(Self::new(state_dict::read(file)?));
        }
        Self::from_bytes(&std::fs::read(path).map_err(open)?, format, precision)
    }

    /// Reads what a file holds, as far as calculating in this precision takes it.
    pub fn from_bytes(
        bytes: &[u8],
        format: WeightsFormat,
        precision: Precision,
    ) -> Result<Self, WeightError> {
        Ok(match format {
            WeightsFormat::TorchScript => torchscript::read(Cursor::new(bytes), precision)?.into(),
            WeightsFormat::StateDict => Self::new(state_dict::read(Cursor::new(bytes))?),
            WeightsFormat::TfLite => tflite::read(bytes, precision)?.into(),
            WeightsFormat::Trained => Trained::read(bytes)?.into(),
            WeightsFormat::Onnx => return Err(OnnxError::Weightless.into()),
        })
    }

    /// The tensors of a file.
    pub fn new(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Self {
        let held = |(name, tensor)| (name, Held::Floats(tensor));
        Self {
            source: Source::Read(tensors.into_iter().map(held).collect()),
            outputs: BTreeMap::new(),
        }
    }

    /// Weights for a network that is to be trained or tested: `generator` makes each tensor from its
    /// name and shape when the network asks for it.
    pub fn generated(generator: impl FnMut(&str, &[usize]) -> Vec<f32> + Send + 'static) -> Self {
        Self {
            source: Source::Generated(Box::new(generator)),
            outputs: BTreeMap::new(),
        }
    }

    /// Takes the tensor `name` out; an error unless it is there with exactly this shape.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightError> {
        Ok(match self.take_held(name, shape)? {
            Held::Floats(tensor) => tensor.values,
            Held::Integers(tensor) => tensor.dequantized().values,
        })
    }

    /// Takes the tensor `name` out as the 8-bit integers that it is; an error unless it is there with exactly
    /// this shape, as such, and zeros are 8-bit integers, too.
    pub fn take_quantized(
        &mut self,
        name: &str,
        shape: &[usize],
    ) -> Result<QuantizedTensor, WeightError> {
        let unfit = |what| WeightError::Precision {
            name: name.to_owned(),
            what,
        };
        match self.take_held(name, shape)? {
            Held::Integers(tensor) => {
                let whole = |zero: &f32| zero.fract() == 0.0 && (-128.0..128.0).contains(zero);
                let fit = tensor.zero_points.iter().all(whole);
                fit.then_some(tensor)
                    .ok_or_else(|| unfit("its zero is not an 8-bit integer"))
            }
            Held::Floats(_) => Err(unfit("it is of floats")),
        }
    }

    fn take_held(&mut self, name: &str, shape: &[usize]) -> Result<Held, WeightError> {
        let held = match &mut self.source {
            Source::Read(tensors) => tensors.remove(name),
            Source::Generated(generator) => Some(Held::Floats(Tensor {
                shape: shape.to_vec(),
                values: generator(name, shape),
            })),
        };
        let held = held.ok_or_else(|| WeightError::Missing {
            tensor: name.to_owned(),
            expected: shape.to_vec(),
        })?;
        if held.shape() != shape {
            return Err(WeightError::Shape {
                tensor: name.to_owned(),
                expected: shape.to_vec(),
                found: held.shape().to_vec(),
            });
        }
        Ok(held)
    }

    /// The length of the first axis of a tensor of a file, which is left there: of what a network has as many of as its
    /// file says.
    pub fn first_axis(&self, name: &str) -> Result<usize, WeightError> {
        let held = match &self.source {
            Source::Read(tensors) => tensors.get(name),
            Source::Generated(_) => None,
        };
        let length = held.and_then(|held| held.shape().first().copied());
        length.ok_or_else(|| WeightError::Missing {
            tensor: name.to_owned(),
            expected: Vec::new(),
        })
    }

    /// Takes what the bytes stand for that the layer or addition `name` answers.
    pub fn take_output(&mut self, name: &str) -> Result<Quantization, WeightError> {
        self.outputs
            .remove(name)
            .ok_or_else(|| WeightError::Precision {
                name: name.to_owned(),
                what: "nothing says what its output stands for",
            })
    }

    /// Takes what the bytes `name` stand for: the input or output of an operation, or else by the tensors of one value
    /// `{name}.scale` and `{name}.zero_point`.
    pub fn take_quantization(&mut self, name: &str) -> Result<Quantization, WeightError> {
        if let Some(quantization) = self.outputs.remove(name) {
            return Ok(quantization);
        }
        let mut value = |field: &str| {
            let values = self.take(&format!("{name}.{field}"), &[1])?;
            Ok::<_, WeightError>(values.first().map_or(f64::NAN, |&value| value.into()))
        };
        let (scale, zero_point) = (value("scale")?, value("zero_point")?);
        // A conversion of a float saturates; what is not a whole number is none of a byte's.
        let whole = zero_point.fract() == 0.0;
        quantization(scale, if whole { zero_point as i64 } else { -1 }).ok_or_else(|| {
            WeightError::Precision {
                name: name.to_owned(),
                what: "scale and zero point are not of bytes",
            }
        })
    }

    /// Calls every tensor of a file by the name that `new_name` gives for its name, where a network has
    /// been published under several.
    pub fn rename(&mut self, new_name: impl Fn(&str) -> String) {
        if let Source::Read(tensors) = &mut self.source {
            let renamed = std::mem::take(tensors).into_iter();
            *tensors = renamed
                .map(|(name, tensor)| (new_name(&name), tensor))
                .collect();
        }
    }

    /// Drops the tensors whose names `unused` picks, for parts of a file that inference has no use for.
    pub fn ignore(&mut self, unused: impl Fn(&str) -> bool) {
        if let Source::Read(tensors) = &mut self.source {
            tensors.retain(|name, _| !unused(name));
        }
    }

    /// Ends the reading: an error if tensors are left that the network has no place for.
    pub fn finish(self) -> Result<(), WeightError> {
        let Source::Read(tensors) = self.source else {
            return Ok(());
        };
        match tensors.keys().next() {
            None => Ok(()),
            Some(name) => Err(WeightError::Unexpected {
                tensor: name.clone(),
                count: tensors.len(),
            }),
        }
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Read(tensors) => f.debug_set().entries(tensors.keys()).finish(),
            Source::Generated(_) => f.write_str("Weights::generated"),
        }
    }
}

/// Why weights could not be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightError {
    /// The file could not be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file could not be read to its end.
    #[error("cannot read the file")]
    Io(#[from] io::Error),
    /// The file is not what its format says.
    #[error("the file is damaged or not a {format} file: {what}")]
    Malformed {
        /// The format it was read as.
        format: &'static str,
        /// What was found where, and what should have been there.
        what: String,
    },
    /// The file is no ONNX network, or not one that is of use.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The network needs a tensor that the file does not have.
    #[error("tensor {tensor} {expected:?} is missing")]
    Missing {
        /// Its name.
        tensor: String,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A tensor has another shape than the network needs.
    #[error("tensor {tensor} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// Its name.
        tensor: String,
        /// The shape it should have.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// The network is to be calculated in 8-bit integers, and something is not what that takes.
    #[error("{name} cannot be calculated in 8-bit integers: {what}")]
    Precision {
        /// The tensor or the layer.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file has tensors that the network has no place for.
    #[error("{count} tensors have no place in this network, the first is {tensor}")]
    Unexpected {
        /// The first of them.
        tensor: String,
        /// How many there are.
        count: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_named() {
        for format in [WeightsFormat::TorchScript, WeightsFormat::StateDict] {
            let error =
                Weights::read(Path::new("/no/such/file.pth"), format, Precision::F32).unwrap_err();
            assert_eq!(error.to_string(), "cannot open /no/such/file.pth");
        }
    }

    #[test]
    fn taking_wants_the_name_and_the_shape() {
        let tensor = Tensor {
            shape: vec![2],
            values: vec![1., 2.],
        };
        let mut weights =
            Weights::new([("a".to_owned(), tensor.clone()), ("b".to_owned(), tensor)]);
        let missing = weights.take("c", &[2]).unwrap_err();
        assert_eq!(missing.to_string(), "tensor c [2] is missing");
        let shape = weights.take("a", &[1, 2]).unwrap_err();
        assert_eq!(shape.to_string(), "tensor a has shape [2], expected [1, 2]");
        let left = weights.finish().unwrap_err();
        assert!(left.to_string().contains("the first is b"));
    }
}

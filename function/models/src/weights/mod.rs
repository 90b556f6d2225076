//! Reading weights.
//!
//! A weights file is data from elsewhere. Reading it executes nothing, trusts no length in it, and a
//! file that is wrong, cut short or another network's is refused with the name of the tensor, what was
//! expected and what was found.

mod archive;
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
mod views;

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, BufReader, Cursor},
    path::{Path, PathBuf},
};

use crate::catalogue::WeightsFormat;

/// The tensors a network is built from, taken out one by one by name.
pub struct Weights {
    source: Source,
}

enum Source {
    /// What a file held and nobody has taken yet.
    Read(BTreeMap<String, Tensor>),
    /// Made when asked for.
    Generated(Box<Generator>),
}

/// Makes the values of the tensor with this name and shape, in row-major order.
type Generator = dyn FnMut(&str, &[usize]) -> Vec<f32> + Send;

/// One tensor as 32-bit floats (dequantised, where the file holds integers).
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Lengths of the axes, outermost first.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

impl Weights {
    /// Reads a file.
    pub fn read(path: &Path, format: WeightsFormat) -> Result<Self, WeightError> {
        let open = |source| WeightError::Open {
            path: path.to_owned(),
            source,
        };
        let tensors = match format {
            // Small, with hundreds of entries: read at once rather than sought in.
            WeightsFormat::TorchScript => {
                torchscript::read(Cursor::new(std::fs::read(path).map_err(open)?))?
            }
            WeightsFormat::StateDict => {
                state_dict::read(BufReader::new(File::open(path).map_err(open)?))?
            }
            WeightsFormat::TfLite => tflite::read(&std::fs::read(path).map_err(open)?)?,
        };
        Ok(Self::new(tensors))
    }

    /// The tensors of a file.
    pub fn new(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Self {
        Self {
            source: Source::Read(tensors.into_iter().collect()),
        }
    }

    /// Weights for a network that is to be trained or tested: `generator` makes each tensor from its
    /// name and shape when the network asks for it.
    pub fn generated(generator: impl FnMut(&str, &[usize]) -> Vec<f32> + Send + 'static) -> Self {
        Self {
            source: Source::Generated(Box::new(generator)),
        }
    }

    /// Takes the tensor `name` out; an error unless it is there with exactly this shape.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightError> {
        let tensor = match &mut self.source {
            Source::Generated(generator) => return Ok(generator(name, shape)),
            Source::Read(tensors) => tensors.remove(name),
        };
        let tensor = tensor.ok_or_else(|| WeightError::Missing {
            tensor: name.to_owned(),
            expected: shape.to_vec(),
        })?;
        if tensor.shape != shape {
            return Err(WeightError::Shape {
                tensor: name.to_owned(),
                expected: shape.to_vec(),
                found: tensor.shape,
            });
        }
        Ok(tensor.values)
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
            let error = Weights::read(Path::new("/no/such/file.pth"), format).unwrap_err();
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

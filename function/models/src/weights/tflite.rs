//! TensorFlow Lite files: the weights of their convolutions and fully connected layers, and what the bytes stand
//! for between these.
//!
//! Integers stand for `scale * (stored - zero_point)`, per tensor or per channel. Those of 8 bits without sign become
//! such with one: 128 less, as is their zero point. The field numbers are those of version 3 of the public schema,
//! <https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs>.
//!
//! Tensors come out in torch's layout under `{layer}.weight` and `{layer}.bias`, `layer` being the
//! variable scope of the weight: converters join the names of what they fused with `;` and the last of
//! them is the variable, as in `Conv/Conv2D_Fold;Conv/weights_quant/FakeQuantWithMinMaxVars` of the
//! layer `Conv`. Other operations, and the input of the graph, are called as their tensors are.

use std::collections::BTreeMap;

use segmenter_kernels::quantized::Quantization;

use super::{
    Held, Network, QuantizedTensor, Tensor, WeightError,
    flatbuffer::{Fault, Table},
    quantization,
};
use crate::blocks::Precision;

const IDENTIFIER: [u8; 4] = *b"TFL3";

const MODEL_OPERATOR_CODES: usize = 1;
const MODEL_SUBGRAPHS: usize = 2;
const MODEL_BUFFERS: usize = 4;

/// The operator as one byte, from before there were more than 127.
const OPERATOR_CODE_DEPRECATED_BUILTIN: usize = 0;
const OPERATOR_CODE_BUILTIN: usize = 3;

const SUBGRAPH_TENSORS: usize = 0;
const SUBGRAPH_INPUTS: usize = 1;
const SUBGRAPH_OPERATORS: usize = 3;

const OPERATOR_CODE_INDEX: usize = 0;
const OPERATOR_INPUTS: usize = 1;
const OPERATOR_OUTPUTS: usize = 2;

const TENSOR_SHAPE: usize = 0;
const TENSOR_TYPE: usize = 1;
const TENSOR_BUFFER: usize = 2;
const TENSOR_NAME: usize = 3;
const TENSOR_QUANTIZATION: usize = 4;

const QUANTIZATION_SCALE: usize = 2;
const QUANTIZATION_ZERO_POINT: usize = 3;
const QUANTIZATION_DIMENSION: usize = 6;

const BUFFER_DATA: usize = 0;

// By the schema's `TensorType`.
const FLOAT: u8 = 0;
const INTEGER: u8 = 2;
const BYTE: u8 = 3;
const SIGNED_BYTE: u8 = 9;

/// The operators that have weights, and how they lay them out.
#[derive(Clone, Copy)]
enum Layer {
    /// `[outputs, kernel_height, kernel_width, inputs]`
    Convolution,
    /// `[1, kernel_height, kernel_width, channels]`
    Depthwise,
    /// `[outputs, inputs]`, as torch has it
    FullyConnected,
}

impl Layer {
    /// By the schema's `BuiltinOperator`.
    fn of_code(code: i32) -> Option<Self> {
        match code {
            3 => Some(Self::Convolution),
            4 => Some(Self::Depthwise),
            9 => Some(Self::FullyConnected),
            _ => None,
        }
    }

    /// The weight in torch's layout, `[outputs, inputs / groups, kernel_height, kernel_width]` or
    /// `[outputs, inputs]`; an error if it has other axes than this operator's, or other scales than outputs.
    fn channels_first(self, weight: Constant) -> Result<Held, &'static str> {
        let (shape, matrix, outputs) = match (self, weight.shape.as_slice()) {
            (Self::Convolution, &[outputs, height, width, inputs]) => (
                vec![outputs, inputs, height, width],
                [height * width, inputs],
                0,
            ),
            (Self::Depthwise, &[1, height, width, channels]) => (
                vec![channels, 1, height, width],
                [height * width, channels],
                3,
            ),
            (Self::FullyConnected, &[outputs, inputs]) => (vec![outputs, inputs], [1, inputs], 0),
            _ => return Err("has not the axes of its operator"),
        };
        Ok(match weight.values {
            Values::Floats(values) => Held::Floats(Tensor {
                shape,
                values: transpose(&values, matrix),
            }),
            Values::Bytes(values, steps) => {
                let (scales, zero_points) = steps.along(&weight.shape, outputs)?;
                Held::Integers(QuantizedTensor {
                    shape,
                    values: transpose(&values, matrix),
                    scales,
                    zero_points,
                })
            }
            Values::Integers(..) => return Err("has weights of 32-bit integers"),
        })
    }
}

/// The weights of every layer of the main graph, and what bytes stand for that its operations answer, if
/// calculating in this precision takes it.
pub(super) fn read(file: &[u8], precision: Precision) -> Result<Network, WeightError> {
    let model = Table::root(file, IDENTIFIER)?;
    let layers = model
        .tables(MODEL_OPERATOR_CODES)?
        .iter()
        .map(|code| Ok(Layer::of_code(operator_code(code)?)))
        .collect::<Result<Vec<_>, Fault>>()?;
    let buffers = model.tables(MODEL_BUFFERS)?;
    let subgraphs = model.tables(MODEL_SUBGRAPHS)?;
    let graph = subgraphs
        .first()
        .ok_or_else(|| malformed("it has no graph".to_owned()))?;
    let tensors = graph.tables(SUBGRAPH_TENSORS)?;
    // Of a list of tensors, in which some may be absent or -1.
    let listed = |list: &[[u8; 4]], place: usize| {
        let index = list.get(place).map(|&index| i32::from_le_bytes(index));
        let Some(index) = index.and_then(|index| usize::try_from(index).ok()) else {
            return Ok(None);
        };
        let tensor = tensors.get(index);
        tensor
            .map(Some)
            .ok_or_else(|| malformed(format!("there is no tensor {index}")))
    };

    let mut found = BTreeMap::new();
    let mut outputs = Outputs {
        wanted: precision == Precision::Int8,
        found: Vec::new(),
    };
    // Tensors may share a buffer or a name: this keeps a small file from asking for a lot of memory.
    let mut allowed = file.len();
    let inputs = graph.vector::<4>(SUBGRAPH_INPUTS)?;
    for place in 0..inputs.len() {
        outputs.note(None, listed(inputs, place)?, &mut allowed)?;
    }
    for operator in graph.tables(SUBGRAPH_OPERATORS)? {
        let index = u32::from_le_bytes(operator.scalar(OPERATOR_CODE_INDEX)?.unwrap_or_default());
        let layer = layers
            .get(index as usize)
            .ok_or_else(|| malformed(format!("there is no operator code {index}")))?;
        let output = listed(operator.vector::<4>(OPERATOR_OUTPUTS)?, 0)?;
        let Some(layer) = layer else {
            outputs.note(None, output, &mut allowed)?;
            continue;
        };

        // Of the input, the weight and the bias.
        let inputs = operator.vector::<4>(OPERATOR_INPUTS)?;
        let mut constant = |place: usize| {
            let Some(tensor) = listed(inputs, place)? else {
                return Ok(None);
            };
            let name = tensor.string(TENSOR_NAME)?;
            let constant = constant(name, tensor, &buffers, &mut allowed)?;
            Ok::<_, WeightError>(Some((name, constant)))
        };
        let wrong = |name: &str, what: &str| malformed(format!("tensor {name} {what}"));
        let Some((name, weight)) = constant(1)? else {
            return Err(malformed("a layer has no weight".to_owned()));
        };
        let scope = variable_scope(name);
        let weight = layer
            .channels_first(weight)
            .map_err(|what| wrong(name, what))?;
        let bias = match constant(2)? {
            Some((name, bias)) => {
                let bias = bias.dequantised().map_err(|what| wrong(name, what))?;
                Some((format!("{scope}.bias"), Held::Floats(bias)))
            }
            None => None,
        };
        for (name, tensor) in [(format!("{scope}.weight"), weight)]
            .into_iter()
            .chain(bias)
        {
            if found.insert(name.clone(), tensor).is_some() {
                return Err(malformed(format!("it has tensor {name} twice")));
            }
        }
        outputs.note(Some(scope), output, &mut allowed)?;
    }
    Ok(Network {
        tensors: found.into_iter().collect(),
        outputs: outputs.found,
    })
}

/// What bytes stand for that operations answer.
struct Outputs {
    wanted: bool,
    found: Vec<(String, Quantization)>,
}

impl Outputs {
    /// Notes a tensor of bytes under the name of its layer or else its own. Takes the length of that off `allowed`.
    fn note(
        &mut self,
        layer: Option<&str>,
        tensor: Option<&Table<'_>>,
        allowed: &mut usize,
    ) -> Result<(), WeightError> {
        let Some(tensor) = tensor.filter(|_| self.wanted) else {
            return Ok(());
        };
        let name = match layer {
            Some(layer) => layer,
            None => tensor.string(TENSOR_NAME)?,
        };
        take(allowed, name.len())?;
        if let Some(steps) = Steps::of(tensor)?
            && let Some(quantization) = steps.of_bytes()
        {
            self.found.push((name.to_owned(), quantization));
        }
        Ok(())
    }
}

fn operator_code(code: &Table<'_>) -> Result<i32, Fault> {
    let deprecated = i8::from_le_bytes(
        code.scalar(OPERATOR_CODE_DEPRECATED_BUILTIN)?
            .unwrap_or_default(),
    );
    let builtin = i32::from_le_bytes(code.scalar(OPERATOR_CODE_BUILTIN)?.unwrap_or_default());
    Ok(builtin.max(i32::from(deprecated)))
}

/// The layer that a weight of this name belongs to.
fn variable_scope(name: &str) -> &str {
    let variable = name.rsplit(';').next().unwrap_or(name);
    variable
        .rfind("/weights")
        .map_or(variable, |end| &variable[..end])
}

fn take(allowed: &mut usize, bytes: usize) -> Result<(), WeightError> {
    *allowed = allowed
        .checked_sub(bytes)
        .ok_or_else(|| malformed("it asks for more values than it has bytes".to_owned()))?;
    Ok(())
}

/// What a graph has before it runs.
struct Constant {
    shape: Vec<usize>,
    values: Values,
}

/// In row-major order.
enum Values {
    Floats(Vec<f32>),
    Integers(Vec<i32>, Steps),
    Bytes(Vec<i8>, Steps),
}

impl Constant {
    /// What it stands for; an error if the first axis has other scales than indices.
    fn dequantised(self) -> Result<Tensor, &'static str> {
        let shape = self.shape;
        let (values, steps) = match self.values {
            Values::Floats(values) => return Ok(Tensor { shape, values }),
            Values::Integers(values, steps) => (values, steps),
            Values::Bytes(values, steps) => (values.into_iter().map(i32::from).collect(), steps),
        };
        let (scales, zero_points) = steps.along(&shape, 0)?;
        let of_index = values.chunks(values.len() / scales.len());
        let of_index = of_index.zip(scales.iter().zip(&zero_points));
        let values = of_index.flat_map(|(values, (scale, zero_point))| {
            let value = move |&value| scale * (value as f32 - zero_point);
            values.iter().map(value)
        });
        Ok(Tensor {
            values: values.collect(),
            shape,
        })
    }
}

/// The values of a constant tensor. Takes their number and the length of the name off `allowed`.
fn constant(
    name: &str,
    tensor: &Table<'_>,
    buffers: &[Table<'_>],
    allowed: &mut usize,
) -> Result<Constant, WeightError> {
    let wrong = |what: &str| malformed(format!("tensor {name} {what}"));
    let shape = tensor
        .vector(TENSOR_SHAPE)?
        .iter()
        .map(|&axis| usize::try_from(i32::from_le_bytes(axis)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| wrong("has an axis of negative length"))?;
    let count = shape
        .iter()
        .try_fold(1_usize, |count, &axis| count.checked_mul(axis))
        .filter(|&count| count > 0)
        .ok_or_else(|| wrong("has no values, or more than can be counted"))?;
    take(allowed, count.saturating_add(name.len()))?;

    let buffer = u32::from_le_bytes(tensor.scalar(TENSOR_BUFFER)?.unwrap_or_default());
    let bytes = buffers
        .get(buffer as usize)
        .ok_or_else(|| wrong("has no buffer"))?
        .vector::<1>(BUFFER_DATA)?
        .as_flattened();
    let steps = || Steps::of(tensor)?.ok_or_else(|| wrong("has integers without a scale"));
    let (found, values) = match tensor_type(tensor)? {
        FLOAT => {
            let values: Vec<_> = words(bytes).map(f32::from_le_bytes).collect();
            (values.len(), Values::Floats(values))
        }
        INTEGER => {
            let values: Vec<_> = words(bytes).map(i32::from_le_bytes).collect();
            (values.len(), Values::Integers(values, steps()?))
        }
        kind @ (BYTE | SIGNED_BYTE) => {
            let middle = middle(kind);
            let values = bytes.iter().map(|&byte| (byte ^ middle).cast_signed());
            (bytes.len(), Values::Bytes(values.collect(), steps()?))
        }
        _ => {
            return Err(wrong(
                "has a type that is neither float nor a quantised integer",
            ));
        }
    };
    if found != count {
        return Err(wrong(&format!("has {found} values, expected {shape:?}")));
    }
    Ok(Constant { shape, values })
}

fn tensor_type(tensor: &Table<'_>) -> Result<u8, Fault> {
    Ok(tensor.scalar(TENSOR_TYPE)?.map_or(FLOAT, |[kind]| kind))
}

/// The byte that becomes 0 where all are to have a sign.
fn middle(kind: u8) -> u8 {
    if kind == BYTE { 128 } else { 0 }
}

/// What integers stand for; those of 8 bits, with a sign.
struct Steps {
    kind: u8,
    scales: Vec<f32>,
    /// As many.
    zero_points: Vec<i64>,
    /// That these are along, where there are several.
    axis: i32,
}

impl Steps {
    /// If the tensor has any.
    fn of(tensor: &Table<'_>) -> Result<Option<Self>, WeightError> {
        let Some(quantization) = tensor.table(TENSOR_QUANTIZATION)? else {
            return Ok(None);
        };
        let kind = tensor_type(tensor)?;
        let scales = quantization.vector(QUANTIZATION_SCALE)?.iter();
        let scales: Vec<_> = scales.map(|&scale| f32::from_le_bytes(scale)).collect();
        let zero_points = quantization.vector(QUANTIZATION_ZERO_POINT)?.iter();
        let mut zero_points: Vec<_> = zero_points.map(|&zero| i64::from_le_bytes(zero)).collect();
        if zero_points.is_empty() {
            zero_points.resize(scales.len(), 0);
        }
        let middle = i64::from(middle(kind));
        let zero_points = zero_points.into_iter();
        let axis = quantization.scalar(QUANTIZATION_DIMENSION)?;
        Ok(Some(Self {
            kind,
            scales,
            zero_points: zero_points
                .map(|zero| zero.saturating_sub(middle))
                .collect(),
            axis: i32::from_le_bytes(axis.unwrap_or_default()),
        }))
    }

    /// Scales and zero points, one of each for every index of this axis; an error if there are others.
    fn along(&self, shape: &[usize], axis: usize) -> Result<(Vec<f32>, Vec<f32>), &'static str> {
        let length = shape.get(axis).copied().unwrap_or(1);
        let zero_points = self.zero_points.iter().map(|&zero| zero as f32);
        let zero_points: Vec<_> = zero_points.collect();
        match (&self.scales[..], &zero_points[..]) {
            (&[scale], &[zero_point]) => Ok((vec![scale; length], vec![zero_point; length])),
            (scales, zero_points)
                if [scales.len(), zero_points.len()] == [length; 2]
                    && usize::try_from(self.axis) == Ok(axis) =>
            {
                Ok((scales.to_vec(), zero_points.to_vec()))
            }
            _ => Err("has another number of scales than channels"),
        }
    }

    /// Of maps of bytes; none of other tensors.
    fn of_bytes(&self) -> Option<Quantization> {
        let (&[scale], &[zero_point]) = (&self.scales[..], &self.zero_points[..]) else {
            return None;
        };
        let bytes = matches!(self.kind, BYTE | SIGNED_BYTE);
        quantization(scale.into(), zero_point.saturating_add(128)).filter(|_| bytes)
    }
}

/// Each matrix of `[rows, columns]` transposed.
fn transpose<T: Copy>(matrices: &[T], [rows, columns]: [usize; 2]) -> Vec<T> {
    let mut transposed = Vec::with_capacity(matrices.len());
    for matrix in matrices.chunks_exact(rows * columns) {
        for column in 0..columns {
            transposed.extend((0..rows).map(|row| matrix[row * columns + column]));
        }
    }
    transposed
}

fn words(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> {
    bytes.as_chunks().0.iter().copied()
}

fn malformed(what: String) -> WeightError {
    WeightError::Malformed {
        format: "TensorFlow Lite",
        what,
    }
}

impl From<Fault> for WeightError {
    fn from(fault: Fault) -> Self {
        malformed(fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::*, read as read_for};

    fn read(file: &[u8]) -> Result<Vec<(String, Held)>, WeightError> {
        read_for(file, Precision::Int8).map(|network| network.tensors)
    }

    /// A piece of a flatbuffer. Fields of a table are with their numbers.
    #[derive(Clone)]
    enum Piece {
        Scalar(Vec<u8>),
        Vector(usize, Vec<u8>),
        Table(Vec<(usize, Piece)>),
        Tables(Vec<Piece>),
    }

    use Piece::{Scalar, Table, Tables, Vector};

    impl Piece {
        fn floats(values: &[f32]) -> Self {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            Vector(values.len(), bytes.collect())
        }

        fn ints(values: &[i32]) -> Self {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            Vector(values.len(), bytes.collect())
        }

        fn longs(values: &[i64]) -> Self {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            Vector(values.len(), bytes.collect())
        }

        fn bytes(values: &[u8]) -> Self {
            Vector(values.len(), values.to_vec())
        }

        /// Appends it and everything below it, and answers where it begins.
        fn write(&self, out: &mut Vec<u8>) -> usize {
            match self {
                Scalar(bytes) => {
                    out.extend(bytes);
                    out.len() - bytes.len()
                }
                Vector(length, bytes) => {
                    let start = out.len();
                    out.extend((*length as u32).to_le_bytes());
                    out.extend(bytes);
                    start
                }
                Tables(pieces) => {
                    let start = out.len();
                    out.extend((pieces.len() as u32).to_le_bytes());
                    out.resize(start + 4 + 4 * pieces.len(), 0);
                    for (index, piece) in pieces.iter().enumerate() {
                        piece.write_behind(start + 4 + 4 * index, out);
                    }
                    start
                }
                Table(fields) => {
                    let vtable = out.len();
                    let entries = fields
                        .iter()
                        .map(|(number, _)| number + 1)
                        .max()
                        .unwrap_or(0);
                    out.extend((4 + 2 * entries as u16).to_le_bytes());
                    out.resize(vtable + 4 + 2 * entries, 0);
                    let start = out.len();
                    out.extend(((start - vtable) as i32).to_le_bytes());
                    let mut references = Vec::new();
                    for (number, field) in fields {
                        let entry = vtable + 4 + 2 * number;
                        let distance = (out.len() - start) as u16;
                        out[entry..entry + 2].copy_from_slice(&distance.to_le_bytes());
                        if let Scalar(bytes) = field {
                            out.extend(bytes);
                        } else {
                            references.push((out.len(), field));
                            out.extend([0; 4]);
                        }
                    }
                    for (position, field) in references {
                        field.write_behind(position, out);
                    }
                    start
                }
            }
        }

        /// Appends it and puts the distance to it at `position`.
        fn write_behind(&self, position: usize, out: &mut Vec<u8>) {
            let start = self.write(out);
            out[position..position + 4].copy_from_slice(&((start - position) as u32).to_le_bytes());
        }
    }

    fn tensor(name: &str, shape: &[i32], kind: u8, buffer: u32, quantization: Piece) -> Piece {
        Table(vec![
            (super::TENSOR_SHAPE, Piece::ints(shape)),
            (super::TENSOR_TYPE, Scalar(vec![kind])),
            (super::TENSOR_BUFFER, Scalar(buffer.to_le_bytes().to_vec())),
            (super::TENSOR_NAME, Piece::bytes(name.as_bytes())),
            (super::TENSOR_QUANTIZATION, quantization),
        ])
    }

    fn quantization(scales: &[f32], zero_points: &[i64], axis: i32) -> Piece {
        Table(vec![
            (super::QUANTIZATION_SCALE, Piece::floats(scales)),
            (super::QUANTIZATION_ZERO_POINT, Piece::longs(zero_points)),
            (
                super::QUANTIZATION_DIMENSION,
                Scalar(axis.to_le_bytes().to_vec()),
            ),
        ])
    }

    fn operator(code: u32, inputs: &[i32], outputs: &[i32]) -> Piece {
        Table(vec![
            (
                super::OPERATOR_CODE_INDEX,
                Scalar(code.to_le_bytes().to_vec()),
            ),
            (super::OPERATOR_INPUTS, Piece::ints(inputs)),
            (super::OPERATOR_OUTPUTS, Piece::ints(outputs)),
        ])
    }

    /// A convolution of 2 outputs, 1x2 taps and 3 inputs, with one scale and a bias, and a depthwise
    /// one of 2x1 taps and 2 channels, with a scale for each and without a bias.
    fn tiny() -> Vec<u8> {
        let code = |code: u8| {
            Table(vec![(
                super::OPERATOR_CODE_DEPRECATED_BUILTIN,
                Scalar(vec![code]),
            )])
        };
        let extended_code = |code: i32| {
            Table(vec![(
                super::OPERATOR_CODE_BUILTIN,
                Scalar(code.to_le_bytes().to_vec()),
            )])
        };
        let buffer = |bytes: &[u8]| Table(vec![(super::BUFFER_DATA, Piece::bytes(bytes))]);
        let none = Table(vec![]);
        let tensors = vec![
            tensor(
                "input",
                &[1, 4, 4, 3],
                3,
                0,
                quantization(&[0.125], &[127], 0),
            ),
            tensor(
                "a/fold;a/weights_quant/x",
                &[2, 1, 2, 3],
                3,
                1,
                quantization(&[0.5], &[2], 0),
            ),
            tensor("a/bias", &[2], 2, 2, quantization(&[0.25], &[], 0)),
            tensor(
                "b",
                &[1, 2, 1, 2],
                9,
                3,
                quantization(&[1.0, 0.1], &[0, 1], 3),
            ),
            tensor(
                "relu;a/add",
                &[1, 4, 4, 2],
                3,
                0,
                quantization(&[0.75], &[], 0),
            ),
            tensor("sum", &[1, 4, 4, 2], 9, 0, quantization(&[2.0], &[-128], 0)),
            tensor("out", &[1, 4, 4, 2], 0, 0, none.clone()),
        ];
        let graph = Table(vec![
            (super::SUBGRAPH_TENSORS, Tables(tensors)),
            (super::SUBGRAPH_INPUTS, Piece::ints(&[0])),
            (
                super::SUBGRAPH_OPERATORS,
                Tables(vec![
                    operator(0, &[0, 1, 2], &[4]),
                    operator(2, &[0], &[5]),
                    operator(1, &[0, 3, -1], &[6]),
                ]),
            ),
        ]);
        let bias: Vec<u8> = [8_i32, -4].iter().flat_map(|v| v.to_le_bytes()).collect();
        let model = Table(vec![
            (
                super::MODEL_OPERATOR_CODES,
                Tables(vec![code(3), extended_code(4), code(0)]),
            ),
            (super::MODEL_SUBGRAPHS, Tables(vec![graph])),
            (
                super::MODEL_BUFFERS,
                Tables(vec![
                    none,
                    buffer(&[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
                    buffer(&bias),
                    buffer(&[1, 11, 255, 21]),
                ]),
            ),
        ]);
        let mut file = vec![0; 8];
        file[4..].copy_from_slice(b"TFL3");
        model.write_behind(0, &mut file);
        file
    }

    #[test]
    fn layers_come_out_in_torchs_layout() {
        let tensors = read(&tiny()).unwrap();
        let names: Vec<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a.bias", "a.weight", "b.weight"]);
        let [Held::Floats(bias), Held::Integers(a), Held::Integers(b)] =
            [0, 1, 2].map(|index| tensors[index].1.clone())
        else {
            panic!("{tensors:?}");
        };

        assert_eq!(bias.values, [2.0, -1.0]);
        assert_eq!(a.shape, [2, 3, 1, 2]);
        assert_eq!(
            (&a.scales[..], &a.zero_points[..]),
            (&[0.5; 2][..], &[-126.0; 2][..])
        );
        assert_eq!(a.centred(), [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
        assert_eq!(
            a.dequantized().values,
            [0.0, 1.5, 0.5, 2.0, 1.0, 2.5, 3.0, 4.5, 3.5, 5.0, 4.0, 5.5]
        );
        assert_eq!(b.shape, [2, 1, 2, 1]);
        assert_eq!(b.dequantized().values, [1.0, -1.0, 1.0, 2.0]);
    }

    #[test]
    fn outputs_are_called_as_their_layers_and_others_as_they_are() {
        let outputs = read_for(&tiny(), Precision::Int8).unwrap().outputs;
        let quantization = |scale, zero_point| Quantization { scale, zero_point };
        let expected = [
            ("input", quantization(0.125, 127)),
            ("a", quantization(0.75, 0)),
            ("sum", quantization(2.0, 0)),
        ];
        assert_eq!(
            outputs,
            expected.map(|(name, of)| (name.to_owned(), of)).to_vec()
        );
        let floats = read_for(&tiny(), Precision::F32).unwrap();
        assert!(floats.outputs.is_empty());
    }

    #[test]
    fn a_damaged_file_is_an_error_or_other_numbers_but_never_a_panic() {
        let file = tiny();
        for length in 0..file.len() {
            assert!(read(&file[..length]).is_err(), "cut to {length} bytes");
        }
        let mut refused = 0;
        for bit in 0..8 * file.len() {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            refused += u32::from(read(&damaged).is_err());
        }
        assert!(refused > 0);
    }

    #[test]
    fn a_file_cannot_ask_for_more_values_than_it_has_bytes() {
        let mut tensors = vec![tensor("input", &[1], 3, 0, Table(vec![]))];
        let mut operators = Vec::new();
        for layer in 1..100 {
            let name = layer.to_string();
            tensors.push(tensor(
                &name,
                &[1, 9000],
                3,
                0,
                quantization(&[1.0], &[], 0),
            ));
            operators.push(operator(0, &[0, layer], &[]));
        }
        let graph = Table(vec![
            (super::SUBGRAPH_TENSORS, Tables(tensors)),
            (super::SUBGRAPH_OPERATORS, Tables(operators)),
        ]);
        let code = Table(vec![(
            super::OPERATOR_CODE_DEPRECATED_BUILTIN,
            Scalar(vec![9]),
        )]);
        let buffer = Table(vec![(super::BUFFER_DATA, Piece::bytes(&[0; 9000]))]);
        let model = Table(vec![
            (super::MODEL_OPERATOR_CODES, Tables(vec![code])),
            (super::MODEL_SUBGRAPHS, Tables(vec![graph])),
            (super::MODEL_BUFFERS, Tables(vec![buffer])),
        ]);
        let mut file = b"....TFL3".to_vec();
        model.write_behind(0, &mut file);
        let error = read(&file).unwrap_err();
        assert!(
            matches!(&error, WeightError::Malformed { what, .. } if what.contains("more values")),
            "{error}"
        );
    }

    /// The published file, where it is at hand: whole, cut short and with flipped bits.
    #[test]
    fn the_published_file_is_read_and_survives_damage() {
        let shared = std::env::var("SEGMENTER_SHARED")
            .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_owned());
        let path = format!("{shared}/weights/deeplabv3_mnv2_pascal_quant.tflite");
        let Ok(mut file) = std::fs::read(&path) else {
            println!(
                "skipped: the_published_file_is_read_and_survives_damage: {path} is not there"
            );
            return;
        };
        let tensors = read(&file).unwrap();
        let logits = tensors
            .iter()
            .find(|(name, _)| name == "logits/semantic.weight");
        assert_eq!(logits.unwrap().1.shape(), [21, 256, 1, 1]);

        for length in (0..file.len()).step_by(file.len() / 64) {
            assert!(read(&file[..length]).is_err(), "cut to {length} bytes");
        }
        // The graph stands behind the buffers, at the end of the file.
        let (mut position, end) = (file.len() - 40_000, file.len());
        while position < end {
            let bit = 1 << (position % 8);
            file[position] ^= bit;
            let _ = read(&file);
            file[position] ^= bit;
            position += 997;
        }
    }
}

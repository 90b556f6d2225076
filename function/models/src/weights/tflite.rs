//! TensorFlow Lite files: the weights of their convolutions and fully connected layers.
//!
//! Integers are dequantised, `scale * (stored - zero_point)`, per tensor or per channel. The field
//! numbers are those of version 3 of the public schema,
//! <https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs>.
//!
//! Tensors come out in torch's layout under `{layer}.weight` and `{layer}.bias`, `layer` being the
//! variable scope of the weight: converters join the names of what they fused with `;` and the last of
//! them is the variable, as in `Conv/Conv2D_Fold;Conv/weights_quant/FakeQuantWithMinMaxVars` of the
//! layer `Conv`.

use std::collections::BTreeMap;

use super::{
    Tensor, WeightError,
    flatbuffer::{Fault, Table},
};

const IDENTIFIER: [u8; 4] = *b"TFL3";

const MODEL_OPERATOR_CODES: usize = 1;
const MODEL_SUBGRAPHS: usize = 2;
const MODEL_BUFFERS: usize = 4;

/// The operator as one byte, from before there were more than 127.
const OPERATOR_CODE_DEPRECATED_BUILTIN: usize = 0;
const OPERATOR_CODE_BUILTIN: usize = 3;

const SUBGRAPH_TENSORS: usize = 0;
const SUBGRAPH_OPERATORS: usize = 3;

const OPERATOR_CODE_INDEX: usize = 0;
const OPERATOR_INPUTS: usize = 1;

const TENSOR_SHAPE: usize = 0;
const TENSOR_TYPE: usize = 1;
const TENSOR_BUFFER: usize = 2;
const TENSOR_NAME: usize = 3;
const TENSOR_QUANTIZATION: usize = 4;

const QUANTIZATION_SCALE: usize = 2;
const QUANTIZATION_ZERO_POINT: usize = 3;
const QUANTIZATION_DIMENSION: usize = 6;

const BUFFER_DATA: usize = 0;

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
    /// `[outputs, inputs]`; `None` if it has other axes than this operator's.
    fn channels_first(self, weight: Tensor) -> Option<Tensor> {
        match (self, weight.shape.as_slice()) {
            (Self::Convolution, &[outputs, height, width, inputs]) => Some(Tensor {
                shape: vec![outputs, inputs, height, width],
                values: transpose(&weight.values, [height * width, inputs]),
            }),
            (Self::Depthwise, &[1, height, width, channels]) => Some(Tensor {
                shape: vec![channels, 1, height, width],
                values: transpose(&weight.values, [height * width, channels]),
            }),
            (Self::FullyConnected, &[_, _]) => Some(weight),
            _ => None,
        }
    }
}

/// The weight and bias of every layer of the main graph.
pub(super) fn read(file: &[u8]) -> Result<Vec<(String, Tensor)>, WeightError> {
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

    let mut found = BTreeMap::new();
    // Tensors may share a buffer: this keeps a small file from asking for a lot of memory.
    let mut allowed = file.len();
    for operator in graph.tables(SUBGRAPH_OPERATORS)? {
        let index = u32::from_le_bytes(operator.scalar(OPERATOR_CODE_INDEX)?.unwrap_or_default());
        let layer = layers
            .get(index as usize)
            .ok_or_else(|| malformed(format!("there is no operator code {index}")))?;
        let Some(layer) = layer else { continue };

        // Of the input, the weight and the bias, which may be absent or -1.
        let inputs = operator.vector::<4>(OPERATOR_INPUTS)?;
        let mut constant = |input: usize| {
            let Some(&index) = inputs.get(input) else {
                return Ok(None);
            };
            let Ok(index) = usize::try_from(i32::from_le_bytes(index)) else {
                return Ok(None);
            };
            let tensor = tensors
                .get(index)
                .ok_or_else(|| malformed(format!("there is no tensor {index}")))?;
            let name = tensor.string(TENSOR_NAME)?;
            let constant = dequantise(name, tensor, &buffers, &mut allowed)?;
            Ok::<_, WeightError>(Some((name, constant)))
        };
        let Some((name, weight)) = constant(1)? else {
            return Err(malformed("a layer has no weight".to_owned()));
        };
        let scope = variable_scope(name);
        let weight = layer
            .channels_first(weight)
            .ok_or_else(|| malformed(format!("tensor {name} has not the axes of its operator")))?;
        let bias = constant(2)?.map(|(_, bias)| (format!("{scope}.bias"), bias));
        for (name, tensor) in [(format!("{scope}.weight"), weight)]
            .into_iter()
            .chain(bias)
        {
            if found.insert(name.clone(), tensor).is_some() {
                return Err(malformed(format!("it has tensor {name} twice")));
            }
        }
    }
    Ok(found.into_iter().collect())
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

/// The values of a constant tensor. Takes their number and the length of the name off `allowed`.
fn dequantise(
    name: &str,
    tensor: &Table<'_>,
    buffers: &[Table<'_>],
    allowed: &mut usize,
) -> Result<Tensor, WeightError> {
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
    *allowed = allowed
        .checked_sub(count.saturating_add(name.len()))
        .ok_or_else(|| malformed("it asks for more values than it has bytes".to_owned()))?;

    let buffer = u32::from_le_bytes(tensor.scalar(TENSOR_BUFFER)?.unwrap_or_default());
    let bytes = buffers
        .get(buffer as usize)
        .ok_or_else(|| wrong("has no buffer"))?
        .vector::<1>(BUFFER_DATA)?
        .as_flattened();
    let [kind] = tensor.scalar(TENSOR_TYPE)?.unwrap_or_default();
    // By the schema's `TensorType`.
    let mut values: Vec<f32> = match kind {
        0 => words(bytes).map(f32::from_le_bytes).collect(),
        2 => words(bytes)
            .map(|word| i32::from_le_bytes(word) as f32)
            .collect(),
        3 => bytes.iter().map(|&byte| f32::from(byte)).collect(),
        9 => bytes
            .iter()
            .map(|&byte| f32::from(byte.cast_signed()))
            .collect(),
        _ => {
            return Err(wrong(
                "has a type that is neither float nor a quantised integer",
            ));
        }
    };
    if values.len() != count {
        return Err(wrong(&format!(
            "has {} values, expected {shape:?}",
            values.len()
        )));
    }
    if kind != 0 {
        let quantization = tensor
            .table(TENSOR_QUANTIZATION)?
            .ok_or_else(|| wrong("has integers without a scale"))?;
        let scales: Vec<f32> = quantization
            .vector(QUANTIZATION_SCALE)?
            .iter()
            .map(|&v| f32::from_le_bytes(v))
            .collect();
        let zero_points: Vec<f32> = quantization
            .vector(QUANTIZATION_ZERO_POINT)?
            .iter()
            .map(|&v| i64::from_le_bytes(v) as f32)
            .collect();
        let axis = i32::from_le_bytes(
            quantization
                .scalar(QUANTIZATION_DIMENSION)?
                .unwrap_or_default(),
        );
        scale(&mut values, &shape, &scales, &zero_points, axis)
            .ok_or_else(|| wrong("has another number of scales than channels"))?;
    }
    Ok(Tensor { shape, values })
}

/// `scale * (value - zero_point)`, with one of each for all values or for each index of `axis`; zero
/// points may be left out. `None` if their number fits neither.
fn scale(
    values: &mut [f32],
    shape: &[usize],
    scales: &[f32],
    zero_points: &[f32],
    axis: i32,
) -> Option<()> {
    // Values of one channel that follow each other.
    let run = match scales {
        [_] => values.len(),
        _ => {
            let axis = usize::try_from(axis).ok()?;
            if *shape.get(axis)? != scales.len() {
                return None;
            }
            shape[axis + 1..].iter().product()
        }
    };
    if !zero_points.is_empty() && zero_points.len() != scales.len() {
        return None;
    }
    for (index, values) in values.chunks_mut(run).enumerate() {
        let channel = index % scales.len();
        let zero_point = zero_points.get(channel).copied().unwrap_or(0.0);
        for value in values {
            *value = scales[channel] * (*value - zero_point);
        }
    }
    Some(())
}

/// Each matrix of `[rows, columns]` transposed.
fn transpose(matrices: &[f32], [rows, columns]: [usize; 2]) -> Vec<f32> {
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
    use super::{super::WeightError, read};

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

    fn operator(code: u32, inputs: &[i32]) -> Piece {
        Table(vec![
            (
                super::OPERATOR_CODE_INDEX,
                Scalar(code.to_le_bytes().to_vec()),
            ),
            (super::OPERATOR_INPUTS, Piece::ints(inputs)),
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
            tensor("input", &[1, 4, 4, 3], 3, 0, none.clone()),
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
        ];
        let graph = Table(vec![
            (super::SUBGRAPH_TENSORS, Tables(tensors)),
            (
                super::SUBGRAPH_OPERATORS,
                Tables(vec![
                    operator(0, &[0, 1, 2]),
                    operator(2, &[0]),
                    operator(1, &[0, 3, -1]),
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
    fn layers_come_out_dequantised_in_torchs_layout() {
        let tensors = read(&tiny()).unwrap();
        let names: Vec<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a.bias", "a.weight", "b.weight"]);

        assert_eq!(tensors[0].1.values, [2.0, -1.0]);
        assert_eq!(tensors[1].1.shape, [2, 3, 1, 2]);
        assert_eq!(
            tensors[1].1.values,
            [0.0, 1.5, 0.5, 2.0, 1.0, 2.5, 3.0, 4.5, 3.5, 5.0, 4.0, 5.5]
        );
        assert_eq!(tensors[2].1.shape, [2, 1, 2, 1]);
        assert_eq!(tensors[2].1.values, [1.0, -1.0, 1.0, 2.0]);
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
            operators.push(operator(0, &[0, layer]));
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
        assert_eq!(logits.unwrap().1.shape, [21, 256, 1, 1]);

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

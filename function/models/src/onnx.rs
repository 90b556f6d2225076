//! A semantic segmenter out of an ONNX file, run by rten.
//!
//! It is slower than the catalogue's networks: rten takes four times as long for DeepLabV3 on MobileNetV3. It is for
//! those who have such a file, and want what is in it.

use std::{path::Path, sync::Arc};

use rten::{
    Dimension, ModelOptions, NodeId, OpRegistry, RunOptions, ThreadPool, Value, op_registry,
};
use rten_tensor::{Layout, NdTensor};
use segmenter_imaging::{
    Picture,
    decode::DecodeError,
    interpolate::Corners,
    normalise::Normalisation,
    resample::{Filter, resize},
};

use crate::{
    Device,
    catalogue::{Entry, Task, WeightsFormat, WeightsSource},
    classes,
    model::{Input, Model, Output},
    networks::Network,
    prediction::{Prediction, Selection},
    semantic::outcome,
};

/// What its file is taken for. It is in no catalogue, for nobody publishes it.
pub static ENTRY: Entry = Entry {
    name: "onnx",
    task: Task::SemanticSegmentation,
    summary: "a class of 20 for every pixel, from an ONNX file of one's own",
    classes: &classes::VOC_TORCHVISION,
    threshold: 0.5,
    weights: WeightsSource::Given,
    format: WeightsFormat::Onnx,
    licence: "NOASSERTION",
    network: Network::Onnx,
    as_good_in_integers: false,
};

/// What it is called in a model directory, as torchvision's network is exported for Image-Segmentation-API.
pub const FILE_NAME: &str = "deeplabv3_mobilenet_v3_large.onnx";

/// The side of inputs that the file leaves open.
const SIDE: u32 = 512;

/// What networks of pictures are made of, convolutions and transformers. The others of ONNX, which are for sequences,
/// signals, chance and control, would make the program larger by megabytes.
fn operators() -> OpRegistry {
    op_registry!(
        Abs,
        Add,
        And,
        ArgMax,
        AveragePool,
        BatchNormalization,
        Cast,
        Ceil,
        Clip,
        Concat,
        ConstantOfShape,
        Conv,
        ConvInteger,
        ConvTranspose,
        DepthToSpace,
        DequantizeLinear,
        Div,
        DynamicQuantizeLinear,
        Elu,
        Equal,
        Erf,
        Exp,
        Expand,
        Flatten,
        Floor,
        Gather,
        Gelu,
        Gemm,
        GlobalAveragePool,
        Greater,
        GreaterOrEqual,
        HardSigmoid,
        HardSwish,
        Identity,
        InstanceNormalization,
        LayerNormalization,
        LeakyRelu,
        Less,
        LessOrEqual,
        Log,
        LogSoftmax,
        MatMul,
        MatMulInteger,
        Max,
        MaxPool,
        Min,
        Mod,
        Mul,
        Neg,
        Not,
        Or,
        PRelu,
        Pad,
        Pow,
        QuantizeLinear,
        Range,
        Reciprocal,
        ReduceMax,
        ReduceMean,
        ReduceSum,
        Relu,
        Reshape,
        Resize,
        Round,
        ScatterND,
        Shape,
        Sigmoid,
        Slice,
        Softmax,
        Softplus,
        Split,
        Sqrt,
        Squeeze,
        Sub,
        Sum,
        Tanh,
        Tile,
        Transpose,
        Unsqueeze,
        Where
    )
}

/// A network with its pre- and post-processing: pictures are resized to its input, whatever their shape, bilinearly with
/// antialiasing, and normalised by ImageNet's mean and deviation.
pub struct OnnxModel {
    model: rten::Model,
    input: NodeId,
    output: NodeId,
    /// `[width, height]`.
    size: [u32; 2],
    options: RunOptions,
    device: Device,
}

impl OnnxModel {
    /// Reads the file, and runs it once to see whether its logits are what they should be. Where the file has several
    /// outputs, they are the first.
    pub fn load(path: &Path, device: &Device) -> Result<Self, OnnxError> {
        let model = ModelOptions::with_ops(operators()).load_file(path);
        let model = model.map_err(|error| OnnxError::Read(error.into()))?;
        let (&[input], [output, ..]) = (model.input_ids(), model.output_ids()) else {
            let inputs = model.input_ids().len();
            return Err(OnnxError::Signature(format!("{inputs} inputs")));
        };
        let output = *output;
        let shape = model.input_shape(0).unwrap_or_default();
        let side = |dimension: &Dimension| match dimension {
            Dimension::Fixed(side) => u32::try_from(*side).ok().filter(|side| *side > 0),
            Dimension::Symbolic(_) => Some(SIDE),
        };
        let size = match shape.as_slice() {
            [
                _,
                Dimension::Fixed(3) | Dimension::Symbolic(_),
                height,
                width,
            ] => side(width).zip(side(height)),
            _ => None,
        };
        let Some((width, height)) = size else {
            return Err(OnnxError::Signature(format!("an input {shape:?}")));
        };
        let threads = rayon::current_num_threads();
        let pool = Arc::new(ThreadPool::with_num_threads(threads));
        let network = Self {
            model,
            input,
            output,
            size: [width, height],
            options: RunOptions::default().with_thread_pool(Some(pool)),
            device: device.clone(),
        };
        let (shape, _) =
            network.run(&Input::uniform([0.0; 4], [height as usize, width as usize]))?;
        if shape[0] != ENTRY.classes.len() {
            return Err(OnnxError::Signature(format!("an output {shape:?}")));
        }
        Ok(network)
    }

    /// Logits, `[classes, height, width]`.
    fn run(&self, input: &Input) -> Result<([usize; 3], Vec<f32>), OnnxError> {
        let [_, height, width] = input.shape;
        let pixels = input.normalised();
        let mut planes = Vec::with_capacity(3 * height * width);
        for channel in 0..3 {
            planes.extend(pixels.iter().map(|pixel| pixel[channel]));
        }
        let planes = NdTensor::from_data([1, 3, height, width], planes);
        let inputs = vec![(self.input, Value::from(planes).into())];
        let outputs = self
            .model
            .run(inputs, &[self.output], Some(self.options.clone()))
            .map_err(|error| OnnxError::Run(error.into()))?;
        let output = outputs.into_iter().next();
        let logits = output.and_then(|output| NdTensor::<f32, 4>::try_from(output).ok());
        let Some(logits) = logits.filter(|logits| logits.size(0) == 1) else {
            return Err(OnnxError::Signature("an output that is no map".to_owned()));
        };
        let [_, classes, rows, columns] = logits.shape();
        if classes * rows * columns == 0 {
            return Err(OnnxError::Signature(
                "an output with nothing in it".to_owned(),
            ));
        }
        Ok(([classes, rows, columns], logits.into_data()))
    }
}

impl Model for OnnxModel {
    fn preprocess(&self, picture: Picture<'_>, _: &Selection) -> Result<Input, DecodeError> {
        let [width, height] = self.size;
        let resized = resize(picture, width, height, Filter::Bilinear)?;
        let size = [height as usize, width as usize];
        let mut pixels = self.device.pixels(size);
        Normalisation::IMAGENET.normalise(&resized, &mut pixels);
        Ok(Input::new(pixels, size))
    }

    #[expect(
        clippy::panic,
        reason = "it ran when it was loaded, and fails these requests and no others"
    )]
    fn forward(&self, batch: Vec<(Input, &Selection)>) -> Vec<Output> {
        let outputs = batch.into_iter().map(|(input, _)| {
            let (shape, values) = self
                .run(&input)
                .unwrap_or_else(|error| panic!("the network fails: {error}"));
            Output::Logits { shape, values }
        });
        outputs.collect()
    }

    fn postprocess(
        &self,
        output: Output,
        [width, height]: [u32; 2],
        selection: &Selection,
    ) -> Prediction {
        let Output::Logits { shape, values } = output else {
            unreachable!("the outputs of this model are logits");
        };
        let size = selection.map_size.unwrap_or(self.size);
        Prediction {
            width,
            height,
            outcome: outcome(values, shape, size, Corners::Free, selection, &self.device),
        }
    }

    fn warm_up_shapes(&self) -> Vec<[usize; 3]> {
        // It ran when it was loaded.
        Vec::new()
    }
}

/// Why an ONNX file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// It cannot be read, or uses what rten does not know.
    #[error("the file cannot be read as ONNX")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It does not run.
    #[error("the network does not run")]
    Run(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It takes or gives something else than a semantic segmenter of Pascal VOC's classes does.
    #[error(
        "the network has {0}, expected one input [1, 3, height, width] and first an output [1, 21, rows, columns]"
    )]
    Signature(String),
    /// It was to be built from weights, which are in its file with the rest of it.
    #[error("a network of an ONNX file has no weights beside it")]
    Weightless,
}

//! Quantised networks as `torch.jit.save` writes them.
//!
//! The archive's `data.pkl` holds the tree of modules. A quantised layer is the tuple that its
//! `__getstate__` returned (`torch/ao/nn/quantized/modules/conv.py` and `linear.py`), in which the
//! weight is 8-bit integers with a scale and a zero point for each output channel. What the output of a
//! convolution stands for is in the tuple, after the bias; for additions and linear layers it stands only
//! in the archive's [`code`](super::code).

use std::{
    collections::{HashMap, hash_map::Entry},
    io::{Read, Seek},
};

use segmenter_kernels::quantized::Quantization;

use super::{
    Held, Network, QuantizedTensor, WeightError,
    archive::Archive,
    code::{Class, Code},
    elements::Element,
    pickle::{Id, Node, Pickle},
    quantization,
    views::{Storage, View, check_total, malformed},
};
use crate::blocks::Precision;

/// How deep modules may lie in each other.
const MAX_DEPTH: usize = 64;
/// The longest path of a module, in bytes.
const MAX_PATH: usize = 512;
/// The most tensors of a network.
const MAX_TENSORS: usize = 1 << 16;

/// Reads an archive, as far as calculating in this precision takes it. Tensors are parameters and buffers, and
/// weights of quantised layers, by the paths of their modules; what only wraps the network (`model.model...`) is not
/// part of these.
pub(super) fn read(file: impl Read + Seek, precision: Precision) -> Result<Network, WeightError> {
    let mut archive = Archive::open(file)?;
    let data = archive.read("data.pkl")?;
    let pickle = Pickle::parse(&data)?;
    let mut tree = Tree::new(&pickle);
    tree.module("", pickle.root(), 0)?;
    let storages = read_storages(&pickle, &mut archive)?;
    let views = tree.tensors.iter().flat_map(|(_, stored)| stored.views());
    check_total(views, storages.values().map(Vec::len).sum())?;
    let unwrapped = |path: &str| path.trim_start_matches("model.").to_owned();

    let tensors = tree.tensors.iter().map(|(path, stored)| {
        let held = stored.held(&storages).map_err(|e| e.within(path))?;
        Ok((unwrapped(path), held))
    });
    let tensors = tensors.collect::<Result<_, WeightError>>()?;
    let outputs = match precision {
        Precision::F32 | Precision::F16 => Vec::new(),
        Precision::Int8 => {
            let mut code = Code::new(&mut archive);
            let outputs = tree.layers.iter().map(|(path, layer)| {
                let output = layer.output(&mut code).map_err(|e| e.within(path))?;
                Ok((unwrapped(path), output))
            });
            outputs.collect::<Result<_, WeightError>>()?
        }
    };
    Ok(Network { tensors, outputs })
}

/// The contents of the archive's storages, by their keys.
type Storages<'a> = HashMap<&'a str, Vec<u8>>;

fn read_storages<'a>(
    pickle: &Pickle<'a>,
    archive: &mut Archive<impl Read + Seek>,
) -> Result<Storages<'a>, WeightError> {
    let mut storages = Storages::new();
    for node in pickle.nodes() {
        if let Node::Persistent(id) = node {
            let key = Storage::from_persistent_id(pickle, *id)?.key;
            if let Entry::Vacant(vacant) = storages.entry(key) {
                vacant.insert(archive.read(&format!("data/{key}"))?);
            }
        }
    }
    Ok(storages)
}

/// A tensor as the file holds it.
enum Stored<'a> {
    Plain(View<'a>),
    /// `scale · (q - zero_point)`, with a scale and a zero point for each index of the first axis.
    PerChannel {
        q: View<'a>,
        scales: View<'a>,
        zero_points: View<'a>,
    },
}

impl<'a> Stored<'a> {
    /// The quantised tensor at `id`, from what `_rebuild_qtensor` would be called with: storage,
    /// offset, shape, strides, quantiser.
    fn quantized(pickle: &Pickle<'a>, id: Id) -> Result<Self, WeightError> {
        let Some((("torch._utils", "_rebuild_qtensor"), arguments)) = pickle.call(id) else {
            return Err(malformed(format!(
                "{} where a quantised tensor should be",
                pickle.describe(id)
            )));
        };
        let q = View::from_arguments(pickle, arguments)?;
        let quantizer = arguments.get(4).and_then(|&id| pickle.tuple(id));
        let &[scheme, scales, zero_points, axis] = quantizer.unwrap_or_default() else {
            return Err(malformed(
                "a quantised tensor without scales, zero points and an axis".to_owned(),
            ));
        };
        if pickle.global(scheme) != Some(("torch", "per_channel_affine"))
            || pickle.int(axis) != Some(0)
        {
            return Err(malformed(format!(
                "quantised by {}, expected torch.per_channel_affine along axis 0",
                pickle.describe(scheme)
            )));
        }
        if q.storage.element != Element::I8 {
            return Err(malformed(format!(
                "quantised to {:?}, expected 8-bit integers with sign",
                q.storage.element
            )));
        }
        let channels = q.shape.get(..1).unwrap_or_default();
        let per_channel = |id, what| match View::parse(pickle, id)? {
            Some(view) if view.shape == channels => Ok(view),
            Some(view) => Err(malformed(format!(
                "{what} of shape {:?}, expected {channels:?}",
                view.shape
            ))),
            None => Err(malformed(format!("no tensor of {what}"))),
        };
        Ok(Self::PerChannel {
            scales: per_channel(scales, "scales")?,
            zero_points: per_channel(zero_points, "zero points")?,
            q,
        })
    }

    fn views(&self) -> Vec<&View<'a>> {
        match self {
            Self::Plain(view) => vec![view],
            Self::PerChannel {
                q,
                scales,
                zero_points,
            } => vec![q, scales, zero_points],
        }
    }

    fn held(&self, storages: &Storages<'_>) -> Result<Held, WeightError> {
        let bytes = |view: &View<'_>| {
            let key = view.storage.key;
            // `read_storages` has read every storage of the pickle.
            storages.get(key).map_or(&[][..], Vec::as_slice)
        };
        let floats = |view: &View<'_>| view.tensor(bytes(view));
        Ok(match self {
            Self::Plain(view) => Held::Floats(floats(view)?),
            Self::PerChannel {
                q,
                scales,
                zero_points,
            } => Held::Integers(QuantizedTensor {
                shape: q.shape.clone(),
                values: q.bytes(bytes(q))?.iter().map(|b| b.cast_signed()).collect(),
                scales: floats(scales)?.values,
                zero_points: floats(zero_points)?.values,
            }),
        })
    }
}

/// A quantised layer or addition, for what its output stands for.
struct Layer<'a> {
    class: Class<'a>,
    /// What is called in its code.
    operation: &'static str,
    /// Scale and zero point, where they are in the tree.
    state: Option<(f64, i64)>,
}

impl Layer<'_> {
    fn output(&self, code: &mut Code<'_, impl Read + Seek>) -> Result<Quantization, WeightError> {
        let Some((scale, zero_point)) = self.state else {
            return code.output(self.class, self.operation);
        };
        quantization(scale, zero_point).ok_or_else(|| {
            malformed(format!(
                "bytes with scale {scale} and zero point {zero_point}"
            ))
        })
    }
}

/// The walk through the tree of modules.
struct Tree<'p, 'a> {
    pickle: &'p Pickle<'a>,
    /// Attributes that may still be looked at: a file may hang one module in many places, but then
    /// not so that the walk is longer than the file.
    attributes_left: usize,
    tensors: Vec<(String, Stored<'a>)>,
    layers: Vec<(String, Layer<'a>)>,
}

impl<'p, 'a> Tree<'p, 'a> {
    fn new(pickle: &'p Pickle<'a>) -> Self {
        Self {
            pickle,
            attributes_left: pickle.nodes().len(),
            tensors: Vec::new(),
            layers: Vec::new(),
        }
    }

    /// Collects the tensors of the module at `id` and of those in it.
    fn module(&mut self, path: &str, id: Id, depth: usize) -> Result<(), WeightError> {
        if depth > MAX_DEPTH || path.len() > MAX_PATH {
            return Err(malformed(format!(
                "modules more than {MAX_DEPTH} deep or with a path of more than {MAX_PATH} bytes"
            )));
        }
        let pickle = self.pickle;
        let Node::Object {
            constructor,
            state: Some(state),
            ..
        } = pickle.node(id)
        else {
            return Err(malformed(format!(
                "{} where a module should be",
                pickle.describe(id)
            )));
        };
        let (module, name) = pickle.global(*constructor).unwrap_or_default();
        let class = Class { module, name };
        if let Some(attributes) = pickle.dict(*state) {
            if let Some(operation) = class.operation() {
                self.output(path, class, operation, None);
            }
            return self.attributes(path, attributes, depth);
        }
        let state = pickle.tuple(*state).unwrap_or_default();
        let packed = match name {
            "Conv2d" | "ConvReLU2d" => state.get(10..12),
            "LinearPackedParams" => state.get(0..2),
            _ => None,
        };
        let Some(&[weight, bias]) = packed else {
            return Err(malformed(format!(
                "module {path} is {} with a state that is not read here",
                pickle.describe(id)
            )));
        };
        if let Some(operation) = class.operation() {
            self.output(path, class, operation, state.get(12..14));
        }
        self.layer(path, weight, bias)
            .map_err(|error| error.within(path))
    }

    /// Notes a layer, and the scale and the zero point of its output where its state has them.
    fn output(
        &mut self,
        path: &str,
        class: Class<'a>,
        operation: &'static str,
        state: Option<&[Id]>,
    ) {
        let state = state.and_then(|state| match *state {
            [scale, zero_point] => match *self.pickle.node(scale) {
                Node::Float(scale) => Some((scale, self.pickle.int(zero_point)?)),
                _ => None,
            },
            _ => None,
        });
        let layer = Layer {
            class,
            operation,
            state,
        };
        self.layers.push((path.to_owned(), layer));
    }

    fn attributes(
        &mut self,
        path: &str,
        attributes: &[(Id, Id)],
        depth: usize,
    ) -> Result<(), WeightError> {
        let pickle = self.pickle;
        for &(name, value) in attributes {
            self.attributes_left = self.attributes_left.checked_sub(1).ok_or_else(|| {
                malformed("modules that lie in each other again and again".to_owned())
            })?;
            let Some(name) = pickle.text(name) else {
                return Err(malformed(format!(
                    "module {path} has an attribute whose name is {}",
                    pickle.describe(name)
                )));
            };
            let path = join(path, name);
            if let Some(view) = View::parse(pickle, value).map_err(|e| e.within(&path))? {
                self.push(path, Stored::Plain(view))?;
            } else if self.is_module(value) {
                self.module(&path, value, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Collects a quantised layer's weight and, if it has one, its bias.
    fn layer(&mut self, path: &str, weight: Id, bias: Id) -> Result<(), WeightError> {
        let pickle = self.pickle;
        let layer = path.strip_suffix("._packed_params").unwrap_or(path);
        self.push(join(layer, "weight"), Stored::quantized(pickle, weight)?)?;
        match (View::parse(pickle, bias)?, pickle.node(bias)) {
            (Some(view), _) => self.push(join(layer, "bias"), Stored::Plain(view)),
            (None, Node::None) => Ok(()),
            (None, _) => Err(malformed(format!(
                "{} where a bias should be",
                pickle.describe(bias)
            ))),
        }
    }

    fn push(&mut self, path: String, tensor: Stored<'a>) -> Result<(), WeightError> {
        if self.tensors.len() == MAX_TENSORS {
            return Err(malformed(format!("more than {MAX_TENSORS} tensors")));
        }
        self.tensors.push((path, tensor));
        Ok(())
    }

    fn is_module(&self, id: Id) -> bool {
        let Node::Object { constructor, .. } = self.pickle.node(id) else {
            return false;
        };
        self.pickle
            .global(*constructor)
            .is_some_and(|(module, _)| module.starts_with("__torch__"))
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Cursor, path::PathBuf};

    use super::*;
    use crate::weights::{
        Tensor,
        fixture::{self, Pickler, archive, floats},
        safetensors,
    };

    fn read(file: &[u8]) -> Result<Network, WeightError> {
        super::read(Cursor::new(file), Precision::Int8)
    }

    /// An attribute `name` that is a module; what follows is its state.
    fn module(pickler: Pickler, name: &str, class: &str) -> Pickler {
        pickler
            .text(name)
            .global("__torch__.a.___torch_mangle_3", class)
            .op(b")\x81")
    }

    /// A wrapped network of a mean, a convolution, an addition and a linear layer without a bias.
    fn network(conv_class: &str) -> Vec<u8> {
        let pickler = Pickler::new()
            .global("__torch__", "Wrapper")
            .op(b")\x81}(")
            .text("training")
            .op(b"\x88");
        let pickler = module(pickler, "model", "Net").op(b"}(").text("mean");
        let pickler = pickler.tensor(("FloatStorage", "0", 2), 0, &[2, 1], &[1, 1]);
        let pickler = module(pickler, "conv", conv_class).op(b"(");
        let pickler = (0..10).fold(pickler, Pickler::int);
        let pickler = pickler
            .quantized("1", "2", "3", &[2, 1, 1, 2])
            .tensor(("FloatStorage", "4", 2), 0, &[2], &[1])
            .op(b"G\x3f\xe0\0\0\0\0\0\0") // 0.5
            .int(64)
            .op(b"\x88tb");
        let pickler = module(pickler, "sum", "TorchAdd").op(b"}b");
        let pickler = module(pickler, "score", "Linear").op(b"}(");
        let pickler = module(pickler, "_packed_params", "LinearPackedParams")
            .op(b"(")
            .quantized("1", "2", "3", &[2, 2])
            .op(b"N\x88")
            .int(12)
            .op(b"tb");
        let data = pickler.op(b"ububub").stop();
        archive(&[
            ("data.pkl", &data),
            ("data/0", &floats(&[7., 8.])),
            ("data/1", &[1, 2, 3, 0xff]),
            ("data/2", &[0.5f64, 2.].map(f64::to_le_bytes).concat()),
            ("data/3", &[0i64, -1].map(i64::to_le_bytes).concat()),
            ("data/4", &floats(&[0.25, 0.75])),
            ("code/__torch__/a/___torch_mangle_3.py", CODE.as_bytes()),
        ])
    }

    const CODE: &str = "\
class TorchAdd(Module):
  def forward(self: __torch__.TorchAdd, x: Tensor, y: Tensor) -> Tensor:
    return ops.quantized.add(x, y, 0.25, 7)
class Linear(Module):
  def forward(self: __torch__.Linear, x: Tensor) -> Tensor:
    Xq = ops.quantized.linear(x, self._packed_params._packed_params, 2., 9)
    return Xq
";

    #[test]
    fn integers_are_kept_and_layers_named_by_their_modules() {
        let Network { tensors, outputs } = read(&network("ConvReLU2d")).unwrap();
        let plain = |shape: &[usize], values: &[f32]| {
            Held::Floats(Tensor {
                shape: shape.to_vec(),
                values: values.to_vec(),
            })
        };
        let integers = |shape: &[usize]| {
            Held::Integers(QuantizedTensor {
                shape: shape.to_vec(),
                values: vec![1, 2, 3, -1],
                scales: vec![0.5, 2.],
                zero_points: vec![0., -1.],
            })
        };
        let expected = [
            ("mean", plain(&[2, 1], &[7., 8.])),
            ("conv.weight", integers(&[2, 1, 1, 2])),
            ("conv.bias", plain(&[2], &[0.25, 0.75])),
            ("score.weight", integers(&[2, 2])),
        ];
        assert_eq!(
            tensors,
            expected.map(|(name, held)| (name.to_owned(), held))
        );
        let outputs: Vec<_> = outputs
            .iter()
            .map(|(name, output)| (name.as_str(), output.scale, output.zero_point))
            .collect();
        assert_eq!(
            outputs,
            [("conv", 0.5, 64), ("sum", 0.25, 7), ("score", 2., 9)]
        );
    }

    #[test]
    fn floats_need_no_code() {
        let network = network("Conv2d");
        let Network { tensors, outputs } =
            super::read(Cursor::new(&network), Precision::F32).unwrap();
        assert_eq!(tensors, read(&network).unwrap().tensors);
        assert_eq!(outputs, []);
    }

    #[test]
    fn code_that_says_nothing_names_the_module() {
        for (class, missing) in [
            ("class TorchAdd", "class TorchMul"),
            ("quantized.add", "quantized.mul"),
            ("0.25, 7", "0.25, 700"),
        ] {
            let code = CODE.replace(class, missing);
            let path = "code/__torch__/a/___torch_mangle_3.py";
            let entry = [(path, code.as_bytes())];
            let damaged = fixture::replace(&network("Conv2d"), &entry);
            let error = read(&damaged).unwrap_err().to_string();
            assert!(error.contains("model.sum"), "{error}");
            assert!(error.contains("___torch_mangle_3.TorchAdd"), "{error}");
        }
    }

    #[test]
    fn a_layer_of_another_kind_is_named() {
        let error = read(&network("ConvTranspose2d")).unwrap_err().to_string();
        assert!(error.contains("model.conv"), "{error}");
        assert!(error.contains("ConvTranspose2d"), "{error}");
    }

    #[test]
    fn damaged_files_are_refused_without_a_panic() {
        fixture::damage(&network("Conv2d"), read);
    }

    #[test]
    fn modules_that_hold_themselves_are_refused() {
        let pickler = Pickler::new().global("__torch__", "A").op(b")\x81q\x00}(");
        let data = pickler
            .text("a")
            .op(b"h\x00")
            .text("b")
            .op(b"h\x00ub")
            .stop();
        let error = read(&archive(&[("data.pkl", &data)])).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("again and again"), "{error}");
    }

    /// The folder of files that tests may use and that are not in the repository.
    fn shared(file: &str) -> Option<PathBuf> {
        let folder = std::env::var_os("SEGMENTER_SHARED").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
            PathBuf::from,
        );
        let path = folder.join(file);
        if path.exists() {
            return Some(path);
        }
        let thread = std::thread::current();
        let test = thread.name().unwrap_or_default();
        println!("skipped: {test}: {} is not there", path.display());
        None
    }

    #[test]
    fn a_real_network_dequantises_as_torch_does() {
        let (Some(file), Some(expected)) = (
            shared("weights/d2go_mask_rcnn_fbnetv3a_c4_int8.pt"),
            shared("reference/d2go_mask_rcnn_dequant_fp32.safetensors"),
        ) else {
            return;
        };
        let mut found: HashMap<_, _> = read(&std::fs::read(file).unwrap())
            .unwrap()
            .tensors
            .into_iter()
            .collect();
        let expected = safetensors::read(&std::fs::read(expected).unwrap()).unwrap();
        assert_eq!(expected.len(), 158);
        for (name, expected) in expected {
            let name = name
                .trim_start_matches("buffer:")
                .trim_start_matches("model.")
                .replace("._packed_params.", ".");
            let found = match found.remove(&name) {
                Some(Held::Floats(tensor)) => tensor,
                Some(Held::Integers(tensor)) => tensor.dequantized(),
                None => panic!("no {name}"),
            };
            assert_eq!(found.shape, expected.shape, "{name}");
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert!(bits(&found.values) == bits(&expected.values), "{name}");
        }
        // What the expected file leaves out: the ids of the classes.
        let rest: Vec<_> = found.into_keys().collect();
        assert_eq!(rest, ["coco_idx"]);
    }

    /// What is read of code is right where the same numbers stand elsewhere, too.
    #[test]
    fn code_says_of_convolutions_what_their_state_says() {
        let Some(file) = shared("weights/d2go_mask_rcnn_fbnetv3a_c4_int8.pt") else {
            return;
        };
        let mut archive = Archive::open(std::fs::File::open(file).unwrap()).unwrap();
        let data = archive.read("data.pkl").unwrap();
        let pickle = Pickle::parse(&data).unwrap();
        let mut tree = Tree::new(&pickle);
        tree.module("", pickle.root(), 0).unwrap();
        let mut code = Code::new(&mut archive);
        let mut compared = 0;
        for (path, layer) in &tree.layers {
            if let Some((scale, zero_point)) = layer.state {
                let stated = quantization(scale, zero_point).unwrap();
                let output = code.output(layer.class, layer.operation).unwrap();
                assert_eq!(output, stated, "{path}");
                compared += 1;
            }
        }
        assert_eq!((compared, tree.layers.len()), (84, 84 + 18 + 2));
    }
}

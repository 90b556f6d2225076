//! The numbers that are trained, by the names of their tensors.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    tensor::Tensor,
};
use segmenter_models::{
    Device,
    blocks::parameter_id,
    networks::centermask::Network,
    weights::{self, Storage, Trained, Weights},
};

use crate::{muon, random::Random};

/// Tensors by name.
pub type Tensors = BTreeMap<String, weights::Tensor>;

/// A network's tensors where training begins: He et al., "Delving Deep into Rectifiers", 2015, but zeros where a
/// residual begins, and scores that find nothing.
pub fn fresh(classes: usize, seed: u64) -> anyhow::Result<Tensors> {
    let made = Arc::new(Mutex::new(Tensors::new()));
    let record = Arc::clone(&made);
    let mut random = Random::new(seed);
    let mut generated = Weights::generated(move |name, shape| {
        let values = begin(name, shape, &mut random);
        let tensor = weights::Tensor {
            shape: shape.to_vec(),
            values: values.clone(),
        };
        let mut made = record.lock().unwrap_or_else(PoisonError::into_inner);
        made.insert(name.to_owned(), tensor);
        values
    });
    Network::load(&mut generated, classes, &Device::stock())?;
    let made = made.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(made.clone())
}

/// The score of every point before there is anything that it could be about.
const PRIOR: f32 = 0.01;

fn begin(name: &str, shape: &[usize], random: &mut Random) -> Vec<f32> {
    let count = shape.iter().product();
    if let Some(layer) = name.strip_suffix(".bias") {
        let value = match layer {
            "scores" => (PRIOR / (1.0 - PRIOR)).ln(),
            // In strides, e times as far as one.
            "distances" => 1.0,
            _ => 0.0,
        };
        return vec![value; count];
    }
    let layer = name.trim_end_matches(".weight");
    // Of a transposed convolution the inputs come first, and each is seen through one tap.
    let is_transposed = layer == "outline_doubled";
    let fan_in = if is_transposed {
        shape[0]
    } else {
        shape[1..].iter().product()
    };
    let gain: f32 = match layer {
        layer if layer.ends_with(".second") => 0.0,
        "scores" | "distances" | "outline_logits" => 0.1,
        layer if layer.starts_with("laterals") || layer.starts_with("mask_") => 1.0,
        _ => 2.0,
    };
    let deviation = (gain / fan_in as f32).sqrt();
    let mut values: Vec<_> = (0..count).map(|_| random.normal() * deviation).collect();
    // What the optimizer leaves as it is then.
    if muon::is_for(layer) && !is_transposed {
        for kernel in values.chunks_exact_mut(fan_in) {
            let mean = kernel.iter().sum::<f32>() / fan_in as f32;
            kernel.iter_mut().for_each(|weight| *weight -= mean);
        }
    }
    values
}

/// Tensors to train other classes from: all that a network knows, but fresh scores, unless it finds these classes already.
///
/// # Errors
/// Where tensors are missing.
pub fn adapted(from: Trained, classes: &[String], seed: u64) -> anyhow::Result<Tensors> {
    if from.classes == classes {
        return Ok(from.tensors);
    }
    let mut tensors = from.tensors;
    let fresh = fresh(classes.len(), seed)?.into_iter();
    tensors.extend(fresh.filter(|(name, _)| name.starts_with("scores.")));
    Ok(tensors)
}

/// Reads a file of trained weights.
///
/// # Errors
/// Where it cannot be read, or is none.
pub fn load(path: &Path) -> anyhow::Result<Trained> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Trained::read(&bytes).with_context(|| format!("cannot use {}", path.display()))
}

/// Writes one, whole or not at all.
///
/// # Errors
/// Where it cannot be written.
pub fn store(trained: &Trained, storage: Storage, path: &Path) -> anyhow::Result<()> {
    let bytes = trained.write(storage)?;
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, bytes)
        .and_then(|()| fs::rename(&unfinished, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// A network of these tensors.
///
/// # Errors
/// Where one is missing or has another shape.
pub fn network(tensors: &Tensors, classes: usize, device: &Device) -> anyhow::Result<Network> {
    let mut weights = Weights::new(tensors.clone());
    let network = Network::load(&mut weights, classes, device)?;
    weights.finish()?;
    Ok(network)
}

/// The tensors of a network that is being trained; `names` has them all.
///
/// # Errors
/// Where it has others.
pub fn read(network: &Network, names: &Tensors) -> anyhow::Result<Tensors> {
    let ids = names.iter().map(|(name, tensor)| {
        let id = parameter_id(name);
        (id, (name.clone(), tensor.shape.clone()))
    });
    let mut reader = Reader {
        names: ids.collect(),
        tensors: Tensors::new(),
        unknown: 0,
    };
    network.visit(&mut reader);
    anyhow::ensure!(
        reader.unknown == 0 && reader.tensors.len() == names.len(),
        "the network has other parameters than its file"
    );
    Ok(reader.tensors)
}

struct Reader {
    names: BTreeMap<ParamId, (String, Vec<usize>)>,
    tensors: Tensors,
    unknown: usize,
}

impl ModuleVisitor for Reader {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().into_data().try_into_vec::<f32>();
        match (self.names.get(&param.id), values) {
            (Some((name, shape)), Ok(values)) => {
                let shape = shape.clone();
                let tensor = weights::Tensor { shape, values };
                self.tensors.insert(name.clone(), tensor);
            }
            _ => self.unknown += 1,
        }
    }
}

/// Moves `average` a little towards `now`: the mean of the last `1 / (1 - keep)` steps or so, which answers better
/// than any one of them (Polyak and Juditsky, 1992).
///
/// # Errors
/// Where a tensor is missing.
pub fn average(average: &mut Tensors, now: &Tensors, keep: f32) -> anyhow::Result<()> {
    for (name, tensor) in average {
        let now = now.get(name).with_context(|| format!("no {name}"))?;
        for (mean, value) in tensor.values.iter_mut().zip(&now.values) {
            *mean += (value - *mean) * (1.0 - keep);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_written() {
        let tensors = fresh(3, 7).unwrap();
        let network = network(&tensors, 3, &Device::stock()).unwrap();
        assert_eq!(read(&network, &tensors).unwrap(), tensors);
        let count: usize = tensors.values().map(|tensor| tensor.values.len()).sum();
        assert!(count < 2_000_000, "{count} numbers");
    }

    #[test]
    fn other_classes_begin_with_all_but_the_scores() {
        let from = Trained {
            classes: ["a", "b", "c"].map(str::to_owned).into(),
            tensors: fresh(3, 7).unwrap(),
        };
        let same = adapted(from.clone(), &from.classes, 8).unwrap();
        assert_eq!(same, from.tensors);
        let other = adapted(from.clone(), &["d".to_owned()], 8).unwrap();
        assert_eq!(other["scores.bias"].shape, [1]);
        assert_eq!(other["stem.weight"], from.tensors["stem.weight"]);
        network(&other, 1, &Device::stock()).unwrap();
    }

    #[test]
    fn an_average_follows() {
        let tensor = |value| {
            let tensor = weights::Tensor {
                shape: vec![1],
                values: vec![value],
            };
            Tensors::from([("a".to_owned(), tensor)])
        };
        let mut mean = tensor(0.0);
        average(&mut mean, &tensor(1.0), 0.75).unwrap();
        assert_eq!(mean, tensor(0.25));
        assert!(average(&mut mean, &Tensors::new(), 0.5).is_err());
    }
}

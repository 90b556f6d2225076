//! Semantic segmentation: a class for every pixel.
//!
//! A [`Segmenter`] is the network alone, from a normalised picture to coarse logits. [`SemanticModel`]
//! puts its [`InputRule`] before it and the [`class_map`] behind it. [`regions`] makes objects of a
//! class map, for replies that list objects.

mod class_map;
mod input;
mod regions;
mod scores;

use std::sync::Arc;

use segmenter_imaging::{Picture, decode::DecodeError, interpolate::Corners};

pub use class_map::class_map;
use class_map::class_maps;
pub use input::InputRule;
pub use regions::regions;
pub use scores::Scores;

use crate::{
    blocks::{Device, Map},
    model::{Input, Model, Output, in_batches},
    prediction::{Outcome, Prediction, Selection},
};

/// A network that scores every class at every place.
pub trait Segmenter: Send + Sync {
    /// `[batch, 3, height, width]` to logits `[batch, classes, rows, columns]` on a coarser grid.
    fn forward(&self, x: Map) -> Map;
}

/// A network with its pre- and post-processing.
#[derive(Debug)]
pub struct SemanticModel<N> {
    network: N,
    input: InputRule,
    device: Device,
}

impl<N: Segmenter> SemanticModel<N> {
    /// `network` must be on `device`, and have been trained on pictures prepared by `input`.
    pub fn new(network: N, input: InputRule, device: &Device) -> Self {
        Self {
            network,
            input,
            device: device.clone(),
        }
    }
}

impl<N: Segmenter> Model for SemanticModel<N> {
    fn preprocess(
        &self,
        picture: Picture<'_>,
        selection: &Selection,
    ) -> Result<Input, DecodeError> {
        self.input
            .prepare(picture, selection.map_size, &self.device)
    }

    fn forward(&self, batch: Vec<(Input, &Selection)>) -> Vec<Output> {
        in_batches(batch, &self.device, |inputs, selections| {
            let sizes: Vec<_> = inputs.iter().map(|input| input.map_size).collect();
            let x = Input::stack(inputs, 1, &self.device);
            let logits = self.network.forward(x);
            if selections.iter().all(|selection| !selection.scores)
                && let Some(maps) = class_maps(&logits, &sizes, self.input.corners())
            {
                return maps.into_iter().map(Output::Classes).collect();
            }
            let [_, classes, rows, columns] = logits.dims();
            logits
                .to_host()
                .chunks_exact(classes * rows * columns)
                .map(|values| Output::Logits {
                    shape: [classes, rows, columns],
                    values: values.to_vec(),
                })
                .collect()
        })
    }

    fn postprocess(
        &self,
        output: Output,
        picture_size: [u32; 2],
        selection: &Selection,
    ) -> Prediction {
        let outcome = match output {
            Output::Classes(map) => Outcome::ClassMap(map),
            Output::Logits { shape, values } => {
                let size = selection
                    .map_size
                    .unwrap_or_else(|| self.input.map_size(picture_size));
                let corners = self.input.corners();
                outcome(values, shape, size, corners, selection, &self.device)
            }
            Output::Instances { .. } => unreachable!("this model detects nothing"),
        };
        let [width, height] = picture_size;
        Prediction {
            width,
            height,
            outcome,
        }
    }

    fn preferred_batch(&self) -> usize {
        self.device.kind().preferred_batch()
    }

    fn warm_up_shapes(&self) -> Vec<[usize; 3]> {
        vec![self.input.warm_up_shape()]
    }
}

/// What is wanted of `logits`, `[classes, rows, columns]`, enlarged to `[width, height]`.
pub(crate) fn outcome(
    logits: Vec<f32>,
    shape: [usize; 3],
    size: [u32; 2],
    corners: Corners,
    selection: &Selection,
    device: &Device,
) -> Outcome {
    let mut map = class_map(&logits, shape, size, corners, device);
    if selection.scores {
        let scores = Scores::new(logits, shape, size, corners);
        map.scores = Some(Arc::new(scores));
    }
    Outcome::ClassMap(map)
}

#[cfg(test)]
mod tests {
    use segmenter_imaging::{Image, interpolate::Corners};

    use super::class_map;
    use crate::{
        blocks::DeviceKind,
        catalogue,
        detection::{assert_close, three_inputs},
        model::Output,
        prediction::{Outcome, Selection},
        weights::seeded,
    };

    /// With scores, that logits come to host memory from every device.
    const SCORES: Selection = Selection {
        threshold: 1.0,
        max_detections: 0,
        classes: None,
        masks: false,
        map_size: None,
        scores: true,
    };

    #[test]
    fn pictures_are_scored_together_as_alone() {
        let entry = catalogue::find("lraspp_mobilenet_v3_large").unwrap();
        let inputs = three_inputs([64, 96]);
        for device in seeded::devices() {
            let network = entry
                .network
                .build(&mut seeded::weights(), &device)
                .unwrap();
            let together = network.forward(inputs.iter().map(|x| (x.clone(), &SCORES)).collect());
            assert_eq!(together.len(), inputs.len());
            for (together, input) in together.into_iter().zip(&inputs) {
                let alone = network.forward(vec![(input.clone(), &SCORES)]).remove(0);
                let (
                    Output::Logits { shape, values },
                    Output::Logits {
                        shape: alone_shape,
                        values: alone,
                    },
                ) = (together, alone)
                else {
                    panic!("no logits");
                };
                assert_eq!(shape, alone_shape);
                let largest = alone.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                assert_close(&values, &alone, 1e-4 * largest);
            }
        }
    }

    /// By the device that the logits are on, as in host memory.
    #[test]
    fn classes_are_those_of_the_logits() {
        let without = Selection {
            scores: false,
            ..SCORES
        };
        let samples = (0..3 * 61 * 47).map(|i| (i * 31 % 256) as u8).collect();
        let image = Image::new(61, 47, samples).unwrap();
        for name in ["lraspp_mobilenet_v3_large", "deeplabv3_mnv2_pascal"] {
            let network = &catalogue::find(name).unwrap().network;
            for device in seeded::devices() {
                let model = network.build(&mut seeded::weights(), &device).unwrap();
                let map = |selection: &Selection| {
                    let input = model.preprocess((&image).into(), selection).unwrap();
                    let output = model.forward(vec![(input, selection)]).remove(0);
                    let gpu = device.kind() == DeviceKind::Gpu && !selection.scores;
                    assert_eq!(matches!(output, Output::Classes(_)), gpu);
                    match model.postprocess(output, [61, 47], selection).outcome {
                        Outcome::ClassMap(map) => map,
                        Outcome::Detections(_) => panic!("no class map"),
                    }
                };
                for map_size in [None, Some([80, 64])] {
                    let [with, without] = [&SCORES, &without].map(|selection| {
                        map(&Selection {
                            map_size,
                            ..selection.clone()
                        })
                    });
                    let sizes = [&with, &without].map(|map| [map.width, map.height]);
                    assert_eq!(sizes[0], sizes[1]);
                    assert_close(&without.confidence, &with.confidence, 1e-3);
                    // Two can be equal but for their rounding.
                    let both = without.classes.iter().zip(&with.classes);
                    let others = both.filter(|(a, b)| a != b).count();
                    assert!(others <= with.classes.len() / 200, "{others} pixels");
                }
            }
        }
    }

    /// Compared with `scripts/parity_semantic.py`.
    #[test]
    fn logits_and_confidences_equal_torchvisions() {
        let expected: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/parity/semantic.json")).unwrap();
        let (height, width) = (129, 321);
        let input = seeded::input(&seeded::picture([height, width]), [height, width]);
        for (name, expected) in expected.as_object().unwrap() {
            println!("{name}");
            let entry = catalogue::find(name).unwrap();
            for device in seeded::devices() {
                let network = entry
                    .network
                    .build(&mut seeded::weights(), &device)
                    .unwrap();
                let output = network.forward(vec![(input.clone(), &SCORES)]).remove(0);
                let Output::Logits { shape, values } = output else {
                    panic!("no logits");
                };
                let [classes, rows, columns] = shape;
                let logits = [1, classes, rows, columns];
                seeded::assert_close(&values, &logits, &expected["logits"], 1e-4);

                let size = [width as u32, height as u32];
                let map = class_map(&values, shape, size, Corners::Free, &device);
                let shape = [height, width];
                seeded::assert_close(&map.confidence, &shape, &expected["confidence"], 1e-3);
            }
        }
    }
}

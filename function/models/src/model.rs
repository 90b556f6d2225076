//! The way of a picture through a model.

use std::{
    iter,
    path::{Path, PathBuf},
    sync::Arc,
};

use segmenter_imaging::{
    Image, Picture,
    decode::DecodeError,
    normalise::{Normalisation, Pixel},
};
use segmenter_kernels::{Arena, Buffer};

use crate::{
    blocks::{Device, DeviceKind, Map},
    catalogue::{BUILT_IN, Entry, NOTES},
    prediction::{ClassMap, Prediction, Selection},
    weights::{WeightError, Weights},
};

/// Reads the weights at `path` and builds the entry's network with them on `device`.
pub fn load(
    entry: &'static Entry,
    path: &Path,
    device: &Device,
) -> Result<Box<dyn Model>, LoadError> {
    entry
        .network
        .load_file(path, entry.format, device)
        .map_err(|source| LoadError::Weights {
            model: entry.name,
            path: path.to_owned(),
            source,
        })
}

/// Builds the entry's network on `device` with the weights in `bytes`, which are what a file of them holds.
pub fn load_bytes(
    entry: &'static Entry,
    bytes: &[u8],
    device: &Device,
) -> Result<Box<dyn Model>, LoadError> {
    Weights::from_bytes(bytes, entry.format, device.precision())
        .and_then(|weights| entry.network.load(weights, device))
        .map_err(|source| LoadError::Bytes {
            model: entry.name,
            source,
        })
}

/// Builds the network of the model that is [built in](BUILT_IN) on `device`.
pub fn load_built_in(device: &Device) -> Result<Box<dyn Model>, LoadError> {
    load_bytes(BUILT_IN, NOTES, device)
}

/// A loaded network with its pre- and post-processing.
///
/// The three steps are apart because they run in different places: `preprocess` and `postprocess` on
/// any CPU thread, `forward` on the one thread that owns the device.
pub trait Model: Send + Sync {
    /// Turns the picture into the network's input: resized, normalised, in the network's layout. Its pixels are
    /// decoded on the way, and an error is one of theirs; of an [`Image`] there is none.
    fn preprocess(&self, picture: Picture<'_>, selection: &Selection)
    -> Result<Input, DecodeError>;

    /// Runs the network on a batch of inputs of one [`shape`](Input::shape), each with what is wanted
    /// of it, and answers one [`Output`] for each, in order. Large inputs that nobody else has are freed as soon as
    /// the first layer has read them.
    fn forward(&self, batch: Vec<(Input, &Selection)>) -> Vec<Output>;

    /// Turns one output into findings on the picture that was `picture_size` (`[width, height]`), of which the same
    /// was wanted in the other two steps.
    fn postprocess(
        &self,
        output: Output,
        picture_size: [u32; 2],
        selection: &Selection,
    ) -> Prediction;

    /// How many inputs of one shape are worth running together; 1 where batching gains nothing.
    fn preferred_batch(&self) -> usize {
        1
    }

    /// Input shapes to run once before the first request, `[channels, height, width]`.
    fn warm_up_shapes(&self) -> Vec<[usize; 3]>;
}

/// Runs `forward` on as many inputs of one shape at a time as are worth running together on the device, and as it can
/// take.
pub(crate) fn in_batches<'a>(
    inputs: Vec<(Input, &'a Selection)>,
    device: &Device,
    forward: impl Fn(Vec<Input>, &[&'a Selection]) -> Vec<Output>,
) -> Vec<Output> {
    let Some((first, _)) = inputs.first() else {
        return Vec::new();
    };
    let [_, height, width] = first.shape;
    let together = device.together([height, width]);
    let mut outputs = Vec::with_capacity(inputs.len());
    let mut inputs = inputs.into_iter();
    while !inputs.as_slice().is_empty() {
        let (batch, selections): (Vec<_>, Vec<_>) = inputs.by_ref().take(together).unzip();
        outputs.extend(forward(batch, &selections));
    }
    outputs
}

/// One picture as the network takes it.
#[derive(Clone, Debug)]
pub struct Input {
    /// `[channels, height, width]`, of three channels.
    pub shape: [usize; 3],
    /// `[height, width]`.
    pixels: Pixels,
    /// `[width, height]` of the class map that a semantic segmenter makes of it: as large as it is, if nobody says
    /// otherwise.
    pub(crate) map_size: [u32; 2],
    /// The picture, larger, for a model that looks at some of it closer.
    pub(crate) closer: Option<Arc<Image>>,
}

/// The pixels of an input.
#[derive(Clone, Debug)]
enum Pixels {
    /// Normalised. They are shared with the network's first layer, which reads them where they lie.
    Normalised(Arc<Buffer<Pixel>>),
    /// To be normalised so, which a GPU does: there is a quarter as much to bring to it.
    Samples(Arc<Image>, Normalisation),
}

impl Input {
    /// Of pixels `[height, width]`, as many as the sides say.
    pub fn new(pixels: Buffer<Pixel>, [height, width]: [usize; 2]) -> Self {
        Self::of(Pixels::Normalised(Arc::new(pixels)), [height, width])
    }

    fn of(pixels: Pixels, [height, width]: [usize; 2]) -> Self {
        Self {
            shape: [3, height, width],
            pixels,
            map_size: [width as u32, height as u32],
            closer: None,
        }
    }

    /// Of a picture that has the input's size, to be normalised so, where the device does not do it.
    pub(crate) fn of_image(image: Image, normalisation: &Normalisation, device: &Device) -> Self {
        let size = [image.height(), image.width()].map(|side| side as usize);
        if device.kind() == DeviceKind::Gpu {
            return Self::of(Pixels::Samples(Arc::new(image), *normalisation), size);
        }
        let mut pixels = device.pixels(size);
        normalisation.normalise(&image, &mut pixels);
        Self::new(pixels, size)
    }

    /// With a class map of this size, `[width, height]`.
    pub(crate) fn with_map_size(self, map_size: [u32; 2]) -> Self {
        Self { map_size, ..self }
    }

    /// With the picture as it is looked at closer.
    pub(crate) fn with_closer(self, closer: Option<Image>) -> Self {
        Self {
            closer: closer.map(Arc::new),
            ..self
        }
    }

    /// Its pixels, normalised.
    pub fn normalised(&self) -> Arc<Buffer<Pixel>> {
        match &self.pixels {
            Pixels::Normalised(pixels) => Arc::clone(pixels),
            Pixels::Samples(image, normalisation) => {
                let [_, height, width] = self.shape;
                let mut pixels = Arena::default().take(height * width);
                normalisation.normalise(image, &mut pixels);
                Arc::new(pixels)
            }
        }
    }

    /// Its samples and what becomes of them, if it is not normalised yet.
    fn samples(&self) -> Option<(&Image, &Normalisation)> {
        match &self.pixels {
            Pixels::Normalised(_) => None,
            Pixels::Samples(image, normalisation) => Some((image, normalisation)),
        }
    }

    /// Inputs of one shape, one at least, as a map `[inputs, 3, height, width]`; each with zeros to the right and below, up
    /// to sides that are a `multiple`.
    pub(crate) fn stack(inputs: Vec<Self>, multiple: usize, device: &Device) -> Map {
        let [_, height, width] = inputs[0].shape;
        let size = [height, width].map(|side| side.next_multiple_of(multiple));
        let samples = inputs.iter().map(Self::samples);
        let samples: Option<Vec<_>> = samples.collect();
        if let Some(map) = samples.and_then(|samples| Map::from_samples(&samples, size, device)) {
            return map;
        }
        let pictures = inputs.into_iter().map(|input| {
            let pixels = input.normalised();
            if size == [height, width] {
                return pixels;
            }
            let mut padded = device.pixels(size);
            pad(&pixels, width, &mut padded, size[1]);
            Arc::new(padded)
        });
        Map::from_pictures(pictures.collect(), size, device)
    }

    /// Of one pixel repeated, to run a network on anything.
    pub fn uniform(pixel: Pixel, [height, width]: [usize; 2]) -> Self {
        let mut pixels = Arena::default().take(height * width);
        pixels.fill(pixel);
        Self::new(pixels, [height, width])
    }
}

/// Copies pixels in rows of `width` to the upper left of rows of `columns`; what is left of these becomes zero.
fn pad(from: &[Pixel], width: usize, to: &mut [Pixel], columns: usize) {
    let rows = from.chunks_exact(width).chain(iter::repeat(&[][..]));
    for (to, from) in to.chunks_exact_mut(columns).zip(rows) {
        let (copy, rest) = to.split_at_mut(from.len());
        copy.copy_from_slice(from);
        rest.fill([0.0; 4]);
    }
}

/// What a network answers for one picture, in host memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Of an instance detector, best score first.
    Instances {
        /// `[x0, y0, x1, y1]` in pixels of the network's input.
        boxes: Vec<[f32; 4]>,
        /// Class ids, one a box.
        classes: Vec<u32>,
        /// Scores, one a box, descending.
        scores: Vec<f32>,
        /// Mask probabilities `[boxes, side, side]` and `side`, where asked for.
        masks: Option<(Vec<f32>, usize)>,
    },
    /// Of a semantic segmenter.
    Logits {
        /// `[classes, height, width]`.
        shape: [usize; 3],
        /// Unnormalised scores in the order of `shape`.
        values: Vec<f32>,
    },
    /// Of a semantic segmenter whose device has made classes of its logits.
    Classes(ClassMap),
}

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The weights could not be read, or are another network's.
    #[error("cannot load {model} from {}", path.display())]
    Weights {
        /// The catalogue's name.
        model: &'static str,
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        #[source]
        source: WeightError,
    },
    /// The weights that were there already are damaged or another network's.
    #[error("cannot load {model}")]
    Bytes {
        /// The catalogue's name.
        model: &'static str,
        /// What was wrong with them.
        #[source]
        source: WeightError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of pixels whose three values are the same.
    fn input(values: &[f32], size: [usize; 2]) -> Input {
        let mut input = Device::stock().pixels(size);
        for (pixel, &value) in input.iter_mut().zip(values) {
            *pixel = [value; 4];
        }
        Input::new(input, size)
    }

    #[test]
    fn padding_is_to_the_right_and_below() {
        let device = Device::stock();
        let inputs = vec![input(&[1.0, 2.0], [2, 1]), input(&[3.0, 4.0], [2, 1])];
        let map = Input::stack(inputs.clone(), 3, &device);
        assert_eq!(map.dims(), [2, 3, 3, 3]);
        let padded = |upper, lower| [upper, 0.0, 0.0, lower, 0.0, 0.0, 0.0, 0.0, 0.0];
        let expected = [padded(1.0, 2.0).repeat(3), padded(3.0, 4.0).repeat(3)].concat();
        assert_eq!(map.to_host(), expected);

        let map = Input::stack(inputs, 1, &device);
        assert_eq!(map.dims(), [2, 3, 2, 1]);
        let expected = [[1.0, 2.0].repeat(3), [3.0, 4.0].repeat(3)].concat();
        assert_eq!(map.to_host(), expected);
    }
}

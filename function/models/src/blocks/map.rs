//! Feature maps.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
#[cfg(feature = "gpu")]
use segmenter_imaging::normalise::Order;
use segmenter_imaging::{Image, normalise::Normalisation};
use segmenter_kernels::{
    self as kernels, Buffer,
    quantized::{QuantizedMap, QuantizedPicture},
};

#[cfg(feature = "training")]
use super::training::Blocked;
use super::{Activation, Device};

/// A batch of feature maps, `[batch, channels, height, width]`, 32-bit floats or bytes that stand for some.
/// Clones share their values.
#[derive(Clone, Debug)]
pub struct Map(pub(super) Values);

/// The class of every pixel and its probability, both `[height, width]`.
pub(crate) type Classes = (Vec<u8>, Vec<f32>);

/// A map is what the operations of its [`Device`] work on. Those of one device are never given another's.
#[derive(Clone, Debug)]
pub(super) enum Values {
    Burn(Tensor<4>),
    #[cfg(feature = "training")]
    Blocked(Blocked),
    Kernels(Arc<kernels::Map>),
    /// Three channels, as the first layer takes them.
    Picture(Arc<kernels::Context>, Arc<kernels::Picture>),
    #[cfg(feature = "gpu")]
    Gpu(segmenter_gpu::Map),
    Quantized(Arc<QuantizedMap>),
    QuantizedPicture(Arc<kernels::Context>, Arc<QuantizedPicture>),
}

impl Map {
    /// A map of these values, in row-major order.
    pub fn from_host(values: &[f32], shape: [usize; 4], device: &Device) -> Self {
        Self(match device {
            Device::Burn(device) => Values::Burn(Tensor::from_data(
                TensorData::new(values.to_vec(), shape),
                device,
            )),
            Device::Kernels(context, _) => {
                let [batch, channels, height, width] = shape;
                if channels == kernels::Picture::CHANNELS {
                    let size = [batch, height, width];
                    let picture = kernels::Picture::from_planes(context, values, size);
                    Values::Picture(Arc::clone(context), Arc::new(picture))
                } else {
                    Values::Kernels(Arc::new(kernels::Map::from_planar(context, values, shape)))
                }
            }
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu, _) => Values::Gpu(segmenter_gpu::Map::from_planar(gpu, values, shape)),
        })
    }

    /// A map of three channels from pictures of this size, `[height, width]`, one at least; each pixel has a fourth value
    /// that is left out. The kernels read those of one picture where they lie.
    pub fn from_pictures(
        pictures: Vec<Arc<Buffer<[f32; 4]>>>,
        [height, width]: [usize; 2],
        device: &Device,
    ) -> Self {
        let size = [pictures.len(), height, width];
        Self(match device {
            Device::Burn(device) => {
                let values = pictures.iter().map(|pixels| pixels.as_flattened());
                let values = values.collect::<Vec<_>>().concat();
                let values = TensorData::new(values, [pictures.len(), height, width, 4]);
                let x: Tensor<4> = Tensor::from_data(values, device);
                Values::Burn(x.narrow(3, 0, 3).permute([0, 3, 1, 2]))
            }
            Device::Kernels(context, _) => {
                let picture = kernels::Picture::new(joined(pictures, device), size);
                Values::Picture(Arc::clone(context), Arc::new(picture))
            }
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu, _) => {
                let pictures: Vec<_> = pictures.iter().map(|pixels| &***pixels).collect();
                let size = [height, width];
                Values::Gpu(segmenter_gpu::Map::from_pictures(gpu, &pictures, size))
            }
        })
    }

    /// As [`from_pictures`](Self::from_pictures), of pictures of one size that are not normalised yet, each with zeros to
    /// the right and below up to `[height, width]`. `None` where a device does not do that, or they are to be normalised
    /// in several ways.
    pub(crate) fn from_samples(
        pictures: &[(&Image, &Normalisation)],
        padded: [usize; 2],
        device: &Device,
    ) -> Option<Self> {
        #[cfg(feature = "gpu")]
        if let Device::Gpu(gpu, _) = device {
            let &(first, normalisation) = pictures.first()?;
            if pictures.iter().any(|(_, other)| *other != normalisation) {
                return None;
            }
            let samples: Vec<_> = pictures.iter().map(|(image, _)| image.pixels()).collect();
            let size = [first.height(), first.width()].map(|side| side as usize);
            let normalisation = segmenter_gpu::Normalisation {
                reversed: normalisation.order == Order::Bgr,
                mean: normalisation.mean,
                factors: normalisation.deviation.map(f32::recip),
            };
            let map = segmenter_gpu::Map::from_samples(gpu, &samples, size, padded, &normalisation);
            return Some(Self(Values::Gpu(map)));
        }
        let _ = (pictures, padded, device);
        None
    }

    /// A map of three channels from pictures that a network is trained on, `[batch, height, width, 4]`, of which the fourth
    /// value is left out.
    #[cfg(feature = "training")]
    pub fn to_train_on(pictures: Tensor<4>) -> Self {
        Self(Values::Blocked(Blocked::from_pictures(pictures)))
    }

    /// burn's own, `[batch, channels, height, width]`, for a network on [`Device::Burn`] of its device.
    pub fn from_tensor(tensor: Tensor<4>) -> Self {
        Self(Values::Burn(tensor))
    }

    /// burn's own, with all that it was computed from; `None` of a device that is not burn's.
    pub fn into_tensor(self) -> Option<Tensor<4>> {
        match self.0.stock() {
            Values::Burn(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// Its values in row-major order. Waits for the device.
    #[expect(
        clippy::expect_used,
        reason = "all tensors of a network are 32-bit floats, as its weights and its input are"
    )]
    pub fn to_host(&self) -> Vec<f32> {
        match &self.0 {
            Values::Burn(tensor) => {
                let data = tensor.clone().into_data();
                data.try_into_vec().expect("32-bit floats")
            }
            #[cfg(feature = "training")]
            Values::Blocked(_) => Self::from_tensor(self.0.tensor()).to_host(),
            Values::Kernels(map) => map.to_planar(),
            #[cfg(feature = "gpu")]
            Values::Gpu(map) => gpu::read(&[map]).remove(0),
            Values::Picture(context, picture) => picture.to_map(context).to_planar(),
            Values::Quantized(map) => map.dequantize().to_planar(),
            Values::QuantizedPicture(..) => another_device(),
        }
    }

    /// As [`to_host`](Self::to_host), of several maps of one device, for which is waited once.
    pub fn to_host_all(maps: &[Self]) -> Vec<Vec<f32>> {
        #[cfg(feature = "gpu")]
        if let Some(Self(Values::Gpu(_))) = maps.first() {
            let maps: Vec<_> = maps.iter().map(|map| map.0.gpu()).collect();
            return gpu::read(&maps);
        }
        maps.iter().map(Self::to_host).collect()
    }

    /// The most probable class of every pixel and its softmax probability, `[height, width]`, of each of its maps of
    /// logits, enlarged bilinearly to its size. Waits for the device. `None` where classes are made of logits in host
    /// memory.
    pub(crate) fn classes_to_host(
        &self,
        sizes: &[[usize; 2]],
        corners: kernels::Corners,
    ) -> Option<Vec<Classes>> {
        #[cfg(feature = "gpu")]
        if let Values::Gpu(map) = &self.0 {
            return Some(gpu::classes(map, sizes, corners));
        }
        let _ = (sizes, corners);
        None
    }

    /// One channel of each of its maps, `[batch, height, width]`, where `channels` says which one. Waits for
    /// the device.
    pub fn planes_to_host(&self, channels: impl Iterator<Item = usize>) -> Vec<f32> {
        #[cfg(feature = "gpu")]
        if let Values::Gpu(map) = &self.0 {
            return gpu::planes(map, &channels.collect::<Vec<_>>());
        }
        let places = channels.enumerate();
        match &self.0 {
            Values::Kernels(map) => {
                let planes = places.flat_map(|(n, channel)| map.plane(n, channel));
                planes.collect()
            }
            Values::Quantized(map) => {
                let quantization = map.quantization();
                let planes = places.flat_map(|(n, channel)| map.plane(n, channel));
                planes.map(|byte| quantization.dequantize(byte)).collect()
            }
            _ => {
                let values = self.to_host();
                let [_, all, height, width] = self.dims();
                let pixels = height * width;
                let plane = |(n, channel)| &values[(n * all + channel) * pixels..][..pixels];
                places.flat_map(plane).copied().collect()
            }
        }
    }

    /// `[batch, channels, height, width]`.
    pub fn dims(&self) -> [usize; 4] {
        match &self.0 {
            Values::Burn(tensor) => tensor.dims(),
            #[cfg(feature = "training")]
            Values::Blocked(map) => map.dims(),
            Values::Kernels(map) => map.shape(),
            #[cfg(feature = "gpu")]
            Values::Gpu(map) => map.shape(),
            Values::Picture(_, picture) => picture.shape(),
            Values::Quantized(map) => map.shape(),
            Values::QuantizedPicture(_, picture) => picture.shape(),
        }
    }

    /// The sum of two maps of one shape.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "maps of other shapes have no sum"
    )]
    pub fn add(self, other: Self) -> Self {
        match (self.0, other.0) {
            #[cfg(feature = "training")]
            (Values::Blocked(x), Values::Blocked(y)) => Self(Values::Blocked(x.add(y))),
            #[cfg(feature = "gpu")]
            (Values::Gpu(x), y) => Self(Values::Gpu(segmenter_gpu::add(&x, y.gpu()))),
            (Values::Burn(x), y) => Self(Values::Burn(x + y.tensor())),
            (x, Values::Burn(y)) => Self(Values::Burn(x.tensor() + y)),
            (mut x, y) => {
                x.unshared().add(y.kernels(), Activation::Identity);
                Self(x)
            }
        }
    }

    /// Every channel multiplied by its factor, `[batch, channels, 1, 1]`.
    #[must_use]
    pub fn scale_channels(self, factors: &Self) -> Self {
        match (self.0.stock(), &factors.0) {
            #[cfg(feature = "gpu")]
            (Values::Gpu(x), factors) => Self(Values::Gpu(segmenter_gpu::scale_channels(
                &x,
                factors.gpu(),
            ))),
            (Values::Burn(x), factors) => Self(Values::Burn(x * factors.tensor())),
            (mut x, factors) => {
                x.unshared().scale_channels(factors.kernels());
                Self(x)
            }
        }
    }

    /// A single pixel, `[batch, channels, 1, 1]`, repeated over a map of `[height, width]`.
    #[must_use]
    pub fn expand(self, [height, width]: [usize; 2]) -> Self {
        let [batch, channels, ..] = self.dims();
        Self(match self.0.stock() {
            Values::Burn(x) => Values::Burn(x.expand([batch, channels, height, width])),
            #[cfg(feature = "gpu")]
            Values::Gpu(x) => Values::Gpu(segmenter_gpu::expand(&x, [height, width])),
            Values::Quantized(x) => Values::from(x.expand([height, width])),
            x => Values::from(x.kernels().expand([height, width])),
        })
    }

    /// Maps one behind the other along their channels. There must be one at least. Bytes of all stand for the same,
    /// and all but the last have multiples of sixteen channels.
    #[must_use]
    pub fn concat(maps: &[Self]) -> Self {
        let values = maps.iter().map(|map| &map.0);
        Self(match maps[0].0 {
            #[cfg(feature = "training")]
            Values::Blocked(_) => {
                Values::Burn(Tensor::cat(values.map(Values::tensor).collect(), 1))
            }
            Values::Burn(_) => Values::Burn(Tensor::cat(values.map(Values::tensor).collect(), 1)),
            #[cfg(feature = "gpu")]
            Values::Gpu(_) => {
                let maps: Vec<_> = values.map(Values::gpu).collect();
                Values::Gpu(segmenter_gpu::concat(&maps))
            }
            Values::Quantized(_) => {
                let maps: Vec<_> = values.map(Values::quantized).collect();
                Values::from(QuantizedMap::concat(&maps))
            }
            _ => {
                let maps: Vec<_> = values.map(Values::kernels).collect();
                Values::from(kernels::Map::concat(&maps))
            }
        })
    }
}

/// The pixels of all pictures, one's behind another's.
fn joined(mut pictures: Vec<Arc<Buffer<[f32; 4]>>>, device: &Device) -> Arc<Buffer<[f32; 4]>> {
    if pictures.len() == 1 {
        return pictures.remove(0);
    }
    let mut pixels = device.pixels([pictures.len(), pictures[0].len()]);
    for (to, from) in pixels.chunks_exact_mut(pictures[0].len()).zip(&pictures) {
        to.copy_from_slice(from);
    }
    Arc::new(pixels)
}

impl Values {
    /// As burn has it, if it is burn's.
    pub(super) fn stock(self) -> Self {
        match self {
            #[cfg(feature = "training")]
            Self::Blocked(map) => Self::Burn(map.tensor()),
            x => x,
        }
    }

    pub(super) fn tensor(&self) -> Tensor<4> {
        match self {
            Self::Burn(tensor) => tensor.clone(),
            #[cfg(feature = "training")]
            Self::Blocked(map) => map.clone().tensor(),
            _ => another_device(),
        }
    }

    pub(super) fn kernels(&self) -> &kernels::Map {
        match self {
            Self::Kernels(map) => map,
            _ => another_device(),
        }
    }

    #[cfg(feature = "gpu")]
    pub(super) fn gpu(&self) -> &segmenter_gpu::Map {
        match self {
            Self::Gpu(map) => map,
            _ => another_device(),
        }
    }

    pub(super) fn quantized(&self) -> &QuantizedMap {
        match self {
            Self::Quantized(map) => map,
            _ => another_device(),
        }
    }

    /// To be changed, in place where nobody else has it.
    fn unshared(&mut self) -> &mut kernels::Map {
        match self {
            Self::Kernels(map) => Arc::make_mut(map),
            _ => another_device(),
        }
    }
}

impl From<kernels::Map> for Values {
    fn from(map: kernels::Map) -> Self {
        Self::Kernels(Arc::new(map))
    }
}

impl From<QuantizedMap> for Values {
    fn from(map: QuantizedMap) -> Self {
        Self::Quantized(Arc::new(map))
    }
}

/// What is read back from a GPU. One that failed answers nothing any more, and neither can the network on it.
#[cfg(feature = "gpu")]
mod gpu {
    use segmenter_gpu::{ClassMap, GpuError, Map};
    use segmenter_kernels::Corners;

    pub(super) fn read(maps: &[&Map]) -> Vec<Vec<f32>> {
        answered(segmenter_gpu::read(maps))
    }

    pub(super) fn planes(map: &Map, channels: &[usize]) -> Vec<f32> {
        answered(segmenter_gpu::planes(map, channels))
    }

    pub(super) fn classes(map: &Map, sizes: &[[usize; 2]], corners: Corners) -> Vec<ClassMap> {
        answered(segmenter_gpu::argmax_softmax(map, sizes, corners))
    }

    #[expect(
        clippy::panic,
        reason = "whoever runs networks catches it and fails the requests of this batch"
    )]
    fn answered<T>(answer: Result<T, GpuError>) -> T {
        answer.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A network is loaded on one device, and its pictures are brought to that. Networks that load in integers have
/// a [`QuantStub`](super::QuantStub) wherever floats come in.
pub(super) fn another_device() -> ! {
    unreachable!("a map of another device or precision, or a picture behind the first layer")
}

//! A GPU's memory, which is used again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crate::{
    gpu::{Gpu, GpuError, lock},
    halves::to_halves,
};

/// What is kept for later, in bytes. What is beyond goes back to the driver, the largest first.
const ROOM: u64 = 2 << 30;

/// Buffers that nobody has.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// By their use and their size in bytes.
    buffers: BTreeMap<(Use, u64), Vec<wgpu::Buffer>>,
    bytes: u64,
}

/// What a buffer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// Kernels read and write it.
    Compute,
    /// The processor reads what was copied to it.
    ReadBack,
}

/// A buffer, until it is dropped. What kernels that are recorded already do with it they do before those of its next
/// owner.
#[derive(Debug)]
pub(crate) struct Block {
    gpu: Arc<Gpu>,
    usage: Use,
    buffer: wgpu::Buffer,
}

impl Block {
    /// Of so many bytes at least, which are anything.
    pub(crate) fn take(gpu: &Arc<Gpu>, usage: Use, bytes: usize) -> Self {
        let size = rounded(bytes as u64);
        let buffer = gpu.memory.reuse(usage, size).unwrap_or_else(|| {
            gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage: match usage {
                    Use::Compute => {
                        wgpu::BufferUsages::STORAGE
                            | wgpu::BufferUsages::COPY_DST
                            | wgpu::BufferUsages::COPY_SRC
                    }
                    Use::ReadBack => wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                },
                mapped_at_creation: false,
            })
        });
        Self {
            gpu: Arc::clone(gpu),
            usage,
            buffer,
        }
    }

    /// With these values.
    pub(crate) fn of<T: bytemuck::NoUninit>(gpu: &Arc<Gpu>, values: &[T]) -> Self {
        Self::of_all(gpu, &[values])
    }

    /// With these values, of 32 bits or 16, as those of maps are.
    pub(crate) fn of_floats(gpu: &Arc<Gpu>, values: &[f32]) -> Self {
        if gpu.half() {
            Self::of(gpu, &to_halves(values))
        } else {
            Self::of(gpu, values)
        }
    }

    /// With these values, one behind the other.
    pub(crate) fn of_all<T: bytemuck::NoUninit>(gpu: &Arc<Gpu>, all: &[&[T]]) -> Self {
        let all: Vec<&[u8]> = all
            .iter()
            .map(|values| bytemuck::cast_slice(values))
            .collect();
        let block = Self::take(gpu, Use::Compute, all.iter().map(|bytes| bytes.len()).sum());
        gpu.write(&block.buffer, &all);
        block
    }

    /// What `of` makes of the first values, when they can be read. So many are there.
    pub(crate) fn read<T: bytemuck::AnyBitPattern, R>(
        &self,
        values: usize,
        of: impl FnOnce(&[T]) -> R,
    ) -> Result<R, GpuError> {
        let bytes = (values * size_of::<T>()) as u64;
        let range = self.buffer.get_mapped_range(0..bytes);
        let range = range.map_err(|error| GpuError::Failed(error.to_string()))?;
        let result = of(bytemuck::cast_slice(&range));
        drop(range);
        self.buffer.unmap();
        Ok(result)
    }

    pub(crate) fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.gpu.memory.keep(self.usage, self.buffer.clone());
    }
}

impl Memory {
    fn reuse(&self, usage: Use, size: u64) -> Option<wgpu::Buffer> {
        let mut idle = lock(&self.idle);
        let buffer = idle.buffers.get_mut(&(usage, size))?.pop()?;
        idle.bytes -= size;
        Some(buffer)
    }

    fn keep(&self, usage: Use, buffer: wgpu::Buffer) {
        let mut idle = lock(&self.idle);
        idle.bytes += buffer.size();
        let key = (usage, buffer.size());
        idle.buffers.entry(key).or_default().push(buffer);
        while idle.bytes > ROOM
            && let Some(mut largest) = idle.buffers.last_entry()
        {
            let dropped = largest.get_mut().pop();
            if largest.get().is_empty() {
                largest.remove();
            }
            idle.bytes -= dropped.map_or(0, |buffer| buffer.size());
        }
    }
}

/// The next of four sizes between powers of two, so that maps of about one size can have each other's memory.
fn rounded(bytes: u64) -> u64 {
    const LEAST: u64 = 256;
    let bytes = bytes.max(LEAST);
    let step = (bytes.next_power_of_two() / 8).max(LEAST / 4);
    bytes.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn sizes_are_few_and_little_is_wasted() {
        assert_eq!(rounded(0), 256);
        assert_eq!(rounded(1000), 1024);
        assert_eq!(rounded(1025), 1280);
        for bytes in (1..1 << 22).step_by(977) {
            let size = rounded(bytes);
            assert!(size >= bytes && size.is_multiple_of(4));
            assert!(bytes < 256 || size - bytes <= bytes / 4, "{bytes}: {size}");
        }
    }
}

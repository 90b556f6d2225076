//! How long every kernel takes, by the GPU's own clock.

use std::{sync::Mutex, time::Duration};

use segmenter_kernels::Span;

use crate::{gpu::lock, map::Map};

/// Calls between two answers that are timed; what is more is not.
pub(crate) const MOST: usize = 2048;

/// Of a GPU whose kernels are timed.
#[derive(Debug)]
pub(crate) struct Trace {
    /// When each call since the last answer began and ended.
    pub(crate) times: wgpu::QuerySet,
    spans: Mutex<Vec<Span>>,
}

impl Trace {
    pub(crate) fn new(device: &wgpu::Device) -> Self {
        let times = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: None,
            ty: wgpu::QueryType::Timestamp,
            count: 2 * MOST as u32,
        });
        Self {
            times,
            spans: Mutex::default(),
        }
    }

    /// What the call of this number notes.
    pub(crate) fn writes(&self, call: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.times,
            beginning_of_pass_write_index: Some(2 * call as u32),
            end_of_pass_write_index: Some(2 * call as u32 + 1),
        }
    }

    /// The calls since the last answer, with what they noted, `[call, begin and end]` in ticks of so many nanoseconds.
    pub(crate) fn add(&self, calls: Vec<Span>, ticks: &[[u64; 2]], nanoseconds: f32) {
        let spans = calls.into_iter().zip(ticks).map(|(span, [begin, end])| {
            let time = end.saturating_sub(*begin) as f64 * f64::from(nanoseconds);
            Span {
                time: Duration::from_nanos(time as u64),
                ..span
            }
        });
        lock(&self.spans).extend(spans);
    }

    pub(crate) fn take(&self) -> Vec<Span> {
        std::mem::take(&mut lock(&self.spans))
    }
}

/// A call that made `y`, and multiplied nothing or little.
pub(crate) fn named(kernel: &str, y: &Map) -> Span {
    Span {
        kernel: kernel.to_owned(),
        output: y.shape(),
        multiplications: 0,
        time: Duration::ZERO,
    }
}

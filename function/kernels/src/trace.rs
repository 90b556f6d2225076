//! What a network's time goes to.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// One call of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Which kernel, and what of it matters to its speed: `pointwise 448->112`.
    pub kernel: String,
    /// What it made, `[batch, channels, height, width]`.
    pub output: [usize; 4],
    /// Multiplications of the definition, as many as a straightforward loop would do.
    pub multiplications: usize,
    /// How long it took.
    pub time: Duration,
}

/// The calls so far.
#[derive(Debug, Default)]
pub(crate) struct Trace(Mutex<Vec<Span>>);

impl Trace {
    /// Takes them out.
    pub(crate) fn take(&self) -> Vec<Span> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Notes a call when it is dropped.
pub(crate) struct Timed<'a> {
    trace: &'a Trace,
    span: Span,
    begin: Instant,
}

impl<'a> Timed<'a> {
    /// Begins one.
    pub(crate) fn begin(
        trace: &'a Trace,
        kernel: String,
        output: [usize; 4],
        multiplications: usize,
    ) -> Self {
        Self {
            trace,
            span: Span {
                kernel,
                output,
                multiplications,
                time: Duration::ZERO,
            },
            begin: Instant::now(),
        }
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        let span = Span {
            time: self.begin.elapsed(),
            ..self.span.clone()
        };
        let spans = &self.trace.0;
        spans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(span);
    }
}

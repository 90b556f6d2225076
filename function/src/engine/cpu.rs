//! Threads for the steps of a request that need a processor and no device.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Runs CPU-bound steps away from the async threads, so many at a time as there are processors.
#[derive(Clone, Debug)]
pub struct CpuPool {
    permits: Arc<Semaphore>,
}

/// The step panicked; what it said is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a step panicked")]
pub struct Panicked;

impl CpuPool {
    /// A pool that runs `threads` steps at a time.
    pub fn new(threads: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(threads.max(1))),
        }
    }

    /// Runs `step` when its turn comes. Dropping the future before then means that it never runs.
    pub async fn run<T: Send + 'static>(
        &self,
        step: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || {
            // Held to the end of the step, also when the caller goes in the meantime.
            let _permit = permit;
            let result = span.in_scope(step);
            segmenter_allocator::tidy();
            result
        })
        .await
        .map_err(|_| Panicked)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn no_more_steps_run_at_once_than_there_are_threads() {
        let pool = CpuPool::new(2);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let steps = (0..12).map(|_| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            pool.run(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
                now.fetch_sub(1, Ordering::SeqCst);
            })
        });
        for result in futures_util::future::join_all(steps).await {
            assert_eq!(result, Ok(()));
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_its_place() {
        let pool = CpuPool::new(1);
        assert_eq!(pool.run(|| panic!("broken")).await, Err::<(), _>(Panicked));
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }
}

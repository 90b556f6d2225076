//! Whether the server may be sent requests, and what it still waits for.

use std::sync::Arc;

use tokio::sync::watch;

/// What stands between the server and its next request.
///
/// Every task that must end before requests may come holds a [`Latch`]. The server is ready while there
/// is none; draining is one more latch, which is never released.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    pending: Arc<watch::Sender<Vec<&'static str>>>,
}

/// One reason not to be ready.
///
/// A latch that is dropped unreleased stays: a task that died must not make the server look ready.
#[derive(Debug)]
#[must_use = "the server is not ready until the latch is released"]
pub struct Latch {
    reason: &'static str,
    pending: Arc<watch::Sender<Vec<&'static str>>>,
}

impl Readiness {
    /// The reason that is never released.
    pub const DRAINING: &str = "draining";

    /// Not ready any more, for good.
    pub fn drain(&self) {
        // A latch that is dropped stays.
        drop(self.latch(Self::DRAINING));
    }

    /// Whether [`drain`](Self::drain) has been called.
    pub fn is_draining(&self) -> bool {
        self.pending.borrow().contains(&Self::DRAINING)
    }

    /// Not ready until the latch is released, for this reason.
    pub fn latch(&self, reason: &'static str) -> Latch {
        self.pending.send_modify(|pending| pending.push(reason));
        Latch {
            reason,
            pending: Arc::clone(&self.pending),
        }
    }

    /// Whether nothing is pending.
    pub fn is_ready(&self) -> bool {
        self.pending.borrow().is_empty()
    }

    /// What is pending, the oldest first.
    pub fn pending(&self) -> Vec<&'static str> {
        self.pending.borrow().clone()
    }

    /// Follows what is pending.
    pub fn watch(&self) -> watch::Receiver<Vec<&'static str>> {
        self.pending.subscribe()
    }
}

impl Latch {
    /// The reason is gone.
    pub fn release(self) {
        self.pending.send_modify(|pending| {
            if let Some(index) = pending.iter().position(|reason| *reason == self.reason) {
                pending.remove(index);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Readiness;

    #[test]
    fn ready_when_the_last_latch_is_released() {
        let readiness = Readiness::default();
        assert!(readiness.is_ready());
        let model = readiness.latch("model");
        let warm_up = readiness.latch("warm-up");
        assert_eq!(readiness.pending(), ["model", "warm-up"]);
        model.release();
        assert_eq!(readiness.pending(), ["warm-up"]);
        warm_up.release();
        assert!(readiness.is_ready());
    }

    #[test]
    fn a_latch_that_dies_is_not_released() {
        let readiness = Readiness::default();
        drop(readiness.latch("model"));
        assert!(!readiness.is_ready());
    }
}

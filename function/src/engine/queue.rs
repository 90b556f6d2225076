//! A bounded queue that forgets jobs nobody waits for any more.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::EngineError;

/// A job in the queue.
pub(super) struct Pending<J, R> {
    pub(super) job: J,
    pub(super) reply: oneshot::Sender<R>,
    pub(super) deadline: Instant,
    pub(super) since: Instant,
}

impl<J, R> Pending<J, R> {
    /// Whether its output would be of no use.
    fn is_dead(&self, now: Instant) -> bool {
        self.deadline <= now || self.reply.is_closed()
    }
}

/// Between callers and device threads.
pub(super) struct Queue<J, R> {
    capacity: usize,
    state: Mutex<State<J, R>>,
    changed: Condvar,
}

struct State<J, R> {
    pending: VecDeque<Pending<J, R>>,
    /// Jobs that device threads have taken and not finished.
    running: usize,
    closed: bool,
    /// When a batch last finished, or work came after there was none.
    progress: Instant,
    /// Smoothed device time of one job.
    job_time: Duration,
}

impl<J, R> Queue<J, R> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::new(State {
                pending: VecDeque::new(),
                running: 0,
                closed: false,
                progress: Instant::now(),
                job_time: Duration::ZERO,
            }),
            changed: Condvar::new(),
        }
    }

    /// Adds a job, unless the queue is closed or full of live ones. Dead ones make room and go to `dead`.
    pub(super) fn push(
        &self,
        pending: Pending<J, R>,
        dead: impl Fn(Pending<J, R>),
    ) -> Result<(), EngineError> {
        let mut state = self.lock();
        if state.closed {
            return Err(EngineError::Closed);
        }
        if state.pending.len() >= self.capacity {
            let now = Instant::now();
            for _ in 0..state.pending.len() {
                match state.pending.pop_front() {
                    Some(pending) if pending.is_dead(now) => dead(pending),
                    live => state.pending.extend(live),
                }
            }
        }
        if state.pending.len() >= self.capacity {
            return Err(EngineError::Full);
        }
        if state.is_idle() {
            state.progress = Instant::now();
        }
        state.pending.push_back(pending);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for jobs and takes the first live one with up to `most - 1` others of its key, in order.
    /// Dead jobs before it go to `dead`. `None` once the queue is closed and empty.
    pub(super) fn take<K: PartialEq>(
        &self,
        most: usize,
        key: impl Fn(&J) -> K,
        dead: impl Fn(Pending<J, R>),
    ) -> Option<Vec<Pending<J, R>>> {
        let mut state = self.lock();
        let first = loop {
            match state.pending.pop_front() {
                Some(pending) if pending.is_dead(Instant::now()) => dead(pending),
                Some(pending) => break pending,
                None if state.closed => return None,
                None => {
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        };
        let wanted = key(&first.job);
        let mut batch = vec![first];
        let mut index = 0;
        let now = Instant::now();
        while batch.len() < most && index < state.pending.len() {
            let candidate = &state.pending[index];
            if !candidate.is_dead(now) && key(&candidate.job) == wanted {
                batch.extend(state.pending.remove(index));
            } else {
                index += 1;
            }
        }
        state.running += batch.len();
        Some(batch)
    }

    /// Notes that a batch of `jobs` has finished after `ran`.
    pub(super) fn finished(&self, jobs: usize, ran: Duration) {
        let mut state = self.lock();
        state.running -= jobs;
        state.progress = Instant::now();
        let latest = ran / u32::try_from(jobs.max(1)).unwrap_or(u32::MAX);
        state.job_time = if state.job_time.is_zero() {
            latest
        } else {
            (state.job_time * 7 + latest) / 8
        };
    }

    pub(super) fn depth(&self) -> usize {
        self.lock().pending.len()
    }

    /// Device time of everything that is here, and of so many others.
    pub(super) fn expected_wait(&self, others: usize) -> Duration {
        let state = self.lock();
        let jobs = state.pending.len() + state.running + others;
        state.job_time * u32::try_from(jobs).unwrap_or(u32::MAX)
    }

    pub(super) fn stalled_for(&self) -> Duration {
        let state = self.lock();
        if state.is_idle() {
            Duration::ZERO
        } else {
            state.progress.elapsed()
        }
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// No code that can panic runs under the lock but `key` and `dead`, which leave the state whole.
    fn lock(&self) -> MutexGuard<'_, State<J, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J, R> State<J, R> {
    fn is_idle(&self) -> bool {
        self.running == 0 && self.pending.is_empty()
    }
}

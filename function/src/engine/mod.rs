//! The bounded queue in front of the device, and the threads that own it.
//!
//! The engine is generic over its [`Work`] and knows neither pictures nor JSON nor tensors. It promises:
//!
//! * never more than `capacity` jobs wait; one more is refused at once ([`EngineError::Full`]);
//! * a job whose deadline has passed, or whose caller has gone, is dropped and not run;
//! * jobs of one key that already wait together run together, up to [`Work::preferred_batch`]; nothing
//!   is ever delayed in the hope of company;
//! * a panic in the work fails the jobs of that batch and nothing else;
//! * after [`Engine::close`] everything accepted is still answered.

mod cpu;
mod queue;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

pub use self::cpu::{CpuPool, Panicked};
use self::queue::{Pending, Queue};

/// What the device threads do.
pub trait Work: Send + Sync + 'static {
    /// One caller's share of a batch.
    type Job: Send + 'static;
    /// What one job gives.
    type Output: Send + 'static;
    /// Jobs with equal keys can run in one batch.
    type Key: PartialEq;

    /// Which batch the job fits into.
    fn key(&self, job: &Self::Job) -> Self::Key;

    /// How many jobs are worth running together, at least 1.
    fn preferred_batch(&self) -> usize;

    /// Runs a batch of jobs of one key and answers one output for each, in order.
    fn run(&self, batch: Vec<Self::Job>) -> Vec<Self::Output>;

    /// Told when a job is dropped because its caller has gone.
    fn abandoned(&self);

    /// Told on the thread on which it happened, after the callers were, when [`run`](Self::run) has panicked. The
    /// thread takes the next batch when this returns.
    fn failed(&self) {}
}

/// An output, and how it came about.
#[derive(Debug)]
pub struct Finished<T> {
    /// What the work answered.
    pub output: T,
    /// How long the job waited for a device thread.
    pub queued: Duration,
    /// How long its batch ran.
    pub ran: Duration,
}

/// Why a job has no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// As many jobs wait as may.
    #[error("the queue is full")]
    Full,
    /// The deadline passed before a device thread was free.
    #[error("the deadline passed in the queue")]
    Expired,
    /// The engine has been closed.
    #[error("the engine is closed")]
    Closed,
    /// The work panicked, or did not answer every job of the batch.
    #[error("the work failed")]
    Failed,
}

type Reply<T> = Result<Finished<T>, EngineError>;

/// The queue and its device threads.
pub struct Engine<W: Work> {
    work: Arc<W>,
    queue: Arc<Queue<W::Job, Reply<W::Output>>>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl<W: Work> Engine<W> {
    /// Starts `workers` device threads before a queue of `capacity` waiting jobs.
    pub fn start(work: &Arc<W>, capacity: usize, workers: usize) -> io::Result<Self> {
        let engine = Self {
            work: Arc::clone(work),
            queue: Arc::new(Queue::new(capacity)),
            workers: Mutex::default(),
        };
        for index in 0..workers.max(1) {
            let (work, queue) = (Arc::clone(work), Arc::clone(&engine.queue));
            let worker = thread::Builder::new()
                .name(format!("device-{index}"))
                .spawn(move || work_through(&*work, &queue))?;
            engine.workers().push(worker);
        }
        Ok(engine)
    }

    /// Queues the job and waits for its output. Dropping the future takes the job out of the queue.
    pub async fn run(&self, job: W::Job, deadline: Instant) -> Reply<W::Output> {
        let (reply, answer) = oneshot::channel();
        let pending = Pending {
            job,
            reply,
            deadline,
            since: Instant::now(),
        };
        self.queue
            .push(pending, |dead| drop_dead(&*self.work, dead))?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(reply)) => reply,
            // The worker dropped the sender unsent: only unwinding does that.
            Ok(Err(_)) => Err(EngineError::Failed),
            Err(_) => Err(EngineError::Expired),
        }
    }

    /// Jobs that wait.
    pub fn depth(&self) -> usize {
        self.queue.depth()
    }

    /// How long a job that came now would take to finish, judged by the latest ones, with so many others on
    /// their way here.
    pub fn expected_wait(&self, others: usize) -> Duration {
        self.queue.expected_wait(others) / u32::try_from(self.workers().len().max(1)).unwrap_or(1)
    }

    /// For how long there has been work and no batch has finished; zero while there is none.
    pub fn stalled_for(&self) -> Duration {
        self.queue.stalled_for()
    }

    /// Refuses new jobs, finishes those accepted, and returns when the device threads have ended.
    pub fn close(&self) {
        self.queue.close();
        for worker in self.workers().drain(..) {
            // A worker catches the panics of its work, so it ends well.
            let _ = worker.join();
        }
    }

    fn workers(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Work> Drop for Engine<W> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn work_through<W: Work>(work: &W, queue: &Queue<W::Job, Reply<W::Output>>) {
    let key = |job: &W::Job| work.key(job);
    while let Some(batch) = queue.take(work.preferred_batch(), key, |dead| drop_dead(work, dead)) {
        let started = Instant::now();
        let mut jobs = Vec::with_capacity(batch.len());
        let mut callers = Vec::with_capacity(batch.len());
        for pending in batch {
            jobs.push(pending.job);
            callers.push((pending.reply, started - pending.since));
        }
        let count = callers.len();
        let outputs = catch_unwind(AssertUnwindSafe(|| work.run(jobs)))
            .ok()
            .filter(|outputs| outputs.len() == count);
        let ran = started.elapsed();
        queue.finished(count, ran);

        // A send fails when the caller has gone meanwhile; then nobody misses the answer.
        match outputs {
            Some(outputs) => {
                for ((reply, queued), output) in callers.into_iter().zip(outputs) {
                    let _ = reply.send(Ok(Finished {
                        output,
                        queued,
                        ran,
                    }));
                }
            }
            None => {
                tracing::error!(jobs = count, "the work of a batch failed");
                for (reply, _) in callers {
                    let _ = reply.send(Err(EngineError::Failed));
                }
                work.failed();
            }
        }
        segmenter_allocator::tidy();
    }
}

/// Answers a job that is not worth running any more, if anybody still listens.
fn drop_dead<W: Work>(work: &W, dead: Pending<W::Job, Reply<W::Output>>) {
    if dead.reply.send(Err(EngineError::Expired)).is_err() {
        work.abandoned();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Condvar,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// Doubles numbers, in batches of equal parity; waits at a gate that the test opens.
    #[derive(Default)]
    struct Doubling {
        open: Mutex<bool>,
        opened: Condvar,
        batches: Mutex<Vec<Vec<u32>>>,
        abandoned: AtomicUsize,
    }

    /// The number at which the work panics.
    const POISON: u32 = 13;

    impl Doubling {
        fn open(&self) {
            *self.open.lock().unwrap() = true;
            self.opened.notify_all();
        }
    }

    impl Work for Doubling {
        type Job = u32;
        type Output = u32;
        type Key = u32;

        fn key(&self, job: &u32) -> u32 {
            job % 2
        }

        fn preferred_batch(&self) -> usize {
            3
        }

        fn run(&self, batch: Vec<u32>) -> Vec<u32> {
            drop(
                self.opened
                    .wait_while(self.open.lock().unwrap(), |open| !*open)
                    .unwrap(),
            );
            self.batches.lock().unwrap().push(batch.clone());
            assert!(!batch.contains(&POISON), "poisoned");
            batch.iter().map(|job| job * 2).collect()
        }

        fn abandoned(&self) {
            self.abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn engine(capacity: usize) -> (Arc<Doubling>, Arc<Engine<Doubling>>) {
        let work = Arc::new(Doubling::default());
        let engine = Engine::start(&work, capacity, 1).unwrap();
        (work, Arc::new(engine))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn submit(engine: &Arc<Engine<Doubling>>, job: u32) -> tokio::task::JoinHandle<Reply<u32>> {
        let engine = Arc::clone(engine);
        tokio::spawn(async move { engine.run(job, soon()).await })
    }

    /// Waits until `depth` jobs wait behind the one that runs.
    async fn until_waiting(engine: &Engine<Doubling>, depth: usize) {
        while engine.depth() != depth {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A job at the gate, so that what follows stays in the queue.
    async fn occupy(engine: &Arc<Engine<Doubling>>) -> tokio::task::JoinHandle<Reply<u32>> {
        let running = submit(engine, 1);
        while engine.stalled_for().is_zero() || engine.depth() != 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        running
    }

    #[tokio::test]
    async fn what_waits_together_runs_together_by_key() {
        let (work, engine) = engine(8);
        let first = occupy(&engine).await;
        let mut rest = Vec::new();
        for (depth, job) in [2, 3, 4, 6, 8].into_iter().enumerate() {
            rest.push(submit(&engine, job));
            until_waiting(&engine, depth + 1).await;
        }
        work.open();
        assert_eq!(first.await.unwrap().unwrap().output, 2);
        for (handle, expected) in rest.into_iter().zip([4, 6, 8, 12, 16]) {
            assert_eq!(handle.await.unwrap().unwrap().output, expected);
        }
        let batches = work.batches.lock().unwrap().clone();
        assert_eq!(batches, [vec![1], vec![2, 4, 6], vec![3], vec![8]]);
        assert_eq!(engine.stalled_for(), Duration::ZERO);
    }

    #[tokio::test]
    async fn one_more_than_fits_is_refused_at_once() {
        let (work, engine) = engine(2);
        let first = occupy(&engine).await;
        let waiting = [submit(&engine, 2), submit(&engine, 4)];
        until_waiting(&engine, 2).await;
        assert_eq!(engine.run(6, soon()).await.unwrap_err(), EngineError::Full);
        work.open();
        assert!(first.await.unwrap().is_ok());
        for handle in waiting {
            assert!(handle.await.unwrap().is_ok());
        }
    }

    #[tokio::test]
    async fn a_job_whose_caller_left_or_whose_time_is_up_is_not_run() {
        let (work, engine) = engine(2);
        let first = occupy(&engine).await;
        let gone = submit(&engine, 4);
        until_waiting(&engine, 1).await;
        gone.abort();
        let late = engine.run(6, Instant::now() + Duration::from_millis(5));
        assert_eq!(late.await.unwrap_err(), EngineError::Expired);
        let patient = submit(&engine, 8); // finds room although two dead jobs still waited
        until_waiting(&engine, 1).await;
        work.open();
        assert!(first.await.unwrap().is_ok());
        assert_eq!(patient.await.unwrap().unwrap().output, 16);
        assert_eq!(*work.batches.lock().unwrap(), [vec![1], vec![8]]);
    }

    #[tokio::test]
    async fn a_panic_fails_its_batch_and_the_worker_lives_on() {
        let (work, engine) = engine(4);
        work.open();
        let poisoned = engine.run(POISON, soon()).await;
        assert_eq!(poisoned.unwrap_err(), EngineError::Failed);
        assert_eq!(engine.run(5, soon()).await.unwrap().output, 10);
    }

    #[tokio::test]
    async fn closing_finishes_what_was_accepted() {
        let (work, engine) = engine(4);
        let first = occupy(&engine).await;
        let waiting = submit(&engine, 2);
        until_waiting(&engine, 1).await;
        let closing = {
            let engine = Arc::clone(&engine);
            tokio::task::spawn_blocking(move || engine.close())
        };
        while engine.run(9, Instant::now()).await.unwrap_err() != EngineError::Closed {}
        work.open();
        closing.await.unwrap();
        assert!(first.await.unwrap().is_ok());
        assert_eq!(waiting.await.unwrap().unwrap().output, 4);
    }
}

//! Many tests, one control plane or cluster.

use std::{fmt, io::Write as _, process::ExitCode, sync::Arc, time::Instant};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::{
    runtime::{Handle, Runtime},
    sync::{OnceCell, RwLock},
};

use crate::{ControlPlane, Options, Tools};

/// What the tests of a suite share.
pub trait Ground: Send + Sync + Sized + 'static {
    /// What it is, for people.
    const NAME: &str;

    /// What it is made of, beyond the programs.
    type Options: Send + Sync + 'static;

    /// Starts it, and waits until it works.
    fn start(tools: &Tools, options: &Self::Options) -> impl Future<Output = anyhow::Result<Self>>;
}

impl Ground for ControlPlane {
    const NAME: &str = "the control plane";
    type Options = Options;

    async fn start(tools: &Tools, options: &Options) -> anyhow::Result<Self> {
        Ok(ControlPlane::start(tools, options.clone()).await?)
    }
}

/// Why a test cannot be run on this ground. A test that fails with it counts as skipped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Skipped(String);

impl Skipped {
    /// With what is missing.
    pub fn because(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}

/// Tests that share a control plane, say, which starts with the first test that runs and ends after the last.
/// They run side by side, so each should keep to a namespace of its own.
///
/// For a test target with `harness = false`:
///
/// ```no_run
/// use std::{process::ExitCode, sync::Arc};
///
/// use segmenter_cluster::{ControlPlane, Options, Suite};
///
/// async fn nodes_are_none(plane: Arc<ControlPlane>) -> anyhow::Result<()> {
///     anyhow::ensure!(plane.kubectl(&["get", "nodes", "-o", "name"]).await?.ok()?.is_empty());
///     Ok(())
/// }
///
/// fn main() -> ExitCode {
///     Suite::new()
///         .test("nodes_are_none", nodes_are_none)
///         .run(Options::default())
/// }
/// ```
///
/// Without the programs every test is ignored, and says so on stderr: `skipped: NAME: WHY`.
pub struct Suite<G: Ground> {
    tests: Vec<Test<G>>,
}

struct Test<G> {
    name: &'static str,
    sharing: Sharing,
    body: Body<G>,
}

/// Runs a test to its end on the current thread.
type Body<G> = Box<dyn FnOnce(&Handle, Arc<G>) -> anyhow::Result<()> + Send>;

#[derive(Clone, Copy)]
enum Sharing {
    /// Beside others of this kind.
    Shared,
    /// While no other test runs.
    Alone,
}

impl<G: Ground> Default for Suite<G> {
    fn default() -> Self {
        Self::new()
    }
}

impl<G: Ground> Suite<G> {
    /// Without a test.
    pub fn new() -> Self {
        Self { tests: Vec::new() }
    }

    /// Adds a test.
    #[must_use]
    pub fn test<F>(
        self,
        name: &'static str,
        body: impl FnOnce(Arc<G>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        self.with(name, Sharing::Shared, body)
    }

    /// Adds a test during which no other runs: one that stops the API server, for example.
    #[must_use]
    pub fn alone<F>(
        self,
        name: &'static str,
        body: impl FnOnce(Arc<G>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        self.with(name, Sharing::Alone, body)
    }

    fn with<F>(
        mut self,
        name: &'static str,
        sharing: Sharing,
        body: impl FnOnce(Arc<G>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        self.tests.push(Test {
            name,
            sharing,
            body: Box::new(|runtime, ground| runtime.block_on(body(ground))),
        });
        self
    }

    /// Runs the tests against a control plane, say, with these options, as the command line says, which is that of
    /// Rust's own tests.
    pub fn run(self, options: G::Options) -> ExitCode {
        let arguments = Arguments::from_args();
        let tools = match Tools::find() {
            Ok(tools) => tools,
            Err(missing) => return skip(&arguments, self.tests, &missing.to_string()),
        };
        let runtime = match Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "no tokio runtime: {error}");
                return ExitCode::FAILURE;
            }
        };
        let stage = Arc::new(Stage {
            runtime: runtime.handle().clone(),
            tools,
            options,
            ground: OnceCell::new(),
            turn: RwLock::new(()),
        });
        let trials = self
            .tests
            .into_iter()
            .map(|test| {
                let stage = stage.clone();
                Trial::ignorable_test(test.name, move || stage.run(test))
            })
            .collect();
        let conclusion = libtest_mimic::run(&arguments, trials);
        // The ground ends here, before the runtime does.
        drop(stage);
        conclusion.exit_code()
    }

    /// Ignores every test as the command line says, and says why.
    pub fn skip(self, why: &str) -> ExitCode {
        skip(&Arguments::from_args(), self.tests, why)
    }
}

/// What all tests stand on.
struct Stage<G: Ground> {
    runtime: Handle,
    tools: Tools,
    options: G::Options,
    /// Or why there is none, for each test to fail with.
    ground: OnceCell<Result<Arc<G>, String>>,
    turn: RwLock<()>,
}

impl<G: Ground> Stage<G> {
    fn run(&self, test: Test<G>) -> Result<Completion, Failed> {
        let ground = self
            .runtime
            .block_on(self.ground.get_or_init(async || self.start().await))
            .clone()?;
        // Kept until the test has ended, and given back where it panics, too.
        let (_shared, _alone) = match test.sharing {
            Sharing::Shared => (Some(self.runtime.block_on(self.turn.read())), None),
            Sharing::Alone => (None, Some(self.runtime.block_on(self.turn.write()))),
        };
        match (test.body)(&self.runtime, ground) {
            Ok(()) => Ok(Completion::Completed),
            Err(error) => match error.downcast::<Skipped>() {
                Ok(Skipped(why)) => Ok(ignored(test.name, why)),
                Err(error) => Err(format!("{error:#}").into()),
            },
        }
    }

    async fn start(&self) -> Result<Arc<G>, String> {
        let begin = Instant::now();
        let ground = G::start(&self.tools, &self.options)
            .await
            .map_err(|error| format!("{error:#}"))?;
        let took = begin.elapsed();
        let _ = writeln!(std::io::stderr(), "{} started in {took:.1?}", G::NAME);
        Ok(Arc::new(ground))
    }
}

/// A test that is not run, and why, said in the form that `make test` counts.
fn ignored(name: &str, why: String) -> Completion {
    // Without a stderr there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "skipped: {name}: {why}");
    Completion::ignored_with(why)
}

/// Every test ignored.
fn skip<G>(arguments: &Arguments, tests: Vec<Test<G>>, why: &str) -> ExitCode {
    let trials = tests
        .into_iter()
        .map(|test| {
            let why = why.to_owned();
            Trial::ignorable_test(test.name, move || Ok(ignored(test.name, why)))
        })
        .collect();
    libtest_mimic::run(arguments, trials).exit_code()
}

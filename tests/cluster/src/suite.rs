//! Many tests, one control plane.

use std::{io::Write as _, process::ExitCode, sync::Arc, time::Instant};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::{
    runtime::{Handle, Runtime},
    sync::{OnceCell, RwLock},
};

use crate::{ControlPlane, Missing, Options, Tools};

/// Tests that share a control plane, which starts with the first test that runs and ends after the last.
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
///     Suite::new(Options::default())
///         .test("nodes_are_none", nodes_are_none)
///         .run()
/// }
/// ```
///
/// Without the programs every test is ignored, and says so on stderr: `skipped: NAME: WHY`.
pub struct Suite {
    options: Options,
    tests: Vec<Test>,
}

struct Test {
    name: &'static str,
    sharing: Sharing,
    body: Body,
}

/// Runs a test to its end on the current thread.
type Body = Box<dyn FnOnce(&Handle, Arc<ControlPlane>) -> anyhow::Result<()> + Send>;

#[derive(Clone, Copy)]
enum Sharing {
    /// Beside others of this kind.
    Shared,
    /// While no other test runs.
    Alone,
}

impl Suite {
    /// Tests against a control plane with these options.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            tests: Vec::new(),
        }
    }

    /// Adds a test.
    #[must_use]
    pub fn test<F>(
        self,
        name: &'static str,
        body: impl FnOnce(Arc<ControlPlane>) -> F + Send + 'static,
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
        body: impl FnOnce(Arc<ControlPlane>) -> F + Send + 'static,
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
        body: impl FnOnce(Arc<ControlPlane>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        self.tests.push(Test {
            name,
            sharing,
            body: Box::new(|runtime, plane| runtime.block_on(body(plane))),
        });
        self
    }

    /// Runs the tests as the command line says, which is that of Rust's own tests.
    pub fn run(self) -> ExitCode {
        let arguments = Arguments::from_args();
        let tools = match Tools::find() {
            Ok(tools) => tools,
            Err(missing) => return skip(&arguments, self.tests, &missing),
        };
        let runtime = match Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "no tokio runtime: {error}");
                return ExitCode::FAILURE;
            }
        };
        let ground = Arc::new(Ground {
            runtime: runtime.handle().clone(),
            tools,
            options: self.options,
            plane: OnceCell::new(),
            turn: RwLock::new(()),
        });
        let trials = self
            .tests
            .into_iter()
            .map(|test| {
                let ground = ground.clone();
                Trial::test(test.name, move || ground.run(test))
            })
            .collect();
        let conclusion = libtest_mimic::run(&arguments, trials);
        // The control plane ends here, before the runtime does.
        drop(ground);
        conclusion.exit_code()
    }
}

/// What all tests stand on.
struct Ground {
    runtime: Handle,
    tools: Tools,
    options: Options,
    /// Or why there is none, for each test to fail with.
    plane: OnceCell<Result<Arc<ControlPlane>, String>>,
    turn: RwLock<()>,
}

impl Ground {
    fn run(&self, test: Test) -> Result<(), Failed> {
        let plane = self
            .runtime
            .block_on(self.plane.get_or_init(async || self.start().await))
            .clone()?;
        // Kept until the test has ended, and given back where it panics, too.
        let (_shared, _alone) = match test.sharing {
            Sharing::Shared => (Some(self.runtime.block_on(self.turn.read())), None),
            Sharing::Alone => (None, Some(self.runtime.block_on(self.turn.write()))),
        };
        (test.body)(&self.runtime, plane).map_err(|error| format!("{error:#}").into())
    }

    async fn start(&self) -> Result<Arc<ControlPlane>, String> {
        let begin = Instant::now();
        let plane = ControlPlane::start(&self.tools, self.options.clone())
            .await
            .map_err(|error| format!("{:#}", anyhow::Error::new(error)))?;
        let took = begin.elapsed();
        let _ = writeln!(std::io::stderr(), "the control plane started in {took:.1?}");
        Ok(Arc::new(plane))
    }
}

/// Every test ignored, and `missing` said for each in the form that `make test` counts.
fn skip(arguments: &Arguments, tests: Vec<Test>, missing: &Missing) -> ExitCode {
    let trials = tests
        .into_iter()
        .map(|test| {
            let why = missing.to_string();
            Trial::ignorable_test(test.name, move || {
                // Without a stderr there is nobody to tell.
                let _ = writeln!(std::io::stderr(), "skipped: {}: {why}", test.name);
                Ok(Completion::ignored_with(why))
            })
        })
        .collect();
    libtest_mimic::run(arguments, trials).exit_code()
}

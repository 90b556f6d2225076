//! The real binary as a process of its own.

use std::{
    env, fs,
    hash::{BuildHasher as _, RandomState},
    io::{BufRead as _, BufReader, Read},
    net::{SocketAddr, TcpListener},
    ops::Range,
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use reqwest::{Client, Response};
use tokio::time::sleep;
use tonic::transport::{Channel, Endpoint};

use crate::{http, shared::shared};

/// How long a server may take until it is ready. Generous: the machine may be busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How long a line of its log may take.
const LOG_LIMIT: Duration = Duration::from_secs(30);

/// The path of the binary under test: `SEGMENTER_BIN`, else the one built beside this executable.
pub fn binary() -> PathBuf {
    if let Some(path) = env::var_os("SEGMENTER_BIN") {
        return PathBuf::from(path);
    }
    let executable = env::current_exe().expect("the path of this executable");
    // Either target/PROFILE/NAME or target/PROFILE/deps/NAME.
    let path = executable
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("segmenter"))
        .find(|path| path.is_file());
    path.unwrap_or_else(|| {
        panic!(
            "no segmenter binary beside {}: build it first with `cargo build --release`, \
             or name one in SEGMENTER_BIN",
            executable.display()
        )
    })
}

/// The binary as a command, run through `wrapper` where that is not empty, such as
/// `["taskset", "-c", "0-1"]`. What is set around the tests does not configure it.
pub fn command(wrapper: &[&str]) -> Command {
    let mut command = match wrapper {
        [] => Command::new(binary()),
        [program, rest @ ..] => {
            let mut command = Command::new(program);
            command.args(rest).arg(binary());
            command
        }
    };
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("SEGMENTER_") {
            command.env_remove(name);
        }
    }
    command
}

/// A running server on loopback ports of its own. Killed when dropped; its log is printed if the test
/// fails.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: Log,
    http: SocketAddr,
    grpc: SocketAddr,
    client: Client,
}

impl Server {
    /// Starts `segmenter serve` with the weights of the shared folder, loopback allowed for fetching,
    /// and `arguments`, and waits until it is ready. `None` where there is no shared folder; this
    /// counts as the test of the name `test` being skipped.
    pub async fn start(test: &str, arguments: &[&str]) -> Option<Self> {
        let weights = shared(test)?.join("weights");
        let server = Self::spawn(&weights, arguments, &[]);
        server.wait_until_ready().await
    }

    /// Starts `segmenter serve` on the model directory `weights` without waiting for anything. A
    /// `wrapper` as of [`command`] must keep the process.
    pub fn spawn(weights: &Path, arguments: &[&str], wrapper: &[&str]) -> Self {
        let [http, grpc] = free_addresses();
        let mut child = command(wrapper)
            .arg("serve")
            .arg("--offline")
            .arg("--model-dir")
            .arg(weights)
            .args(["--http", &http.to_string()])
            .args(["--grpc", &grpc.to_string()])
            .args(["--fetch-allow", "127.0.0.0/8"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", binary().display()));
        let log = Log::default();
        log.follow(child.stdout.take().expect("stdout is piped"));
        log.follow(child.stderr.take().expect("stderr is piped"));
        Self {
            child,
            log,
            http,
            grpc,
            client: http::client(),
        }
    }

    /// Waits until `/readyz` answers 200; a server that ends before that fails the test.
    pub async fn wait_until_ready(mut self) -> Option<Self> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the state of a child") {
                panic!("the server ended with {status} before it was ready");
            }
            if let Ok(response) = self.client.get(self.url("/readyz")).send().await
                && response.status().is_success()
            {
                return Some(self);
            }
            assert!(
                begin.elapsed() < START_LIMIT,
                "not ready after {START_LIMIT:?}"
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The URL of a path on the HTTP port.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// The address of the HTTP port.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// The address of the gRPC port.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc
    }

    /// A client that all requests of this server share.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A new gRPC connection.
    pub async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.grpc))
            .expect("an address makes a URI")
            .connect()
            .await
            .expect("the gRPC port takes connections")
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Response {
        self.client
            .get(self.url(path))
            .send()
            .await
            .unwrap_or_else(|error| panic!("GET {path}: {error:?}"))
    }

    /// `POST path` with a body and no content type.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        self.client
            .post(self.url(path))
            .body(body)
            .send()
            .await
            .unwrap_or_else(|error| panic!("POST {path}: {error:?}"))
    }

    /// The value of an unlabelled series in `/metrics`.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let text = self.get("/metrics").await.text().await.expect("text");
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .map(|value| value.trim().parse().expect("a number"))
    }

    /// Resident memory in bytes, now.
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory so far, in bytes.
    pub fn peak_resident(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The names of its threads, now.
    pub fn threads(&self) -> Vec<String> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let names = threads.expect("the threads of a child").map(|thread| {
            let name = thread.map(|thread| thread.path().join("comm"));
            // A thread may have ended since.
            let name = name.and_then(fs::read_to_string).unwrap_or_default();
            name.trim_end().to_owned()
        });
        names.collect()
    }

    /// A line of `/proc/PID/status`, which counts in KiB.
    fn memory(&self, field: &str) -> u64 {
        process_memory(self.child.id(), field)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, as Kubernetes does.
    pub fn terminate(&self) {
        // The shell's own kill needs no package.
        let status = Command::new("sh")
            .args(["-c", &format!("kill -TERM {}", self.child.id())])
            .status()
            .expect("sh runs");
        assert!(status.success(), "no process to signal");
    }

    /// Waits for the end of the process.
    pub async fn wait_for_exit(&mut self, limit: Duration) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the state of a child") {
                return status;
            }
            assert!(begin.elapsed() < limit, "still running after {limit:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// What it wrote so far, but for lines that are on their way.
    pub fn log(&self) -> Vec<String> {
        self.log.lines().clone()
    }

    /// Waits until it has written this.
    pub async fn logged(&self, part: &str) {
        let begin = Instant::now();
        while !self.log().iter().any(|line| line.contains(part)) {
            let log = self.log().join("\n");
            assert!(
                begin.elapsed() < LOG_LIMIT,
                "{part:?} is not in the log:\n{log}"
            );
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            println!("--- log of the server");
            for line in self.log.lines().iter() {
                println!("{line}");
            }
        }
    }
}

/// A line of `/proc/PID/status` that counts in KiB, in bytes.
pub fn process_memory(pid: u32, field: &str) -> u64 {
    let path = format!("/proc/{pid}/status");
    let status =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    let kibibytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or_else(|| panic!("no {field} in {path}"));
    kibibytes * 1024
}

/// Below the ports that the system gives to outgoing connections, one of which could otherwise take a port that was
/// free a moment ago.
const PORTS: Range<u16> = 10_000..20_000;

/// Two loopback addresses that were free a moment ago, and are given to nobody else in this process.
fn free_addresses() -> [SocketAddr; 2] {
    static NEXT: LazyLock<AtomicUsize> = LazyLock::new(|| {
        // Other processes begin elsewhere.
        AtomicUsize::new(RandomState::new().hash_one(process::id()) as usize)
    });
    [(); 2].map(|()| {
        let mut addresses = (0..PORTS.len()).map(|_| {
            let offset = NEXT.fetch_add(1, Ordering::Relaxed) % PORTS.len();
            SocketAddr::from(([127, 0, 0, 1], PORTS.start + offset as u16))
        });
        addresses
            .find(|address| TcpListener::bind(address).is_ok())
            .expect("a free loopback port")
    })
}

/// What a process writes, line by line.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Takes down everything from `source` until it ends.
    fn follow(&self, source: impl Read + Send + 'static) {
        let log = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                log.lines().push(line);
            }
        });
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

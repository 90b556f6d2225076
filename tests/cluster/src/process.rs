//! A program as a process of its own, which ends with the test process.

use std::{
    fs,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::{oneshot, watch};

use crate::error::Error;

/// How long a program that is stopped may take to end after SIGTERM before it gets SIGKILL. The API server
/// waits 5 s for connections on which nothing was asked yet.
const GRACE: Duration = Duration::from_secs(10);

/// The same for a program that is dropped, whose data is deleted anyway.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// How much of the end of a log an error carries, in bytes.
const TAIL: u64 = 3000;

/// A running program, its output in a log file. Stopped when dropped, and killed with the test process.
#[derive(Debug)]
pub(crate) struct Process {
    program: &'static str,
    log: PathBuf,
    pid: Pid,
    /// How it ended. Held for writing while the process is reaped, so whoever reads `None` may send a
    /// signal while holding it: the process id is not another's by then.
    status: watch::Receiver<Option<ExitStatus>>,
    supervisor: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts the program at `path` in `folder`, its output appended to `NAME.log` there. It sees nothing
    /// of the environment but `PATH`: etcd, for one, takes settings from it.
    pub(crate) async fn start(
        program: &'static str,
        path: &Path,
        arguments: &[String],
        folder: &Path,
    ) -> Result<Self, Error> {
        Self::start_with(program, path, arguments, &[], folder).await
    }

    /// The same with more of an environment.
    pub(crate) async fn start_with(
        program: &'static str,
        path: &Path,
        arguments: &[String],
        environment: &[(&str, &Path)],
        folder: &Path,
    ) -> Result<Self, Error> {
        let log = log_path(folder, program);
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(Error::file("open", &log))?;
        let errors = output.try_clone().map_err(Error::file("open", &log))?;
        let mut command = dying_with_parent(path);
        command
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("HOME", folder)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);

        // The kernel sends the signal that ends the process when the thread that started it ends. So that
        // thread stays as long as the process does.
        let (started, start) = oneshot::channel();
        let (ended, status) = watch::channel(None);
        let supervisor = thread::Builder::new()
            .name(program.to_owned())
            .spawn(move || match command.spawn() {
                Ok(mut child) => {
                    // Nobody listens if the start was given up; then the process is not wanted either.
                    if started.send(Ok(Pid::from_child(&child))).is_err() {
                        let _ = child.kill();
                    }
                    supervise(child, &ended);
                }
                Err(source) => {
                    let _ = started.send(Err(source));
                }
            })
            .map_err(|source| Error::Spawn { program, source })?;
        let pid = match start.await {
            Ok(Ok(pid)) => pid,
            Ok(Err(source)) => return Err(Error::Spawn { program, source }),
            Err(_) => {
                return Err(Error::Spawn {
                    program,
                    source: std::io::Error::other("its thread ended"),
                });
            }
        };
        Ok(Self {
            program,
            log,
            pid,
            status,
            supervisor: Some(supervisor),
        })
    }

    /// The program's name.
    pub(crate) fn program(&self) -> &'static str {
        self.program
    }

    /// How it ended, if it did.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        *self.status.borrow()
    }

    /// The end of its log.
    pub(crate) fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Asks it to end, kills it if it takes too long, and waits for its end.
    pub(crate) async fn stop(mut self) {
        self.signal(Signal::TERM);
        let ended = self.status.wait_for(Option::is_some);
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            self.signal(Signal::KILL);
        }
    }

    /// Ends it as a crash would.
    pub(crate) async fn kill(mut self) {
        self.signal(Signal::KILL);
        // An error says that the supervisor is gone, which goes last.
        let _ = self.status.wait_for(Option::is_some).await;
    }

    fn signal(&self, signal: Signal) {
        let status = self.status.borrow();
        if status.is_none() {
            // It may be about to end by itself.
            let _ = kill_process(self.pid, signal);
        }
    }
}

impl Drop for Process {
    /// Blocks until the process has ended.
    fn drop(&mut self) {
        let Some(supervisor) = self.supervisor.take() else {
            return;
        };
        self.signal(Signal::TERM);
        let begin = Instant::now();
        while !supervisor.is_finished() && begin.elapsed() < LAST_GRACE {
            thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::KILL);
        let _ = supervisor.join();
    }
}

/// Waits for the end of a process and tells it.
fn supervise(mut child: Child, ended: &watch::Sender<Option<ExitStatus>>) {
    let id = WaitId::Pid(Pid::from_child(&child));
    // Without reaping: until the status is told, the process id must stay the process's.
    let _ = rustix::io::retry_on_intr(|| {
        waitid(id.clone(), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    });
    ended.send_modify(|status| *status = Some(child.wait().unwrap_or_default()));
}

/// A command that the kernel kills when the thread that starts it ends, where util-linux has the means.
pub(crate) fn dying_with_parent(program: &Path) -> Command {
    static SETPRIV: OnceLock<bool> = OnceLock::new();
    const DYING: [&str; 3] = ["--pdeathsig", "KILL", "--"];
    /// A parent that ended before the kernel was told to watch it is not this one any more.
    const UNLESS_ORPHANED: &str = r#"[ "$PPID" -eq "$0" ] && exec "$@""#;

    let has_setpriv = *SETPRIV.get_or_init(|| {
        Command::new("setpriv")
            .args(DYING)
            .arg("true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    if has_setpriv {
        let mut command = Command::new("setpriv");
        command
            .args(DYING)
            .args(["sh", "-c", UNLESS_ORPHANED])
            .arg(std::process::id().to_string())
            .arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// Where the output of a program goes.
pub(crate) fn log_path(folder: &Path, program: &str) -> PathBuf {
    folder.join(format!("{program}.log"))
}

/// The end of a file, from the start of a line.
fn tail(path: &Path) -> String {
    let read = || {
        let mut file = File::open(path)?;
        let length = fs::metadata(path)?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>((bytes, length > TAIL))
    };
    match read() {
        Ok((bytes, cut)) => {
            let text = String::from_utf8_lossy(&bytes);
            let whole = text.split_once('\n').map_or("", |(_, whole)| whole);
            if cut { whole } else { &text }.trim_end().to_owned()
        }
        Err(error) => format!("(no log: {error})"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    /// Set for the process that [`processes_end_when_the_test_process_is_killed`] starts.
    const CHILD: &str = "SEGMENTER_CLUSTER_TEST_CHILD";

    async fn shell(folder: &Path, script: &str) -> Process {
        let arguments = ["-c".to_owned(), script.to_owned()];
        Process::start("sh", Path::new("/bin/sh"), &arguments, folder)
            .await
            .unwrap()
    }

    fn runs(pid: i32) -> bool {
        // A process that ended but was not waited for still has its folder.
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    async fn until(mut condition: impl FnMut() -> bool) -> bool {
        for _ in 0..500 {
            if condition() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    #[tokio::test]
    async fn the_log_tells_why_a_process_ended() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path(), "echo first; echo out of luck >&2; exit 3").await;
        assert!(until(|| process.status().is_some()).await);
        assert_eq!(process.status().unwrap().code(), Some(3));
        assert_eq!(process.log_tail(), "first\nout of luck");
    }

    #[tokio::test]
    async fn a_long_log_is_cut_at_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let script = "i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i + 1)); done";
        let process = shell(folder.path(), script).await;
        assert!(until(|| process.status().is_some()).await);
        let tail = process.log_tail();
        assert!(tail.starts_with("line ") && tail.ends_with("\nline 999"));
        assert!(tail.len() < usize::try_from(TAIL).unwrap());
    }

    #[tokio::test]
    async fn a_dropped_process_ends_and_may_tidy_up_first() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap 'echo tidy; exit' TERM; echo ready; while :; do sleep 0.01; done";
        let process = shell(folder.path(), script).await;
        assert!(until(|| process.log_tail() == "ready").await);
        let pid = process.pid.as_raw_pid();
        drop(process);
        assert!(!runs(pid));
        assert_eq!(tail(&log_path(folder.path(), "sh")), "ready\ntidy");
    }

    #[tokio::test]
    async fn a_process_that_will_not_end_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
        let process = shell(folder.path(), script).await;
        assert!(until(|| process.log_tail() == "ready").await);
        let pid = process.pid.as_raw_pid();
        drop(process);
        assert!(!runs(pid));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etcd");
        match Process::start("etcd", &path, &[], folder.path()).await {
            // What starts is setpriv and a shell, which says itself what it did not find.
            Ok(process) => {
                assert!(until(|| process.status().is_some()).await);
                assert!(process.log_tail().contains("etcd"));
            }
            Err(error) => assert_eq!(error.to_string(), "cannot start etcd"),
        }
    }

    /// What the next test runs as a process of its own.
    #[tokio::test]
    async fn child() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path(), "while :; do sleep 1; done").await;
        println!("\npid {}", process.pid.as_raw_pid());
        tokio::time::sleep(Duration::from_secs(60)).await;
    }

    #[tokio::test]
    async fn processes_end_when_the_test_process_is_killed() {
        if dying_with_parent(Path::new("true")).get_program() != "setpriv" {
            eprintln!("skipped: processes_end_when_the_test_process_is_killed: no setpriv");
            return;
        }
        let mut test = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::tests::child", "--nocapture"])
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = BufReader::new(test.stdout.take().unwrap())
            .lines()
            .find_map(|line| line.unwrap().strip_prefix("pid ")?.parse().ok())
            .unwrap();
        assert!(runs(pid));
        test.kill().unwrap();
        test.wait().unwrap();
        assert!(until(|| !runs(pid)).await, "process {pid} still runs");
    }
}

//! A place for a cluster on the machine that it tests: namespaces of network, mounts and processes.
//!
//! No port collides with the machine's, no packet leaves, nothing that is mounted is seen outside, and whatever
//! way the first process in it ends, the kernel ends all others.

use std::{
    env, fs, io,
    net::Ipv4Addr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus},
};

use rustix::{
    fs::statvfs,
    mount::{MountFlags, mount, mount_bind},
    process::{WaitOptions, geteuid, getpid, wait},
};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use crate::{error::Error, folder::Folder, process::dying_with_parent, tools::Missing};

/// The folder, for the processes inside.
const FOLDER: &str = "SEGMENTER_CLUSTER_FOLDER";

/// The node's only address.
pub(crate) const NODE: Ipv4Addr = Ipv4Addr::new(172, 31, 250, 1);

/// The address of the rest of the world, which is in the sandbox, too: a public one, with which the function's rules
/// for private addresses have nothing to do. Every name that is not the cluster's leads there.
pub(crate) const WORLD: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 1);

/// The file in the folder that has the number of the first process inside, as it is outside.
const FIRST: &str = "sandbox.pid";

/// Programs that it takes, and where Debian has them.
const PROGRAMS: [(&str, &str); 3] = [
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("ip", "iproute2"),
];

/// What a cluster may come to take on the disk, in GB.
const SPACE: u64 = 1;

/// Which namespaces, for `unshare`; the first process in them is its child.
const NAMESPACES: [&str; 5] = ["--net", "--mount", "--pid", "--mount-proc", "--fork"];

/// Where a process is after [`enter`].
#[derive(Debug)]
pub enum Entered {
    /// Inside.
    Inside(Sandbox),
    /// Outside, where all that is left to do is to end as the process inside did.
    Outside(ExitCode),
}

/// The place, for a process inside.
#[derive(Clone, Debug)]
pub struct Sandbox {
    folder: PathBuf,
}

/// Why a sandbox cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The machine has not what it takes.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// It has, and it failed nevertheless.
    #[error("cannot {doing}")]
    Failed {
        /// What was tried, in the infinitive.
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its folder cannot be made.
    #[error(transparent)]
    Folder(#[from] Error),
}

fn failed(doing: &'static str) -> impl FnOnce(io::Error) -> SandboxError {
    move |source| SandboxError::Failed { doing, source }
}

/// Starts this program again inside, and waits for its end. To be called first of all, before there are threads.
///
/// # Errors
/// Where the machine lacks what it takes, and where the sandbox cannot be made.
pub fn enter() -> Result<Entered, SandboxError> {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else {
        return outside().map(Entered::Outside);
    };
    if getpid().is_init() {
        return first(&folder).map(Entered::Outside);
    }
    Ok(Entered::Inside(Sandbox { folder }))
}

impl Sandbox {
    /// Where data and logs lie. It is deleted when the sandbox ends.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The command line with which root outside comes in, into the folder that the sandbox was started from.
    pub fn way_in(&self) -> String {
        let first = fs::read_to_string(self.folder.join(FIRST)).unwrap_or_default();
        format!("nsenter --target {first} --net --mount --pid --wd")
    }

    /// The control group of everything that runs in pods, in the root of every hierarchy.
    pub(crate) fn control_group(&self) -> String {
        control_group(&self.folder)
    }
}

/// Makes the namespaces, and tidies up when they have ended.
fn outside() -> Result<ExitCode, SandboxError> {
    if !geteuid().is_root() {
        return Err(Missing::Root.into());
    }
    for (program, package) in PROGRAMS {
        Missing::unless_installed(program, package)?;
    }
    try_namespaces()?;
    look_for_space()?;
    let this = env::current_exe().map_err(failed("find this program"))?;
    // This deletes those of others that were killed as well, but not their control groups.
    let folder = Folder::create()?;
    sweep_control_groups(folder.path());
    let mut command = dying_with_parent(Path::new("unshare"));
    command
        .args(NAMESPACES)
        .args(["--kill-child=KILL", "--"])
        .arg(this)
        .args(env::args_os().skip(1))
        .env(FOLDER, folder.path());
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed("wait for a process"))?;
    let status = runtime
        .block_on(attend(command, folder.path()))
        .map_err(failed("run unshare"))?;
    // What was mounted there is gone with the last process.
    remove_control_groups(&control_group(folder.path()));
    Ok(code(status))
}

/// Whether root may make namespaces here: in a container it usually may not.
fn try_namespaces() -> Result<(), SandboxError> {
    let tried = Command::new("unshare")
        .args(NAMESPACES)
        .arg("true")
        .output()
        .map_err(failed("run unshare"))?;
    if tried.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
    Err(Missing::Namespaces { said }.into())
}

/// Whether the images, data and logs of a cluster have room: without, containers fail to start in many ways, none of
/// which names the reason first.
fn look_for_space() -> Result<(), SandboxError> {
    let folder = env::temp_dir();
    let space = statvfs(&folder).map_err(|error| failed("look for space")(error.into()))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    if free >= SPACE * 1_000_000_000 {
        return Ok(());
    }
    let needed = SPACE;
    Err(Missing::Space {
        folder,
        free,
        needed,
    }
    .into())
}

/// Runs the command to its end. Ctrl-C reaches the processes inside by itself; here it would only prevent that they
/// are waited for.
async fn attend(command: Command, folder: &Path) -> io::Result<ExitStatus> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut child = tokio::process::Command::from(command).spawn()?;
    let unshare = child.id();
    let tell = async {
        while let Some(id) = unshare
            && let Ok(children) = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))
        {
            if let Some(first) = children.split_whitespace().next() {
                return fs::write(folder.join(FIRST), first);
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Ok(())
    };
    tell.await?;
    loop {
        tokio::select! {
            status = child.wait() => return status,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => child.start_kill()?,
        }
    }
}

fn code(status: ExitStatus) -> ExitCode {
    const KILLED: i32 = 128;
    let code = status
        .code()
        .unwrap_or_else(|| KILLED + status.signal().unwrap_or_default());
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// What the first process inside does: it furnishes the place, and waits for all who have no other parent. When it
/// ends, all end.
fn first(folder: &Path) -> Result<ExitCode, SandboxError> {
    furnish(folder).map_err(failed("furnish the sandbox"))?;
    let this = env::current_exe().map_err(failed("find this program"))?;
    let child = Command::new(this)
        .args(env::args_os().skip(1))
        .spawn()
        .map_err(failed("start this program inside"))?;
    let id = i32::try_from(child.id()).unwrap_or_default();
    loop {
        let ended = rustix::io::retry_on_intr(|| wait(WaitOptions::empty()));
        let ended = ended.map_err(|error| failed("wait for a process")(error.into()))?;
        if let Some((process, status)) = ended
            && process.as_raw_pid() == id
        {
            return Ok(code(ExitStatus::from_raw(status.as_raw())));
        }
    }
}

/// A network of one node, and places of its own for what programs insist on writing elsewhere.
fn furnish(folder: &Path) -> io::Result<()> {
    for place in ["/run", "/var/log"] {
        mount("tmpfs", place, "tmpfs", MountFlags::empty(), None)?;
    }
    ask_for_names(folder)?;
    ip(&["link", "set", "lo", "up"])?;
    ip(&["link", "add", "node", "type", "bridge"])?;
    ip(&["address", "add", &format!("{NODE}/24"), "dev", "node"])?;
    ip(&["address", "add", &format!("{WORLD}/32"), "dev", "node"])?;
    ip(&["link", "set", "node", "up"])?;
    // Nothing is beyond it, but packets to services that have no pods must go somewhere to be refused.
    ip(&["route", "add", "default", "dev", "node"])?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")
}

/// Has names looked up at the node, whose `/etc/resolv.conf` is the machine's otherwise.
fn ask_for_names(folder: &Path) -> io::Result<()> {
    const SETTINGS: &str = "/etc/resolv.conf";
    let settings = format!("nameserver {NODE}\nsearch default.svc.cluster.local\n");
    if let Ok(file) = fs::canonicalize(SETTINGS) {
        let own = folder.join("resolv.conf");
        fs::write(&own, settings)?;
        return Ok(mount_bind(&own, &file)?);
    }
    // It is a link to something in the machine's own /run.
    let file = Path::new("/etc").join(fs::read_link(SETTINGS)?);
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(file, settings)
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "ip {}: {}",
        arguments.join(" "),
        said.trim()
    )))
}

/// Where control groups are, each hierarchy in a folder (version 1), or one (version 2).
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

fn control_group(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Every hierarchy of control groups.
pub(crate) fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(CONTROL_GROUPS);
    if root.join("cgroup.controllers").exists() {
        return vec![root];
    }
    let Ok(entries) = fs::read_dir(root) else {
        return Vec::new();
    };
    let entries = entries.flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).collect()
}

/// Removes those of sandboxes whose folders are gone.
fn sweep_control_groups(folder: &Path) {
    let Some(parent) = folder.parent() else {
        return;
    };
    for hierarchy in hierarchies() {
        for entry in fs::read_dir(hierarchy).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if Folder::is_named(&name.to_string_lossy()) && !parent.join(&name).exists() {
                remove_control_group(&entry.path());
            }
        }
    }
}

fn remove_control_groups(name: &str) {
    for hierarchy in hierarchies() {
        remove_control_group(&hierarchy.join(name));
    }
}

/// Removes one and those in it; the files in them are not files, and go by themselves.
fn remove_control_group(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_control_group(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}

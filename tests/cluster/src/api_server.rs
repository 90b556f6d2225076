//! The API server.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use kube::Config;

use crate::{
    audit,
    error::Error,
    folder::Folder,
    kubeconfig::{self, Credentials, kubeconfig},
    pki::{Authority, Keys},
    port,
    process::Process,
    ready,
    tools::Tools,
};

pub(crate) const PROGRAM: &str = "kube-apiserver";

/// How long it may take. Generous: the machine may be busy with other tests.
const START: Duration = Duration::from_secs(120);

/// The names under which it can be reached; the last are those that Pods use.
const NAMES: [&str; 7] = [
    "127.0.0.1",
    "localhost",
    "10.96.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// The user that may do everything.
const ADMIN: &str = "admin";

/// The name under which it passes requests on to other API servers, and the only one that may.
const FRONT_PROXY: &str = "front-proxy";

/// All that it takes to start the API server again as it was.
#[derive(Debug)]
pub(crate) struct ApiServer {
    program: PathBuf,
    arguments: Vec<String>,
    port: u16,
    /// The kubeconfig of a user that may do everything.
    pub(crate) kubeconfig: PathBuf,
    /// The same as a client takes it.
    pub(crate) config: Config,
}

impl ApiServer {
    /// Starts it on the store at the URL `etcd`, for a node at `address` as well.
    pub(crate) async fn start(
        tools: &Tools,
        folder: &Folder,
        authority: &Authority,
        etcd: &str,
        address: Option<Ipv4Addr>,
        extra: &[String],
    ) -> Result<(Self, Process), Error> {
        let program = tools.program(PROGRAM)?;
        let files = write_files(folder, authority, address)?;
        port::with_free(async |port| {
            let server = url(port);
            let admin = authority.client(ADMIN, &["system:masters"])?;
            let admin = kubeconfig(
                &server,
                authority.certificate(),
                &Credentials::Certificate(&admin),
            );
            let path = folder.write("admin.kubeconfig", admin)?;
            let this = Self {
                program: program.clone(),
                arguments: arguments(folder.path(), &files, etcd, port, address, extra),
                port,
                config: kubeconfig::config(&path).await?,
                kubeconfig: path,
            };
            let process = this.start_again(folder).await?;
            Ok((this, process))
        })
        .await
    }

    /// Starts it on the same port and with the same data as before.
    pub(crate) async fn start_again(&self, folder: &Folder) -> Result<Process, Error> {
        self.wait_for_port().await;
        let process =
            Process::start(PROGRAM, &self.program, &self.arguments, folder.path()).await?;
        ready::ready(&process, &self.config, "/readyz", START).await?;
        Ok(process)
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// Waits a while for the end of whoever has the port. If that takes longer, the API server says so.
    async fn wait_for_port(&self) {
        let begin = Instant::now();
        while TcpListener::bind(("127.0.0.1", self.port)).is_err()
            && begin.elapsed() < Duration::from_secs(5)
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

/// Where the audit log is.
pub(crate) fn audit_log(folder: &Path) -> PathBuf {
    folder.join("audit.log")
}

/// What it reads when it starts.
pub(crate) struct Files {
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    account_key: PathBuf,
    account_public_key: PathBuf,
    proxy_certificate: PathBuf,
    proxy_key: PathBuf,
    kubelet_certificate: PathBuf,
    kubelet_key: PathBuf,
    policy: PathBuf,
}

/// The names of files that the controllers need as well.
pub(crate) mod file {
    pub(crate) const AUTHORITY: &str = "pki/ca.crt";
    pub(crate) const CERTIFICATE: &str = "pki/server.crt";
    pub(crate) const KEY: &str = "pki/server.key";
    pub(crate) const ACCOUNT_KEY: &str = "pki/service-accounts.key";
}

fn write_files(
    folder: &Folder,
    authority: &Authority,
    address: Option<Ipv4Addr>,
) -> Result<Files, Error> {
    let names = NAMES.map(str::to_owned);
    let names: Vec<_> = names
        .into_iter()
        .chain(address.map(|address| address.to_string()))
        .collect();
    let serving = authority.server(PROGRAM, &names)?;
    let proxy = authority.client(FRONT_PROXY, &[])?;
    // Logs and the like are the kubelet's to give, which asks the API server whether its caller may have them.
    let kubelet = authority.client("kube-apiserver-kubelet-client", &["system:masters"])?;
    let accounts = Keys::generate()?;
    Ok(Files {
        authority: folder.write(file::AUTHORITY, authority.certificate())?,
        certificate: folder.write(file::CERTIFICATE, serving.certificate)?,
        key: folder.write(file::KEY, serving.key)?,
        account_key: folder.write(file::ACCOUNT_KEY, accounts.private)?,
        account_public_key: folder.write("pki/service-accounts.pub", accounts.public)?,
        proxy_certificate: folder.write("pki/front-proxy.crt", proxy.certificate)?,
        proxy_key: folder.write("pki/front-proxy.key", proxy.key)?,
        kubelet_certificate: folder.write("pki/kubelet-client.crt", kubelet.certificate)?,
        kubelet_key: folder.write("pki/kubelet-client.key", kubelet.key)?,
        policy: folder.write("audit-policy.json", audit::POLICY)?,
    })
}

fn arguments(
    folder: &Path,
    files: &Files,
    etcd: &str,
    port: u16,
    address: Option<Ipv4Addr>,
    extra: &[String],
) -> Vec<String> {
    let path = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    let mut arguments = match address {
        Some(address) => vec![
            "--bind-address=0.0.0.0".to_owned(),
            format!("--advertise-address={address}"),
            path("kubelet-client-certificate", &files.kubelet_certificate),
            path("kubelet-client-key", &files.kubelet_key),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            // An API server of others may be a process and no pod, with an address that no Service selects.
            "--enable-aggregator-routing=true".to_owned(),
        ],
        None => vec![
            "--bind-address=127.0.0.1".to_owned(),
            // Otherwise it looks for the default route, and a machine without one has no API server.
            "--advertise-address=127.0.0.1".to_owned(),
            // The Endpoints of the Service `kubernetes` cannot be loopback addresses.
            "--endpoint-reconciler-type=none".to_owned(),
        ],
    };
    arguments.extend([
        format!("--etcd-servers={etcd}"),
        format!("--secure-port={port}"),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        path("client-ca-file", &files.authority),
        path("tls-cert-file", &files.certificate),
        path("tls-private-key-file", &files.key),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        path("service-account-key-file", &files.account_public_key),
        path("service-account-signing-key-file", &files.account_key),
        // The API servers of others, such as that of metrics, learn the user from headers.
        path("requestheader-client-ca-file", &files.authority),
        format!("--requestheader-allowed-names={FRONT_PROXY}"),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        path("proxy-client-cert-file", &files.proxy_certificate),
        path("proxy-client-key-file", &files.proxy_key),
        path("audit-policy-file", &files.policy),
        path("audit-log-path", &audit_log(folder)),
        // Far more than a test writes, in MB: a position in the log is good for one file only.
        "--audit-log-maxsize=4096".to_owned(),
        "--profiling=false".to_owned(),
    ]);
    arguments.extend_from_slice(extra);
    arguments
}

//! The whole: etcd, the API server and the controllers.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, Config, api::PostParams};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{
    access::Access,
    api_server::{self, ApiServer},
    audit::{self, AuditEvent, AuditPosition},
    command::Output,
    controllers,
    crds::{self, Crds, Source},
    error::Error,
    etcd,
    folder::Folder,
    kubeconfig::{self, Credentials, kubeconfig},
    node::Site,
    pki::Authority,
    process::{self, Process},
    ready,
    sandbox::Sandbox,
    tools::Tools,
};

/// How long the audit log may lag behind the answers.
const AUDIT: Duration = Duration::from_secs(10);

/// The query parameter of the questions that mark a place in the audit log.
const MARK: &str = "segmenter-cluster-mark";

/// How long the token of a ServiceAccount is good, in seconds.
const TOKEN: i64 = 3600;

/// What a control plane is made of, beyond the usual.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether the controllers run. Without them nothing follows from an object: no garbage collection, no
    /// Pods of a Deployment, no ServiceAccount `default`.
    pub controllers: bool,
    /// Installed before the controllers start. The garbage collector looks for new kinds every 30 s;
    /// these it knows from the beginning.
    pub crds: Vec<Crds>,
    /// The address of a node, if there is to be one: it and its pods reach the API server there. Otherwise the
    /// control plane can only be reached at 127.0.0.1.
    pub address: Option<Ipv4Addr>,
    /// Where data, logs and kubeconfigs lie, which is the caller's to delete. By default in a temporary folder
    /// of its own.
    pub folder: Option<PathBuf>,
    /// Further arguments of `kube-apiserver`, which win over those given here.
    pub api_server: Vec<String>,
    /// Further arguments of `kube-controller-manager`, which win over those given here.
    pub controller_manager: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            controllers: true,
            crds: Vec::new(),
            address: None,
            folder: None,
            api_server: Vec::new(),
            controller_manager: Vec::new(),
        }
    }
}

/// A program of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The store.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controllers.
    ControllerManager,
}

/// A running control plane. Everything of it ends, and its data is deleted, when this is dropped, which
/// blocks for the second or so that this takes; it also ends with the test process, however that ends.
///
/// With `SEGMENTER_CLUSTER_KEEP=1` in the environment the folder with logs and data is kept.
pub struct ControlPlane {
    // Fields are dropped in this order: first those who would complain.
    controllers: Mutex<Option<Process>>,
    api_process: Mutex<Option<Process>>,
    _etcd: Process,
    api_server: ApiServer,
    authority: Authority,
    options: Options,
    tools: Tools,
    folder: Folder,
}

impl ControlPlane {
    /// Starts one, and waits until it works.
    ///
    /// # Errors
    /// Where a program is missing, cannot be started, ends by itself or does not get ready; with the end of
    /// its log.
    pub async fn start(tools: &Tools, options: Options) -> Result<Self, Error> {
        // Fails only where one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = match &options.folder {
            Some(folder) => Folder::given(folder),
            None => Folder::create()?,
        };
        let authority = Authority::generate()?;
        let (etcd, store) = etcd::start(tools, &folder).await?;
        let (api_server, api_process) = ApiServer::start(
            tools,
            &folder,
            &authority,
            &store,
            options.address,
            &options.api_server,
        )
        .await?;
        let plane = Self {
            controllers: Mutex::new(None),
            api_process: Mutex::new(Some(api_process)),
            _etcd: etcd,
            api_server,
            authority,
            options,
            tools: tools.clone(),
            folder,
        };
        for crds in &plane.options.crds {
            plane.install_crds(crds).await?;
        }
        if plane.options.controllers {
            plane.start_controllers().await?;
        }
        Ok(plane)
    }

    /// The kubeconfig of the user `admin`, who may do everything.
    pub fn kubeconfig(&self) -> &Path {
        &self.api_server.kubeconfig
    }

    /// A kubeconfig with a client certificate of `user`, a member of `groups`, at most two. Whether that
    /// user may do anything is RBAC's to say.
    ///
    /// # Errors
    /// For more groups, and where the file cannot be written.
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<PathBuf, Error> {
        let identity = self.authority.client(user, groups)?;
        self.write_kubeconfig(&Credentials::Certificate(&identity))
    }

    /// A kubeconfig with a token of a ServiceAccount, as a Pod would get it. It is good for an hour, and
    /// for as long as the ServiceAccount is there.
    ///
    /// # Errors
    /// Where there is no such ServiceAccount, and where the file cannot be written.
    pub async fn kubeconfig_for_account(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<PathBuf, Error> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(TOKEN),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let token = Api::<ServiceAccount>::namespaced(self.client()?, namespace)
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .map_err(Error::api(format!(
                "get a token for the ServiceAccount {namespace}/{name}"
            )))?;
        // Only an API server that breaks its own rules answers none, and such a token gets one nowhere.
        let token = token.status.map(|status| status.token);
        self.write_kubeconfig(&Credentials::Token(&token.unwrap_or_default()))
    }

    fn write_kubeconfig(&self, credentials: &Credentials<'_>) -> Result<PathBuf, Error> {
        let text = kubeconfig(
            &self.api_server.url(),
            self.authority.certificate(),
            credentials,
        );
        self.folder
            .write(&format!("users/{}.kubeconfig", Uuid::new_v4()), text)
    }

    /// The configuration of a client of the user `admin`.
    pub fn config(&self) -> Config {
        self.api_server.config.clone()
    }

    /// A new client of the user `admin`. It belongs to the current tokio runtime.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn client(&self) -> Result<Client, Error> {
        ready::client(self.config())
    }

    /// The configuration that a kubeconfig makes, such as one of [`Self::kubeconfig_for`].
    ///
    /// # Errors
    /// Where the file is no kubeconfig.
    pub async fn config_from(&self, kubeconfig: &Path) -> Result<Config, Error> {
        kubeconfig::config(kubeconfig).await
    }

    /// A new client of the user of a kubeconfig.
    ///
    /// # Errors
    /// Where the file is no kubeconfig.
    pub async fn client_from(&self, kubeconfig: &Path) -> Result<Client, Error> {
        ready::client(self.config_from(kubeconfig).await?)
    }

    /// The ways of the user `admin`.
    pub fn access(&self) -> Access {
        Access::new(&self.tools, self.kubeconfig(), self.folder.path())
    }

    /// The ways of another user, whose kubeconfig is theirs to change.
    ///
    /// # Errors
    /// As [`Self::kubeconfig_for`].
    pub fn access_for(&self, user: &str, groups: &[&str]) -> Result<Access, Error> {
        let kubeconfig = self.kubeconfig_for(user, groups)?;
        Ok(Access::new(&self.tools, &kubeconfig, self.folder.path()))
    }

    /// Runs kubectl as the user `admin`; `--kubeconfig FILE` among the arguments makes it another.
    ///
    /// # Errors
    /// As [`Access::kubectl`].
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<Output, Error> {
        self.access().kubectl(arguments).await
    }

    /// Runs kubectl with a text as its stdin, such as a manifest for `apply --filename -`.
    ///
    /// # Errors
    /// As [`Access::kubectl`].
    pub async fn kubectl_with_input(
        &self,
        arguments: &[&str],
        input: &str,
    ) -> Result<Output, Error> {
        self.access().kubectl_with_input(arguments, input).await
    }

    /// Runs helm as the user `admin`; `--kubeconfig FILE` among the arguments makes it another.
    ///
    /// # Errors
    /// As [`Access::helm`].
    pub async fn helm(&self, arguments: &[&str]) -> Result<Output, Error> {
        self.access().helm(arguments).await
    }

    /// Installs custom resource definitions, and waits until their kinds are served. The garbage collector
    /// learns of them within 30 s; see [`Options::crds`] for those it should know at once.
    ///
    /// # Errors
    /// Where they are missing, refused or not served after half a minute.
    pub async fn install_crds(&self, crds: &Crds) -> Result<(), Error> {
        let mut arguments = vec![
            "apply",
            "--server-side",
            "--field-manager=segmenter-cluster",
            "--output=name",
            "--filename",
        ];
        let path;
        let input = match crds.source(&self.tools)? {
            Source::Text(text) => {
                arguments.push("-");
                text
            }
            Source::Path(source) => {
                path = source.display().to_string();
                arguments.push(&path);
                ""
            }
        };
        let applied = self.kubectl_with_input(&arguments, input).await?.ok()?;
        let client = self.client()?;
        for line in applied.lines() {
            if let Some(name) = line.strip_prefix("customresourcedefinition.apiextensions.k8s.io/")
            {
                crds::wait_until_served(&client, name).await?;
            }
        }
        Ok(())
    }

    /// Everything that the API server has answered, to anyone, but probes.
    ///
    /// # Errors
    /// As [`Self::audit_since`].
    pub async fn audit(&self) -> Result<Vec<AuditEvent>, Error> {
        self.audit_since(AuditPosition::START).await
    }

    /// The place in the audit log after everything that is answered by now, for [`Self::audit_since`].
    ///
    /// # Errors
    /// As [`Self::audit_since`].
    pub async fn audit_position(&self) -> Result<AuditPosition, Error> {
        Ok(self.read_audit(AuditPosition::START).await?.1)
    }

    /// What the API server has answered since `position`. A watch counts once it has ended.
    ///
    /// # Errors
    /// Where the log cannot be read, or lags behind.
    pub async fn audit_since(&self, position: AuditPosition) -> Result<Vec<AuditEvent>, Error> {
        Ok(self.read_audit(position).await?.0)
    }

    /// Reads the log up to a mark: an event may be written a moment after the answer is given.
    async fn read_audit(
        &self,
        position: AuditPosition,
    ) -> Result<(Vec<AuditEvent>, AuditPosition), Error> {
        let path = api_server::audit_log(self.folder.path());
        let mark = format!("/version?{MARK}={}", Uuid::new_v4());
        let running = self.api_process.lock().await;
        if running.is_some() {
            ready::get(&self.client()?, &mark).await?;
        }
        let begin = Instant::now();
        loop {
            let (mut events, end) = audit::read(&path, position)?;
            if running.is_none() || events.iter().any(|event| event.uri == mark) {
                events.retain(|event| !event.uri.contains(MARK));
                return Ok((events, end));
            }
            if begin.elapsed() > AUDIT {
                return Err(Error::Late {
                    what: "the audit log's latest event".to_owned(),
                    limit: AUDIT,
                });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops the API server as an update of it would: requests are finished, watches end. That takes 5 s
    /// where a client has a connection on which it asked nothing yet. Nothing happens where it is stopped
    /// already.
    pub async fn stop_api_server(&self) {
        if let Some(process) = self.api_process.lock().await.take() {
            process.stop().await;
        }
    }

    /// Ends the API server as a crash would: connections break.
    pub async fn kill_api_server(&self) {
        if let Some(process) = self.api_process.lock().await.take() {
            process.kill().await;
        }
    }

    /// Starts the API server again, on the same port and with the same data, and waits until it is ready.
    /// Nothing happens where it runs.
    ///
    /// # Errors
    /// Where it does not start; with the end of its log.
    pub async fn start_api_server(&self) -> Result<(), Error> {
        let mut process = self.api_process.lock().await;
        if process.is_none() {
            *process = Some(self.api_server.start_again(&self.folder).await?);
        }
        Ok(())
    }

    /// Stops the controllers. Nothing happens where they do not run.
    pub async fn stop_controllers(&self) {
        if let Some(process) = self.controllers.lock().await.take() {
            process.stop().await;
        }
    }

    /// Starts the controllers, and waits until there is a ServiceAccount `default`. Nothing happens where
    /// they run.
    ///
    /// # Errors
    /// Where they do not start; with the end of their log.
    pub async fn start_controllers(&self) -> Result<(), Error> {
        let mut process = self.controllers.lock().await;
        if process.is_none() {
            let extra = &self.options.controller_manager;
            *process = Some(
                controllers::start(
                    &self.tools,
                    &self.folder,
                    &self.authority,
                    &self.api_server,
                    extra,
                )
                .await?,
            );
        }
        Ok(())
    }

    /// What a program has logged so far.
    ///
    /// # Errors
    /// Where it was never started.
    pub fn log(&self, program: Program) -> Result<String, Error> {
        let name = match program {
            Program::Etcd => etcd::PROGRAM,
            Program::ApiServer => api_server::PROGRAM,
            Program::ControllerManager => controllers::PROGRAM,
        };
        let path = process::log_path(self.folder.path(), name);
        fs::read_to_string(&path).map_err(Error::file("read", path))
    }

    /// What a node and its neighbours are started with.
    pub(crate) fn site<'a>(&'a self, sandbox: &'a Sandbox) -> Site<'a> {
        Site {
            tools: &self.tools,
            folder: &self.folder,
            sandbox,
            authority: &self.authority,
            api_server: &self.api_server,
        }
    }

    /// The folder with logs, data and kubeconfigs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl std::fmt::Debug for ControlPlane {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ControlPlane")
            .field("api_server", &self.api_server.url())
            .field("folder", &self.folder.path())
            .finish_non_exhaustive()
    }
}

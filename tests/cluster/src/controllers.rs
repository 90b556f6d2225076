//! The controller manager: garbage collection, Deployments, ReplicaSets, Jobs, autoscaling and the rest.

use std::time::Duration;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Config};

use crate::{
    api_server::{ApiServer, file},
    error::Error,
    etcd,
    folder::Folder,
    kubeconfig::{Credentials, kubeconfig},
    pki::Authority,
    port,
    process::Process,
    ready,
    tools::Tools,
};

pub(crate) const PROGRAM: &str = "kube-controller-manager";

/// How long it may take. Generous: the machine may be busy with other tests.
const START: Duration = Duration::from_secs(60);

/// Starts it, and waits until it works: Pods need the ServiceAccount that it makes in every namespace.
pub(crate) async fn start(
    tools: &Tools,
    folder: &Folder,
    authority: &Authority,
    api_server: &ApiServer,
    extra: &[String],
) -> Result<Process, Error> {
    let program = tools.program(PROGRAM)?;
    let identity = authority.client("system:kube-controller-manager", &[])?;
    let kubeconfig = kubeconfig(
        &api_server.url(),
        authority.certificate(),
        &Credentials::Certificate(&identity),
    );
    let kubeconfig = folder.write("controllers.kubeconfig", kubeconfig)?;
    let authority_key = folder.write("pki/ca.key", authority.key())?;
    let path = |flag: &str, name: &str| format!("--{flag}={}", folder.path().join(name).display());

    let process = port::with_free(async |port| {
        let mut arguments = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--authentication-kubeconfig={}", kubeconfig.display()),
            format!("--authorization-kubeconfig={}", kubeconfig.display()),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            path("tls-cert-file", file::CERTIFICATE),
            path("tls-private-key-file", file::KEY),
            path("root-ca-file", file::AUTHORITY),
            path("service-account-private-key-file", file::ACCOUNT_KEY),
            path("cluster-signing-cert-file", file::AUTHORITY),
            format!("--cluster-signing-key-file={}", authority_key.display()),
            "--use-service-account-credentials=true".to_owned(),
            // There is but one.
            "--leader-elect=false".to_owned(),
            // What it asks for in its first second would otherwise take five.
            "--kube-api-qps=1000".to_owned(),
            "--kube-api-burst=2000".to_owned(),
            "--profiling=false".to_owned(),
        ];
        arguments.extend_from_slice(extra);
        let process = Process::start(PROGRAM, &program, &arguments, folder.path()).await?;
        let mut config = Config::new(etcd::uri(&format!("https://127.0.0.1:{port}"))?);
        config.root_cert = api_server.config.root_cert.clone();
        ready::ready(&process, &config, "/healthz", START).await?;
        Ok(process)
    })
    .await?;

    let accounts =
        Api::<ServiceAccount>::namespaced(ready::client(api_server.config.clone())?, "default");
    ready::until(&process, START, async || {
        accounts
            .get_opt("default")
            .await
            .map(|account| account.is_some())
            .map_err(Error::api("get a service account"))
    })
    .await?;
    Ok(process)
}

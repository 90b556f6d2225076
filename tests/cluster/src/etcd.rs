//! The store.

use std::time::Duration;

use kube::Config;

use crate::{error::Error, folder::Folder, port, process::Process, ready, tools::Tools};

pub(crate) const PROGRAM: &str = "etcd";

/// How long it may take. Generous: the machine may be busy with other tests.
const START: Duration = Duration::from_secs(60);

/// Starts it with its data in `folder`, and answers its URL as well.
pub(crate) async fn start(tools: &Tools, folder: &Folder) -> Result<(Process, String), Error> {
    let program = tools.program(PROGRAM)?;
    port::with_free(async |port| {
        let url = format!("http://127.0.0.1:{port}");
        let arguments = [
            format!("--data-dir={}", folder.path().join("etcd").display()),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            // It has no peers, and cannot be told not to listen for them.
            "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
            // The data need not outlive the machine.
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        let process = Process::start(PROGRAM, &program, &arguments, folder.path()).await?;
        ready::ready(&process, &Config::new(uri(&url)?), "/readyz", START).await?;
        Ok((process, url))
    })
    .await
}

/// A URL that was made here as the client's type wants it.
pub(crate) fn uri(url: &str) -> Result<http::Uri, Error> {
    url.parse().map_err(|error: http::uri::InvalidUri| {
        Error::api(format!("ask {url}"))(kube::Error::HttpError(error.into()))
    })
}

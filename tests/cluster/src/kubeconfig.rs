//! Kubeconfigs: where the API server is, whom to believe, and who one is.

use std::path::{Path, PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use crate::{error::Error, folder::Folder, pki::Identity};

/// Who one is to the API server.
pub(crate) enum Credentials<'a> {
    Certificate(&'a Identity),
    Token(&'a str),
}

/// The text of a kubeconfig. It is JSON, which is YAML.
pub(crate) fn kubeconfig(server: &str, authority: &str, user: &Credentials<'_>) -> String {
    let user: Value = match user {
        Credentials::Certificate(identity) => json!({
            "client-certificate-data": BASE64_STANDARD.encode(&identity.certificate),
            "client-key-data": BASE64_STANDARD.encode(&identity.key),
        }),
        Credentials::Token(token) => json!({ "token": token }),
    };
    let name = "test";
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": name, "cluster": {
            "server": server,
            "certificate-authority-data": BASE64_STANDARD.encode(authority),
        }}],
        "users": [{ "name": name, "user": user }],
        "contexts": [{ "name": name, "context": { "cluster": name, "user": name } }],
        "current-context": name,
    })
    .to_string()
}

/// The files of a user, for programs that take one or the others.
pub(crate) struct Files {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Files {
    pub(crate) fn write(
        folder: &Folder,
        name: &str,
        server: &str,
        authority: &str,
        identity: &Identity,
    ) -> Result<Self, Error> {
        let text = kubeconfig(server, authority, &Credentials::Certificate(identity));
        Ok(Self {
            kubeconfig: folder.write(&format!("users/{name}.kubeconfig"), text)?,
            certificate: folder.write(&format!("users/{name}.crt"), &identity.certificate)?,
            key: folder.write(&format!("users/{name}.key"), &identity.key)?,
        })
    }
}

/// The configuration that a kubeconfig file makes.
pub(crate) async fn config(path: &Path) -> Result<Config, Error> {
    let load = async || {
        let kubeconfig = Kubeconfig::read_from(path)?;
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await
    };
    load().await.map_err(|source| Error::Kubeconfig {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

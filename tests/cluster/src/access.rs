//! A user's way to a cluster: kubectl, helm and clients.

use std::{
    env,
    path::{Path, PathBuf},
};

use kube::{Client, Config};

use crate::{
    command::{self, Output},
    error::Error,
    folder::Folder,
    kubeconfig, ready,
    tools::Tools,
};

/// A kubeconfig, and the programs that take it.
#[derive(Clone, Debug)]
pub struct Access {
    tools: Tools,
    kubeconfig: PathBuf,
    /// Where the programs keep their caches.
    home: PathBuf,
}

impl Access {
    /// With a kubeconfig, and a folder for the programs' caches.
    pub fn new(tools: &Tools, kubeconfig: &Path, home: &Path) -> Self {
        Self {
            tools: tools.clone(),
            kubeconfig: kubeconfig.to_owned(),
            home: home.to_owned(),
        }
    }

    /// The same user's ways, with a kubeconfig that has everything in itself and is theirs to change.
    ///
    /// # Errors
    /// Where the kubeconfig is none, and where it cannot be copied.
    pub async fn copied(&self, name: &str) -> Result<Self, Error> {
        let everything = ["config", "view", "--raw", "--flatten", "--minify"];
        let text = self.kubectl(&everything).await?.ok()?;
        let kubeconfig =
            Folder::given(&self.home).write(&format!("users/{name}.kubeconfig"), text)?;
        Ok(Self {
            kubeconfig,
            ..self.clone()
        })
    }

    /// The kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A new client. It belongs to the current tokio runtime.
    ///
    /// # Errors
    /// Where the kubeconfig is none, and where TLS cannot be set up.
    pub async fn client(&self) -> Result<Client, Error> {
        ready::client(self.config().await?)
    }

    /// The configuration of a client.
    ///
    /// # Errors
    /// Where the kubeconfig is none.
    pub async fn config(&self) -> Result<Config, Error> {
        kubeconfig::config(&self.kubeconfig).await
    }

    /// Runs kubectl; `--kubeconfig FILE` among the arguments makes it another user.
    ///
    /// # Errors
    /// Where it cannot be run. What it answers is the caller's to judge, see [`Output::ok`].
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<Output, Error> {
        self.kubectl_with_input(arguments, "").await
    }

    /// Runs kubectl with a text as its stdin, such as a manifest for `apply --filename -`.
    ///
    /// # Errors
    /// As [`Self::kubectl`].
    pub async fn kubectl_with_input(
        &self,
        arguments: &[&str],
        input: &str,
    ) -> Result<Output, Error> {
        self.run("kubectl", arguments, input).await
    }

    /// Runs helm; `--kubeconfig FILE` among the arguments makes it another user.
    ///
    /// # Errors
    /// Where it is missing or cannot be run.
    pub async fn helm(&self, arguments: &[&str]) -> Result<Output, Error> {
        self.run("helm", arguments, "").await
    }

    /// Works in a namespace from now on, wherever a command names no other: the kubeconfig is changed.
    ///
    /// # Errors
    /// Where it cannot be.
    pub async fn work_in(&self, namespace: &str) -> Result<(), Error> {
        let namespace = format!("--namespace={namespace}");
        self.kubectl(&["config", "set-context", "--current", &namespace])
            .await?
            .ok()?;
        Ok(())
    }

    /// What a shell's command line prints to both of its outputs, however it ends, typed by somebody who has kubectl
    /// and helm.
    ///
    /// # Errors
    /// Where there is no shell.
    pub async fn shell(&self, line: &str) -> Result<String, Error> {
        let line = format!("{{\n{line}\n}} 2>&1");
        let output = self
            .run_at("sh", Path::new("sh"), &["-c", &line], "")
            .await?;
        Ok(output.stdout)
    }

    async fn run(
        &self,
        program: &'static str,
        arguments: &[&str],
        input: &str,
    ) -> Result<Output, Error> {
        let path = self.tools.program(program)?;
        self.run_at(program, &path, arguments, input).await
    }

    /// Reaches the cluster, keeps its caches at home, and finds kubectl and helm before others of their names.
    async fn run_at(
        &self,
        program: &'static str,
        path: &Path,
        arguments: &[&str],
        input: &str,
    ) -> Result<Output, Error> {
        let mut programs = self.tools.folder().as_os_str().to_owned();
        programs.push(":");
        programs.push(env::var_os("PATH").unwrap_or_default());
        let environment = [
            ("HOME", self.home.as_os_str()),
            ("KUBECONFIG", self.kubeconfig.as_os_str()),
            ("PATH", &programs),
        ];
        command::run(program, path, arguments, input, &environment).await
    }
}

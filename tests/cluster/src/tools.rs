//! The programs, as `tests/cluster/tools/build` leaves them.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The folder of the programs, by envtest's convention.
const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// The folder of the custom resource definitions, where they are not beside that of the programs.
const DEFINITIONS: &str = "SEGMENTER_CLUSTER_CRDS";

/// What every control plane needs.
const PROGRAMS: [&str; 4] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kubectl",
];

/// Where the programs and the definitions are.
#[derive(Debug, Clone)]
pub struct Tools {
    programs: PathBuf,
    definitions: PathBuf,
}

/// Something that a control plane needs is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// Nothing says where the programs are.
    #[error(
        "no Kubernetes control plane: KUBEBUILDER_ASSETS is not set \
         (`make test` and `make cluster` build the programs and set it)"
    )]
    Assets,
    /// Namespaces are root's to make.
    #[error("not root, who alone may make namespaces and run a node")]
    Root,
    /// Root is not everybody's root.
    #[error("no namespaces: {said}")]
    Namespaces {
        /// What the attempt to make them said.
        said: String,
    },
    /// The system lacks a program.
    #[error("no {program} on the PATH (Debian has it in {package})")]
    Package {
        /// The program's file name.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// Images, logs and data have to lie somewhere.
    #[error("{} GB free in {} (a cluster takes {needed} GB)", free / 1_000_000_000, folder.display())]
    Space {
        /// Where they would lie.
        folder: PathBuf,
        /// What is free there, in bytes.
        free: u64,
        /// What it takes, in GB.
        needed: u64,
    },
    /// The system lacks what gives containers a network.
    #[error("no network plugins in {} (Debian has them in containernetworking-plugins)", folder.display())]
    Plugins {
        /// Where they are looked for.
        folder: PathBuf,
    },
    /// The folder lacks a program.
    #[error(
        "no {program} in {} (tests/cluster/tools/build builds it; or let KUBEBUILDER_ASSETS name a folder that has it)",
        folder.display()
    )]
    Program {
        /// The program's file name.
        program: &'static str,
        /// The folder in which it was looked for.
        folder: PathBuf,
    },
    /// The folder of the custom resource definitions is not there.
    #[error(
        "no custom resource definitions in {} (`make test` gathers them; or let SEGMENTER_CLUSTER_CRDS \
         name the folder that has a folder for each project)",
        folder.display()
    )]
    Definitions {
        /// The folder in which they were looked for.
        folder: PathBuf,
    },
}

impl Missing {
    /// # Errors
    /// [`Missing::Package`] where the program is not on the `PATH`.
    pub(crate) fn unless_installed(
        program: &'static str,
        package: &'static str,
    ) -> Result<PathBuf, Self> {
        env::split_paths(&env::var_os("PATH").unwrap_or_default())
            .map(|folder| folder.join(program))
            .find(|path| path.is_file())
            .ok_or(Self::Package { program, package })
    }
}

impl Tools {
    /// The programs in the folder that `KUBEBUILDER_ASSETS` names. The definitions are in the folder
    /// `crds` beside it, or in that of `SEGMENTER_CLUSTER_CRDS`.
    ///
    /// # Errors
    /// [`Missing`] where the variable is not set, or a program is not in the folder. Definitions and
    /// helm are only missed where they are asked for.
    pub fn find() -> Result<Self, Missing> {
        let programs = env::var_os(ASSETS)
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from)
            .ok_or(Missing::Assets)?;
        let definitions = env::var_os(DEFINITIONS).map_or_else(
            || programs.parent().unwrap_or(Path::new("..")).join("crds"),
            PathBuf::from,
        );
        let tools = Self {
            programs,
            definitions,
        };
        for program in PROGRAMS {
            tools.program(program)?;
        }
        Ok(tools)
    }

    /// The folder of the programs.
    pub(crate) fn folder(&self) -> &Path {
        &self.programs
    }

    /// The path of a program.
    ///
    /// # Errors
    /// [`Missing`] where it is not there.
    pub fn program(&self, program: &'static str) -> Result<PathBuf, Missing> {
        let path = self.programs.join(program);
        if path.is_file() {
            return Ok(path);
        }
        Err(Missing::Program {
            program,
            folder: self.programs.clone(),
        })
    }

    /// The folder of a project's custom resource definitions.
    pub(crate) fn definitions(&self, project: &str) -> Result<PathBuf, Missing> {
        let folder = self.definitions.join(project);
        if folder.is_dir() {
            return Ok(folder);
        }
        Err(Missing::Definitions { folder })
    }
}

//! Packs a stage of the Dockerfile as an OCI archive, without Docker.

use std::{env, path::PathBuf, process::ExitCode};

use segmenter_cluster::image::{Built, pack};

const USAGE: &str = "\
Usage: image --stage STAGE --name NAME --to FILE.tar [--built STAGE:PATH=FILE]... [--dockerfile FILE]

Packs a stage of the Dockerfile that is made of copies out of others as an OCI archive, and prints its digest. --built
says where a file or folder of another stage is here. Such an archive is imported by

    ctr --namespace k8s.io images import FILE.tar
    skopeo copy oci-archive:FILE.tar docker://REGISTRY/NAME
";

/// sysexits.h's EX_USAGE.
const EX_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let Some(order) = Order::read(&arguments) else {
        eprint!("{USAGE}");
        return ExitCode::from(EX_USAGE);
    };
    match order.pack() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What is to be packed.
struct Order {
    dockerfile: PathBuf,
    stage: String,
    name: String,
    to: PathBuf,
    built: Vec<Built>,
}

impl Order {
    fn read(arguments: &[String]) -> Option<Self> {
        let (mut dockerfile, mut stage, mut name, mut to) = (None, None, None, None);
        let mut built = Vec::new();
        for pair in arguments.chunks(2) {
            let [flag, value] = pair else {
                return None;
            };
            match flag.as_str() {
                "--dockerfile" => dockerfile = Some(value.into()),
                "--stage" => stage = Some(value.clone()),
                "--name" => name = Some(value.clone()),
                "--to" => to = Some(value.into()),
                "--built" => {
                    let (from, here) = value.split_once('=')?;
                    let (stage, path) = from.split_once(':')?;
                    built.push(Built {
                        stage: stage.to_owned(),
                        path: path.to_owned(),
                        here: here.into(),
                    });
                }
                _ => return None,
            }
        }
        Some(Self {
            dockerfile: dockerfile.unwrap_or_else(|| "Dockerfile".into()),
            stage: stage?,
            name: name?,
            to: to?,
            built,
        })
    }

    fn pack(&self) -> anyhow::Result<()> {
        let packed = pack(
            &self.dockerfile,
            &self.stage,
            &self.built,
            &self.name,
            &self.to,
        )?;
        let megabytes = packed.size as f64 / 1e6;
        println!("{}", packed.digest);
        eprintln!(
            "{} {}, {megabytes:.1} MB compressed, in {}",
            self.name,
            packed.digest,
            self.to.display()
        );
        Ok(())
    }
}

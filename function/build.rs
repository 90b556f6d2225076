//! Generates the gRPC code, and the descriptors that reflection serves, from `proto/`.

use std::{env, error::Error, fs, path::Path};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = "../proto";
    println!("cargo::rerun-if-changed={directory}");
    let descriptors = protox::compile(
        ["inference.proto", "open_inference.proto", "segmenter.proto"],
        [directory],
    )?;
    let path = Path::new(&env::var("OUT_DIR")?).join("descriptors.bin");
    fs::write(path, descriptors.encode_to_vec())?;
    // The client is for the tests and for `bench` and `predict` against a server.
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}

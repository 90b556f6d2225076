//! Generates the gRPC clients from the same protos as the server.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protos = [
        "../proto/inference.proto",
        "../proto/open_inference.proto",
        "../proto/segmenter.proto",
    ];
    for proto in protos {
        println!("cargo::rerun-if-changed={proto}");
    }
    let descriptors = protox::compile(protos, ["../proto"])?;
    tonic_prost_build::configure()
        .build_server(false)
        .compile_fds(descriptors)?;
    Ok(())
}

//! Generates the gRPC code, and the descriptors that reflection serves, from `proto/`; packs what the page of the API's
//! documentation is made of.

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::{self, Cursor},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use prost::Message;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    protocols(out)?;
    documentation(out)
}

fn protocols(out: &Path) -> Result<(), Box<dyn Error>> {
    let directory = "../proto";
    println!("cargo::rerun-if-changed={directory}");
    let descriptors = protox::compile(
        ["inference.proto", "open_inference.proto", "segmenter.proto"],
        [directory],
    )?;
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    // The client is for the tests and for `bench` and `predict` against a server.
    tonic_prost_build::configure()
        .codec_path("crate::grpc::codec::BoundedCodec")
        .compile_fds(descriptors)?;
    Ok(())
}

/// Two files of Swagger UI's distribution, a tenth of it, as browsers get them.
fn documentation(out: &Path) -> Result<(), Box<dyn Error>> {
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    for name in ["swagger-ui.css", "swagger-ui-bundle.js"] {
        let end = format!("/dist/{name}");
        let path = archive
            .file_names()
            .filter_map(Result::ok)
            .find(|path| path.ends_with(&end));
        let path = path.ok_or("another Swagger UI")?.into_owned();
        let packed = File::create(out.join(format!("{name}.gz")))?;
        let mut packed = GzEncoder::new(packed, Compression::best());
        io::copy(&mut archive.by_name(&path)?, &mut packed)?;
        packed.finish()?;
    }
    Ok(())
}

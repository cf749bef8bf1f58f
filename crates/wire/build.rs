//! Compiles the protocol with protox, so that no `protoc` is needed.

use std::{error::Error, path::PathBuf};

const ROOT: &str = "../../proto";

/// Messages that carry a token, a secret or a proof: their `Debug`, and that of the
/// choices inside them, is written by hand (`src/redaction.rs`) and shows none of it.
const SECRET: [&str; 6] = [
    ".chancery.v1.MintResponse",
    ".chancery.v1.VerifyRequest",
    ".chancery.v1.RevokeRequest",
    ".chancery.v1.CheckRequest",
    ".chancery.v1.Credential",
    ".chancery.peer.v1.ProposeRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    let mut files = Vec::new();
    for folder in ["chancery/v1", "chancery/peer/v1", "chancery/log/v1"] {
        for entry in std::fs::read_dir(PathBuf::from(ROOT).join(folder))? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "proto")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    let descriptors = protox::compile(&files, [ROOT])?;

    // Apart: reflection tells of the public API only.
    for package in ["chancery/v1", "chancery/peer/v1"] {
        let folder = format!("{ROOT}/{package}");
        let of_package = files.iter().filter(|file| file.starts_with(&folder));
        let set = protox::compile(of_package, [ROOT])?;
        let file = format!("{}.bin", package.replace('/', "."));
        let out = PathBuf::from(std::env::var("OUT_DIR")?).join(file);
        std::fs::write(out, prost::Message::encode_to_vec(&set))?;
    }

    tonic_prost_build::configure()
        .bytes(".chancery.peer.v1")
        .bytes(".chancery.log.v1")
        .skip_debug(SECRET)
        .compile_fds(descriptors)?;
    Ok(())
}

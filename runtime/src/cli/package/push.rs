//! `ephor package push`: a component into a registry.

use std::path::PathBuf;

use anyhow::Context as _;
use ephor::sandbox::Inspection;
use oci_client::client::{Config, ImageLayer};

use super::{CONFIG, LAYER, Place, failed_at};
use crate::cli::exit::{self, Exit, Or as _, Outcome};
use crate::cli::local;

/// Pushes a component to a registry, in the Wasm OCI artefact layout.
///
/// The same component gives the same package, and so the same digest.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Configuration (TOML), for the limits that components are held to.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints what was pushed as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    let config = local::config(args.config.as_deref())?;
    let component = std::fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display())).or_exit(Exit::Usage)?;
    let worker = local::compiler()?;
    let (client, auth) = args.place.client()?;
    let (digest, inspection) = local::block_on(async {
        let inspection = ephor::inspect(&component, &worker, config.sandbox).await;
        let inspection = inspection.with_context(|| format!("{} is refused", args.file.display())).or_exit(Exit::Refused)?;
        let document = Config::new(document(&inspection)?, CONFIG.into(), None);
        let layers = [ImageLayer::new(component, LAYER.into(), None)];
        let at = |error| failed_at(&args.place, error);
        client.push(&args.place.reference, &layers, document, &auth, None).await.map_err(at)?;
        let digest = client.fetch_manifest_digest(&args.place.reference, &auth).await.map_err(at)?;
        Ok((digest, inspection))
    })?;
    let reference = &args.place.reference;
    if args.json {
        let document = serde_json::json!({
            "reference": reference.to_string(), "package": digest, "component": inspection.digest.to_string(), "bytes": inspection.bytes,
        });
        println!("{}", serde_json::to_string_pretty(&document).context("cannot print")?);
        return Ok(());
    }
    println!("Pushed {} {} to {reference}.", inspection.manifest.name, inspection.manifest.version);
    println!("package    {digest}\ncomponent  {}", inspection.digest);
    Ok(())
}

/// The configuration of the layout: what it runs on, and what it imports and exports.
fn document(inspection: &Inspection) -> anyhow::Result<Vec<u8>> {
    let document = serde_json::json!({
        "architecture": "wasm",
        // The layout's word for a component.
        "os": "wasip2",
        "layerDigests": [inspection.digest.to_string()],
        "component": {"exports": inspection.exports, "imports": inspection.imports},
    });
    serde_json::to_vec(&document).context("cannot write the package's configuration")
}

//! `ephor package pull`: a component out of a registry.

use std::path::PathBuf;

use anyhow::Context as _;
use ephor::digest::Digest;
use futures_util::StreamExt as _;
use oci_client::manifest::OciManifest;

use super::{CONFIG, LAYER, Place, failed_at};
use crate::cli::exit::{self, Exit, Outcome, failed};
use crate::cli::{local, log};

/// Pulls a component from a registry, checks it against its digest, and writes it.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Where to write the component.
    #[arg(long, value_name = "FILE.wasm")]
    out: PathBuf,
    /// The digest that it must have, as a release names it.
    #[arg(long, value_name = "DIGEST")]
    digest: Option<Digest>,
    /// Configuration (TOML), for the size that components are held to.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let max = local::config(args.config.as_deref())?.server.component_bytes_max;
    let component = local::block_on(component(args, max))?;
    let found = Digest::of(&component);
    if let Some(expected) = args.digest
        && expected != found
    {
        return Err(failed(Exit::Refused, format!("{} has the component {found}, not {expected}", args.place.reference)));
    }
    log::replace(&args.out, &component)?;
    println!("Pulled {} to {}.\ncomponent  {found}", args.place.reference, args.out.display());
    Ok(())
}

async fn component(args: &Args, max: usize) -> Outcome<Vec<u8>> {
    let place = &args.place;
    let (client, auth) = place.client()?;
    let (manifest, _) = client.pull_manifest(&place.reference, &auth).await.map_err(|error| failed_at(place, error))?;
    let not_one = |what: &str| failed(Exit::Refused, format!("{} is not a Wasm component: {what}", place.reference));
    let OciManifest::Image(manifest) = manifest else { return Err(not_one("it is a list of packages")) };
    if manifest.config.media_type != CONFIG {
        return Err(not_one(&format!("its configuration is {:?}, not {CONFIG:?}", manifest.config.media_type)));
    }
    let [layer] = &manifest.layers[..] else { return Err(not_one(&format!("it has {} layers, not one", manifest.layers.len()))) };
    if layer.media_type != LAYER {
        return Err(not_one(&format!("its layer is {:?}, not {LAYER:?}", layer.media_type)));
    }
    let size = usize::try_from(layer.size).ok().filter(|size| *size <= max);
    let size = size.ok_or_else(|| not_one(&format!("it has {} bytes, at most {max} are taken", layer.size)))?;
    let mut stream = client.pull_blob_stream(&place.reference, layer).await.map_err(|error| failed_at(place, error))?.stream;
    let mut component = Vec::new();
    while let Some(piece) = stream.next().await {
        component.extend_from_slice(&piece.with_context(|| format!("lost the connection to the registry of {}", place.reference))?);
        if component.len() > size {
            return Err(not_one(&format!("it does not end after the {size} bytes that it says")));
        }
    }
    let found = Digest::of(&component).to_string();
    if found != layer.digest || component.len() != size {
        return Err(failed(
            Exit::Refused,
            format!("{} is {found} ({} bytes), not {} ({size} bytes)", place.reference, component.len(), layer.digest),
        ));
    }
    Ok(component)
}

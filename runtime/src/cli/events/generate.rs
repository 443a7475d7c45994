//! `ephor events generate`: test events that look like those of a sample.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::recipe::{Copied, Maker};
use super::sample::{self, Sample, events};
use super::shape::Place;
use crate::cli::exit::{self, Exit, Outcome, failed};
use crate::cli::log::{draft, put};
use crate::cli::table::plain;

/// Makes test events that look like those of a sample.
///
/// They are CloudEvents in JSON, one per line, of the same types and sources, with the same
/// places as often; times go on after the latest of the sample. Numbers are anything from
/// the least to the greatest. Free text is made up: a letter for each letter and a digit
/// for each digit. Texts that come again and again in one place, such as countries, are
/// taken over, and standard error says where; types, sources and the names of members are
/// too. The same sample and seed give the same events.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The sample, plain or gzip. A folder stands for the files in it that end in .ndjson
    /// or .jsonl, or these and .gz.
    #[arg(long, value_name = "FILE|DIR", required = true, num_args = 1..)]
    like: Vec<PathBuf>,
    /// Only events of this type [default: all types, as often as they occur].
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// How many events to make.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    count: u64,
    /// Another seed gives other events.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// A place whose texts are made up in any case, with everything inside it, as a JSON
    /// Pointer such as /data/agent; can be given several times.
    #[arg(long, value_name = "POINTER")]
    mask: Vec<String>,
    /// Where to write them, replaced whole [default: standard output].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub async fn run(args: &Args) -> Outcome {
    let files = sample::files(&args.like)?;
    if let Some(out) = &args.out
        && let Some(file) = files.iter().find(|file| is_same(file, out))
    {
        return Err(failed(Exit::Usage, format!("{} is a file of the sample; name another one with --out", file.display())));
    }
    let sample = Sample::read(files, args.kind.as_deref(), None).await?;
    if let Some(mask) = args.mask.iter().find(|mask| !sample.shapes.iter().any(|shape| has(&shape.root, mask))) {
        let why = format!("--mask {mask}: the sample has nothing in this place; `ephor events infer` shows its places");
        return Err(failed(Exit::Usage, why));
    }
    let (mut maker, copied) = Maker::new(&sample, args.seed, &args.mask);
    match &args.out {
        Some(out) => {
            let file = draft(out)?;
            write(file.as_file(), &mut maker, args.count).with_context(|| format!("cannot write {}", out.display()))?;
            put(file, out)?;
            println!("{}: {}", out.display(), events(args.count));
        }
        None => match write(io::stdout().lock(), &mut maker, args.count) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written.context("cannot write the events")?,
        },
    }
    for note in sample.cuts().into_iter().chain(note(&copied)) {
        eprintln!("{note}");
    }
    sample.whole()
}

fn write(out: impl Write, maker: &mut Maker<'_>, count: u64) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    for _ in 0..count {
        out.write_all(maker.event().as_bytes())?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Whether a path is that of a file, by whatever name.
fn is_same(file: &Path, path: &Path) -> bool {
    file.canonicalize().is_ok_and(|file| path.canonicalize().is_ok_and(|path| path == file))
}

/// Whether a place, or one inside it, has this pointer.
fn has(place: &Place, pointer: &str) -> bool {
    let mut inside = place.children.iter().chain(place.items.as_deref());
    (!pointer.is_empty() && place.pointer == pointer) || inside.any(|place| has(place, pointer))
}

/// Where texts of the sample are taken over, and how many different ones.
fn note(copied: &[Copied<'_>]) -> Option<String> {
    // The same place in events of several types is named once.
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for Copied { pointer, texts } in copied {
        let most = places.entry(pointer).or_default();
        *most = (*most).max(*texts);
    }
    let places: Vec<String> = places.into_iter().map(|(pointer, texts)| format!("{} ({texts})", plain(pointer))).collect();
    (!places.is_empty()).then(|| {
        format!("Taken over from the sample, because they repeat: the texts in {}. With --mask they are made up too.", places.join(", "))
    })
}

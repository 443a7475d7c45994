//! `ephor log export`: entries into a file.

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ephor::ledger::tree::{TILE_WIDTH, TileId, unbundle};
use ephor::ledger::verify::Entries;
use flate2::Compression;
use flate2::write::GzEncoder;
use indicatif::ProgressBar;

use super::fetch::{entry_bundle, in_order};
use super::parquet::Table;
use super::source::{Source, damaged};
use super::{bar, draft, put};
use crate::cli::client::Target;
use crate::cli::connection::Connection;
use crate::cli::exit::{self, Exit, Or as _, Outcome, failed};
use crate::cli::local;
use crate::cli::table::{grouped, size};

/// Writes entries to a file: one JSON object per line, as they stand in the log, or a
/// table for analysts.
///
/// The table (Apache Parquet) has one row for each entry, with findings and faults as
/// lists, and the whole entry as text in its last column.
///
/// From a server come the entries that a checkpoint covers. What is written here is
/// not checked against signatures; `ephor log verify` does that.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The data directory, or the URL of a server.
    #[arg(value_name = "DIR|URL")]
    source: Source,
    #[command(flatten)]
    connection: Connection,
    /// The file; lines are compressed if it ends with .gz. It appears when it is whole.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What the file has.
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
    /// The first entry.
    #[arg(long, value_name = "SEQUENCE", default_value_t = 1)]
    from: u64,
    /// The last entry [default: the last that is there].
    #[arg(long, value_name = "SEQUENCE")]
    to: Option<u64>,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Lines of JSON.
    Ndjson,
    /// A table of Apache Parquet.
    Parquet,
}

/// A file that is written to: lines, plain or compressed, or a table.
enum Sink<W: Write + Send> {
    Plain(BufWriter<W>),
    Gzip(GzEncoder<BufWriter<W>>),
    Table(Box<Table<BufWriter<W>>>),
}

impl<W: Write + Send> Sink<W> {
    fn new(format: Format, file: &Path, source: &Source, inner: W) -> io::Result<Self> {
        let inner = BufWriter::new(inner);
        Ok(match (format, file.extension().is_some_and(|ending| ending == "gz")) {
            (Format::Parquet, _) => Sink::Table(Box::new(Table::new(inner, &source.to_string())?)),
            (Format::Ndjson, true) => Sink::Gzip(GzEncoder::new(inner, Compression::default())),
            (Format::Ndjson, false) => Sink::Plain(inner),
        })
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let out: &mut dyn Write = match self {
            Sink::Plain(out) => out,
            Sink::Gzip(out) => out,
            Sink::Table(table) => return table.line(line),
        };
        out.write_all(line)?;
        out.write_all(b"\n")
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Sink::Plain(mut out) => out.flush(),
            Sink::Gzip(out) => out.finish()?.flush(),
            Sink::Table(table) => table.finish(),
        }
    }
}

pub fn run(mut args: Args) -> Outcome {
    args.source = args.source.by(&args.connection)?;
    if args.from == 0 || args.to.is_some_and(|to| to < args.from) {
        return Err(failed(Exit::Usage, "the range begins with 1 or more, and does not end before it begins"));
    }
    let draft = draft(&args.out).or_exit(Exit::Failed)?;
    let sink = Sink::new(args.format, &args.out, &args.source, draft.as_file());
    let mut sink = sink.with_context(|| format!("cannot write {}", args.out.display()))?;
    let shown = bar(0, false);
    let count = local::block_on(export(&args, &mut sink, &shown));
    shown.finish_and_clear();
    let count = count?;
    let written = sink.finish().and_then(|()| draft.as_file().sync_all()).and_then(|()| draft.as_file().metadata());
    let bytes = written.with_context(|| format!("cannot write {}", args.out.display()))?.len();
    put(draft, &args.out)?;
    let (first, last) = (grouped(args.from), grouped(args.from + count - 1));
    println!("{} entries, {first} to {last}, in {} ({})", grouped(count), args.out.display(), size(bytes));
    Ok(())
}

/// How many entries were written: all that were asked for.
async fn export<W: Write + Send>(args: &Args, sink: &mut Sink<W>, shown: &ProgressBar) -> Outcome<u64> {
    let signed = args.source.size().await?;
    let last = match (&args.source, args.to) {
        (Source::Server(_), Some(to)) if to > signed => {
            return Err(failed(Exit::Usage, format!("{} has {} signed entries only", args.source, grouped(signed))));
        }
        (Source::Server(_), to) => Some(to.unwrap_or(signed)),
        (Source::Directory(_), to) => to,
    };
    shown.set_length(last.unwrap_or(signed).saturating_sub(args.from - 1));
    let count = match &args.source {
        Source::Directory(directory) => of_directory(directory, args.from, last, sink, shown)?,
        Source::Server(target) => of_server(target, args.from, last.unwrap_or(signed), sink, shown).await?,
    };
    match args.to {
        _ if count == 0 => Err(failed(Exit::Usage, format!("{} has no entry {}", args.source, args.from))),
        Some(to) if args.from + count - 1 < to => {
            Err(failed(Exit::Usage, format!("{} ends with entry {}", args.source, args.from + count - 1)))
        }
        _ => Ok(count),
    }
}

fn of_directory<W: Write + Send>(directory: &Path, from: u64, last: Option<u64>, sink: &mut Sink<W>, shown: &ProgressBar) -> Outcome<u64> {
    let mut count = 0;
    for entry in Entries::new(directory, from) {
        let entry = entry.map_err(damaged)?;
        if last.is_some_and(|last| entry.sequence > last) {
            break;
        }
        sink.line(&entry.line).context("cannot write")?;
        count += 1;
        if count % TILE_WIDTH == 0 {
            shown.set_position(count);
        }
    }
    Ok(count)
}

async fn of_server<W: Write + Send>(target: &Target, from: u64, last: u64, sink: &mut Sink<W>, shown: &ProgressBar) -> Outcome<u64> {
    if last < from {
        return Ok(0);
    }
    let size = Source::Server(target.clone()).size().await?.max(last);
    let bundles = (from - 1) / TILE_WIDTH..last.div_ceil(TILE_WIDTH);
    let (mut count, mut trouble) = (0, None);
    let take = |(tile, bytes): (TileId, Option<Vec<u8>>)| {
        let is_sound =
            |entries: &Vec<&[u8]>| entries.len() == usize::from(tile.width) && entries.iter().all(|entry| !entry.contains(&b'\n'));
        let entries = bytes.as_deref().and_then(unbundle).filter(is_sound);
        let Some(entries) = entries else {
            trouble = Some(failed(Exit::Failed, format!("{target} does not have {} as it should", tile.path())));
            return ControlFlow::Break(());
        };
        for (sequence, entry) in (tile.index * TILE_WIDTH + 1..).zip(entries) {
            if sequence < from || sequence > last {
                continue;
            }
            if let Err(error) = sink.line(entry) {
                trouble = Some(anyhow::Error::new(error).context("cannot write").into());
                return ControlFlow::Break(());
            }
            count += 1;
        }
        shown.set_position(count);
        ControlFlow::Continue(())
    };
    in_order(target, bundles, move |index| entry_bundle(index, size), |tile, bytes| (tile, bytes), take).await?;
    match trouble {
        Some(trouble) => Err(trouble),
        None => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_compressed_by_its_name() {
        use std::io::Read as _;
        for (name, gzip) in [("entries.ndjson", false), ("entries.ndjson.gz", true)] {
            let mut bytes = Vec::new();
            let mut sink = Sink::new(Format::Ndjson, Path::new(name), &Source::Directory("data".into()), &mut bytes).expect("a sink");
            sink.line(b"{}").and_then(|()| sink.finish()).expect("memory takes it");
            let mut text = String::new();
            match gzip {
                true => flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("gzip"),
                false => (&bytes[..]).read_to_string(&mut text).expect("text"),
            };
            assert_eq!(text, "{}\n");
        }
    }
}

//! `ephor man`: the parser as manual pages.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::exit::{self, EXITS, Outcome};

/// Writes the manual pages: one for each verb, and one for the whole.
///
/// They say what `--help` says. `man` finds them in a folder of its MANPATH, such as
/// ~/.local/share/man/man1.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// Folder of the pages. Pages that are there already are written over.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes the pages of a parser.
pub fn run(args: &Args, parser: Command) -> Outcome {
    let out = &args.out;
    std::fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    // `ephor help VERB` is another way to say `ephor VERB --help`, and needs no page.
    let mut parser = parser.disable_help_subcommand(true);
    // Only then verbs know what they are called: `ephor policy build`.
    parser.build();
    let pages = write(&parser, out)?;
    println!("{pages} manual pages in {}", out.display());
    Ok(())
}

/// Writes the page of a verb and those of all verbs below it; says how many.
fn write(command: &Command, out: &Path) -> anyhow::Result<usize> {
    let man = Man::new(command.clone())
        .source(concat!("ephor ", env!("CARGO_PKG_VERSION")))
        .manual("Ephor")
        // The same parser gives the same pages, so there is no date. An argument that is
        // not there would have the next one take its place; quotes keep it.
        .date("\"\"");
    let file = out.join(man.get_filename());
    let page = page(&man, command).with_context(|| format!("cannot make the page of {}", command.get_name()))?;
    std::fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
    let mut pages = 1;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        pages += write(verb, out)?;
    }
    Ok(pages)
}

/// The page of a verb, section by section: exit codes have one of their own, on every
/// page, where readers of manual pages look for it.
fn page(man: &Man, command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut exits = Roff::default();
    exits.control("SH", ["EXIT STATUS"]);
    for (exit, meaning) in EXITS {
        exits.control("TP", []);
        exits.text([roman((exit as u8).to_string())]);
        exits.text([roman(meaning)]);
    }
    exits.to_writer(&mut page)?;
    Ok(page)
}

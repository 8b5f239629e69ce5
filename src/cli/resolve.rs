//! `haystack resolve`: names into ontology terms and perturbations.

use std::io::{BufRead, Write};

use clap::ValueEnum;

use super::{Error, Result, open};
use crate::config::Config;
use crate::knowledge::{self, Candidate, Knowledge, Resolution};

/// Arguments of `haystack resolve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints one line per name, separated by tabs: the name, its id, the term's own name, and how it was found \
(exact, synonym, normalised, fuzzy). A name that stands for nothing with confidence gets '?' and what it may have meant.

The exit code is 0 even if some names stand for nothing; 1 if none of them stands for anything.")]
pub struct Args {
    /// What the names name
    #[arg(long, value_enum)]
    kind: Kind,

    /// Names; without any, one per line of standard input
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,

    /// What the names are about, such as the tissue of the data set: HSC is another cell in liver
    #[arg(long, value_name = "TEXT", default_value = "")]
    context: String,

    /// Print one JSON object per name
    #[arg(long)]
    json: bool,
}

/// What a name names.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// A cell type (CL)
    CellType,
    /// A tissue or organ (UBERON)
    Tissue,
    /// A disease (MONDO)
    Disease,
    /// A cytokine, drug or change of a gene
    Perturbation,
}

impl From<Kind> for knowledge::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::CellType => Self::CellType,
            Kind::Tissue => Self::Tissue,
            Kind::Disease => Self::Disease,
            Kind::Perturbation => Self::Perturbation,
        }
    }
}

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let database = open::database(&config).await?;
    let knowledge = Knowledge::load(&database).await?;
    database.close().await;
    let kind = knowledge::Kind::from(args.kind);
    if !knowledge.has_names(kind) {
        return Err(Error::failed(format!("nothing is held that a {} could be looked up in", kind.title()))
            .hint(format!("run 'haystack import {}' first", source_of(kind))));
    }
    let names = Names { knowledge, kind, context: args.context, json: args.json };
    let mut tally = Tally::default();
    let mut out = std::io::stdout().lock();
    if args.texts.is_empty() {
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|error| Error::failed(format!("cannot read standard input: {error}")))?;
            if !line.trim().is_empty() {
                tally.answer(&names, line.trim(), &mut out)?;
            }
        }
    }
    for text in &args.texts {
        tally.answer(&names, text, &mut out)?;
    }
    match tally {
        Tally { asked, resolved: 0 } if asked > 0 => {
            Err(Error::failed(format!("none of {asked} names stands for a {} with confidence", kind.title())))
        }
        _ => Ok(()),
    }
}

/// What names are looked up in, and how answers are shown.
struct Names {
    knowledge: Knowledge,
    kind: knowledge::Kind,
    context: String,
    json: bool,
}

#[derive(Default)]
struct Tally {
    asked: usize,
    resolved: usize,
}

impl Tally {
    fn answer(&mut self, names: &Names, text: &str, out: &mut impl Write) -> Result {
        let resolution = names.knowledge.resolve_in(names.kind, text, &names.context);
        self.asked += 1;
        self.resolved += usize::from(resolution.term().is_some());
        let line = if names.json { as_json(text, &resolution) } else { as_text(text, &resolution) };
        // A reader who has seen enough (`| head`) closes the pipe; that is no failure.
        match writeln!(out, "{line}") {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|error| Error::failed(format!("cannot write: {error}"))),
        }
    }
}

fn as_text(text: &str, resolution: &Resolution) -> String {
    match resolution {
        Resolution::Resolved(Candidate { term, how, .. }) => {
            format!("{text}\t{}\t{}\t{}", term.id, term.name, how.as_str())
        }
        Resolution::Abstained { candidates } => {
            let candidates: Vec<_> = candidates.iter().map(|c| format!("{} {}", c.term.id, c.term.name)).collect();
            format!("{text}\t?\t{}", candidates.join("; "))
        }
    }
}

fn as_json(text: &str, resolution: &Resolution) -> String {
    let value = match resolution {
        Resolution::Resolved(found) => serde_json::json!({
            "text": text, "id": found.term.id, "name": found.term.name, "how": found.how, "score": found.score,
        }),
        Resolution::Abstained { candidates } => {
            let candidate = |c: &Candidate| serde_json::json!({ "id": c.term.id, "name": c.term.name, "how": c.how, "score": c.score });
            let candidates: Vec<_> = candidates.iter().map(candidate).collect();
            serde_json::json!({ "text": text, "id": null, "candidates": candidates })
        }
    };
    value.to_string()
}

fn source_of(kind: knowledge::Kind) -> &'static str {
    match kind {
        knowledge::Kind::CellType => "ontology cl.obo",
        knowledge::Kind::Tissue => "ontology uberon.obo",
        knowledge::Kind::Disease => "ontology mondo.obo",
        knowledge::Kind::Perturbation => "perturbations FILE",
    }
}

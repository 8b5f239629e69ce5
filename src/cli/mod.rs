//! DOORS: one file per mode, with its arguments and its `run`.
//!
//! To add a mode: a file here with `Args` and `run`, one arm in [`Mode`], one in `Mode::run`.

mod activity;
mod blocking;
mod cells;
mod datasets;
mod de;
mod doctor;
mod embed;
mod enrich;
pub mod exit;
mod gene_sets;
mod gene_table;
mod import;
mod infer;
mod migrate;
mod open;
mod orchestrate;
mod prerank;
mod progress;
mod resolve;
mod rows;
mod run;
mod serve;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Environment};
use crate::database::shown_address;
use crate::telemetry;

pub use exit::{Error, Result};

const FIRST_STEPS: &str = "\
To begin:
  haystack migrate            makes the database
  haystack import starter     brings knowledge and simulated cells to try it on
  haystack run \"How would CD14 monocytes respond to interferon beta?\"
  haystack serve              the same in a browser

Exit codes: 0 finished or cancelled, 1 input or run failed, 2 usage or configuration, 70 a bug, 75 try again.";

/// Ask how cells would respond; get a prediction with its evidence
#[derive(Debug, Parser)]
#[command(name = "haystack", version, propagate_version = true, max_term_width = 100, after_help = FIRST_STEPS)]
pub struct Cli {
    /// Configuration file to use, instead of HAYSTACK_CONFIG or config.toml in the home folder
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    config: Option<PathBuf>,

    /// End when standard input ends; set for child processes, which must not outlive their parent
    #[arg(long, hide = true)]
    tethered: bool,

    #[command(subcommand)]
    mode: Mode,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Mode {
    /// Ask a question and follow its run in the terminal
    Run(run::Args),
    /// Serve the HTTP API and the page
    Serve(serve::Args),
    /// Bring in cells, models and knowledge, from files or the official releases
    Import(import::Args),
    /// List, rename and remove the data sets that were imported
    #[command(subcommand)]
    Datasets(datasets::What),
    /// Find the ontology terms and perturbations that names stand for
    Resolve(resolve::Args),
    /// Predict cells with STACK, or with the mean-shift baseline, from files to a file
    Infer(Box<infer::Args>),
    /// Embed cells with STACK
    Embed(Box<embed::Args>),
    /// Compare groups of cells gene by gene
    De(Box<de::Args>),
    /// Find gene sets that hold more of some genes than chance would put there
    Enrich(enrich::Args),
    /// Find gene sets whose genes lie towards one end of a ranking
    Prerank(prerank::Args),
    /// Find the regulators or cytokines at work from what happens to their targets
    Activity(activity::Args),
    /// Check that everything needed can be reached, and say what to do where it cannot
    Doctor(doctor::Args),
    /// Create or update the database schema
    Migrate(migrate::Args),
    /// Carry out one stored run; serve starts this for each
    Orchestrate(orchestrate::Args),
}

impl Mode {
    /// Whether it draws bars on a terminal, between which log lines would be in the way.
    fn shows_progress(&self) -> bool {
        matches!(self, Self::Embed(_) | Self::Import(_) | Self::Infer(_) | Self::Run(_))
    }

    async fn run(self, config: Config) -> Result {
        match self {
            Self::Run(args) => run::run(args, config).await,
            Self::Serve(args) => serve::run(args, config).await,
            Self::Import(args) => import::run(args, config).await,
            Self::Datasets(what) => datasets::run(what, config).await,
            Self::Resolve(args) => resolve::run(args, config).await,
            Self::Infer(args) => infer::run(*args, config).await,
            Self::Embed(args) => embed::run(*args, config).await,
            Self::De(args) => de::run(*args, config).await,
            Self::Enrich(args) => enrich::run(args, config).await,
            Self::Prerank(args) => prerank::run(args, config).await,
            Self::Activity(args) => activity::run(args, config).await,
            Self::Doctor(args) => doctor::run(args, Ok(config)).await,
            Self::Migrate(args) => migrate::run(args, config).await,
            Self::Orchestrate(args) => orchestrate::run(args, config).await,
        }
    }
}

/// Runs the program on the arguments of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, with code 0; wrong usage is code 2.
            let _ = error.print();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    exit::catch_panics(|| exit::finish(run(cli)))
}

fn run(cli: Cli) -> Result {
    if cli.tethered {
        end_with_parent();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::try_again(format!("cannot start threads: {error}")))?;
    let (config, mode) = match (Config::load(cli.config.as_deref(), &Environment::of_process()), cli.mode) {
        (Ok(config), mode) => (config, mode),
        // The one mode that can say something about a configuration that cannot be used.
        (Err(error), Mode::Doctor(args)) => return runtime.block_on(doctor::run(args, Err(error))),
        (Err(error), _) => return Err(error.into()),
    };
    let reader = match std::io::stderr().is_terminal() {
        true if mode.shows_progress() => telemetry::Reader::Progress,
        true => telemetry::Reader::Terminal,
        false => telemetry::Reader::Stored,
    };
    telemetry::start(&config.log, progress::Lines::default, reader)?;
    let database = shown_address(config.database.url());
    let outcome = runtime.block_on(mode.run(config)).map_err(|error| error.in_database(&database));
    progress::clear();
    // A blocking task that is still at work, such as a read of standard input, must not hold us up.
    runtime.shutdown_background();
    outcome
}

/// Ends this process when its parent ends, however that happens: the parent holds the other end of
/// standard input open and never writes. The system closes it even when the parent is killed, which
/// the parent could not report itself, on every platform alike.
fn end_with_parent() {
    use rustix::process::{Signal, getpid, kill_process};
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        // Nobody is left to read an exit code, and an orderly exit would wait for libraries at work.
        let _ = kill_process(getpid(), Signal::KILL);
    });
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::domain::RunId;
    use crate::executor::Job;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// The executor writes command lines, this module reads them.
    #[test]
    fn every_job_is_a_command_line_of_ours() {
        let run: RunId = "run_0123456789ab".parse().unwrap();
        let request = "batch-io/run_0123456789ab/iter_2/request.json".to_owned();
        let parse = |job: &Job| {
            let before = ["haystack", "--tethered", "--config", "mine.toml"].map(str::to_owned);
            Cli::try_parse_from(before.into_iter().chain(job.argv())).unwrap()
        };
        let cli = parse(&Job::Orchestrate { run: run.clone() });
        assert!(matches!(cli.mode, Mode::Orchestrate(_)) && cli.tethered && cli.config.is_some());
        assert!(format!("{:?}", cli.mode).contains(run.as_str()));
        let cli = parse(&Job::Infer { run, iteration: 2, request: request.clone() });
        assert!(matches!(cli.mode, Mode::Infer(_)) && cli.tethered);
        assert!(format!("{:?}", cli.mode).contains(&request));
    }
}

//! `haystack infer`: predict cells with STACK or the mean-shift baseline. No database.
//!
//! Flags and `--request` both become an [`InferRequest`]; [`job`] runs it.

pub(super) mod check;
pub(super) mod input;
mod job;
pub(super) mod model;
pub(super) mod output;
mod profile;
pub(super) mod progress;
mod split;

use clap::ValueEnum;

use crate::cli::{Error, Result, open};
use crate::config::Config;
use crate::domain::inference::{Arm, InferRequest, Location, Method, Mode, Sampling};
use crate::objects::{ObjectKey, Objects};
use crate::stack::generate::Counts;
use crate::stack::model::Precision;

const EXAMPLE: &str = "\
For example, stimulated cells of some types as the prompt, unstimulated cells of another as the query:
  haystack infer --model stack-large --prompt stimulated.h5ad --query b_cells.h5ad \\
    --output predicted.h5ad

The last line of standard output is a summary in JSON. Addresses are gs://, s3:// or file://.";

/// Arguments of `haystack infer`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Run a stored request instead of the flags below: its key in the object store, address or path
    #[arg(long, value_name = "KEY", conflicts_with_all = ["prompt", "query", "output", "control", "model", "genes", "method",
          "output_dir", "mode", "diffusion_steps", "seed", "prompt_ratio", "context_ratio", "context_ratio_min", "batch_size"])]
    request: Option<String>,

    /// Cells that show the state to predict (.h5ad with counts; path or address)
    #[arg(
        long,
        visible_alias = "base-adata",
        alias = "prompt-gcs",
        value_name = "FILE",
        required_unless_present = "request"
    )]
    prompt: Option<String>,

    /// Cells to predict (.h5ad with counts)
    #[arg(
        long,
        visible_alias = "test-adata",
        alias = "query-gcs",
        value_name = "FILE",
        required_unless_present = "request"
    )]
    query: Option<String>,

    /// Where the predicted cells go (.h5ad)
    #[arg(long, alias = "output-gcs", value_name = "FILE", required_unless_present_any = ["request", "output_dir"])]
    output: Option<String>,

    /// Predict once for each value of this column of the prompt file, from the cells that have it
    #[arg(long, value_name = "COLUMN", requires = "output_dir", help_heading = "Splits")]
    split_column: Option<String>,

    /// Only these values of the column [default: all]
    #[arg(long, value_name = "VALUE", num_args = 0.., requires = "split_column", help_heading = "Splits")]
    split_values: Vec<String>,

    /// Folder for a file per value, named after it (path or address)
    #[arg(long, value_name = "FOLDER", requires = "split_column", conflicts_with = "output", help_heading = "Splits")]
    output_dir: Option<String>,

    /// One file, concatenated.h5ad, with the cells of all values and a column split_value
    #[arg(long, requires = "split_column", help_heading = "Splits")]
    concatenate: bool,

    /// Name of an imported model, or a checkpoint (.ckpt, .safetensors or a folder; path or address)
    #[arg(long, visible_alias = "checkpoint", alias = "model-gcs", value_name = "MODEL")]
    model: Option<String>,

    /// Gene list of a model that was not imported (.json, .pkl or one gene per line)
    #[arg(long, alias = "genelist", alias = "genelist-gcs", value_name = "FILE")]
    genes: Option<String>,

    /// Paired control cells of the prompt; needed by mean-shift
    #[arg(long, value_name = "FILE")]
    control: Option<String>,

    /// How to predict
    #[arg(long, value_enum, default_value = "stack")]
    method: MethodArg,

    /// Masked diffusion, or resampling every cell in every step
    #[arg(long, value_enum, default_value = "mdm", help_heading = "Sampling")]
    mode: ModeArg,

    /// Number of diffusion steps
    #[arg(long, alias = "num-steps", value_name = "N", default_value_t = Sampling::default().diffusion_steps,
          value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Sampling")]
    diffusion_steps: u32,

    /// Seed of the window contents and the draws
    #[arg(long, alias = "random-seed", value_name = "N", default_value_t = 0, help_heading = "Sampling")]
    seed: u64,

    /// Share of a window that is prompt
    #[arg(long, value_name = "X", default_value_t = Sampling::default().prompt_ratio, help_heading = "Sampling")]
    prompt_ratio: f64,

    /// Share of a window that is further context, in the last step
    #[arg(long, value_name = "X", default_value_t = Sampling::default().context_ratio, help_heading = "Sampling")]
    context_ratio: f64,

    /// The same, in the first step
    #[arg(long, value_name = "X", default_value_t = Sampling::default().context_ratio_min, help_heading = "Sampling")]
    context_ratio_min: f64,

    /// Draw counts, or put the expected value in every cell
    #[arg(long, value_enum, default_value = "sampled", help_heading = "Sampling")]
    counts: CountsArg,

    /// Accepted for scripts that give it: windows are computed one at a time, whatever it says
    #[arg(long, value_name = "N", default_value_t = Sampling::default().batch_size,
          value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,

    /// Memory for the query cells and what is computed of them; beyond it they go to temporary files in TMPDIR,
    /// without effect on the numbers
    #[arg(long, value_name = "GIB", default_value = "4", value_parser = gib)]
    memory: usize,

    /// Where to compute; auto takes a GPU if there is one
    #[arg(long, value_enum, default_value = "auto")]
    device: DeviceArg,

    /// How exactly the large products are computed on the CPU
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionArg,

    /// Say where the time went: seconds and GFLOP/s of each part of the network
    #[arg(long)]
    profile: bool,

    /// Column of the gene table that holds the symbols, where the index does not
    #[arg(long, visible_alias = "gene-name-col", value_name = "NAME")]
    gene_column: Option<String>,

    /// Accepted for scripts that give it; decides nothing, as in the reference
    #[arg(long, hide = true)]
    mask_rate: Option<f64>,

    /// Accepted for scripts that give it
    #[arg(long, hide = true)]
    num_workers: Option<u32>,

    /// Accepted for scripts that give it; progress is always shown on a terminal
    #[arg(long, hide = true)]
    show_progress: bool,
}

/// How to predict.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum MethodArg {
    /// The STACK model, in context
    Stack,
    /// Query counts moved by the mean log-difference between prompt and control
    MeanShift,
}

/// How STACK generates.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeArg {
    /// Masked diffusion; needs an aligned model
    Mdm,
    /// Resample every cell in every step
    Vanilla,
}

/// What a predicted cell holds.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum CountsArg {
    /// Whole numbers drawn from the predicted distributions
    Sampled,
    /// Their expectations
    Mean,
}

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DeviceArg {
    /// A GPU if there is one, else the CPU
    Auto,
    /// The CPU
    Cpu,
    /// The first GPU
    Cuda,
}

/// How exactly the large products are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PrecisionArg {
    /// As the reference
    F32,
    /// Faster, with errors of a percent or so; needs a processor with AMX or AVX512-BF16
    Bf16,
}

impl From<PrecisionArg> for Precision {
    fn from(precision: PrecisionArg) -> Self {
        match precision {
            PrecisionArg::F32 => Self::F32,
            PrecisionArg::Bf16 => Self::Bf16,
        }
    }
}

/// What a process decides for itself, whatever the request says.
struct Options {
    counts: Counts,
    device: DeviceArg,
    precision: Precision,
    profile: bool,
    gene_column: Option<String>,
    /// Bytes for the query cells and what is computed of them.
    memory: usize,
    /// All arms go to one file.
    concatenate: bool,
}

/// A number of GiB from 0 on.
pub(super) fn gib(text: &str) -> std::result::Result<usize, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number of GiB".to_owned())?;
    match number >= 0.0 && number.is_finite() {
        true => Ok((number * f64::from(1 << 30)) as usize),
        false => Err("expected a number of GiB from 0 on".to_owned()),
    }
}

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let objects = open::objects(&config)?;
    let options = Options {
        counts: match args.counts {
            CountsArg::Sampled => Counts::Sampled,
            CountsArg::Mean => Counts::Mean,
        },
        device: args.device,
        precision: args.precision.into(),
        profile: args.profile,
        gene_column: args.gene_column.clone(),
        memory: args.memory,
        concatenate: args.concatenate,
    };
    let (request, warnings) = match (&args.request, args.splits()) {
        (Some(key), _) => (stored_request(key, &objects).await?, Vec::new()),
        (None, None) => (args.into_request()?, Vec::new()),
        (None, Some(splits)) => split_request(args.into_request()?, &splits, &objects).await?,
    };
    check::check(&request, options.concatenate, &objects)?;
    let summary = tokio::select! {
        // First, so that signals are listened to before the work begins.
        biased;
        signal = stop_signal() => {
            return Err(Error::try_again(format!("stopped by {signal} before the prediction was finished")));
        }
        summary = job::run(&request, options, warnings, &objects) => summary?,
    };
    println!("{}", serde_json::to_string(&summary).map_err(Error::bug)?);
    Ok(())
}

impl Args {
    fn splits(&self) -> Option<split::Wanted> {
        Some(split::Wanted {
            column: self.split_column.clone()?,
            values: self.split_values.clone(),
            folder: Location::from_argument(&self.output_dir.clone()?),
            concatenate: self.concatenate,
        })
    }

    fn into_request(self) -> Result<InferRequest> {
        // clap has checked that the three are there.
        let needed = |flag: Option<String>, name: &str| {
            flag.ok_or_else(|| Error::usage(format!("--{name} is needed unless --request is given")))
        };
        let location = |text: String| Location::from_argument(&text);
        let arm = Arm {
            name: "prediction".to_owned(),
            method: match self.method {
                MethodArg::Stack => Method::Stack,
                MethodArg::MeanShift => Method::MeanShift,
            },
            prompt: location(needed(self.prompt, "prompt")?),
            split: None,
            control: self.control.map(location),
            output: match (self.output, self.output_dir) {
                (None, Some(folder)) => location(folder),
                (output, _) => location(needed(output, "output")?),
            },
        };
        Ok(InferRequest {
            model: self.model.map(model::location),
            genes: self.genes.map(location),
            query: location(needed(self.query, "query")?),
            arms: vec![arm],
            sampling: Sampling {
                mode: match self.mode {
                    ModeArg::Mdm => Mode::Mdm,
                    ModeArg::Vanilla => Mode::Vanilla,
                },
                diffusion_steps: self.diffusion_steps,
                prompt_ratio: self.prompt_ratio,
                context_ratio: self.context_ratio,
                context_ratio_min: self.context_ratio_min,
                batch_size: self.batch_size,
                seed: self.seed,
            },
            summary: None,
        })
    }
}

/// Reads a request by its key, address or path.
async fn stored_request(text: &str, objects: &Objects) -> Result<InferRequest> {
    let location = match text.parse::<ObjectKey>() {
        Ok(key) => Location::Key(key.to_string()),
        Err(_) => Location::from_argument(text),
    };
    let scratch = tempfile::tempdir().map_err(|error| Error::failed(format!("no temporary folder: {error}")))?;
    let file = objects.fetch(&location, scratch.path()).await?;
    let json = std::fs::read(&file).map_err(|error| Error::failed(format!("{location}: {error}")))?;
    serde_json::from_slice(&json)
        .map_err(|error| Error::failed(format!("{location} is not an inference request: {error}")))
}

/// The request with an arm for each split, and what the user should know of them.
async fn split_request(
    mut request: InferRequest,
    wanted: &split::Wanted,
    objects: &Objects,
) -> Result<(InferRequest, Vec<String>)> {
    let scratch = tempfile::tempdir().map_err(|error| Error::failed(format!("no temporary folder: {error}")))?;
    let arm = &request.arms[0];
    let prompt = objects.fetch(&arm.prompt, scratch.path()).await?;
    let (arms, warnings) = split::arms(arm, wanted, &prompt)?;
    if let Some(folder) = objects.in_place(&wanted.folder)? {
        std::fs::create_dir_all(&folder).map_err(|error| Error::failed(format!("{}: {error}", folder.display())))?;
    }
    request.arms = arms;
    Ok((request, warnings))
}

/// Waits for the system or the user to ask for an end.
pub(super) async fn stop_signal() -> &'static str {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            return tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = tokio::signal::ctrl_c() => "Ctrl-C",
            };
        }
    }
    let _ = tokio::signal::ctrl_c().await;
    "Ctrl-C"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> std::result::Result<Args, clap::Error> {
        use clap::Parser;
        Command::try_parse_from(std::iter::once("infer").chain(line.split(' '))).map(|command| command.args)
    }

    #[test]
    fn older_spellings_mean_the_same() {
        let line = "--prompt-gcs gs://b/p.h5ad --query-gcs gs://b/q.h5ad --output-gcs gs://b/o.h5ad \
                    --model-gcs gs://b/m.ckpt --genelist-gcs gs://b/g.json --diffusion-steps 7 --batch-size 2";
        let request = parse(line).unwrap().into_request().unwrap();
        assert_eq!(request.model, Some(Location::Url("gs://b/m.ckpt".into())));
        assert_eq!(request.genes, Some(Location::Url("gs://b/g.json".into())));
        assert_eq!(request.arms[0].output, Location::Url("gs://b/o.h5ad".into()));
        assert_eq!((request.sampling.diffusion_steps, request.sampling.batch_size), (7, 2));
        assert_eq!(request.sampling.mode, Mode::Mdm);
    }

    #[test]
    fn memory_is_given_in_gib() {
        assert_eq!(parse("--prompt p --query q --output o").unwrap().memory, 4 << 30);
        assert_eq!(parse("--prompt p --query q --output o --memory 0.5").unwrap().memory, 1 << 29);
        assert!(gib("-1").is_err() && gib("inf").is_err() && gib("much").is_err());
    }

    #[test]
    fn a_request_stands_alone_and_flags_need_each_other() {
        assert!(parse("--request batch-io/run_0123456789ab/iter_1/request.json --device cpu").is_ok());
        assert!(parse("--request x --prompt p").is_err());
        assert!(parse("--request x --seed 3").is_err(), "the request says the seed");
        assert!(parse("--prompt p --query q").is_err());
        assert!(parse("--prompt p --query q --output o --diffusion-steps 0").is_err());
    }
}

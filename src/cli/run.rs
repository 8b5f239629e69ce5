//! `haystack run "QUESTION"`: asks, follows and prints a run in the terminal.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Error, Result, open, progress};
use crate::api;
use crate::config::Config;
use crate::domain::RunId;
use crate::domain::evaluation::{GeneChange, RunResult};
use crate::domain::query::StructuredQuery;
use crate::domain::run::{ControlStrategy, EffectiveControl, Iteration, Lifecycle, Measured, Predictor};
use crate::domain::score::Outcome;
use crate::domain::sentence::sentence;
use crate::executor::Executor;
use crate::knowledge::question;
use crate::objects::ObjectKey;
use crate::orchestrate::{self, Context, Ended};

/// What to ask and how to answer it; whatever is left out takes the configured default.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which cells, and what they are exposed to: "How would B cells respond to interferon beta?"
    question: String,

    /// Answer with this imported STACK model
    #[arg(long, value_name = "NAME", conflicts_with = "baseline")]
    model: Option<String>,

    /// Answer with the mean-shift baseline alone
    #[arg(long)]
    baseline: bool,

    /// What the prediction is compared with: synthetic_control or query_as_control
    #[arg(long, value_name = "STRATEGY")]
    control_strategy: Option<ControlStrategy>,

    /// Cells measured in the very combination asked about: compare with them afterwards (hold-out),
    /// or let them be the prompt (use)
    #[arg(long, value_name = "hold-out|use")]
    measured: Option<Measured>,

    /// Try at most this many prompts (1 to 10)
    #[arg(long, value_name = "N")]
    max_iterations: Option<u32>,

    /// Stop at this score (1 to 10)
    #[arg(long, value_name = "SCORE")]
    score_threshold: Option<u32>,

    /// Seed of every draw; chosen and shown when left out
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Leave gene set enrichment out
    #[arg(long)]
    no_enrichment: bool,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Stores the run, carries it out in this process and prints what it came to.
pub async fn run(args: Args, config: Config) -> Result {
    let text = question::check(&args.question).map_err(Error::usage)?;
    let defaults = config.run_settings();
    let settings = crate::domain::run::Settings {
        control_strategy: args.control_strategy.unwrap_or(defaults.control_strategy),
        predictor: match (args.model, args.baseline) {
            (Some(model), _) => Predictor::Stack { model },
            (None, true) => Predictor::MeanShift {},
            (None, false) => defaults.predictor,
        },
        max_iterations: args.max_iterations.unwrap_or(defaults.max_iterations),
        score_threshold: args.score_threshold.unwrap_or(defaults.score_threshold),
        seed: args.seed.unwrap_or(defaults.seed),
        measured: args.measured.unwrap_or(defaults.measured),
        pathway_enrichment: !args.no_enrichment,
        criteria: defaults.criteria,
    };
    let settings = settings.checked().map_err(Error::usage)?;
    let ctx = open::context(config).await?;
    api::settle_abandoned_runs(&ctx.database, &ctx.executor).await?;
    open::check_predictor(&ctx.objects, &settings.predictor).await?;

    let id = RunId::random();
    ctx.database.create_run(&id, &ctx.config.user.email, text, &settings, &Executor::owner()).await?;
    let ended = follow(&ctx, &id).await?;
    match ended {
        Ended::Completed(result) => {
            let report = report(&ctx, &id, &result).await?;
            if args.json {
                println!("{}", serde_json::to_string_pretty(&report).map_err(Error::bug)?);
            } else {
                print(&ctx, &id, &result).await?;
            }
            Ok(())
        }
        Ended::Cancelled => {
            if args.json {
                println!("{}", json!({"run_id": id, "status": "cancelled"}));
            }
            eprintln!("Run {id} was cancelled");
            Ok(())
        }
        Ended::Failed(failure) => {
            if args.json {
                println!("{}", json!({"run_id": id, "status": "failed", "failure": failure}));
            }
            let hint = failure.hint.clone();
            let error = Error::failed(failure);
            Err(match hint {
                Some(hint) => error.hint(hint),
                None => error,
            })
        }
    }
}

/// Runs while showing the phase on a terminal; Ctrl-C cancels.
async fn follow(ctx: &Context, id: &RunId) -> Result<Ended> {
    let bar = progress::spinner("{spinner} {msg} ({elapsed})");
    bar.enable_steady_tick(Duration::from_millis(120));
    let watch = async {
        loop {
            if let Ok(Some(record)) = ctx.database.run(id).await {
                let iteration = match record.current_iteration {
                    0 => String::new(),
                    n => format!("Iteration {n}: "),
                };
                bar.set_message(format!("{iteration}{}", record.phase.title()));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let interrupted = async {
        let _ = tokio::signal::ctrl_c().await;
        let _ = ctx.database.request_cancel(id).await;
        bar.println("Cancelling");
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = orchestrate::run(ctx, id) => ended,
        () = watch => unreachable!("watching never ends"),
        () = interrupted => unreachable!("an interrupted run ends by itself"),
    };
    bar.finish_and_clear();
    Ok(ended?)
}

async fn report(ctx: &Context, id: &RunId, result: &RunResult) -> Result<Value> {
    let record = ctx.database.run(id).await?.ok_or_else(|| Error::bug(format!("run {id} vanished")))?;
    let files: serde_json::Map<String, Value> =
        outputs(id).into_iter().map(|(name, key)| (name.to_owned(), ctx.objects.address_of(&key).into())).collect();
    Ok(json!({
        "run_id": id,
        "status": Lifecycle::Completed.status(),
        "settings": record.settings,
        "query": record.structured_query,
        "result": result,
        "iterations": ctx.database.iterations(id).await?,
        "outputs": files,
    }))
}

fn outputs(id: &RunId) -> [(&'static str, ObjectKey); 4] {
    [
        ("anndata", ObjectKey::Output { run: id.clone() }),
        ("report_md", ObjectKey::ReportMarkdown { run: id.clone() }),
        ("report_html", ObjectKey::ReportHtml { run: id.clone() }),
        ("log", ObjectKey::Log { run: id.clone() }),
    ]
}

async fn print(ctx: &Context, id: &RunId, result: &RunResult) -> Result {
    let record = ctx.database.run(id).await?.ok_or_else(|| Error::bug(format!("run {id} vanished")))?;
    let iterations = ctx.database.iterations(id).await?;
    if result.simulated {
        println!("SIMULATED cells: for trying the software, not for conclusions\n");
    }
    if let Some(query) = &record.structured_query {
        println!("Read as   {}", read_as(query));
        for note in &query.notes {
            println!("          {}", sentence(note));
        }
    }
    let show = |score: Option<u32>| score.map_or("no score".to_owned(), |score| format!("{score} / 10"));
    match &result.model {
        Some(model) => {
            println!("Score     {}  (STACK model {})", show(result.answer.score), model.name);
            println!("Baseline  {}  (mean shift)", show(result.baseline.score));
            if let Some(licence) = &model.licence {
                println!("Licence of the weights: {licence}");
            }
        }
        None => println!("Score     {}  (mean-shift baseline)", show(result.answer.score)),
    }
    if let Some(best) = iterations.iter().find(|iteration| iteration.number == result.best_iteration) {
        print_iteration(best);
    }
    if let Some(measured) = &result.measured {
        let r = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        let cells = if result.simulated { "simulated cells held out" } else { "measured cells held out" };
        let baseline = match result.model {
            Some(_) => format!(", baseline {}", r(measured.baseline.pearson)),
            None => String::new(),
        };
        println!(
            "\nAgainst {} {cells}: Pearson correlation of log2 fold changes over {} genes {}{baseline}",
            measured.n_treatment,
            measured.n_genes,
            r(measured.answer.pearson),
        );
    }
    match result.answer.n_de_genes {
        1 => println!("\n1 gene predicted to change"),
        n => println!("\n{n} genes predicted to change"),
    }
    print_genes("Up", &result.answer.top_upregulated);
    print_genes("Down", &result.answer.top_downregulated);
    if !result.answer.enriched_pathways.is_empty() {
        println!("\nEnriched gene sets");
        for directed in result.answer.enriched_pathways.iter().take(10) {
            let set = &directed.set;
            println!(
                "  {:<60} {:>3}/{:<4} adjusted p {:.1e}",
                set.name, set.overlap, set.set_size, set.adjusted_p_value
            );
        }
    }
    println!("\nRun {id}, seed {}", record.settings.seed);
    for (_, key) in outputs(id) {
        println!("{}", ctx.objects.address_of(&key));
    }
    Ok(())
}

/// What the question was taken to ask about, with the ids.
fn read_as(query: &StructuredQuery) -> String {
    let mut parts = vec![format!("{} ({})", query.cell_type.name, query.cell_type.id)];
    if let Some(perturbation) = &query.perturbation {
        parts.push(match perturbation.ids.first() {
            Some(id) => format!("{} ({id})", perturbation.name),
            None => perturbation.name.clone(),
        });
    }
    parts.extend(
        [&query.tissue, &query.disease].into_iter().flatten().map(|term| format!("{} ({})", term.name, term.id)),
    );
    parts.extend(query.donor.as_ref().map(|donor| format!("donor {donor}")));
    parts.join(", ")
}

fn print_iteration(best: &Iteration) {
    for component in &best.grounding.components {
        match &component.outcome {
            Outcome::Scored { value, null, .. } => println!(
                "  {:<20} {value:>5}  above {:.0} % of {} random draws",
                component.name.title(),
                100.0 * null.percentile,
                null.draws
            ),
            Outcome::Insufficient { why } => println!("  {:<20}     -  {why}", component.name.title()),
        }
    }
    println!("\nPrompt    {} cells: {}", best.n_prompt_cells, best.prompt.rationale);
    match &best.control {
        EffectiveControl::SyntheticControl { relaxations, .. } if relaxations.is_empty() => {
            println!("Control   {} paired cells", best.n_control_cells);
        }
        EffectiveControl::SyntheticControl { relaxations, .. } => {
            println!("Control   {} cells, whatever their {}", best.n_control_cells, relaxations.join(", "));
        }
        EffectiveControl::QueryAsControl { why, .. } => println!("Control   the query cells: {why}"),
    }
    println!("Query     {} cells", best.n_query_cells);
}

fn print_genes(title: &str, changes: &[GeneChange]) {
    if !changes.is_empty() {
        let genes: Vec<String> =
            changes.iter().take(10).map(|c| format!("{} {:+.1}", c.gene, c.log2_fold_change)).collect();
        println!("  {title:<5} {}", genes.join(", "));
    }
}

//! HAYSTACK: ask in words how cells would respond; get a prediction with its evidence.
//!
//! A biologist asks *"How would B cells respond to interferon beta?"*. The words become ontology
//! terms, the atlases we hold give prompt cells that show the response elsewhere, the STACK model
//! predicts the asked cells in that context, the prediction is scored against known biology, other
//! prompts are tried while that helps, and an AnnData file, a report and a log come out.
//!
//! One binary: `serve` (HTTP API and page), `orchestrate` (one run's loop), `infer` and `embed` (the model),
//! `run` (all of it in a terminal), what fills and looks after the stores (`import`, `datasets`, `resolve`,
//! `migrate`, `doctor`), and the statistics each on its own (`de`, `enrich`, `prerank`, `activity`).
//!
//! # The map
//!
//! Six bands, each using those below it and at most a neighbour. `tests/it/tidy.rs` holds the table of who
//! may use whom.
//!
//! | band | modules | what |
//! |---|---|---|
//! | DOORS | [`cli`], [`api`] | one file per mode; HTTP in, HTTP out |
//! | WORK | [`orchestrate`] | the iterative run |
//! | KNOW, HAVE | [`knowledge`], [`atlas`] | names and facts; the cells we hold |
//! | COMPUTE | [`stack`], [`stats`], [`anndata`] | the model, the statistics, the files |
//! | WORLD | [`database`], [`objects`], [`executor`] | everything outside the process |
//! | WORDS | [`domain`], [`config`], [`telemetry`] | types and rules, settings, log lines |
//!
//! # What always holds
//!
//! - `domain`, `stats`, `anndata`, `stack` are synchronous and do no network I/O; the same input and
//!   seed give the same numbers, whatever the number of threads.
//! - Only `config` reads the environment; only `cli` writes to the terminal (log lines aside) or picks
//!   an exit code.
//! - Only `database` contains SQL; only `objects` knows a storage path; only `executor` writes a
//!   command line.
//! - `api` answers from the stores. It never loads a model.
//! - `orchestrate` and `infer` share [`domain::inference`] and nothing else.
//! - A run changes state only along the moves of [`domain::run::Lifecycle`]; the SQL repeats the
//!   from-states in its `WHERE`.
//! - Every fallback (control strategy, relaxed match, missing knowledge) is a stored value.
//!
//! # Where to change what
//!
//! | I want to change… | I open |
//! |---|---|
//! | a route, or what it returns | `api/mod.rs` → `api/runs.rs` |
//! | what the page shows | `assets/web/`, `api/web.rs` |
//! | how a question is read | `knowledge/question/` |
//! | how a name is resolved | `knowledge/resolve.rs`; how likely a name is meant, `knowledge/{weigh,rank}.rs`, `assets/resolver.tsv`; `make bench-resolver` |
//! | which words and abbreviations are known | `assets/vocabulary.tsv`, `assets/names.tsv` |
//! | how prompts are found or ranked | `orchestrate/retrieve/` |
//! | how controls are paired, cells drawn | `atlas/controls.rs`, `atlas/cells.rs` |
//! | which columns of a file mean what | `atlas/profile/`, `atlas/harmonize/` |
//! | how a few cells are read quickly | `atlas/row_file/`, `anndata/store/direct.rs`; `make bench-atlas` |
//! | how a score is made | `orchestrate/evaluate/`, `domain/score.rs` |
//! | when a run stops | `orchestrate/decide.rs` |
//! | what a report says | `assets/report.{html,md}`, `orchestrate/report/` |
//! | which files of knowledge are read, or fetched | `knowledge/import.rs`, `cli/import/` |
//! | a statistic | `stats/` and its reference numbers; its command in `cli/{de,enrich,prerank,activity}.rs`; `make bench-stats` |
//! | the model | `stack/` and its parity tests |
//! | how checkpoints are read | `stack/checkpoint/`, `make fuzz` |
//! | how text in `.h5ad` files is read | `anndata/store/heap.rs`, `make fuzz` |
//! | how fast the model is on a processor | `stack/cpu/` and `make bench-stack` |
//! | how much memory many cells take | `stack/spool.rs` |
//! | a table or query | `migrations/`, `database/<family>.rs` |
//! | where a file is stored | `objects/key.rs` |
//! | a setting | `assets/config.default.toml`, `config/` |
//!
//! # Three walkthroughs
//!
//! **`POST /api/v1/runs/`** ([`api`]): the body parses to `CreateRun` (wire), then to
//! [`domain::run::Settings`] within its limits; [`database::Database::create_run`] stores it as
//! queued, in the hands of this process; [`executor::Executor`] starts `haystack orchestrate --run-id`, and
//! the run is handed over to that job; the answer is 201 with the shape that reading a run has. If the start
//! fails, or the process later ends without finishing the run, the run is failed with a reason. No cells are
//! read and no model is loaded in the request.
//!
//! **One iteration** ([`orchestrate`], each line one call): enter the phase (one `UPDATE` that also
//! says whether the run was cancelled) → candidates from every strategy, ranked, tried ones left out →
//! controls paired with the best → query cells chosen → cells drawn and written, one inference job
//! for all arms, predictions read → statistics, scores, the baseline beside them → everything
//! recorded in one transaction → go on, or stop and why.
//!
//! **`haystack infer`** (`cli/infer/`): flags or a stored request become one
//! [`domain::inference::InferRequest`]; [`objects`] brings the files; [`stack`] loads weights, aligns
//! genes, arranges windows and generates, keeping in memory what `--memory` allows and the rest in
//! temporary files; [`anndata`] writes each arm; the summary goes last, so its presence means done. No
//! database, and no clock in what is predicted. `haystack embed` shares the reading and the network.

pub mod anndata;
pub mod api;
pub mod atlas;
pub mod cli;
pub mod config;
pub mod database;
pub mod domain;
pub mod executor;
pub mod knowledge;
pub mod objects;
pub mod orchestrate;
pub mod stack;
pub mod stats;
pub mod telemetry;

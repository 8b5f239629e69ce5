//! `haystack import model`: a checkpoint and its gene list become a named model in the object store.

use std::path::PathBuf;

use crate::cli::blocking::blocking;
use crate::cli::{Error, Result, open};
use crate::config::Config;
use crate::domain::inference::Location;
use crate::objects::{ObjectKey, Objects, check_name};
use crate::stack::checkpoint::Checkpoint;
use crate::stack::folder::{self, ABOUT_FILE, About, FILES};
use crate::stack::genes::GeneList;

/// Arguments of `haystack import model`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The checkpoint: a Lightning .ckpt, or .safetensors with config.json beside it
    #[arg(value_name = "CKPT")]
    checkpoint: PathBuf,

    /// The gene list published with it (.pkl, .json or one gene per line)
    #[arg(long, value_name = "FILE")]
    genes: PathBuf,

    /// Name to import it under
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: String,

    /// Licence of the weights; stored with every prediction made with them
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,

    /// Print what was imported as JSON
    #[arg(long)]
    json: bool,
}

fn name(text: &str) -> std::result::Result<String, String> {
    check_name(text).map(|()| text.to_owned())
}

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let objects = open::objects(&config)?;
    let Args { checkpoint, genes, name, licence, json } = args;
    let scratch = tempfile::tempdir().map_err(|error| Error::failed(format!("no temporary folder: {error}")))?;
    let (folder, new_name) = (scratch.path().to_owned(), name.clone());
    let about = blocking(move || {
        let mut checkpoint = Checkpoint::open(&checkpoint).map_err(Error::failed)?;
        let genes = GeneList::read(&genes).map_err(Error::failed)?;
        folder::convert(&mut checkpoint, &genes, &new_name, licence.as_deref(), &folder).map_err(Error::failed)
    })
    .await?;
    if let Some(known) = imported(&objects, &name).await? {
        if !known.is_same_model(&about) {
            return Err(Error::failed(format!("there is another model called {name}, from {}", known.source))
                .hint("choose another --name; runs refer to models by name, so one is never replaced"));
        }
        if known.licence == about.licence || about.licence.is_none() {
            eprintln!("Model {name} is there already, with the same weights and genes; nothing to do");
            return show(&known, json);
        }
    }
    // The description goes last: a model without it is not there.
    for file in FILES {
        let key = ObjectKey::Model { name: name.clone(), file: file.to_owned() };
        objects.put_file(&key, &scratch.path().join(file)).await?;
    }
    if let Some(folder) = objects.in_place(&Location::Key(ObjectKey::model_folder(&name)))? {
        folder::note_checked(&folder, &about.sha256);
    }
    eprintln!(
        "Imported {} as {name}: {} model, {} genes, windows of {} cells, licence {}",
        about.source,
        about.kind.as_str(),
        about.n_genes,
        about.n_cells,
        about.licence.as_deref().unwrap_or("not stated")
    );
    if about.licence.is_none() {
        eprintln!(
            "Hint: state the licence of the weights with --licence; Arc's published STACK weights are for non-commercial use"
        );
    }
    show(&about, json)
}

fn show(about: &About, json: bool) -> Result {
    if json {
        println!("{}", serde_json::to_string(about).map_err(Error::bug)?);
    }
    Ok(())
}

/// What is imported under a name.
async fn imported(objects: &Objects, name: &str) -> Result<Option<About>> {
    let key = ObjectKey::Model { name: name.to_owned(), file: ABOUT_FILE.to_owned() };
    if !objects.exists(&key).await? {
        return Ok(None);
    }
    let json = objects.get(&key).await?;
    serde_json::from_slice(&json).map(Some).map_err(|error| Error::failed(format!("{key} is damaged: {error}")))
}

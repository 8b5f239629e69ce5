//! The model of an inference job: where it is, what it is, and the device it runs on.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use candle_core::Device;

use super::DeviceArg;
use crate::cli::{Error, Result, open};
use crate::domain::inference::Location;
use crate::domain::run::Predictor;
use crate::objects::{ObjectKey, Objects, check_name};
use crate::stack::checkpoint::Checkpoint;
use crate::stack::folder::{self, GENES_FILE};
use crate::stack::genes::GeneList;
use crate::stack::model::{Compute, Model, Precision};

/// A model ready to run.
pub struct Loaded {
    /// The network.
    pub model: Model,
    /// Its genes.
    pub genes: GeneList,
    /// Its name.
    pub name: String,
    /// Licence of the weights, where it is known.
    pub licence: Option<String>,
    fingerprint: Fingerprint,
}

impl Loaded {
    /// SHA-256 of its weights file, in hexadecimal.
    pub fn sha256(&self) -> Result<String> {
        self.fingerprint.sha256()
    }

    /// What the user should know of it. A licence that is known is told at once.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        match &self.licence {
            Some(licence) => tracing::warn!("the licence of the weights of {} is {licence}", self.name),
            None => warnings.push(format!(
                "the licence of the weights of {} is not recorded; Arc's published STACK weights are for non-commercial use",
                self.name
            )),
        }
        let unfed = self.genes.is_upper().into_iter().filter(|upper| !upper).count();
        if unfed > 0 {
            warnings.push(format!(
                "{unfed} genes of the model's list are not upper case; as in the reference they are predicted but never fed to it"
            ));
        }
        warnings
    }
}

/// The hash of a weights file. That of a file which was not imported is only wanted when something is
/// written, so it is computed beside the work.
struct Fingerprint {
    found: OnceLock<std::result::Result<String, String>>,
    thread: Mutex<Option<JoinHandle<std::result::Result<String, String>>>>,
}

impl Fingerprint {
    fn known(sha256: String) -> Self {
        Self { found: OnceLock::from(Ok(sha256)), thread: Mutex::default() }
    }

    fn beside(file: PathBuf) -> Self {
        let hash = move || folder::sha256(&file).map_err(|error| error.to_string());
        Self { found: OnceLock::new(), thread: Mutex::new(Some(std::thread::spawn(hash))) }
    }

    fn sha256(&self) -> Result<String> {
        let wait = || {
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            let hashed = thread.map(JoinHandle::join);
            hashed.and_then(std::result::Result::ok).unwrap_or_else(|| Err("the weights were not hashed".to_owned()))
        };
        self.found.get_or_init(wait).clone().map_err(Error::failed)
    }
}

/// What `--model` names: a path or address, or else the name of an imported model.
pub fn location(text: String) -> Location {
    let imported = !text.contains("://") && !Path::new(&text).exists() && check_name(&text).is_ok();
    // A misspelt file is better reported as a file than as a model.
    let is_file = Path::new(&text).extension().is_some_and(|e| e == "ckpt" || e == "safetensors");
    if imported && !is_file {
        return Location::Key(ObjectKey::model_folder(&text));
    }
    Location::from_argument(&text)
}

/// Fails when it is the name of a model that is not imported.
pub async fn check(location: &Location, objects: &Objects) -> Result {
    let name = match location {
        Location::Key(key) => key.strip_prefix("models/").filter(|name| !name.contains('/')),
        _ => None,
    };
    match name {
        Some(name) => open::check_predictor(objects, &Predictor::Stack { model: name.to_owned() }).await,
        None => Ok(()),
    }
}

/// Reads a model from this machine.
pub fn load(path: &Path, genes: Option<&Path>, compute: &Compute) -> Result<Loaded> {
    let mut checkpoint = Checkpoint::open(path).map_err(Error::failed)?;
    let beside = checkpoint.weights_path().with_file_name(GENES_FILE);
    let genes = match genes {
        Some(genes) => GeneList::read(genes),
        None if beside.is_file() => GeneList::read(&beside),
        None => {
            return Err(Error::usage(format!("{} does not bring its gene list", path.display()))
                .hint("give --genes FILE, the list that was published with these weights")
                .hint("or import the model once: haystack import model CKPT --genes FILE --name NAME"));
        }
    };
    let genes = genes.map_err(Error::failed)?;
    folder::check_genes(&checkpoint, &genes).map_err(Error::failed)?;
    let about = match path.is_dir() {
        true => folder::about(path).map_err(Error::failed)?,
        false => None,
    };
    let fingerprint = match &about {
        None => Fingerprint::beside(checkpoint.weights_path().to_owned()),
        Some(about) => {
            let sha256 = folder::checked_sha256(path).map_err(Error::failed)?;
            if about.sha256 != sha256 {
                return Err(Error::failed(format!(
                    "the weights of model {} are not those that were imported: {} has another SHA-256",
                    about.name,
                    checkpoint.weights_path().display()
                ))
                .hint("import the model again"));
            }
            Fingerprint::known(sha256)
        }
    };
    let file_name = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Loaded {
        model: Model::load(&mut checkpoint, compute).map_err(Error::failed)?,
        genes,
        name: about.as_ref().map_or_else(file_name, |about| about.name.clone()),
        licence: about.and_then(|about| about.licence),
        fingerprint,
    })
}

/// The device, and how it is called in a summary.
pub fn device(wanted: DeviceArg, precision: Precision) -> Result<(Compute, &'static str)> {
    let cpu = (Compute::Cpu(precision), "cpu");
    if wanted == DeviceArg::Cpu {
        return Ok(cpu);
    }
    match cuda() {
        Ok(_) if wanted == DeviceArg::Auto && precision == Precision::Bf16 => {
            tracing::info!("computing on the CPU, because bf16 is not for GPUs");
            Ok(cpu)
        }
        Ok(_) if precision == Precision::Bf16 => Err(Error::usage("bf16 is for the CPU; a GPU computes in f32")
            .hint("leave out --precision, or use --device cpu")),
        Ok(device) => Ok((Compute::Tensors(device), "cuda:0")),
        Err(why) if wanted == DeviceArg::Auto => {
            tracing::info!("computing on the CPU, because no GPU can be used: {why}");
            Ok(cpu)
        }
        Err(why) => Err(Error::usage(format!("no GPU can be used: {why}")).hint("use --device auto or cpu")),
    }
}

/// The first GPU, or why there is none.
fn cuda() -> std::result::Result<Device, String> {
    if !cfg!(feature = "cuda") {
        return Err("this program was built without the feature cuda".to_owned());
    }
    // The driver's library is looked up when it is first used, and where it is missing that panics.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = std::panic::catch_unwind(|| Device::new_cuda(0));
    std::panic::set_hook(hook);
    match found {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the library of the NVIDIA driver, libcuda.so, cannot be loaded".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_imported_model_and_anything_else_a_file() {
        let key = |text: &str| location(text.to_owned());
        assert_eq!(key("stack-large"), Location::Key("models/stack-large".into()));
        assert_eq!(key("gs://b/models/x"), Location::Url("gs://b/models/x".into()));
        assert_eq!(key("missing.ckpt"), Location::Path("missing.ckpt".into()));
        assert_eq!(key("./folder/missing"), Location::Path("./folder/missing".into()));
        assert_eq!(key("Cargo.toml"), Location::Path("Cargo.toml".into()));
    }
}

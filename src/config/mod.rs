//! WORDS: the configuration. The one place that reads the environment.
//!
//! Defaults (`assets/config.default.toml`, part of the program) < a file < conventional variables
//! such as `DATABASE_URL` < `HAYSTACK__SECTION__KEY`. A key we do not know is refused with the nearest
//! one we do. What comes out is parsed: a backend is an enum that carries exactly what it needs.

mod environment;
mod keys;
mod objects;
mod sections;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format, Toml};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::domain::run::{ControlStrategy, Predictor, Settings};

pub use environment::Environment;
pub use objects::{GcsAccess, Objects, S3Access, S3Credentials, Signing, Store};
pub use sections::{ApiKeys, Evaluation, Iteration, Jobs, Log, LogFormat, Planner, PlannerKind, Retrieval, User};

/// Every key with its meaning and default, as TOML.
pub const DEFAULTS: &str = include_str!("../../assets/config.default.toml");

/// The configuration, parsed. Secrets show as `[REDACTED]` in `Debug`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from, if there was one.
    pub file: Option<PathBuf>,
    /// Folder for everything kept on this machine. May not exist yet.
    pub home: PathBuf,
    /// Where to listen.
    pub server: Server,
    /// Who owns the runs started here.
    pub user: User,
    /// Where the database is.
    pub database: Database,
    /// Where objects are.
    pub objects: Objects,
    /// Child processes.
    pub jobs: Jobs,
    /// How a question is read.
    pub planner: Planner,
    /// Keys of language model vendors.
    pub api_keys: ApiKeys,
    /// What answers when the question does not say.
    pub predictor: Predictor,
    /// Choosing cells.
    pub retrieval: Retrieval,
    /// When a run stops.
    pub iteration: Iteration,
    /// Thresholds of the statistics.
    pub evaluation: Evaluation,
    /// Log lines.
    pub log: Log,
    /// What the environment asks of this one process.
    pub invocation: Invocation,
}

/// Where the server listens and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Loopback unless `server.allow_remote` is set.
    pub address: SocketAddr,
    /// Base of links to this server.
    pub public_url: Url,
    /// Origins, such as `https://console.example.org`, whose pages may call the API. None by default.
    pub allowed_origins: Vec<String>,
}

/// Where the database is.
#[derive(Clone, Debug)]
pub enum Database {
    /// A file on this machine.
    Sqlite {
        /// Address that begins with `sqlite:`.
        url: String,
    },
    /// A server.
    Postgres {
        /// Address with its password.
        url: SecretString,
    },
}

impl Database {
    /// The address, with the password if it has one: for opening, never for showing.
    pub fn url(&self) -> &str {
        match self {
            Self::Sqlite { url } => url,
            Self::Postgres { url } => url.expose_secret(),
        }
    }
}

/// What the environment asks of one process, as the job templates do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// `RUN_ID`, as written.
    pub run_id: Option<String>,
    /// `CONTROL_STRATEGY`, if it names one; another text counts as not set. New runs take it where nothing
    /// else is asked for, and the run of `RUN_ID` in any case.
    pub control_strategy: Option<ControlStrategy>,
}

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {} is not valid TOML: {why}", path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Line and what is wrong.
        why: String,
    },
    /// A key that does not exist.
    #[error("{place} sets '{key}', which does not exist{}", nearest.as_ref().map(|n| format!("; did you mean '{n}'?")).unwrap_or_default())]
    UnknownKey {
        /// `FILE line N` or `the environment`.
        place: String,
        /// As written there.
        key: String,
        /// The most similar key that does exist, if one is similar.
        nearest: Option<String>,
    },
    /// A value that cannot be used.
    #[error("{key} {why}{}", place.as_ref().map(|p| format!(" (set in {p})")).unwrap_or_default())]
    Value {
        /// Such as `server.port`.
        key: String,
        /// What is wrong, and what is right.
        why: String,
        /// Where it was set, if known.
        place: Option<String>,
    },
}

impl Error {
    fn value(key: &str, why: impl Into<String>) -> Self {
        Self::Value { key: key.to_owned(), why: why.into(), place: None }
    }
}

/// The file and the environment as they are written, checked for types only.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    home: String,
    server: WrittenServer,
    user: User,
    database: WrittenDatabase,
    objects: objects::Written,
    jobs: Jobs,
    planner: Planner,
    api_keys: ApiKeys,
    predictor: WrittenPredictor,
    retrieval: Retrieval,
    iteration: Iteration,
    evaluation: Evaluation,
    log: Log,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenServer {
    address: std::net::IpAddr,
    port: u16,
    allow_remote: bool,
    public_url: String,
    allowed_origins: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDatabase {
    url: SecretString,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPredictor {
    method: crate::domain::inference::Method,
    model: String,
}

impl Config {
    /// What a run does where nobody said otherwise, with a seed of its own.
    pub fn run_settings(&self) -> Settings {
        Settings {
            control_strategy: self.invocation.control_strategy.unwrap_or_default(),
            predictor: self.predictor.clone(),
            max_iterations: self.iteration.max_iterations,
            score_threshold: self.iteration.score_threshold,
            seed: u64::from(rand::random::<u32>()),
            measured: self.retrieval.measured,
            pathway_enrichment: true,
            criteria: self.evaluation.criteria(),
        }
    }

    /// Reads the configuration. `file` is what the user named with `--config`; a file named there or in
    /// `HAYSTACK_CONFIG` must exist, `config.toml` in the home folder may.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, Error> {
        let file = find_file(file, environment);
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(path) = &file {
            let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.clone(), source })?;
            keys::check_file(path, &text)?;
            figment = figment.merge(Toml::file_exact(path));
        }
        for setting in environment.settings()? {
            figment = figment.merge(setting);
        }
        let written: Written = figment.extract().map_err(value_error)?;
        written.parse(file, environment)
    }
}

fn find_file(named: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
    let named = named.map(Path::to_owned).or_else(|| environment.get("HAYSTACK_CONFIG").map(PathBuf::from));
    named.or_else(|| {
        let home = environment.get("HAYSTACK_HOME").map(PathBuf::from).or_else(|| environment.data_folder());
        home.map(|home| home.join("config.toml")).filter(|path| path.is_file())
    })
}

fn value_error(error: figment::Error) -> Error {
    use figment::error::{Actual, Kind};
    let key = error.path.join(".");
    let place = error.metadata.as_ref().map(|metadata| match &metadata.source {
        Some(figment::Source::File(path)) => path.display().to_string(),
        _ => metadata.name.to_string(),
    });
    let may_be_secret = ["api_keys", "database", "objects"].iter().any(|section| key.starts_with(section));
    let found = |actual: &Actual| if may_be_secret { String::new() } else { format!(", found {actual}") };
    let why = match &error.kind {
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            let expected = match expected.as_str() {
                "u8" | "u16" | "u32" | "u64" => "a whole number in range, 0 or more",
                "f64" => "a number",
                "a boolean" => "true or false",
                "a string" => "a text in quotes",
                other => other,
            };
            format!("must be {expected}{}", found(actual))
        }
        Kind::UnknownVariant(word, words) => format!("must be one of {}, found '{word}'", words.join(", ")),
        other => format!("cannot be used: {other}"),
    };
    Error::Value { key, why, place }
}

impl Written {
    fn parse(self, file: Option<PathBuf>, environment: &Environment) -> Result<Config, Error> {
        let home = match set(&self.home) {
            Some(home) => PathBuf::from(home),
            None => environment.data_folder().ok_or_else(|| {
                Error::value(
                    "home",
                    "is not set and there is no home folder to fall back on; set HAYSTACK_HOME=/folder",
                )
            })?,
        };
        let home = std::path::absolute(&home)
            .map_err(|error| Error::value("home", format!("is not a usable folder: {}: {error}", home.display())))?;
        let server = self.server.parse()?;
        self.retrieval.check()?;
        self.iteration.check()?;
        self.evaluation.check()?;
        self.jobs.check()?;
        Ok(Config {
            database: self.database.parse(&home)?,
            objects: self.objects.parse(&home, &server.public_url)?,
            predictor: self.predictor.parse()?,
            invocation: Invocation {
                run_id: environment.get("RUN_ID").map(str::to_owned),
                control_strategy: environment.get("CONTROL_STRATEGY").and_then(|word| word.parse().ok()),
            },
            file,
            home,
            server,
            user: self.user,
            jobs: self.jobs,
            planner: self.planner,
            api_keys: self.api_keys,
            retrieval: self.retrieval,
            iteration: self.iteration,
            evaluation: self.evaluation,
            log: self.log,
        })
    }
}

impl WrittenServer {
    fn parse(self) -> Result<Server, Error> {
        if !self.address.is_loopback() && !self.allow_remote {
            let why = format!(
                "is {}, which other machines can reach; use 127.0.0.1, or set server.allow_remote = true if \
                 everyone who can reach it may read and start runs",
                self.address
            );
            return Err(Error::value("server.address", why));
        }
        let address = SocketAddr::new(self.address, self.port);
        let public_url = match set(&self.public_url) {
            Some(text) => text.to_owned(),
            None => format!("http://{address}"),
        };
        let public_url = Url::parse(&public_url).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        let public_url = public_url.ok_or_else(|| {
            Error::value("server.public_url", "is not an address such as https://haystack.example.org")
        })?;
        let allowed_origins = self.allowed_origins.split(',').filter_map(set).map(origin).collect::<Result<_, _>>()?;
        Ok(Server { address, public_url, allowed_origins })
    }
}

/// An origin as browsers write it; an address with a path is none.
fn origin(text: &str) -> Result<String, Error> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let origin = url.map(|url| url.origin().ascii_serialization());
    origin.filter(|origin| origin.eq_ignore_ascii_case(text.trim_end_matches('/'))).ok_or_else(|| {
        let why = format!("names '{text}', which is not an origin such as https://console.example.org");
        Error::value("server.allowed_origins", why)
    })
}

impl WrittenDatabase {
    fn parse(self, home: &Path) -> Result<Database, Error> {
        let url = self.url.expose_secret();
        match url.split_once(':').map(|(scheme, _)| scheme) {
            None if url.is_empty() => {
                let path = home.join("haystack.db").display().to_string();
                // In an address these three have a meaning of their own.
                let path = path.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
                Ok(Database::Sqlite { url: format!("sqlite://{path}") })
            }
            Some("sqlite") => Ok(Database::Sqlite { url: url.to_owned() }),
            Some("postgres" | "postgresql") => Ok(Database::Postgres { url: self.url }),
            // The rest is not shown: it may hold a password.
            other => {
                let found = other.map_or("no scheme".to_owned(), |scheme| format!("'{scheme}:'"));
                let why = format!("must begin with sqlite:// or postgres://, found {found}");
                Err(Error::value("database.url", why))
            }
        }
    }
}

impl WrittenPredictor {
    fn parse(self) -> Result<Predictor, Error> {
        use crate::domain::inference::Method;
        match (self.method, set(&self.model)) {
            (Method::MeanShift, _) => Ok(Predictor::MeanShift {}),
            (Method::Stack, Some(model)) => Ok(Predictor::Stack { model: model.to_owned() }),
            (Method::Stack, None) => Err(Error::value(
                "predictor.model",
                "is not set, and predictor.method = \"stack\" needs the name of a model",
            )),
        }
    }
}

/// A text, unless it is empty.
fn set(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let home = [("HAYSTACK_HOME", "/nowhere/haystack")];
        home.iter().chain(variables).map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn load(variables: &[(&str, &str)]) -> Result<Config, String> {
        Config::load(None, &environment(variables)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_complete_and_match_the_specification() {
        let config = load(&[]).unwrap();
        assert_eq!(config.home, Path::new("/nowhere/haystack"));
        assert_eq!(config.server.address.to_string(), "127.0.0.1:8080");
        assert_eq!(config.server.public_url.as_str(), "http://127.0.0.1:8080/");
        assert_eq!(config.database.url(), "sqlite:///nowhere/haystack/haystack.db");
        assert!(
            matches!(&config.objects.store, Store::Folder { path, .. } if path == Path::new("/nowhere/haystack/objects"))
        );
        assert_eq!(config.predictor, Predictor::MeanShift {});
        assert_eq!((config.iteration.max_iterations, config.iteration.score_threshold), (5, 7));
        assert_eq!((config.iteration.plateau_window, config.iteration.min_improvement), (3, 1));
        let retrieval = &config.retrieval;
        assert_eq!((retrieval.prompt_cells, retrieval.control_cells, retrieval.query_cells), (128, 128, 64));
        assert_eq!((config.evaluation.lfc_threshold, config.evaluation.padj_threshold), (0.5, 0.05));
    }

    #[test]
    fn other_origins_are_named_as_browsers_name_them() {
        let origins = |text| load(&[("HAYSTACK__SERVER__ALLOWED_ORIGINS", text)]).map(|c| c.server.allowed_origins);
        assert_eq!(origins(""), Ok(vec![]));
        let two = vec!["https://a.example".to_owned(), "http://localhost:3000".to_owned()];
        assert_eq!(origins("https://a.example/, http://localhost:3000"), Ok(two));
        for wrong in ["*", "a.example", "https://a.example/page", "ftp://a.example", "null"] {
            let error = origins(wrong).unwrap_err();
            assert!(error.contains("server.allowed_origins") && error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn every_default_key_has_a_comment() {
        let mut section_commented = false;
        let mut previous_commented = false;
        for line in DEFAULTS.lines() {
            match line {
                _ if line.starts_with('#') => previous_commented = true,
                _ if line.starts_with('[') => (section_commented, previous_commented) = (false, false),
                "" => previous_commented = false,
                key => {
                    section_commented |= previous_commented;
                    assert!(section_commented, "no comment above '{key}'");
                }
            }
        }
    }

    #[test]
    fn variables_win_and_take_the_type_of_the_default() {
        let config = load(&[
            ("PORT", "9001"),
            ("DATABASE_URL", "postgres://me:1234@db/haystack"),
            ("HAYSTACK__SERVER__ALLOW_REMOTE", "true"),
            ("HAYSTACK__SERVER__ADDRESS", "0.0.0.0"),
            ("HAYSTACK__API_KEYS__OPENAI", "12345"),
            ("HAYSTACK__RETRIEVAL__MEASURED", "use"),
            ("CONTROL_STRATEGY", "nonsense"),
            ("RUN_ID", "run_0123456789ab"),
            ("USER_EMAIL", "a@b.org"),
        ])
        .unwrap();
        assert_eq!(config.server.address.to_string(), "0.0.0.0:9001");
        assert_eq!(config.api_keys.openai.unwrap().expose_secret(), "12345");
        assert_eq!(config.invocation, Invocation { run_id: Some("run_0123456789ab".into()), control_strategy: None });
        assert_eq!(config.user.email, "a@b.org");
        assert_eq!(load(&[("PORT", "1"), ("HAYSTACK__SERVER__PORT", "2")]).unwrap().server.address.port(), 2);
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = load(&[
            ("DATABASE_URL", "postgres://me:hunter2@db/haystack"),
            ("ANTHROPIC_API_KEY", "hunter2"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("HAYSTACK__OBJECTS__SIGNING_SECRET", "hunter2-and-long-enough"),
        ]);
        let shown = format!("{:?}", config.unwrap());
        assert!(!shown.contains("hunter2") && shown.contains("REDACTED"), "{shown}");
        let error = load(&[("DATABASE_URL", "mysql://me:hunter2@db/haystack")]).unwrap_err();
        assert!(error.contains("'mysql:'") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn unknown_names_come_with_the_nearest_known_one() {
        let error = load(&[("HAYSTACK__SERVER__PROT", "1")]).unwrap_err();
        assert!(error.contains("'HAYSTACK__SERVER__PROT'") && error.contains("'HAYSTACK__SERVER__PORT'"), "{error}");
        let error = load(&[("HAYSTACK__QUITE__ELSEWHERE", "1")]).unwrap_err();
        assert!(!error.contains("did you mean"), "{error}");
    }

    #[test]
    fn values_out_of_range_name_the_key_and_the_way_out() {
        let cases = [
            (("PORT", "eighty"), "server.port"),
            (("PORT", "70000"), "server.port"),
            (("HAYSTACK__SERVER__ADDRESS", "0.0.0.0"), "server.allow_remote = true"),
            (("HAYSTACK__SERVER__PUBLIC_URL", "here"), "server.public_url"),
            (("HAYSTACK__ITERATION__MAX_ITERATIONS", "11"), "iteration.max_iterations"),
            (("HAYSTACK__ITERATION__SCORE_THRESHOLD", "0"), "iteration.score_threshold"),
            (("HAYSTACK__RETRIEVAL__QUALITY_WEIGHT", "0.5"), "retrieval.quality_weight"),
            (("HAYSTACK__RETRIEVAL__PROMPT_CELLS", "3"), "retrieval.prompt_cells"),
            (("HAYSTACK__EVALUATION__PADJ_THRESHOLD", "nan"), "evaluation.padj_threshold"),
            (("HAYSTACK__JOBS__SLOTS", "0"), "jobs.slots"),
            (("HAYSTACK__PREDICTOR__METHOD", "stack"), "predictor.model"),
            (("HAYSTACK__PREDICTOR__METHOD", "magic"), "predictor.method"),
            (("HAYSTACK__OBJECTS__URL", "ftp://x"), "objects.url"),
            (("HAYSTACK__OBJECTS__URL", "s3://"), "objects.url"),
            (("HAYSTACK__LOG__FORMAT", "xml"), "log.format"),
        ];
        for (variable, expected) in cases {
            let error = load(&[variable]).unwrap_err();
            assert!(error.contains(expected), "{variable:?}: {error}");
        }
    }
}

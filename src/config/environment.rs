//! The environment variables we read, and which key each one sets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::{Error, keys};

/// Before a variable that names a key: `HAYSTACK__SERVER__PORT`.
pub(super) const PREFIX: &str = "HAYSTACK__";

/// Variables that others use too, and the key each sets. Later ones win.
const CONVENTIONAL: [(&str, &str); 15] = [
    ("HAYSTACK_HOME", "home"),
    ("PORT", "server.port"),
    ("USER_EMAIL", "user.email"),
    ("DATABASE_URL", "database.url"),
    ("ANTHROPIC_API_KEY", "api_keys.anthropic"),
    ("OPENAI_API_KEY", "api_keys.openai"),
    ("GOOGLE_API_KEY", "api_keys.google"),
    ("AWS_DEFAULT_REGION", "objects.s3.region"),
    ("AWS_REGION", "objects.s3.region"),
    ("AWS_ENDPOINT_URL", "objects.s3.endpoint"),
    ("AWS_ACCESS_KEY_ID", "objects.s3.access_key_id"),
    ("AWS_SECRET_ACCESS_KEY", "objects.s3.secret_access_key"),
    ("AWS_SESSION_TOKEN", "objects.s3.session_token"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "objects.gcs.service_account_file"),
    ("RUST_LOG", "log.level"),
];

/// A copy of the environment. Variables whose name or value is not Unicode are left out.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of a variable, unless it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Where this platform keeps a user's data, with our name.
    pub(super) fn data_folder(&self) -> Option<PathBuf> {
        let home = || self.get("HOME").map(PathBuf::from);
        let data = if cfg!(target_os = "macos") {
            home()?.join("Library/Application Support")
        } else {
            self.get("XDG_DATA_HOME").map(PathBuf::from).or_else(|| Some(home()?.join(".local/share")))?
        };
        Some(data.join("haystack"))
    }

    /// What the variables set, conventional names first so that the explicit ones win.
    pub(super) fn settings(&self) -> Result<Vec<Setting>, Error> {
        let conventional =
            CONVENTIONAL.iter().filter_map(|(name, key)| Some((*name, self.get(name)?, key.to_string())));
        let explicit = self.0.iter().filter_map(|(name, value)| {
            let key = name.strip_prefix(PREFIX)?.to_lowercase().replace("__", ".");
            Some((name.as_str(), value.as_str(), key))
        });
        conventional.chain(explicit).map(|(name, value, key)| Setting::new(name, value, &key)).collect()
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// One key set by one variable.
pub(super) struct Setting {
    variable: String,
    key: String,
    value: Value,
}

impl Setting {
    /// A text keeps every character; any other type is read as TOML would, and what does not fit is
    /// left for the final check to report.
    fn new(variable: &str, text: &str, key: &str) -> Result<Self, Error> {
        let default = keys::default_of(key).ok_or_else(|| Error::UnknownKey {
            place: "the environment".to_owned(),
            key: variable.to_owned(),
            nearest: keys::nearest(key).map(|key| format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))),
        })?;
        let value = match default {
            toml::Value::String(_) => Value::from(text),
            toml::Value::Boolean(_) => text.parse::<bool>().map_or_else(|_| Value::from(text), Value::from),
            toml::Value::Integer(_) => text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
            _ => text.parse::<f64>().map_or_else(|_| Value::from(text), Value::from),
        };
        Ok(Self { variable: variable.to_owned(), key: key.to_owned(), value })
    }
}

impl Provider for Setting {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("the environment variable {}", self.variable))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nested = figment::util::nest(&self.key, self.value.clone());
        let dict = nested.into_dict().unwrap_or_default();
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

//! Links to files of a local folder: signed by us, answered by our server until they expire.
//!
//! The signature is HMAC-SHA256 over method, key and expiry, each on a line of its own.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;
use url::Url;

use super::ObjectKey;
use crate::config::Signing;

/// Why a link is not honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It was good once.
    #[error("this link has expired")]
    Expired,
    /// It was never ours, or someone changed it.
    #[error("this link is not valid")]
    Invalid,
}

/// Signs and checks links.
#[derive(Debug)]
pub(super) struct Signer {
    config: Signing,
    secret: OnceLock<SecretSlice<u8>>,
}

impl Signer {
    pub(super) fn new(config: Signing) -> Self {
        Self { config, secret: OnceLock::new() }
    }

    /// A link to read `key` until `expires_in` from now.
    pub(super) fn link(&self, key: &ObjectKey, expires_in: Duration) -> std::io::Result<Url> {
        let expires = seconds_since_1970(SystemTime::now() + expires_in);
        let key = key.to_string();
        let signature = hex::encode(self.mac(&key, expires)?.finalize().into_bytes());
        let mut url = self.config.base_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("objects").extend(key.split('/'));
        }
        url.query_pairs_mut().append_pair("expires", &expires.to_string()).append_pair("signature", &signature);
        Ok(url)
    }

    /// Checks the two parameters of a link to `key`. The signatures are compared in constant time, and
    /// before the expiry, so that an invalid link tells nothing.
    pub(super) fn check(&self, key: &str, expires: u64, signature: &str) -> std::io::Result<Result<(), LinkError>> {
        let mac = self.mac(key, expires)?;
        let valid = hex::decode(signature).is_ok_and(|signature| mac.verify_slice(&signature).is_ok());
        Ok(match valid {
            false => Err(LinkError::Invalid),
            true if expires < seconds_since_1970(SystemTime::now()) => Err(LinkError::Expired),
            true => Ok(()),
        })
    }

    fn mac(&self, key: &str, expires: u64) -> std::io::Result<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret()?.expose_secret()).map_err(std::io::Error::other)?;
        mac.update(format!("GET\n{key}\n{expires}").as_bytes());
        Ok(mac)
    }

    fn secret(&self) -> std::io::Result<&SecretSlice<u8>> {
        if let Some(secret) = self.secret.get() {
            return Ok(secret);
        }
        let text = match &self.config.secret {
            Some(secret) => secret.clone(),
            None => stored_secret(&self.config.secret_file)?,
        };
        let bytes = text.expose_secret().as_bytes().to_vec();
        Ok(self.secret.get_or_init(|| SecretSlice::from(bytes)))
    }
}

/// The secret kept in `file`, which only this user may read; made on first use.
fn stored_secret(file: &Path) -> std::io::Result<SecretString> {
    let named = |error: std::io::Error| {
        std::io::Error::new(error.kind(), format!("cannot keep the signing secret in {}: {error}", file.display()))
    };
    if !file.exists() {
        let folder = file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(named)?;
        // Written beside and linked into place, so that of two processes one wins and both read it whole.
        let beside = folder.join(format!(".{:016x}.secret", rand::random::<u64>()));
        let result = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut new| new.write_all(hex::encode(rand::random::<[u8; 32]>()).as_bytes()))
            .and_then(|()| std::fs::hard_link(&beside, file));
        let _ = std::fs::remove_file(&beside);
        match result {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(named(error)),
            _ => {}
        }
    }
    let text = std::fs::read_to_string(file).map_err(named)?;
    if text.trim().len() < 16 {
        return Err(named(std::io::Error::other("it is too short; delete the file to have a new one made")));
    }
    Ok(text.trim().into())
}

fn seconds_since_1970(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |duration| duration.as_secs())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn signer(folder: &Path, secret: Option<&str>) -> Signer {
        Signer::new(Signing {
            secret: secret.map(Into::into),
            secret_file: folder.join("home/signing.secret"),
            base_url: "https://example.org/haystack".parse().unwrap(),
        })
    }

    fn parts(url: &Url) -> (u64, String) {
        let value = |name: &str| url.query_pairs().find(|(n, _)| n == name).unwrap().1.into_owned();
        (value("expires").parse().unwrap(), value("signature"))
    }

    #[test]
    fn a_link_holds_for_its_key_until_it_expires() {
        let folder = tempfile::tempdir().unwrap();
        let signer = signer(folder.path(), Some("0123456789abcdef"));
        let key: ObjectKey = "runs/run_0123456789ab/report.html".parse().unwrap();
        let url = signer.link(&key, Duration::from_secs(60)).unwrap();
        assert!(url.as_str().starts_with("https://example.org/haystack/objects/runs/run_0123456789ab/report.html?"));
        let (expires, signature) = parts(&url);
        let check = |key: &str, expires, signature: &str| signer.check(key, expires, signature).unwrap();
        let key = key.to_string();
        assert_eq!(check(&key, expires, &signature), Ok(()));
        assert_eq!(check("runs/run_0123456789ab/log.json", expires, &signature), Err(LinkError::Invalid));
        assert_eq!(check(&key, expires + 1, &signature), Err(LinkError::Invalid));
        assert_eq!(check(&key, expires, &signature[2..]), Err(LinkError::Invalid));
        assert_eq!(check(&key, expires, "not hexadecimal"), Err(LinkError::Invalid));
        let flipped = if signature.starts_with('0') { "1" } else { "0" }.to_owned() + &signature[1..];
        assert_eq!(check(&key, expires, &flipped), Err(LinkError::Invalid));
        let past = signer.mac(&key, 1000).unwrap().finalize().into_bytes();
        assert_eq!(check(&key, 1000, &hex::encode(past)), Err(LinkError::Expired));
    }

    /// The expected value is from Python: `hmac.new(b"0123456789abcdef",
    /// b"GET\nruns/run_0123456789ab/log.json\n1700000000", "sha256").hexdigest()`.
    #[test]
    fn the_signature_is_hmac_sha256() {
        let folder = tempfile::tempdir().unwrap();
        let signer = signer(folder.path(), Some("0123456789abcdef"));
        let mac = signer.mac("runs/run_0123456789ab/log.json", 1_700_000_000).unwrap();
        assert_eq!(
            hex::encode(mac.finalize().into_bytes()),
            "d8784755b8897b589f612170340a2038051529d4d84d45dd2a4e87aff105eed1"
        );
    }

    #[test]
    fn a_generated_secret_is_private_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let key: ObjectKey = "runs/run_0123456789ab/log.json".parse().unwrap();
        let url = signer(folder.path(), None).link(&key, Duration::from_secs(60)).unwrap();
        let (expires, signature) = parts(&url);
        let later = signer(folder.path(), None);
        assert_eq!(later.check(&key.to_string(), expires, &signature).unwrap(), Ok(()));
        let file = folder.path().join("home/signing.secret");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path().join("home")).unwrap().count(), 1);
        std::fs::write(&file, "short").unwrap();
        let error = signer(folder.path(), None).link(&key, Duration::from_secs(60)).unwrap_err().to_string();
        assert!(error.contains("signing.secret") && error.contains("delete"), "{error}");
    }
}

//! Tokens for Google's buckets from the metadata service of the machine.
//!
//! `object_store` can ask for them too, but takes a developer's own credentials from the home folder where
//! there are any, which nobody configured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use object_store::CredentialProvider;
use object_store::gcp::GcpCredential;
use serde::Deserialize;
use tokio::sync::Mutex;

/// The service by its name, and by its address where that is not known.
const HOSTS: [&str; 2] = ["metadata.google.internal", "169.254.169.254"];

/// How long before its end a token is no longer used. The service gives out a new one about a minute earlier.
const MARGIN: Duration = Duration::from_secs(240);

/// The account of this machine.
#[derive(Debug)]
pub(super) struct MachineAccount {
    hosts: Vec<String>,
    client: reqwest::Client,
    token: Mutex<Option<(Arc<GcpCredential>, Instant)>>,
}

/// What the service answers.
#[derive(Deserialize)]
struct Token {
    access_token: String,
    /// Seconds.
    expires_in: u64,
}

impl MachineAccount {
    pub(super) fn new() -> reqwest::Result<Self> {
        Self::at(HOSTS.map(str::to_owned).to_vec())
    }

    fn at(hosts: Vec<String>) -> reqwest::Result<Self> {
        // A proxy would answer for another machine.
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { hosts, client, token: Mutex::default() })
    }

    async fn credential(&self) -> object_store::Result<Arc<GcpCredential>> {
        let mut kept = self.token.lock().await;
        if let Some((credential, until)) = &*kept
            && Instant::now() < *until
        {
            return Ok(credential.clone());
        }
        let token = self.ask().await.map_err(|source| object_store::Error::Generic {
            store: "GCS",
            source: format!("the metadata service of this machine gives no token: {source}").into(),
        })?;
        let lasts = Duration::from_secs(token.expires_in).saturating_sub(MARGIN);
        let credential = Arc::new(GcpCredential { bearer: token.access_token });
        *kept = Some((credential.clone(), Instant::now() + lasts));
        Ok(credential)
    }

    async fn ask(&self) -> Result<Token, String> {
        let mut why = Vec::new();
        for host in &self.hosts {
            let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
            let answer = self.client.get(url).header("Metadata-Flavor", "Google").send().await;
            match answer.and_then(reqwest::Response::error_for_status) {
                Ok(answer) => return answer.json().await.map_err(|error| error.to_string()),
                Err(error) => why.push(error.to_string()),
            }
        }
        Err(why.join("; "))
    }
}

impl CredentialProvider for MachineAccount {
    type Credential = GcpCredential;

    fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, object_store::Result<Arc<GcpCredential>>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.credential())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::get;

    use super::*;

    /// A stand-in whose tokens last so many seconds, and how often it was asked.
    async fn service(expires_in: u64) -> (String, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let answer = move |headers: HeaderMap| {
            let n = count.fetch_add(1, Ordering::SeqCst);
            std::future::ready(match headers.get("metadata-flavor") {
                Some(flavor) if flavor == "Google" => Ok(format!(
                    r#"{{"access_token": "token {n}", "expires_in": {expires_in}, "token_type": "Bearer"}}"#
                )),
                _ => Err(StatusCode::FORBIDDEN),
            })
        };
        let path = "/computeMetadata/v1/instance/service-accounts/default/token";
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let app = axum::Router::new().route(path, get(answer));
        tokio::spawn(async move { axum::serve(listener, app).await });
        (host, asked)
    }

    #[tokio::test]
    async fn a_token_is_used_until_shortly_before_its_end() {
        let (host, asked) = service(3600).await;
        // The first of the two does not answer.
        let account = MachineAccount::at(vec!["127.0.0.1:1".to_owned(), host]).unwrap();
        for _ in 0..3 {
            assert_eq!(account.get_credential().await.unwrap().bearer, "token 0");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let (host, _) = service(200).await;
        let account = MachineAccount::at(vec![host]).unwrap();
        for n in 0..3 {
            assert_eq!(account.get_credential().await.unwrap().bearer, format!("token {n}"));
        }
    }

    #[tokio::test]
    async fn a_machine_without_the_service_is_told_so() {
        let account = MachineAccount::at(vec!["127.0.0.1:1".to_owned()]).unwrap();
        let error = account.get_credential().await.unwrap_err().to_string();
        assert!(error.contains("the metadata service of this machine gives no token"), "{error}");
    }
}

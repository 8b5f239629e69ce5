//! `haystack import --fetch`: an official release, downloaded and imported.

use std::io::Write;
use std::time::Duration;

use sha2::{Digest, Sha256};
use url::Url;

use super::closing::{self, Bar};
use crate::cli::exit::chain;
use crate::cli::{Error, Result, open};
use crate::config::Config;
use crate::database::Database;
use crate::knowledge::{Source, import};

/// Arguments of `haystack import --fetch`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Download and import an official release: cl, uberon, mondo, go, efo, hsapdv, famplex, reactome or wikipathways
    #[arg(long, value_name = "NAME", required = true)]
    fetch: Option<String>,

    /// Download it from here instead of its official address, such as from a mirror
    #[arg(long, value_name = "URL", requires = "fetch")]
    url: Option<Url>,

    /// Refuse a file with another SHA-256
    #[arg(long, value_name = "HEX", requires = "fetch")]
    sha256: Option<String>,

    /// Print what was imported as JSON
    #[arg(long, requires = "fetch")]
    json: bool,
}

/// What can be fetched.
struct Release {
    name: &'static str,
    holds: Holds,
    url: &'static str,
    /// The largest file taken, in MiB: a few times the release of 2026.
    limit: u64,
    licence: &'static str,
}

/// What a release holds.
enum Holds {
    /// An ontology whose terms have this prefix.
    Ontology(&'static str),
    /// A collection of gene sets.
    GeneSets(&'static str),
}

const RELEASES: [Release; 9] = [
    Release {
        name: "cl",
        holds: Holds::Ontology("CL"),
        url: "https://purl.obolibrary.org/obo/cl/cl-basic.obo",
        limit: 100,
        licence: "CC BY 4.0",
    },
    Release {
        name: "uberon",
        holds: Holds::Ontology("UBERON"),
        url: "https://purl.obolibrary.org/obo/uberon/basic.obo",
        limit: 200,
        licence: "CC BY 3.0",
    },
    Release {
        name: "mondo",
        holds: Holds::Ontology("MONDO"),
        url: "https://purl.obolibrary.org/obo/mondo.obo",
        limit: 300,
        licence: "CC BY 4.0",
    },
    Release {
        name: "go",
        holds: Holds::Ontology("GO"),
        url: "https://purl.obolibrary.org/obo/go/go-basic.obo",
        limit: 200,
        licence: "CC BY 4.0",
    },
    Release {
        name: "efo",
        holds: Holds::Ontology("EFO"),
        url: "https://github.com/EBISPOT/efo/releases/latest/download/efo.obo",
        limit: 600,
        licence: "Apache 2.0",
    },
    Release {
        name: "hsapdv",
        holds: Holds::Ontology("HsapDv"),
        url: "https://purl.obolibrary.org/obo/hsapdv.obo",
        limit: 50,
        licence: "CC BY 3.0",
    },
    Release {
        name: "famplex",
        holds: Holds::Ontology("FPLX"),
        url: "https://raw.githubusercontent.com/sorgerlab/famplex/master/export/famplex.obo",
        limit: 50,
        licence: "CC0 1.0",
    },
    Release {
        name: "reactome",
        holds: Holds::GeneSets("reactome"),
        url: "https://reactome.org/download/current/ReactomePathways.gmt.zip",
        limit: 50,
        licence: "CC0 1.0",
    },
    Release {
        name: "wikipathways",
        holds: Holds::GeneSets("wikipathways"),
        url: "https://data.wikipathways.org/current/gmt/wikipathways-Homo_sapiens.gmt",
        limit: 50,
        licence: "CC0 1.0",
    },
];

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a server may send us on.
const MAX_REDIRECTS: usize = 5;

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let Some(name) = &args.fetch else { return Err(Error::usage("say what to import, or --fetch NAME")) };
    let release = RELEASES.iter().find(|release| release.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let names: Vec<_> = RELEASES.iter().map(|release| release.name).collect();
        Error::usage(format!("there is no release '{name}' to fetch; there are {}", names.join(", ")))
    })?;
    let url = match &args.url {
        Some(url) => url.clone(),
        None => release.url.parse().map_err(Error::bug)?,
    };
    // Before the download, so that it is not in vain where there is no database.
    let database = open::database(&config).await?;
    eprintln!("Fetching {name} from {url}\n  Licence: {}", release.licence);
    let (file, sha256) = download(&url, release.limit << 20).await?;
    let size = file.as_file().metadata().map_err(|error| Error::failed(error.to_string()))?.len();
    eprintln!("  {size} bytes, SHA-256 {sha256}");
    if let Some(expected) = args.sha256.as_ref().filter(|expected| !expected.eq_ignore_ascii_case(&sha256)) {
        return Err(Error::failed(format!("the file from {url} has the SHA-256 {sha256}, not {expected}"))
            .hint("nothing was imported; check which release is meant"));
    }
    let mut source = closing::read(file.path()).await?;
    source.name = url.to_string();
    let outcome = super::alone(&database, store(&database, &source, release, args.json)).await;
    database.close().await;
    outcome
}

async fn store(database: &Database, source: &Source, release: &Release, json: bool) -> Result {
    let bar = Bar::new(release.name);
    let on_rows = |n, of| bar.set(n, of);
    let imported = match release.holds {
        Holds::Ontology(prefix) => import::ontology(database, source, Some(prefix), &on_rows).await?,
        Holds::GeneSets(collection) => import::gene_sets(database, source, collection, &on_rows).await?,
    };
    drop(bar);
    closing::show(&imported, json)
}

/// Downloads a file of at most `limit` bytes; returns it with its SHA-256 in hexadecimal.
async fn download(url: &Url, limit: u64) -> Result<(tempfile::NamedTempFile, String)> {
    if !is_safe(url) {
        return Err(Error::usage(format!("{url} is not an https address")));
    }
    let cannot = |what: String| Error::try_again(format!("cannot fetch {url}: {what}"));
    let redirects = reqwest::redirect::Policy::custom(|attempt| {
        if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("sent on too often")
        } else if !is_safe(attempt.url()) {
            attempt.error("sent on to an address that is not https")
        } else {
            attempt.follow()
        }
    });
    let client = reqwest::Client::builder()
        .user_agent(concat!("haystack/", env!("CARGO_PKG_VERSION")))
        .redirect(redirects)
        .connect_timeout(PATIENCE)
        .read_timeout(PATIENCE)
        .build()
        .map_err(|error| cannot(chain(&error)))?;
    let mut response = client.get(url.clone()).send().await.map_err(|error| cannot(chain(&error)))?;
    if !response.status().is_success() {
        return Err(cannot(format!("the server answered {}", response.status())));
    }
    let too_large = || Error::failed(format!("{url} is larger than {} MiB; no known release is", limit >> 20));
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let cannot_write = |error: std::io::Error| Error::failed(format!("cannot keep what was fetched: {error}"));
    let mut file = tempfile::NamedTempFile::new().map_err(cannot_write)?;
    let mut hash = Sha256::new();
    let mut size = 0;
    while let Some(chunk) = response.chunk().await.map_err(|error| cannot(chain(&error)))? {
        size += chunk.len() as u64;
        if size > limit {
            return Err(too_large());
        }
        hash.update(&chunk);
        file.write_all(&chunk).map_err(cannot_write)?;
    }
    Ok((file, hex::encode(hash.finalize())))
}

/// Whether an address is encrypted, or on this machine.
fn is_safe(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn official_addresses_are_encrypted_and_named_in_the_help() {
        let command = <Args as clap::Args>::augment_args(clap::Command::new("import"));
        let help = command.get_arguments().find(|a| a.get_id() == "fetch").unwrap().get_help().unwrap().to_string();
        for release in &RELEASES {
            assert!(is_safe(&release.url.parse().unwrap()), "{}", release.url);
            assert!(help.contains(release.name), "{} is not in the help", release.name);
        }
        assert!(!is_safe(&"http://example.org/cl.obo".parse().unwrap()));
        assert!(!is_safe(&"file:///etc/passwd".parse().unwrap()));
    }
}

//! One behaviour on every object store: a local folder, a real S3 server, and the same server
//! standing in for Google's.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use haystack::config::Config;
use haystack::domain::inference::Location;
use haystack::objects::{Error, LinkError, ObjectKey, Objects};
use tempfile::TempDir;

use crate::support::{config, names_in, s3};

/// A store that no other test uses.
pub struct TestStore {
    kind: &'static str,
    pub objects: Objects,
    /// Address to which a path can be added.
    address: String,
    folder: TempDir,
}

pub async fn stores() -> Vec<TestStore> {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::open(&config(folder.path(), &[]).objects).unwrap();
    let address = format!("file://{}/objects", folder.path().display());
    let mut stores = vec![TestStore { kind: "folder", objects, address, folder }];
    if let Some(server) = s3::server() {
        for prefix in ["", "a/prefix"] {
            let folder = tempfile::tempdir().unwrap();
            let address = format!("s3://{}/{prefix}", s3::bucket(server).await);
            let objects = Objects::open(&s3_config(folder.path(), server, &address).objects).unwrap();
            stores.push(TestStore { kind: "S3", objects, address: address.trim_end_matches('/').to_owned(), folder });
        }
        let folder = tempfile::tempdir().unwrap();
        let address = format!("gs://{}/prefix", s3::bucket(server).await);
        let key = folder.path().join("key.json");
        fs::write(&key, gcs_key(server)).unwrap();
        let variables =
            [("HAYSTACK__OBJECTS__URL", &*address), ("GOOGLE_APPLICATION_CREDENTIALS", key.to_str().unwrap())];
        let objects = Objects::open(&config(folder.path(), &variables).objects).unwrap();
        stores.push(TestStore { kind: "GCS", objects, address, folder });
    }
    stores
}

fn s3_config(home: &Path, server: &str, address: &str) -> Config {
    config(
        home,
        &[
            ("HAYSTACK__OBJECTS__URL", address),
            ("AWS_ENDPOINT_URL", server),
            ("HAYSTACK__OBJECTS__S3__ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ],
    )
}

fn gcs_key(server: &str) -> String {
    serde_json::json!({ "gcs_base_url": server, "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": "" })
        .to_string()
}

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

#[tokio::test]
async fn objects_are_put_read_listed_and_deleted() {
    for TestStore { kind, objects, folder, .. } in stores().await {
        let log = key("runs/run_0123456789ab/log.json");
        assert!(!objects.exists(&log).await.unwrap(), "{kind}");
        objects.delete(&log).await.unwrap();
        objects.put(&log, Bytes::from_static(b"{}")).await.unwrap();
        objects.put(&log, Bytes::from_static(b"{\"a\":1}")).await.unwrap();
        assert_eq!(objects.get(&log).await.unwrap(), "{\"a\":1}", "{kind}");
        assert!(objects.exists(&log).await.unwrap());

        let found = objects.read(&log).await.unwrap().unwrap();
        let pieces: Vec<Bytes> = found.stream.try_collect().await.unwrap();
        assert_eq!((found.bytes, pieces.concat().as_slice()), (7, b"{\"a\":1}".as_slice()));
        assert_eq!(found.media_type, "application/json");
        assert!(objects.read(&key("runs/run_0123456789ab/report.md")).await.unwrap().is_none());

        objects.put(&key("models/m/model.safetensors"), Bytes::from_static(b"weights")).await.unwrap();
        objects.put(&key("models/m2/model.json"), Bytes::from_static(b"{}")).await.unwrap();
        let keys =
            |listed: Vec<haystack::objects::Listed>| listed.into_iter().map(|l| (l.key, l.bytes)).collect::<Vec<_>>();
        assert_eq!(keys(objects.list("models/m").await.unwrap()), [("models/m/model.safetensors".to_owned(), 7)]);
        assert_eq!(objects.list("").await.unwrap().len(), 3, "{kind}");
        assert_eq!(objects.list("runs/nothing").await.unwrap(), []);
        assert_eq!(objects.models().await.unwrap(), ["m2"], "{kind}: without its description a model is not there");
        objects.probe().await.unwrap();
        assert_eq!(objects.list("").await.unwrap().len(), 3, "a probe leaves nothing behind");

        let file = folder.path().join("new/log.json");
        objects.get_file(&log, &file).await.unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"{\"a\":1}");
        objects.delete(&log).await.unwrap();
        let error = objects.get(&log).await.unwrap_err();
        assert!(
            matches!(&error, Error::NotFound { place } if place.ends_with("runs/run_0123456789ab/log.json")),
            "{error}"
        );
        let error = objects.get_file(&log, &folder.path().join("never")).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }) && !folder.path().join("never").exists());
    }
}

#[tokio::test]
async fn large_files_go_in_parts_and_come_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    // No two parts alike, and not a whole number of parts.
    let content: Vec<u8> = (0..2_750_000_u64).flat_map(|i| (i * 2_654_435_761).to_le_bytes()).collect();
    fs::write(&file, &content).unwrap();
    for TestStore { kind, objects, .. } in stores().await {
        let key = key("models/m/model.safetensors");
        objects.put_file(&key, &file).await.unwrap();
        assert!(objects.get(&key).await.unwrap() == content, "{kind}");
        let back = folder.path().join("back");
        objects.get_file(&key, &back).await.unwrap();
        assert!(fs::read(&back).unwrap() == content, "{kind}");
    }
}

#[tokio::test]
async fn names_cannot_lead_out_of_the_store() {
    for TestStore { objects, folder, .. } in stores().await {
        fs::write(folder.path().join("outside"), "secret").unwrap();
        let keys = [
            ObjectKey::Model { name: "..".into(), file: "outside".into() },
            ObjectKey::Model { name: "a/../..".into(), file: "outside".into() },
            ObjectKey::Model { name: "".into(), file: "x".into() },
        ];
        for key in keys {
            assert!(matches!(objects.get(&key).await.unwrap_err(), Error::Key(_)));
            assert!(matches!(objects.put(&key, Bytes::new()).await.unwrap_err(), Error::Key(_)));
        }
        for text in ["../outside", "models/../../outside", "/etc/passwd/../..", "models//x"] {
            let location = Location::Key(text.to_owned());
            assert!(objects.fetch(&location, folder.path()).await.is_err(), "{text}");
            assert!(objects.store(&folder.path().join("outside"), &location).await.is_err(), "{text}");
        }
        assert_eq!(fs::read(folder.path().join("outside")).unwrap(), b"secret");
    }
}

#[tokio::test]
async fn locations_are_fetched_and_stored() {
    for TestStore { kind, objects, address, folder } in stores().await {
        let scratch = folder.path().join("scratch");
        let source = folder.path().join("cells.h5ad");
        fs::write(&source, "cells").unwrap();

        // A file of this machine is used in place.
        assert_eq!(objects.fetch(&Location::Path(source.clone()), &scratch).await.unwrap(), source);
        let copy = folder.path().join("deep/copy.h5ad");
        objects.store(&source, &Location::Path(copy.clone())).await.unwrap();
        assert_eq!(fs::read(&copy).unwrap(), b"cells");

        let by_key = Location::Key("models/m/cells.h5ad".to_owned());
        objects.store(&source, &by_key).await.unwrap();
        let by_url = Location::Url(format!("{address}/models/m/more.h5ad"));
        objects.store(&source, &by_url).await.unwrap();
        if kind == "S3" {
            // Whatever stands before the keys, a browser is told what it gets.
            for name in ["cells.h5ad", "more.h5ad"] {
                let url = objects.signed_url(&key(&format!("models/m/{name}")), Duration::from_secs(60)).await.unwrap();
                let response = reqwest::get(url).await.unwrap();
                assert_eq!(response.headers()["content-type"], "application/x-hdf5", "{address} {name}");
            }
        }
        for location in [&by_key, &by_url] {
            assert_eq!(
                fs::read(objects.fetch(location, &scratch).await.unwrap()).unwrap(),
                b"cells",
                "{kind} {location}"
            );
        }
        let model = objects.fetch(&Location::Key("models/m".to_owned()), &scratch).await.unwrap();
        assert_eq!(names_in(&model), ["cells.h5ad", "more.h5ad"], "{kind}");

        for absent in [Location::Key("models/none".into()), Location::Url(format!("{address}/none.h5ad"))] {
            let error = objects.fetch(&absent, &scratch).await.unwrap_err();
            assert!(matches!(error, Error::NotFound { .. }), "{kind}: {error}");
            assert!(error.to_string().contains("none"), "{kind}: {error}");
        }
        let error = objects.fetch(&Location::Url("ftp://host/file".into()), &scratch).await.unwrap_err().to_string();
        assert!(error.contains("ftp://host/file") && error.contains("gs://"), "{error}");
    }
}

/// What a developer once signed in with is in the home folder. Here it is no JSON, so that whoever reads it
/// fails; the home folder is that of a process of its own.
#[test]
fn credentials_of_a_developer_are_not_looked_for() {
    const APART: &str = "HAYSTACK_TEST_DEVELOPER";
    let folder = tempfile::tempdir().unwrap();
    if std::env::var_os(APART).is_some() {
        for access in ["instance", "anonymous"] {
            let variables =
                [("HAYSTACK__OBJECTS__URL", "gs://bucket"), ("HAYSTACK__OBJECTS__GCS__CREDENTIALS", access)];
            Objects::open(&config(folder.path(), &variables).objects).unwrap();
        }
        return;
    }
    fs::create_dir_all(folder.path().join(".config/gcloud")).unwrap();
    fs::write(folder.path().join(".config/gcloud/application_default_credentials.json"), "no JSON").unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "objects::credentials_of_a_developer_are_not_looked_for"])
        .env(APART, "1")
        .env("HOME", folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Paths of this machine are bytes, not text.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_may_have_a_name_that_is_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&home).unwrap();
    let mut config = config(folder.path(), &[]).objects;
    let haystack::config::Store::Folder { path, .. } = &mut config.store else { panic!("a folder is the default") };
    *path = home.join("objects");
    let objects = Objects::open(&config).unwrap();
    let log = key("runs/run_0123456789ab/log.json");
    objects.put(&log, Bytes::from_static(b"{}")).await.unwrap();
    let location = Location::Key(log.to_string());
    let found = objects.fetch(&location, folder.path()).await.unwrap();
    assert_eq!((found.starts_with(&home), fs::read(&found).unwrap()), (true, b"{}".to_vec()));
    assert_eq!(objects.in_place(&location).unwrap(), Some(found));
}

#[tokio::test]
async fn a_bucket_answers_its_own_links() {
    for TestStore { kind, objects, .. } in stores().await.into_iter().filter(|store| store.kind == "S3") {
        let report = key("runs/run_0123456789ab/report.html");
        objects.put(&report, Bytes::from_static(b"<p>")).await.unwrap();
        let url = objects.signed_url(&report, Duration::from_secs(60)).await.unwrap();
        let response = reqwest::get(url.clone()).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8", "{kind}");
        assert_eq!(response.text().await.unwrap(), "<p>");
        assert!(url.as_str().contains("X-Amz-Expires=60"), "{url}");
        assert_eq!(objects.verify(&report.to_string(), u64::MAX, ""), Err(LinkError::Invalid));
    }
}

#[tokio::test]
async fn links_to_a_folder_are_checked_by_us() {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::open(&config(folder.path(), &[]).objects).unwrap();
    let report = key("runs/run_0123456789ab/report.html");
    let url = objects.signed_url(&report, Duration::from_secs(60)).await.unwrap();
    assert!(url.as_str().starts_with("http://127.0.0.1:8080/objects/runs/run_0123456789ab/report.html?expires="));
    let value = |name: &str| url.query_pairs().find(|(n, _)| n == name).unwrap().1.into_owned();
    let (expires, signature): (u64, _) = (value("expires").parse().unwrap(), value("signature"));
    // Another process on the same home folder accepts it.
    let server = Objects::open(&config(folder.path(), &[]).objects).unwrap();
    assert_eq!(server.verify(&report.to_string(), expires, &signature), Ok(report.clone()));
    let other = server.verify("runs/run_0123456789ab/log.json", expires, &signature);
    assert_eq!(other, Err(LinkError::Invalid));
    assert_eq!(server.verify(&report.to_string(), expires + 1, &signature), Err(LinkError::Invalid));

    let short = objects.signed_url(&report, Duration::ZERO).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let value = |name: &str| short.query_pairs().find(|(n, _)| n == name).unwrap().1.into_owned();
    let late = server.verify(&report.to_string(), value("expires").parse().unwrap(), &value("signature"));
    assert_eq!(late, Err(LinkError::Expired));
}

#[tokio::test]
async fn an_unreachable_bucket_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = s3::server() else { return };
    let objects = Objects::open(&s3_config(folder.path(), server, "s3://nosuchbucket/p").objects).unwrap();
    let log = key("runs/run_0123456789ab/log.json");
    let error = objects.put(&log, Bytes::from_static(b"x")).await.unwrap_err();
    assert!(error.to_string().contains("s3://nosuchbucket/p/runs/run_0123456789ab/log.json"), "{error}");
}

/// A write that fails midway leaves the old object, no half one, and an error with the place.
///
/// The disk is full because a small in-memory file system is mounted on the folder, in a mount
/// namespace of a process of its own: this test runs itself again under `unshare`.
#[tokio::test]
async fn a_full_disk_leaves_the_store_as_it_was() {
    let Some(folder) = crate::support::small_disk("objects::a_full_disk_leaves_the_store_as_it_was") else { return };
    let objects = Objects::open(&config(&folder, &[]).objects).unwrap();
    let log = key("runs/run_0123456789ab/log.json");
    objects.put(&log, Bytes::from_static(b"old")).await.unwrap();

    let source = tempfile::NamedTempFile::new().unwrap();
    fs::write(source.path(), vec![1; 40 << 20]).unwrap();
    let too_large = Bytes::from(vec![1; 40 << 20]);
    let location = Location::Key(log.to_string());
    let errors = [
        objects.put(&log, too_large).await.unwrap_err(),
        objects.put_file(&log, source.path()).await.unwrap_err(),
        objects.store(source.path(), &location).await.unwrap_err(),
    ];
    for error in errors {
        let message = haystack::cli::Error::failed(error).report();
        assert!(message.contains("runs/run_0123456789ab/log.json"), "{message}");
        assert!(message.contains("No space left on device"), "{message}");
    }
    assert_eq!(objects.get(&log).await.unwrap(), "old");
    assert_eq!(objects.list("").await.unwrap().len(), 1);
    let names: Vec<_> = fs::read_dir(folder.join("objects/runs/run_0123456789ab")).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let url = format!("file://{}/objects", file.display());
    let error = Objects::open(&config(folder.path(), &[("HAYSTACK__OBJECTS__URL", &url)]).objects).unwrap_err();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn a_read_only_disk_is_named() {
    let Some(folder) = crate::support::read_only_disk("objects::a_read_only_disk_is_named") else { return };
    let error = Objects::open(&config(&folder, &[]).objects).unwrap_err();
    let message = haystack::cli::Error::failed(error).report();
    assert!(message.contains(folder.to_str().unwrap()) && message.contains("Read-only file system"), "{message}");
}

//! Where `haystack infer` reads and writes: buckets, and disks that fill up.

use std::fs;
use std::path::Path;

use haystack::anndata::{File, Matrix};
use haystack::domain::inference::Location;
use haystack::objects::{Error, Objects};

use super::command::Workplace;
use crate::support::{config, fill, names_in, s3, small_disk};

/// The same files by address as by path, with a model and a gene list that lie in the bucket too.
#[tokio::test]
async fn a_bucket_gives_the_inputs_and_takes_the_output() {
    let Some(server) = s3::server() else { return };
    let place = Workplace::new();
    let (model, genes) = place.flags();
    let bucket = s3::bucket(server).await;
    let client = reqwest::Client::new();
    let object = |name: &str| format!("{server}/{bucket}/cells/{name}");
    for (name, file) in [
        ("ctrl.h5ad", place.path("ctrl.h5ad")),
        ("query.h5ad", place.path("query.h5ad")),
        ("icl.ckpt", model.clone().into()),
        ("genes.pkl", genes.clone().into()),
    ] {
        let sent = client.put(object(name)).body(fs::read(file).unwrap()).send().await.unwrap();
        assert!(sent.status().is_success(), "{name}: {sent:?}");
    }
    let address = |name: &str| format!("s3://{bucket}/cells/{name}");
    let variables = [
        ("AWS_ENDPOINT_URL", server),
        ("HAYSTACK__OBJECTS__S3__ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let infer = |prompt: &str, query: &str, output: &str, model: &str, genes: &str| {
        place
            .command(&["infer", "--prompt", prompt, "--query", query, "--output", output])
            .args(["--model", model, "--genes", genes, "--diffusion-steps", "2", "--seed", "5"])
            .envs(variables)
            .output()
            .unwrap()
    };
    let by_path = infer("ctrl.h5ad", "query.h5ad", "out.h5ad", &model, &genes);
    assert!(by_path.status.success(), "{}", String::from_utf8_lossy(&by_path.stderr));
    let (model, genes) = (address("icl.ckpt"), address("genes.pkl"));
    let by_address = infer(&address("ctrl.h5ad"), &address("query.h5ad"), &address("out.h5ad"), &model, &genes);
    assert!(by_address.status.success(), "{}", String::from_utf8_lossy(&by_address.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&by_address.stdout).unwrap();
    assert_eq!(summary["arms"][0]["output"]["url"], address("out.h5ad"), "{summary}");

    let home = tempfile::tempdir().unwrap();
    let objects = Objects::open(&config(home.path(), &variables).objects).unwrap();
    let fetch = async |name: &str| objects.fetch(&Location::Url(address(name)), home.path()).await;
    let counts = |file: &Path| File::open(file).unwrap().read_rows(&Matrix::X, None).unwrap();
    assert_eq!(counts(&fetch("out.h5ad").await.unwrap()), counts(&place.path("out.h5ad")));

    // What is not there, and a bucket that is not, are named; nothing is written.
    let absent = infer(&address("nobody.h5ad"), "query.h5ad", &address("not.h5ad"), &model, &genes);
    let said = String::from_utf8_lossy(&absent.stderr);
    assert_eq!(absent.status.code(), Some(1), "{said}");
    assert!(said.contains(&address("nobody.h5ad")), "{said}");
    let absent = infer("ctrl.h5ad", "query.h5ad", "s3://nosuchbucket/not.h5ad", &model, &genes);
    let said = String::from_utf8_lossy(&absent.stderr);
    // It will not be there the next time either.
    assert_eq!(absent.status.code(), Some(1), "{said}");
    assert!(said.contains("s3://nosuchbucket/not.h5ad"), "{said}");
    assert!(matches!(fetch("not.h5ad").await, Err(Error::NotFound { .. })));
}

#[test]
fn a_full_disk_for_the_output_is_named_and_keeps_what_was_there() {
    let Some(disk) = small_disk("stack::places::a_full_disk_for_the_output_is_named_and_keeps_what_was_there") else {
        return;
    };
    let place = Workplace::new();
    let (model, genes) = place.flags();
    let output = disk.join("out.h5ad");
    fs::write(&output, "what was there before").unwrap();
    fill(&disk, 4 << 10);
    let before = names_in(&disk);
    let output = output.to_str().unwrap();
    let flags = ["--prompt", "ctrl.h5ad", "--query", "query.h5ad", "--model", &model, "--genes", &genes];
    let (code, said) = place.fails(&[&flags[..], &["--diffusion-steps", "1", "--output", output]].concat());
    assert_eq!(code, 75, "{said}");
    assert!(said.contains(&format!("cannot write {output}")), "{said}");
    assert!(said.contains("No space left on device") && said.contains("Hint: free some space"), "{said}");
    assert_eq!(fs::read_to_string(output).unwrap(), "what was there before");
    assert_eq!(names_in(&disk), before, "no part of the output is left");
}

#[test]
fn a_full_disk_for_temporary_files_is_named() {
    let Some(disk) = small_disk("stack::places::a_full_disk_for_temporary_files_is_named") else { return };
    let place = Workplace::new();
    let (model, genes) = place.flags();
    fill(&disk, 4 << 10);
    let before = names_in(&disk);
    let output = place
        .command(&["infer", "--prompt", "ctrl.h5ad", "--query", "query.h5ad", "--output", "out.h5ad"])
        .args(["--model", &model, "--genes", &genes, "--diffusion-steps", "1"])
        .env("TMPDIR", &disk)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(output.stdout.is_empty());
    assert!(said.contains(disk.to_str().unwrap()) && said.contains("No space left on device"), "{said}");
    assert!(said.contains("TMPDIR"), "the way out: {said}");
    assert!(!place.path("out.h5ad").exists());
    assert_eq!(names_in(&disk), before, "no temporary file is left");
}

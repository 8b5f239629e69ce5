//! `haystack import` of knowledge and `haystack resolve`, as typed.

use assert_cmd::Command;
use tempfile::TempDir;

fn haystack(home: &TempDir) -> Command {
    let mut command = Command::cargo_bin("haystack").unwrap();
    command.env_clear().env("HAYSTACK_HOME", home.path()).env("PATH", "/nonexistent");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn asset(name: &str) -> String {
    format!("{}/assets/starter/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn knowledge_is_imported_and_names_are_found() {
    let home = tempfile::tempdir().unwrap();
    haystack(&home).arg("migrate").assert().success();

    let refused = haystack(&home).args(["resolve", "--kind", "cell-type", "B cells"]).assert().code(1);
    let error = text(&refused.get_output().stderr);
    assert!(error.contains("haystack import ontology"), "{error}");

    let imported = haystack(&home).args(["import", "ontology", &asset("cl.obo"), "--json"]).assert().success();
    let json: serde_json::Value = serde_json::from_slice(&imported.get_output().stdout).unwrap();
    assert_eq!((json["name"].as_str(), json["outcome"].as_str()), (Some("CL"), Some("new")));
    assert!(text(&imported.get_output().stderr).contains("Imported ontology CL 2026-03-26"));
    let again = haystack(&home).args(["import", "ontology", &asset("cl.obo")]).assert().success();
    assert!(text(&again.get_output().stderr).contains("already imported"), "{again}");
    for (what, file) in [
        ("gene-sets", "gene_sets.gmt"),
        ("regulons", "regulons.tsv"),
        ("markers", "markers.tsv"),
        ("perturbations", "perturbations.tsv"),
    ] {
        let done = haystack(&home).args(["import", what, &asset(file)]).assert().success();
        assert!(text(&done.get_output().stderr).contains(&format!("Imported {}", what.replace('-', " "))), "{done}");
    }

    let named =
        haystack(&home).args(["resolve", "--kind", "cell-type", "B cells", "DC2", "florbocyte"]).assert().success();
    let out = text(&named.get_output().stdout);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0], "B cells\tCL:0000236\tB cell\tnormalised");
    assert!(lines[1].starts_with("DC2\t?\t") && lines[1].contains("CL:0000990"), "{}", lines[1]);
    assert!(lines[2].starts_with("florbocyte\t?\t"), "{}", lines[2]);

    let piped = haystack(&home)
        .args(["resolve", "--kind", "perturbation", "--json"])
        .write_stdin("IFN-β\n\n  STAT1 KO  \r\nunobtainium\n")
        .assert()
        .success();
    let out = text(&piped.get_output().stdout);
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines[0]["id"].as_str(), lines[0]["name"].as_str()), (Some("uniprot:P01574"), Some("interferon beta")));
    assert_eq!(lines[1]["name"], "STAT1 knockout");
    assert_eq!((&lines[2]["id"], lines[2]["candidates"].is_array()), (&serde_json::Value::Null, true));

    haystack(&home).args(["resolve", "--kind", "cell-type", "florbocyte"]).assert().code(1);
    haystack(&home).args(["resolve", "B cells"]).assert().code(2);
}

#[test]
fn files_that_cannot_be_imported_are_named_with_the_place() {
    let home = tempfile::tempdir().unwrap();
    haystack(&home).arg("migrate").assert().success();
    let file = home.path().join("bad.tsv");
    let path = file.to_str().unwrap();
    let stderr = |what: &str, content: &[u8]| {
        std::fs::write(&file, content).unwrap();
        text(&haystack(&home).args(["import", what, path]).assert().code(1).get_output().stderr)
    };
    for (what, content, expected) in [
        ("ontology", &b"hello"[..], "no ontology terms"),
        ("ontology", b"[Term]\nid: A:1\nname: a\nis_a: A:2\n[Term]\nid: A:2\nname: b\nis_a: A:1\n", "round in a loop"),
        ("gene-sets", b"A\tb\t\n", "line 1: the set 'A' has no genes"),
        ("regulons", b"x;y\n1;2\n", "line 1: no column 'source'"),
        ("markers", b"cell_type\tgene\nB cell\tCD19\n", "haystack import ontology"),
        ("perturbations", b"name\tkind\nx\tpotion\n", "line 2"),
        ("perturbations", b"name\xff\n", "line 1: this is not UTF-8"),
        ("gene-sets", b"\x1f\x8b\x08\x00", "cannot read"),
    ] {
        let error = stderr(what, content);
        assert!(error.contains(path) || error.contains("haystack import"), "{what}: {error}");
        assert!(error.contains(expected), "{what}: {error}");
    }
    let missing = haystack(&home).args(["import", "ontology", "/nowhere/cl.obo"]).assert().code(1);
    assert!(text(&missing.get_output().stderr).contains("/nowhere/cl.obo"), "{missing}");
}

//! Writes the first inputs of every target to `corpus/TARGET`: the fixtures, and the smallest sound model.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use haystack_fuzz::harness::{CONFIG, archive};
use haystack_fuzz::stack::checkpoint::{Kind, parameters};
use haystack_fuzz::stack::config::ModelConfig;

fn main() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixtures = here.join("../fixtures/stack/tiny");
    let seed = |target: &str, name: &str, bytes: &[u8]| {
        let folder = here.join("corpus").join(target);
        fs::create_dir_all(&folder).expect("a folder for the inputs");
        fs::write(folder.join(name), bytes).expect("an input");
    };
    for entry in fs::read_dir(&fixtures).expect("the fixtures").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match entry.extension().and_then(|extension| extension.to_str()) {
            Some("pkl") => {
                let bytes = fs::read(&entry).expect("a gene list");
                seed("pickle", &name, &bytes);
                seed("gene_list", &name, &bytes);
            }
            Some("ckpt") => {
                let mut zip = zip::ZipArchive::new(fs::File::open(&entry).expect("a checkpoint")).expect("an archive");
                let inner = zip.file_names().filter_map(Result::ok).find(|name| name.ends_with("/data.pkl"));
                let inner = inner.expect("a pickle").to_string();
                let mut bytes = Vec::new();
                zip.by_name(&inner).expect("a pickle").read_to_end(&mut bytes).expect("a pickle");
                seed("pickle", &name, &bytes);
                seed("lightning", &name, &bytes);
            }
            _ => {}
        }
    }
    seed("gene_list", "genes.json", br#"["IL6", "MX1"]"#);
    seed("gene_list", "genes.txt", b"IL6\nMX1\n");
    seed("gene_list", "protocol0", b"(lp0\nVIL6\np1\naVa\\u03b2\np2\na.");

    // Three references of 16 bytes each, to a collection at address 8 that has two texts.
    let object = |number: u16, text: &[u8; 8]| {
        [&number.to_le_bytes()[..], &[1, 0, 0, 0, 0, 0], &8_u64.to_le_bytes(), text].concat()
    };
    let reference =
        |length: u32, number: u32| [&length.to_le_bytes()[..], &8_u64.to_le_bytes(), &number.to_le_bytes()].concat();
    let collection =
        [&b"GCOL\x01\0\0\0"[..], &80_u64.to_le_bytes(), &object(1, b"ISG15\0\0\0"), &object(7, b"MX1 IFI6"), &[0; 16]]
            .concat();
    let references = [reference(5, 1), reference(8, 7), reference(8, 1)].concat();
    // Addresses and lengths have 8 bytes, and address 0 is the beginning of the file.
    seed("heap", "two_texts", &[&[0b1010, 0, 3][..], &references, &[0; 8], &collection].concat());

    let config = ModelConfig::from_json(&serde_json::from_str(CONFIG).expect("JSON")).expect("a configuration");
    for (kind, name) in [(Kind::Base, "base"), (Kind::Aligned, "aligned")] {
        let parameters = parameters(&config, kind);
        let pickle = pickle(&parameters);
        let values: Vec<Vec<u8>> =
            parameters.iter().map(|(_, shape)| vec![1; 4 * shape.iter().product::<usize>()]).collect();
        let storages: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        seed("pickle", name, &pickle);
        seed("lightning", name, &pickle);
        seed("checkpoint", name, &archive(&pickle, &storages));
        seed("safetensors", name, &safetensors(&parameters, &storages));
    }
}

/// The smallest checkpoint's pickle, in protocol 0 with the storages in order.
fn pickle(parameters: &[(String, Vec<usize>)]) -> Vec<u8> {
    let tuple = |sizes: &[usize]| format!("({}t", sizes.iter().map(|size| format!("L{size}L\n")).collect::<String>());
    let mut text = "}Vstate_dict\n}".to_owned();
    for (key, (name, shape)) in parameters.iter().enumerate() {
        let count: usize = shape.iter().product();
        let strides: Vec<usize> = (0..shape.len()).map(|at| shape[at + 1..].iter().product()).collect();
        let (shape, strides) = (tuple(shape), tuple(&strides));
        text += &format!(
            "Vmodel.{name}\nctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\nFloatStorage\nV{key}\nVcpu\nL{count}L\ntQL0L\n{shape}{strides}I00\nccollections\nOrderedDict\n)RtRs"
        );
    }
    text += "sVhyper_parameters\n}Vmodel_config\n}";
    let config: BTreeMap<String, u64> = serde_json::from_str(CONFIG).expect("JSON");
    for (key, value) in config {
        text += &format!("V{key}\nL{value}L\ns");
    }
    text += "ss.";
    text.into_bytes()
}

fn safetensors(parameters: &[(String, Vec<usize>)], values: &[&[u8]]) -> Vec<u8> {
    let mut at = 0;
    let mut header = serde_json::Map::new();
    for ((name, shape), values) in parameters.iter().zip(values) {
        let offsets = [at, at + values.len()];
        header.insert(name.clone(), serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": offsets}));
        at += values.len();
    }
    let header = serde_json::to_vec(&header).expect("JSON");
    [&(header.len() as u64).to_le_bytes()[..], &header, &values.concat()].concat()
}

//! What cannot be run is refused before anything is fetched.

use std::path::{Path, PathBuf};

use crate::cli::{Error, Result};
use crate::domain::inference::{Arm, InferRequest, Location, Method};
use crate::objects::Objects;

/// Refuses arms that lack something, and outputs that would replace an input or each other; all arms go to one
/// file where they are `concatenated`.
pub fn check(request: &InferRequest, concatenated: bool, objects: &Objects) -> Result {
    if request.arms.is_empty() {
        return Err(Error::failed("the request has no arms: there is nothing to predict"));
    }
    // The flags make one arm, whose name their user never gave.
    let which = |arm: &Arm| if request.arms.len() == 1 { String::new() } else { format!("arm {}: ", arm.name) };
    for (at, arm) in request.arms.iter().enumerate() {
        if request.arms[..at].iter().any(|other| other.name == arm.name) {
            return Err(Error::failed(format!("the request has two arms called {}", arm.name)));
        }
        match arm.method {
            Method::Stack if request.model.is_none() => {
                return Err(Error::usage(format!("{}STACK needs a model", which(arm)))
                    .hint("give --model NAME of an imported model, or --checkpoint FILE with --genes FILE")
                    .hint("or predict with the baseline: --method mean-shift --control FILE"));
            }
            Method::MeanShift if arm.control.is_none() => {
                return Err(Error::usage(format!("{}mean-shift needs control cells", which(arm)))
                    .hint("give --control FILE, the paired control cells of the prompt"));
            }
            _ => {}
        }
    }
    check_outputs(request, concatenated, objects)
}

fn check_outputs(request: &InferRequest, concatenated: bool, objects: &Objects) -> Result {
    let cells = request.arms.iter().flat_map(|arm| [Some(&arm.prompt), arm.control.as_ref()]);
    let others = [request.model.as_ref(), request.genes.as_ref(), Some(&request.query)];
    let arms = if concatenated { &request.arms[..1] } else { &request.arms };
    let outputs = arms.iter().map(|arm| &arm.output).chain(&request.summary);
    all_differ(outputs, others.into_iter().chain(cells).flatten(), objects)
}

/// Refuses outputs that would be written over an input or over each other.
pub fn all_differ<'a>(
    outputs: impl IntoIterator<Item = &'a Location>,
    inputs: impl IntoIterator<Item = &'a Location>,
    objects: &Objects,
) -> Result {
    let inputs: Vec<String> = inputs.into_iter().map(|location| place(location, objects)).collect();
    let mut written: Vec<String> = Vec::new();
    for location in outputs {
        let output = place(location, objects);
        let other = if inputs.contains(&output) { "an input" } else { "another output" };
        if inputs.contains(&output) || written.contains(&output) {
            return Err(Error::usage(format!("{location} would be written over {other}"))
                .hint("nothing was changed; give the output another name or folder"));
        }
        written.push(output);
    }
    Ok(())
}

/// One text for all ways to name a file.
fn place(location: &Location, objects: &Objects) -> String {
    match objects.in_place(location) {
        Ok(Some(path)) => resolved(&path).display().to_string(),
        _ => location.to_string(),
    }
}

/// Without links and detours, as far as there is something at the path.
fn resolved(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (whole.canonicalize(), whole.parent(), whole.file_name()) {
        (Ok(there), ..) => there,
        (Err(_), Some(folder), Some(name)) => resolved(folder).join(name),
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{Config, Environment};
    use crate::domain::inference::Sampling;

    fn request(method: Method, [prompt, query, output]: [&str; 3]) -> InferRequest {
        let location = |text: &str| Location::from_argument(text);
        InferRequest {
            model: Some(location("m.ckpt")),
            genes: None,
            query: location(query),
            arms: vec![Arm {
                name: "prediction".to_owned(),
                method,
                prompt: location(prompt),
                split: None,
                control: None,
                output: location(output),
            }],
            sampling: Sampling::default(),
            summary: None,
        }
    }

    fn refusal(request: &InferRequest) -> Option<(i32, String)> {
        let error = check(request, false, &objects()).err()?;
        Some((error.kind().code().into(), error.report()))
    }

    fn objects() -> Objects {
        let home = ("HAYSTACK_HOME".to_owned(), std::env::temp_dir().join("haystack-check").display().to_string());
        Objects::open(&Config::load(None, &Environment::from_iter([home])).unwrap().objects).unwrap()
    }

    #[test]
    fn what_an_arm_lacks_is_said_before_anything_is_read() {
        let files = ["p", "q", "o"];
        assert_eq!(refusal(&request(Method::Stack, files)), None);
        let no_model = InferRequest { model: None, ..request(Method::Stack, files) };
        let (code, report) = refusal(&no_model).unwrap();
        assert!(code == 2 && report.contains("needs a model"), "{report}");
        let (_, report) = refusal(&request(Method::MeanShift, files)).unwrap();
        assert!(report.contains("--control"), "{report}");
        let mut twice = request(Method::Stack, files);
        twice.arms.push(twice.arms[0].clone());
        assert!(refusal(&twice).unwrap().1.contains("two arms called prediction"));
        twice.arms.clear();
        assert!(refusal(&twice).unwrap().1.contains("no arms"));
    }

    #[test]
    fn no_output_replaces_an_input_or_another_output() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        fs::create_dir(folder.path().join("donors")).unwrap();
        fs::write(folder.path().join("donors/a.h5ad"), "cells").unwrap();
        let prompt = at("donors/a.h5ad");
        for output in [prompt.clone(), at("./donors/../donors/a.h5ad"), format!("file://{prompt}")] {
            let (_, report) = refusal(&request(Method::Stack, [&prompt, "q", &output])).unwrap();
            assert!(report.contains("an input"), "{report}");
        }
        // The file is not there yet.
        let (_, report) = refusal(&request(Method::Stack, ["p", &at("donors/q"), &at("donors/../donors/q")])).unwrap();
        assert!(report.contains("an input"), "{report}");
        assert_eq!(refusal(&request(Method::Stack, [&prompt, "q", &at("donors/b.h5ad")])), None);

        let mut two = request(Method::Stack, ["p", "q", "s3://b/o"]);
        two.arms.push(Arm { name: "other".to_owned(), ..two.arms[0].clone() });
        assert!(refusal(&two).unwrap().1.contains("another output"));
        assert!(check(&two, true, &objects()).is_ok(), "all arms go to one file");
        two.arms[1].output = Location::from_argument("s3://b/o2");
        assert_eq!(refusal(&two), None);
        two.summary = Some(Location::from_argument("s3://b/o2"));
        assert!(refusal(&two).is_some());
    }
}

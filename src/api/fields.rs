//! What a request may hold, as it is described in `/openapi.json`: so that the description and what is
//! said of a wrong request are one.

use serde::Serialize;
use serde_json::{Map, Value, json};
use serde_path_to_error::{Path, Segment};
use utoipa::openapi::path::ParameterIn;
use utoipa::{IntoParams, ToSchema};

/// The fields of a body, or the parameters of a query, by their JSON schema.
pub struct Fields {
    word: &'static str,
    schema: Value,
}

impl Fields {
    /// Of a JSON object.
    pub fn of_body<T: ToSchema>() -> Self {
        Self { word: "field", schema: to_json(&T::schema()) }
    }

    /// Of the query part of an address.
    pub fn of_query<T: IntoParams>() -> Self {
        let parameters = to_json(&T::into_params(|| Some(ParameterIn::Query)));
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for parameter in parameters.as_array().into_iter().flatten() {
            let mut schema = parameter["schema"].clone();
            schema["description"] = parameter["description"].clone();
            if parameter["required"] == true {
                required.push(parameter["name"].clone());
            }
            properties.insert(text(&parameter["name"]).to_owned(), schema);
        }
        Self { word: "parameter", schema: json!({"properties": properties, "required": required}) }
    }

    /// Such as `with the field query`.
    pub fn in_short(&self) -> String {
        let required: Vec<&str> = list(&self.schema["required"]).map(text).collect();
        match required.is_empty() {
            true => format!("with the {}s {}", self.word, known(&self.schema)),
            false => format!("with the {} {}", self.word, required.join(" and ")),
        }
    }

    /// What is unknown, missing or out of its limits in what was given, in a sentence.
    pub fn check(&self, given: &Map<String, Value>) -> Result<(), String> {
        self.check_object("", &self.schema, given)
    }

    fn check_object(&self, place: &str, schema: &Value, given: &Map<String, Value>) -> Result<(), String> {
        let word = self.word;
        for name in given.keys() {
            if schema["properties"].get(name).is_none() {
                let way_out = match nearest(schema, name) {
                    Some(other) => format!("did you mean '{place}{other}'?"),
                    None => format!("there are {}.", known(schema)),
                };
                return Err(format!("There is no {word} '{place}{name}'; {way_out}"));
            }
        }
        if let Some(name) = list(&schema["required"]).map(text).find(|name| !given.contains_key(*name)) {
            let takes = takes(meant(&schema["properties"][name]));
            return Err(format!("The {word} {place}{name} is missing; it takes {takes}"));
        }
        for (name, value) in given {
            let schema = meant(&schema["properties"][name]);
            match value {
                Value::Object(inner) if schema["properties"].is_object() => {
                    self.check_object(&format!("{place}{name}."), schema, inner)?;
                }
                Value::Number(number) if !is_within(schema, number.as_f64()) => {
                    return Err(self.refuse(&format!("{place}{name}"), schema, value));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What is wrong with the value at a path, in a sentence.
    pub fn refusal(&self, path: &Path, given: &Value) -> String {
        let (mut schema, mut value, mut place) = (&self.schema, given, Vec::new());
        for segment in path {
            let Segment::Map { key } = segment else { break };
            let (Some(inner), Some(found)) = (schema["properties"].get(key), value.get(key)) else { break };
            (schema, value) = (meant(inner), found);
            place.push(key.as_str());
        }
        self.refuse(&place.join("."), schema, value)
    }

    fn refuse(&self, place: &str, schema: &Value, value: &Value) -> String {
        format!("The {} {place} cannot be {}; it takes {}", self.word, in_short(value), takes(schema))
    }
}

/// The schema of a value that is there; one that may be null is described as a choice.
fn meant(schema: &Value) -> &Value {
    list(&schema["oneOf"]).find(|choice| choice["type"] != "null").unwrap_or(schema)
}

/// What a value must be, as the end of a sentence.
fn takes(schema: &Value) -> String {
    let types = &schema["type"];
    let is = |name: &str| types == name || list(types).any(|of| of == name);
    let number = |name: &str| schema[name].as_f64();
    let range = match (number("minimum"), number("maximum")) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(", {least} or more"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    };
    match (number("minLength"), number("maxLength")) {
        _ if is("integer") => format!("a whole number{range}."),
        _ if is("number") => format!("a number{range}."),
        _ if is("boolean") => "true or false.".to_owned(),
        (Some(least), Some(most)) => format!("a text of {least} to {most} characters."),
        _ => {
            let kind = if is("string") { "a text" } else { "an object" };
            let described = text(&schema["description"]).replace('`', "'").replace('\n', " ");
            if described.is_empty() { format!("{kind}.") } else { format!("{kind}: {described}") }
        }
    }
}

fn is_within(schema: &Value, number: Option<f64>) -> bool {
    let Some(number) = number else { return true };
    let beyond = |name: &str, is_beyond: fn(f64, f64) -> bool| {
        schema[name].as_f64().is_some_and(|limit| is_beyond(number, limit))
    };
    !beyond("minimum", |number, limit| number < limit) && !beyond("maximum", |number, limit| number > limit)
}

/// A given value as JSON, cut where it gets long.
fn in_short(value: &Value) -> String {
    const LONGEST: usize = 60;
    let json = value.to_string();
    match json.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &json[..end]),
        None => json,
    }
}

fn known(schema: &Value) -> String {
    let names = schema["properties"].as_object().into_iter().flat_map(Map::keys);
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn nearest<'a>(schema: &'a Value, name: &str) -> Option<&'a str> {
    let names = schema["properties"].as_object()?.keys();
    let alike = names.map(|other| (strsim::normalized_damerau_levenshtein(name, other), other));
    alike.filter(|(likeness, _)| *likeness >= 0.6).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, other)| other.as_str())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn to_json(description: &impl Serialize) -> Value {
    serde_json::to_value(description).unwrap_or_default()
}

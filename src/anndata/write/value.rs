//! Values in `uns`.

use super::table;
use crate::anndata::data::Value;
use crate::anndata::error::Result;
use crate::anndata::store::Target;

/// Writes values by name, as a group.
pub(super) fn write_dict(parent: &Target, name: &str, values: &[(String, Value)]) -> Result<()> {
    let group = parent.group(name, "dict", "0.1.0")?;
    group.check_unique(values.iter().map(|(name, _)| name.as_str()))?;
    for (name, value) in values {
        write(&group, name, value)?;
    }
    Ok(())
}

/// Writes a value.
pub(super) fn write(parent: &Target, name: &str, value: &Value) -> Result<()> {
    match value {
        Value::Null => parent.null(name),
        Value::Bool(value) => parent.scalar_number(name, *value),
        Value::Int(value) => parent.scalar_number(name, *value),
        Value::Float(value) => parent.scalar_number(name, *value),
        Value::String(text) => parent.scalar_text(name, text),
        Value::Floats(values) => parent.array(name, values, vec![values.len()]),
        Value::Ints(values) => parent.array(name, values, vec![values.len()]),
        Value::Strings(texts) => parent.texts(name, texts),
        Value::Dict(values) => write_dict(parent, name, values),
        Value::Records(records) => parent.records(name, records),
        Value::Table(table) => table::write(parent, name, table),
    }
}

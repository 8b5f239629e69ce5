//! What a file says of itself in `uns`: texts and the names of what is there.

use super::File;
use super::values::{read_column, texts};
use crate::anndata::error::Result;
use crate::anndata::store::{Group, Kind, Node};

impl File {
    /// A text in `uns`, or the first of a list of texts; nothing where there is something else or nothing.
    pub fn uns_text(&self, path: &[&str]) -> Result<Option<String>> {
        let Some((name, folders)) = path.split_last() else { return Ok(None) };
        let Some(group) = self.uns_group(folders)? else { return Ok(None) };
        let Some(Node::Array(array)) = group.get(name)? else { return Ok(None) };
        if array.is_null() || !matches!(array.kind(), Kind::Text { .. }) {
            return Ok(None);
        }
        match array.shape() {
            [] => array.scalar_text().map(Some),
            [0] => Ok(None),
            _ => Ok(texts(read_column(Node::Array(array), &group)?).into_iter().next()),
        }
    }

    /// The names in a dictionary in `uns`; none where there is no such dictionary.
    pub fn uns_names(&self, path: &[&str]) -> Result<Vec<String>> {
        self.uns_group(path)?.map_or(Ok(vec![]), |group| group.names())
    }

    fn uns_group(&self, path: &[&str]) -> Result<Option<Group>> {
        let Some(Node::Group(mut group)) = self.root.get("uns")? else { return Ok(None) };
        for name in path {
            let Some(Node::Group(inner)) = group.get(name)? else { return Ok(None) };
            group = inner;
        }
        Ok(Some(group))
    }
}

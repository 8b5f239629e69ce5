//! Tables that are results: tab-separated text, or one JSON object a row, to standard output or a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{Error, Result};

/// One value of a row.
#[derive(Clone, Debug)]
pub enum Cell<'a> {
    /// Text.
    Text(&'a str),
    /// Text made for the row.
    Owned(String),
    /// A number; where there is none (NaN), an empty field or null.
    Number(f64),
    /// A whole number.
    Count(usize),
}

/// Where rows go and what they look like.
#[derive(Clone, Debug, clap::Args)]
pub struct Destination {
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Print one JSON object per row instead of tab-separated text
    #[arg(long)]
    pub json: bool,
}

impl Destination {
    /// Writes all rows under their column names.
    pub fn write<'a, const N: usize>(
        &self,
        columns: [&str; N],
        rows: impl IntoIterator<Item = [Cell<'a>; N]>,
    ) -> Result {
        match &self.output {
            None => match self.write_to(BufWriter::new(io::stdout().lock()), columns, rows) {
                // A reader who has seen enough (`| head`) closes the pipe; that is no failure.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                written => written.map_err(|error| Error::failed(format!("cannot write: {error}"))),
            },
            Some(path) => whole_file(path, |file| self.write_to(BufWriter::new(file), columns, rows)),
        }
    }

    fn write_to<'a, const N: usize>(
        &self,
        mut out: impl Write,
        columns: [&str; N],
        rows: impl IntoIterator<Item = [Cell<'a>; N]>,
    ) -> io::Result<()> {
        if !self.json {
            writeln!(out, "{}", columns.join("\t"))?;
        }
        for row in rows {
            if self.json {
                let value = |cell: &Cell| match cell {
                    Cell::Text(text) => (*text).into(),
                    Cell::Owned(text) => text.as_str().into(),
                    // NaN and infinity become null.
                    Cell::Number(number) => serde_json::Value::from(*number),
                    Cell::Count(count) => (*count).into(),
                };
                let object: serde_json::Map<String, serde_json::Value> =
                    columns.iter().zip(&row).map(|(name, cell)| ((*name).to_owned(), value(cell))).collect();
                serde_json::to_writer(&mut out, &object)?;
                out.write_all(b"\n")?;
                continue;
            }
            for (at, cell) in row.iter().enumerate() {
                if at > 0 {
                    out.write_all(b"\t")?;
                }
                match cell {
                    Cell::Text(text) => out.write_all(text.as_bytes())?,
                    Cell::Owned(text) => out.write_all(text.as_bytes())?,
                    Cell::Number(number) if number.is_nan() => {}
                    Cell::Number(number) => write!(out, "{number:?}")?,
                    Cell::Count(count) => write!(out, "{count}")?,
                }
            }
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}

/// Writes a file beside its place and moves it there once it is complete.
fn whole_file(path: &Path, write: impl FnOnce(&File) -> io::Result<()>) -> Result {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let written =
        tempfile::Builder::new().prefix(".haystack-").suffix(".part").tempfile_in(folder).and_then(|beside| {
            write(beside.as_file())?;
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                beside.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
            }
            beside.persist(path).map_err(|error| error.error)
        });
    match written {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::failed(format!("cannot write {}: {error}", path.display()))),
    }
}

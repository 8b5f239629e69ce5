//! Many rows at a time, in and out: row by row the driver for both databases takes seconds where this
//! takes a tenth of one.

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use super::{Database, Result};

/// Values in one statement. SQLite takes up to 32 766, but looks each up among those before it: many
/// thousands take seconds. The text of full statements is the same, so it is prepared once.
const MAX_VALUES: usize = 960;

/// A statement to bind values to.
pub(super) type Statement<'q> = Query<'q, Any, AnyArguments>;

/// Inserts rows, many in one statement. `into` is the table with its `n_columns` columns; `bind` binds
/// the values of a row in their order; `on_rows` is told how many rows are in.
pub(super) async fn insert_rows<'q, T>(
    transaction: &mut Transaction<'_, Any>,
    (into, n_columns): (&'static str, usize),
    rows: &'q [T],
    bind: impl Fn(Statement<'q>, &'q T) -> Statement<'q>,
    on_rows: &(dyn Fn(usize) + Sync),
) -> Result<()> {
    let mut written = 0;
    for chunk in rows.chunks(MAX_VALUES / n_columns) {
        let row = |at: usize| {
            let places: Vec<String> = (1..=n_columns).map(|column| format!("${}", at * n_columns + column)).collect();
            format!("({})", places.join(", "))
        };
        let places: Vec<String> = (0..chunk.len()).map(row).collect();
        // Nothing but numbered places is added to the text.
        let text = AssertSqlSafe(format!("INSERT INTO {into} VALUES {}", places.join(", ")));
        let statement = chunk.iter().fold(sqlx::query(text), &bind);
        statement.execute(&mut **transaction).await?;
        written += chunk.len();
        on_rows(written);
    }
    Ok(())
}

/// Between the fields of a row and between rows: ASCII's own separators, which no name contains.
const FIELD: &str = "\u{1f}";
const ROW: &str = "\u{1e}";

/// The rows of a table as text.
pub(super) struct Columns(String);

impl Columns {
    /// Rows of `N` fields; a row with another number of them is left out.
    pub fn rows<const N: usize>(&self) -> impl Iterator<Item = [&str; N]> {
        let rows = self.0.split(ROW).filter(|row| !row.is_empty());
        rows.filter_map(|row| {
            let mut fields = row.split(FIELD);
            let mut found = [""; N];
            for field in &mut found {
                *field = fields.next()?;
            }
            fields.next().is_none().then_some(found)
        })
    }
}

impl Database {
    /// Runs a `string_agg` whose first parameter separates fields and whose second separates rows.
    pub(super) async fn columns(&self, query: &'static str) -> Result<Columns> {
        let row = sqlx::query(query).bind(FIELD).bind(ROW).fetch_one(&self.pool).await?;
        let text: Option<String> = row.try_get(0)?;
        Ok(Columns(text.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_all_their_fields() {
        let columns = Columns(["a\u{1f}\u{1f}c", "d\u{1f}e", "f\u{1f}g\u{1f}h"].join(ROW));
        assert_eq!(columns.rows().collect::<Vec<[&str; 3]>>(), [["a", "", "c"], ["f", "g", "h"]]);
        assert_eq!(Columns(String::new()).rows::<1>().count(), 0);
    }
}

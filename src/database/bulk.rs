//! Many rows at a time, in and out: row by row the driver for both databases takes seconds where this
//! takes a tenth of one.

use serde::de::DeserializeOwned;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::{Database, Dialect, Error, Result};

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

impl Database {
    /// Every row of a table, in no order. `columns` are SQL expressions for text, whole numbers or
    /// `NULL`, and `T` is the tuple of their values.
    ///
    /// The database writes the rows as one JSON text, in which any text can stand.
    pub(super) async fn all_rows<T: DeserializeOwned>(&self, table: &'static str, columns: &str) -> Result<Vec<T>> {
        let sql = match self.dialect {
            Dialect::Sqlite => format!("SELECT json_group_array(json_array({columns})) FROM {table}"),
            Dialect::Postgres => {
                format!("SELECT coalesce(json_agg(json_build_array({columns})), '[]')::text FROM {table}")
            }
        };
        let rows: String = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await?;
        serde_json::from_str(&rows).map_err(|error| Error::stored(table, "row", error))
    }

    /// SQL that gives a floating-point column as text from which exactly the same number is read;
    /// SQLite's own text and JSON forms keep 15 digits of it.
    pub(super) fn as_exact_text(&self, column: &str) -> String {
        match self.dialect {
            Dialect::Sqlite => format!("format('%!.17g', {column})"),
            Dialect::Postgres => format!("{column}::text"),
        }
    }
}

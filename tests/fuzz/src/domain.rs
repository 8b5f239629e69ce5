//! What the readers know of the program's types.

#[path = "../../../src/domain/expression.rs"]
pub mod expression;

pub use expression::{Csr, Expression};

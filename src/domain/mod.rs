//! WORDS: the types and rules of the problem, without I/O.
//!
//! Everything here is parsed once and valid ever after. The serde forms are *our* stored record
//! (database columns, `log.json`, job requests), never a vendor's wire format.

pub mod cells;
pub mod datasets;
pub mod evaluation;
pub mod expression;
pub mod facts;
pub mod ids;
pub mod inference;
pub mod ontology;
pub mod organism;
pub mod query;
pub mod run;
pub mod score;
pub mod sentence;
pub mod terms;

pub use cells::{CellSet, CellSetKey, Condition};
pub use datasets::Dataset;
pub use expression::{Csr, Expression};
pub use facts::{GeneSet, Interaction, Marker, Regulation};
pub use ids::{Curie, RunId};
pub use ontology::{Ontology, OntologyTerm, Relation, Scope, Synonym};
pub use organism::Organism;
pub use terms::{Label, Perturbation, Term};

-- The first schema. Times are ISO 8601 UTC text, JSON is text, so that one query serves both databases.

-- What we hold -------------------------------------------------------------------------------

CREATE TABLE datasets (
    name        TEXT PRIMARY KEY,
    location    TEXT NOT NULL,              -- JSON: domain::inference::Location of the .h5ad
    bytes       BIGINT NOT NULL,            -- size when imported; a changed file is refused
    modified    TEXT NOT NULL,              -- time of its last change when imported, or last verified
    sha256      TEXT NOT NULL,              -- of the file alone
    fingerprint TEXT NOT NULL,              -- SHA-256 of file and mapping; the same import is a no-op
    profile     TEXT NOT NULL,              -- which column conventions were used
    counts_in   TEXT NOT NULL,              -- where the raw counts are: X, raw/X or layers/NAME
    genes_in    TEXT,                       -- var column with gene symbols; NULL is the index
    n_cells     BIGINT NOT NULL,
    n_genes     BIGINT NOT NULL,
    simulated   BOOLEAN NOT NULL,
    summary     TEXT NOT NULL,              -- JSON: resolved and unresolved labels, columns taken
    imported_at TEXT NOT NULL
);

CREATE TABLE cell_sets (
    id                INTEGER PRIMARY KEY,
    dataset           TEXT NOT NULL REFERENCES datasets (name) ON DELETE CASCADE,
    cell_type         TEXT NOT NULL,        -- as the file spells it
    cell_type_id      TEXT,                 -- CL id, NULL when unresolved
    cell_type_name    TEXT,
    is_control        BOOLEAN NOT NULL,
    control_label     TEXT,
    perturbation      TEXT,                 -- as the file spells it, NULL for controls
    perturbation_id   TEXT,
    perturbation_name TEXT,                 -- canonical name
    dose              TEXT,
    time              TEXT,
    donor             TEXT,
    tissue            TEXT,
    tissue_id         TEXT,
    tissue_name       TEXT,
    disease           TEXT,
    disease_id        TEXT,
    disease_name      TEXT,
    batch             TEXT,
    sample_condition  TEXT,
    n_cells           BIGINT NOT NULL,
    mean_genes        DOUBLE PRECISION,
    mean_counts       DOUBLE PRECISION,
    rows              BLOB NOT NULL         -- roaring bitmap (portable format) of row numbers
);
CREATE INDEX cell_sets_dataset ON cell_sets (dataset);
CREATE INDEX cell_sets_perturbation ON cell_sets (perturbation_name, cell_type_id);
CREATE INDEX cell_sets_cell_type ON cell_sets (cell_type_id, is_control);

-- What we know -------------------------------------------------------------------------------

CREATE TABLE ontologies (
    prefix      TEXT PRIMARY KEY,           -- CL, UBERON, MONDO, ...
    version     TEXT NOT NULL,
    source      TEXT NOT NULL,              -- file name it came from
    fingerprint TEXT NOT NULL,
    imported_at TEXT NOT NULL
);

CREATE TABLE ontology_terms (
    id          TEXT PRIMARY KEY,           -- CURIE
    ontology    TEXT NOT NULL REFERENCES ontologies (prefix) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    definition  TEXT,
    obsolete    BOOLEAN NOT NULL,
    replaced_by TEXT
);
CREATE INDEX ontology_terms_ontology ON ontology_terms (ontology);

CREATE TABLE ontology_edges (
    subject  TEXT NOT NULL REFERENCES ontology_terms (id) ON DELETE CASCADE,
    relation TEXT NOT NULL,                 -- is_a, part_of, develops_from
    object   TEXT NOT NULL,
    PRIMARY KEY (subject, relation, object)
);
CREATE INDEX ontology_edges_object ON ontology_edges (object, relation);

CREATE TABLE synonyms (
    term_id  TEXT NOT NULL REFERENCES ontology_terms (id) ON DELETE CASCADE,
    synonym  TEXT NOT NULL,
    scope    TEXT NOT NULL,                 -- EXACT, NARROW, BROAD, RELATED
    PRIMARY KEY (term_id, synonym, scope)
);

CREATE TABLE perturbations (
    source      TEXT NOT NULL,
    name        TEXT NOT NULL,              -- canonical; the same name in two sources is one perturbation
    record      TEXT NOT NULL,              -- JSON: domain::terms::Perturbation
    PRIMARY KEY (source, name)
);

CREATE TABLE gene_sets (
    collection  TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    genes       TEXT NOT NULL,              -- tab-separated symbols, upper case
    n_genes     BIGINT NOT NULL,
    PRIMARY KEY (collection, name)
);

CREATE TABLE markers (
    cell_type_id TEXT NOT NULL,
    gene         TEXT NOT NULL,
    source       TEXT NOT NULL,
    PRIMARY KEY (cell_type_id, gene, source)
);

CREATE TABLE regulons (
    network TEXT NOT NULL,
    source  TEXT NOT NULL,                  -- transcription factor
    target  TEXT NOT NULL,
    weight  DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (network, source, target)
);

CREATE TABLE knowledge_sources (
    kind        TEXT NOT NULL,              -- perturbations, gene-sets, markers, regulons
    name        TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    n_records   BIGINT NOT NULL,
    imported_at TEXT NOT NULL,
    PRIMARY KEY (kind, name)
);

-- What was asked -----------------------------------------------------------------------------

CREATE TABLE runs (
    run_id                     TEXT PRIMARY KEY,
    user_email                 TEXT NOT NULL,
    lifecycle                  TEXT NOT NULL,
    phase                      TEXT NOT NULL,
    current_iteration          BIGINT NOT NULL,
    cancel_requested           BOOLEAN NOT NULL,
    raw_query                  TEXT NOT NULL,
    settings                   TEXT NOT NULL,   -- JSON: domain::run::Settings
    structured_query           TEXT,            -- JSON: domain::query::StructuredQuery
    control_strategy           TEXT NOT NULL,
    control_strategy_effective TEXT,
    control_cells_available    BOOLEAN,
    best_iteration             BIGINT,
    final_score                BIGINT,
    termination_reason         TEXT,
    result                     TEXT,            -- JSON: domain::evaluation::RunResult
    failure                    TEXT,            -- JSON: domain::run::Failure
    job                        TEXT,            -- handle of the orchestrator's process or cloud job
    last_event                 BIGINT NOT NULL, -- number of the newest row in events, 0 before the first
    created_at                 TEXT NOT NULL,
    updated_at                 TEXT NOT NULL,
    started_at                 TEXT,
    finished_at                TEXT
);
CREATE INDEX runs_user ON runs (user_email, created_at);

CREATE TABLE iterations (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    record TEXT NOT NULL,                   -- JSON: domain::run::Iteration
    PRIMARY KEY (run_id, number)
);

CREATE TABLE events (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    seq    BIGINT NOT NULL,                 -- from 1 within a run, without gaps
    kind   TEXT NOT NULL,
    time   TEXT NOT NULL,
    data   TEXT NOT NULL,                   -- JSON
    PRIMARY KEY (run_id, seq)
);

CREATE TABLE artifacts (
    run_id     TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    object_key TEXT NOT NULL,
    bytes      BIGINT NOT NULL,
    sha256     TEXT NOT NULL,
    media_type TEXT NOT NULL,
    PRIMARY KEY (run_id, object_key)
);

-- Releases of ontologies that are held beside the one in use, and interactions of proteins.

CREATE TABLE ontology_releases (
    prefix      TEXT NOT NULL,
    version     TEXT NOT NULL,
    source      TEXT NOT NULL,              -- file name it came from
    fingerprint TEXT NOT NULL,
    imported_at TEXT NOT NULL,
    content     BYTEA NOT NULL,         -- gzipped JSON: domain::ontology::Ontology
    PRIMARY KEY (prefix, version)
);

CREATE TABLE interactions (
    network TEXT NOT NULL,
    source  TEXT NOT NULL,                  -- gene symbol
    target  TEXT NOT NULL,                  -- gene symbol
    sign    BIGINT NOT NULL,                -- 1 activates, -1 represses, 0 not known
    score   DOUBLE PRECISION NOT NULL,      -- confidence, 0 to 1
    PRIMARY KEY (network, source, target)
);

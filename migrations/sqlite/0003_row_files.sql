-- Row files: the counts of a data set laid out for reading a few cells.
ALTER TABLE datasets ADD COLUMN rows_in TEXT;   -- key in the object store; NULL where there is none

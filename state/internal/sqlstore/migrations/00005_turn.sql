-- Which process brings a blob to a registry, and where it has brought it: see
-- state/postgres. Where only one process writes nothing is ever in it. It need not
-- outlive a crash of the database.

-- +goose Up

CREATE {{passing}} TABLE turn (
  host   {{text}} NOT NULL,
  digest {{text}} NOT NULL,
  holder BIGINT   NOT NULL,           -- the process, 0 once it has landed
  repo   {{text}} NOT NULL DEFAULT '',
  at     BIGINT   NOT NULL,
  waited BIGINT   NOT NULL DEFAULT 0, -- somebody wants to be told of the end
  PRIMARY KEY (host, digest)
) {{keyed}};

-- +goose Down

DROP TABLE turn;

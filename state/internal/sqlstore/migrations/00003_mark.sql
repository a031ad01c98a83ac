-- +goose Up

-- How far the list of a repository is known: tags and manifests are times of its
-- host's own clock, swept is one of ours.
CREATE TABLE mark (
  repo_id   BIGINT   NOT NULL,
  side      {{text}} NOT NULL,
  tags      BIGINT   NOT NULL,
  manifests BIGINT   NOT NULL,
  swept     BIGINT   NOT NULL,
  PRIMARY KEY (repo_id, side)
) {{keyed}};

-- +goose Down

DROP TABLE mark;

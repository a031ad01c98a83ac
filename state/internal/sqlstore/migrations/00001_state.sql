-- Times are unix microseconds, 0 is never. A digest is the 32 bytes of its
-- sha256 sum; empty is none. {{…}} is filled in for each engine (dialect.go).

-- +goose Up

CREATE TABLE host (
  id   {{id}},
  name {{text}} NOT NULL UNIQUE
);

CREATE TABLE repo (
  id      {{id}},
  host_id BIGINT   NOT NULL,
  name    {{text}} NOT NULL,
  UNIQUE (host_id, name)
);

CREATE TABLE source_tag (
  repo_id    BIGINT   NOT NULL,
  name       {{text}} NOT NULL,
  digest     {{blob}} NOT NULL,
  first_seen BIGINT   NOT NULL,
  PRIMARY KEY (repo_id, name)
) {{keyed}};

CREATE TABLE target_tag (
  repo_id     BIGINT   NOT NULL,
  name        {{text}} NOT NULL,
  rule        {{text}} NOT NULL,
  source      {{blob}} NOT NULL,
  selection   {{text}} NOT NULL,
  digest      {{blob}} NOT NULL,
  put_at      BIGINT   NOT NULL,
  verified_at BIGINT   NOT NULL,
  restored_at BIGINT   NOT NULL,
  restored    {{blob}} NOT NULL,
  PRIMARY KEY (repo_id, name)
) {{keyed}};

CREATE TABLE blob (
  id     {{id}},
  digest {{blob}} NOT NULL UNIQUE,
  size   BIGINT   NOT NULL
);

-- Blobs and manifests that a repository is believed to hold. The host is part of
-- the key, so that the repositories of one host are read without the others'.
CREATE TABLE location (
  blob_id BIGINT NOT NULL,
  host_id BIGINT NOT NULL,
  repo_id BIGINT NOT NULL,
  PRIMARY KEY (blob_id, host_id, repo_id)
) {{keyed}};

CREATE TABLE referrers_checked (
  repo_id BIGINT   NOT NULL,
  subject {{blob}} NOT NULL,
  at      BIGINT   NOT NULL,
  PRIMARY KEY (repo_id, subject)
) {{keyed}};

CREATE TABLE manifest_subject (
  repo_id  BIGINT   NOT NULL,
  manifest {{blob}} NOT NULL,
  subject  {{blob}} NOT NULL,
  PRIMARY KEY (repo_id, manifest)
) {{keyed}};

CREATE TABLE learned (
  host_id    BIGINT   NOT NULL,
  capability {{text}} NOT NULL,
  yes        BIGINT   NOT NULL,
  at         BIGINT   NOT NULL,
  PRIMARY KEY (host_id, capability)
) {{keyed}};

CREATE TABLE refusal (
  host_id   BIGINT   NOT NULL,
  from_name {{text}} NOT NULL,
  to_name   {{text}} NOT NULL,
  until     BIGINT   NOT NULL,
  PRIMARY KEY (host_id, from_name, to_name)
) {{keyed}};

CREATE TABLE upload (
  host_id   BIGINT   NOT NULL,
  repo_id   BIGINT   NOT NULL,
  digest    {{blob}} NOT NULL,
  location  {{text}} NOT NULL,
  committed BIGINT   NOT NULL,
  started   BIGINT   NOT NULL,
  PRIMARY KEY (host_id, repo_id, digest)
) {{keyed}};

-- What is to be done, one row per job key. hints, priority, not_before and asked
-- are of the asks that wait; run_… is the same of the claim that runs, so that it
-- can be given back, by a dead process too.
CREATE TABLE work (
  id             {{id}},
  key            {{text}} NOT NULL UNIQUE,
  wanted         BIGINT   NOT NULL DEFAULT 0,
  done           BIGINT   NOT NULL DEFAULT 0,
  attempt        BIGINT   NOT NULL DEFAULT 0,
  error          {{text}} NOT NULL DEFAULT '',
  hints          {{text}} NOT NULL DEFAULT '',
  priority       BIGINT   NOT NULL DEFAULT 0,
  not_before     BIGINT   NOT NULL DEFAULT 0,
  asked          BIGINT   NOT NULL DEFAULT 0,
  running        BIGINT   NOT NULL DEFAULT 0,
  claim          BIGINT   NOT NULL DEFAULT 0,
  taken          BIGINT   NOT NULL DEFAULT 0,
  run_hints      {{text}} NOT NULL DEFAULT '',
  run_priority   BIGINT   NOT NULL DEFAULT 0,
  run_not_before BIGINT   NOT NULL DEFAULT 0,
  run_asked      BIGINT   NOT NULL DEFAULT 0
);
CREATE INDEX work_due ON work (priority DESC, not_before, key) WHERE running = 0 AND wanted > done;
CREATE INDEX work_live ON work (priority DESC, key) WHERE running = 1 OR wanted > done;
CREATE INDEX work_running ON work (id) WHERE running = 1;

CREATE TABLE pass (
  id      {{id}},
  rule    {{text}} NOT NULL,
  cause   {{text}} NOT NULL,
  started BIGINT   NOT NULL,
  ended   BIGINT   NOT NULL DEFAULT 0,
  outcome {{text}} NOT NULL,
  error   {{text}} NOT NULL DEFAULT '',
  figures {{text}} NOT NULL DEFAULT '{}'
);
CREATE INDEX pass_rule ON pass (rule, id);
CREATE INDEX pass_ended ON pass (ended, id);

CREATE TABLE standing (
  rule      {{text}} NOT NULL,
  source_id BIGINT   NOT NULL,
  target_id BIGINT   NOT NULL,
  surveyed  BIGINT   NOT NULL,
  pending   BIGINT   NOT NULL,
  in_step   BIGINT   NOT NULL,
  behind    BIGINT   NOT NULL,
  failed    BIGINT   NOT NULL,
  conflict  BIGINT   NOT NULL,
  refused   BIGINT   NOT NULL,
  cooling   BIGINT   NOT NULL,
  gone      BIGINT   NOT NULL,
  complete  BIGINT   NOT NULL,
  PRIMARY KEY (rule, source_id, target_id)
) {{keyed}};

CREATE TABLE item (
  rule      {{text}} NOT NULL,
  source_id BIGINT   NOT NULL,
  target_id BIGINT   NOT NULL,
  tag       {{text}} NOT NULL,
  kind      {{text}} NOT NULL,
  reason    {{text}} NOT NULL,
  hint      {{text}} NOT NULL,
  since     BIGINT   NOT NULL,
  PRIMARY KEY (rule, source_id, target_id, tag, kind)
) {{keyed}};

-- +goose Down

DROP TABLE item;
DROP TABLE standing;
DROP TABLE pass;
DROP TABLE work;
DROP TABLE upload;
DROP TABLE refusal;
DROP TABLE learned;
DROP TABLE manifest_subject;
DROP TABLE referrers_checked;
DROP TABLE location;
DROP TABLE blob;
DROP TABLE target_tag;
DROP TABLE source_tag;
DROP TABLE repo;
DROP TABLE host;

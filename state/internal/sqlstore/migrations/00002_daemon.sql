-- What a daemon needs beside a one-shot run: an order among the rows of one
-- priority, what a row's key stands for, when rules ran, and which jobs a pass
-- still waits for.

-- +goose Up

ALTER TABLE work ADD COLUMN turn      BIGINT   NOT NULL DEFAULT 0;
ALTER TABLE work ADD COLUMN cause     {{text}} NOT NULL DEFAULT '';
ALTER TABLE work ADD COLUMN detail    {{text}} NOT NULL DEFAULT '';
ALTER TABLE work ADD COLUMN run_turn  BIGINT   NOT NULL DEFAULT 0;
ALTER TABLE work ADD COLUMN run_cause {{text}} NOT NULL DEFAULT '';
DROP INDEX work_due;
CREATE INDEX work_due ON work (priority DESC, turn, not_before, key) WHERE running = 0 AND wanted > done;
CREATE INDEX work_turn ON work (turn, not_before) WHERE running = 0 AND wanted > done;
CREATE INDEX work_next ON work (not_before) WHERE running = 0 AND wanted > done;

CREATE TABLE rule_time (
  rule   {{text}} NOT NULL,
  ticked BIGINT   NOT NULL,
  paused BIGINT   NOT NULL,
  PRIMARY KEY (rule)
) {{keyed}};

CREATE TABLE pass_job (
  key     {{text}} NOT NULL,
  pass_id BIGINT   NOT NULL,
  at      BIGINT   NOT NULL,
  PRIMARY KEY (key, pass_id)
) {{keyed}};
CREATE INDEX pass_job_pass ON pass_job (pass_id);

ALTER TABLE pass ADD COLUMN jobs    BIGINT NOT NULL DEFAULT 0;
ALTER TABLE pass ADD COLUMN ran     BIGINT NOT NULL DEFAULT 0;
ALTER TABLE pass ADD COLUMN failed  BIGINT NOT NULL DEFAULT 0;
ALTER TABLE pass ADD COLUMN partly  BIGINT NOT NULL DEFAULT 0;
ALTER TABLE pass ADD COLUMN stopped BIGINT NOT NULL DEFAULT 0;

-- +goose Down

ALTER TABLE pass DROP COLUMN stopped;
ALTER TABLE pass DROP COLUMN partly;
ALTER TABLE pass DROP COLUMN failed;
ALTER TABLE pass DROP COLUMN ran;
ALTER TABLE pass DROP COLUMN jobs;
DROP TABLE pass_job;
DROP TABLE rule_time;
DROP INDEX work_next;
DROP INDEX work_turn;
DROP INDEX work_due;
CREATE INDEX work_due ON work (priority DESC, not_before, key) WHERE running = 0 AND wanted > done;
ALTER TABLE work DROP COLUMN run_cause;
ALTER TABLE work DROP COLUMN run_turn;
ALTER TABLE work DROP COLUMN detail;
ALTER TABLE work DROP COLUMN cause;
ALTER TABLE work DROP COLUMN turn;

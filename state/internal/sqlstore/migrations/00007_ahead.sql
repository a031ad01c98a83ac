-- Jobs that passes wait for, by when they were asked for: each daemon looks every
-- minute for those that were later than now.

-- +goose Up

CREATE INDEX pass_job_at ON pass_job (at);

-- +goose Down

DROP INDEX pass_job_at;

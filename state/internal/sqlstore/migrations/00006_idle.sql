-- Keys that are not wanted any more, by when they were last asked for: they are
-- dropped with history.

-- +goose Up

CREATE INDEX work_idle ON work (asked) WHERE running = 0 AND wanted <= done;

-- +goose Down

DROP INDEX work_idle;

package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/transship/transship/state"
)

// explain maps SQLite's result codes to the errors of package state.
func explain(err error) error {
	var e *driver.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff { // the rest is an extended code
	case codes.SQLITE_FULL:
		if errors.Is(err, state.ErrFull) {
			return err
		}
		return fmt.Errorf("%w: %w", state.ErrFull, err)
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		if errors.Is(err, state.ErrDamaged) {
			return err
		}
		return fmt.Errorf("%w: %w", state.ErrDamaged, err)
	case codes.SQLITE_READONLY:
		return fmt.Errorf("the file or its folder cannot be written: %w", err)
	}
	return err
}

// explainOpen says which file could not be opened, and what to do.
func explainOpen(path string, readOnly bool, err error) error {
	err = explain(err)
	todo := ""
	switch {
	case errors.Is(err, state.ErrDamaged):
		todo = "; move it and its -wal and -shm files away and start again: that costs time, and nothing else"
	case errors.Is(err, state.ErrFull), errors.Is(err, syscall.ENOSPC):
		todo = "; make room, or name another place for state"
	case errors.Is(err, fs.ErrNotExist) && readOnly:
		todo = "; there is nothing to read until a command that writes, such as sync, has run"
	}
	return fmt.Errorf("state %s: %w%s", path, err, todo)
}

package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/transship/transship/state"
)

// A lock is the right to write, held as long as its file is open: the system drops
// it with the process.
type lock struct{ file *os.File }

// A holder is what a lock file says of the process that has it.
type holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// acquire takes the lock or says with [state.ErrLocked] who has it.
func acquire(path string) (*lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ok, err := tryLock(f)
	switch {
	case err != nil:
		err = fmt.Errorf("lock %s (state needs a local disk): %w", path, err)
	case !ok:
		err = heldBy(f)
	default:
		err = sign(f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &lock{f}, nil
}

// release lets go. The file stays: removing it would race with who waits for it.
func (l *lock) release() error {
	if err := l.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

func sign(f *os.File) error {
	text, err := json.Marshal(holder{os.Getpid(), command(), time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(text, '\n'), 0)
	return err
}

func heldBy(f *os.File) error {
	var h holder
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil || json.Unmarshal(text, &h) != nil {
		return fmt.Errorf("%w, which has not said who it is yet: try again", state.ErrLocked)
	}
	return fmt.Errorf("%w: %s, process %d, since %s: wait for it or stop it, or use a state file of your own",
		state.ErrLocked, h.Command, h.PID, h.Since.Format(time.RFC3339))
}

// command is the program and its first word, and no more of its arguments: they
// could hold a secret.
func command() string {
	name := filepath.Base(os.Args[0])
	if len(os.Args) > 1 && isWord(os.Args[1]) {
		name += " " + os.Args[1]
	}
	return name
}

func isWord(s string) bool {
	for _, c := range s {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 16
}

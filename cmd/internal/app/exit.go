package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/state"
)

// Exit codes, printed in every command's help.
const (
	exitDone     = 0 // everything asked for is done
	exitFailed   = 1 // it could not be done at all, or was interrupted
	exitUsage    = 2 // the command line or the policy is wrong; nothing was touched
	exitSomeLeft = 3 // some items failed, or wait for what a source allows; the rest is done
)

const exitHelp = `Exit codes: 0 done, 1 failed or interrupted, 2 usage or configuration, 3 some items failed or wait.`

// A failure is an error with the exit code and the advice that belong to it.
type failure struct {
	code int
	err  error // nil: everything has been said already
	hint string
}

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit %d", f.code)
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// usage makes a failure of what the user typed.
func usage(hint, format string, args ...any) error {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...), hint: hint}
}

// errInterrupted is the cause of a context that a second Ctrl-C ended.
var errInterrupted = errors.New("interrupted")

// What could not be opened, for advice about its flag.
var (
	errState    = errors.New("state cannot be opened")
	errDatabase = errors.New("the database of state cannot be opened")
	errSpool    = errors.New("the spool cannot be opened")
)

// An aspect is an error that is also what, which its text does not tell.
type aspect struct {
	error
	what error
}

func (a aspect) Unwrap() []error { return []error{a.error, a.what} }

// conclude prints err as a person wants to read it and returns its exit code.
func conclude(w io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	f := classify(err)
	if f.err == nil {
		return f.code
	}
	if problems, ok := errors.AsType[policy.Problems](f.err); ok {
		fmt.Fprintln(w, problems)
		fmt.Fprintf(w, "transship: %s in the policy; nothing was touched\n", count(len(problems), "mistake"))
	} else {
		fmt.Fprintf(w, "transship: %v\n", f.err)
	}
	if f.hint != "" {
		fmt.Fprintf(w, "  try: %s\n", f.hint)
	}
	return f.code
}

// classify finds the exit code and the advice for err.
func classify(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		if f.hint == "" && f.err != nil {
			f.hint = advice(f.err)
		}
		return f
	}
	if _, ok := errors.AsType[policy.Problems](err); ok {
		return &failure{code: exitUsage, err: err, hint: "mend the lines above, then: transship config validate"}
	}
	return &failure{code: exitFailed, err: err, hint: advice(err)}
}

// advice is what to try next after err.
func advice(err error) string {
	if hint := providers.HintOf(err); hint != "" {
		return hint
	}
	switch {
	case errors.Is(err, state.ErrLocked):
		return "wait for the other process, or give this one a state of its own: --state PATH"
	case errors.Is(err, state.ErrDamaged):
		return "move the file away and run again: it costs a slower pass, nothing else"
	case errors.Is(err, state.ErrNewer):
		return "run the newer transship, or give this one a state of its own: --state PATH"
	case errors.Is(err, state.ErrFull):
		return "free some disk, or put the state elsewhere: --state PATH"
	case errors.Is(err, errSpool):
		return "name a folder that can be written: --spool-dir FOLDER"
	case errors.Is(err, errDatabase):
		return "name a database that can be written: --state postgres://USER@HOST/DATABASE"
	case errors.Is(err, errState):
		return "name a file that can be written: --state FILE"
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return "run the same command again: it goes on where it stopped"
	}
	return ""
}

// count prints n with its noun, in the plural where it has to be.
func count(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	default:
		return fmt.Sprintf("%d %ss", n, noun)
	}
}

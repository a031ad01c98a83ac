package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/transship/transship/providers"
)

// A grade is how a check ended.
type grade string

const (
	fine    grade = "ok"
	warned  grade = "warning" // works, and may be meant otherwise
	failed  grade = "failed"
	skipped grade = "skipped" // it could not be made
)

// A finding is how one check of a registry ended.
type finding struct {
	Name    string `json:"check"`
	Verdict grade  `json:"verdict"`
	Detail  string `json:"detail,omitempty"`
	Fix     string `json:"fix,omitempty"`
}

func good(format string, args ...any) finding {
	return finding{Verdict: fine, Detail: fmt.Sprintf(format, args...)}
}

func bad(fix, format string, args ...any) finding {
	return finding{Verdict: failed, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

func warn(fix, format string, args ...any) finding {
	return finding{Verdict: warned, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

// failedBy is the finding of an error, nil is good with what detail says.
func failedBy(ctx context.Context, err error, detail string) finding {
	switch cause := context.Cause(ctx); {
	case err == nil:
		return good("%s", detail)
	case cause != nil && !errors.Is(err, cause):
		err = cause
	}
	return finding{Verdict: failed, Detail: err.Error(), Fix: providers.HintOf(err)}
}

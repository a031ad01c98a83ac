package state

import (
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A Bring is a blob that a process is about to read for a registry.
type Bring struct {
	Digest v1.Hash
	Host   string // of the registry
	// Also are the registries that the process brings it to with the same read, that one
	// among them or not. They are claimed with it, so that no two processes read one
	// blob, each for one of them.
	Also []string
	// Since is how long ago another process may have brought it there at most, to count.
	Since time.Duration
	// Wait is how long at most to wait for another process that is bringing it there.
	Wait time.Duration
}

// A Turn is the answer to a [Bring]: another process has brought the blob, or it is
// the caller's turn. Its functions do not wait; those that do not apply are nil. The
// turns among jobs of one priority ([Ask.Turn]) are another thing.
type Turn struct {
	// There is the repository of the registry that has the blob by now, "" if it is to
	// be brought.
	There string
	// Busy is that another process is bringing it, and was not waited for any longer.
	Busy bool
	// Landed ends the turn: the blob is in repo, from which others may mount it.
	Landed func(repo string)
	// End ends the turn without; where the blob was said to be There, it says that this
	// is no longer so.
	End func()
	// Spare ends what was claimed of the other registries and not used.
	Spare func()
}

package main

import (
	"errors"

	"github.com/transship/transship/providers/registrytest"
)

// verify compares the targets with the source without transship's help: every
// tag has the source's digest, everything below it and about it is there and
// hashes to its digest. It returns all that is wrong, joined.
func (w *world) verify() error {
	var wrong []error
	for _, t := range w.targets() {
		rename := func(repo string) string { return w.at(t, repo) }
		wrong = append(wrong, registrytest.Equal(w.aws.Server, t.Server, rename), t.VerifyAll())
	}
	return errors.Join(wrong...)
}

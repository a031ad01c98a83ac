//go:build !linux

package registrytest

import "time"

// drained has no way to ask elsewhere: a moment is what there is.
func (c *conn) drained(limit time.Duration) { time.Sleep(min(limit, 50*time.Millisecond)) }

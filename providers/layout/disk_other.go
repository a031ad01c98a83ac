//go:build !unix

package layout

import "os"

// flock does nothing where files cannot be locked this way: there, one process
// at a time may write a layout.
func flock(*os.File) error { return nil }

func diskFull(error) bool { return false }

func readOnly(error) bool { return false }

//go:build amd64 || arm64 || riscv64 || s390x || ppc64le || loong64

package spool

import (
	"os"
	"syscall"
)

// From the kernel's fs.h and fadvise.h.
const (
	syncFileRangeWrite = 2
	fadviseDontNeed    = 4
)

// writeBack has the kernel begin to write n bytes of f from off on to the disk, and
// forget those before done, as far as they are there. Neither is waited for, except
// where the disk's queue is full; nothing depends on either.
func writeBack(f *os.File, off, n, done int64) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SyncFileRange(int(fd), off, n, syncFileRangeWrite)
		if done > 0 {
			_, _, _ = syscall.Syscall6(syscall.SYS_FADVISE64, fd, 0, uintptr(done), fadviseDontNeed, 0, 0)
		}
	})
}

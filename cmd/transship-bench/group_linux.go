package main

import "syscall"

// processGroup gives a child a group of its own, so that a terminal's Ctrl-C does
// not reach it before we do, and has it killed if we are.
func processGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killGroup kills a child of ours and all that it started.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

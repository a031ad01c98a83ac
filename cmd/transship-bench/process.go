package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A command is one process of a tool.
type command struct {
	path string
	args []string
	env  []string // all of it
	dir  string
}

// A batch is processes that run side by side, at most width at a time.
type batch struct {
	width    int
	commands []command
}

// A usage is what the processes of a pass took.
type usage struct {
	Wall float64 `json:"wallSeconds"`
	CPU  float64 `json:"cpuSeconds"` // user and system, of all processes
	Peak int64   `json:"peakBytes"`  // resident at most; of those side by side, the sum of each one's most
	Exit int     `json:"exit"`       // the first that is not 0
	said string  // the last that it printed, for --verbose
}

// plus adds what a later pass took.
func (u usage) plus(later usage) usage {
	u.Wall += later.Wall
	u.CPU += later.CPU
	u.Peak = max(u.Peak, later.Peak)
	u.Exit, u.said = later.Exit, later.said
	return u
}

// killed is the exit code of a process that a signal ended, as shells say it.
const killed = 128 + int(syscall.SIGKILL)

// runBatches runs the batches one after the other and returns what they took,
// also when ctx ends: every process has then been killed, and its exit is killed.
// The error is of a process that could not be started.
func runBatches(ctx context.Context, batches []batch) (usage, error) {
	var all usage
	began := time.Now()
	for _, b := range batches {
		u, err := b.run(ctx)
		all.CPU += u.CPU
		all.Peak = max(all.Peak, u.Peak)
		if all.Exit == 0 {
			all.Exit = u.Exit
		}
		all.said += u.said
		if err != nil {
			return all, err
		}
	}
	all.Wall = time.Since(began).Seconds()
	return all, nil
}

// run runs each command in the first of width slots that is free.
func (b batch) run(ctx context.Context) (usage, error) {
	slots := make([]usage, min(b.width, len(b.commands)))
	errs := make([]error, len(slots))
	var next atomic.Int64
	var g sync.WaitGroup
	for i := range slots {
		g.Go(func() {
			for errs[i] == nil {
				n := int(next.Add(1)) - 1
				if n >= len(b.commands) {
					return
				}
				var u usage
				u, errs[i] = b.commands[n].run(ctx)
				slots[i].CPU += u.CPU
				slots[i].Peak = max(slots[i].Peak, u.Peak)
				slots[i].said += u.said
				if slots[i].Exit == 0 {
					slots[i].Exit = u.Exit
				}
			}
		})
	}
	g.Wait()
	var all usage
	for _, u := range slots {
		all.CPU += u.CPU
		all.Peak += u.Peak
		all.said += u.said
		if all.Exit == 0 {
			all.Exit = u.Exit
		}
	}
	return all, errors.Join(errs...)
}

// run runs one process to its end, or kills it with all that it started when ctx
// ends. A process that fails is no error.
func (c command) run(ctx context.Context) (usage, error) {
	if ctx.Err() != nil {
		return usage{Exit: killed}, nil
	}
	var out tail
	cmd := exec.Command(c.path, c.args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.env, c.dir, &out, &out
	cmd.SysProcAttr = processGroup()
	if err := cmd.Start(); err != nil {
		return usage{}, fmt.Errorf("start %s: %w", cmd.Args[0], err)
	}
	stop := context.AfterFunc(ctx, func() { killGroup(cmd.Process.Pid) })
	defer stop()
	watched := watchPeak(cmd.Process.Pid)
	_ = cmd.Wait() // how it ended is in its state
	u := usage{Peak: watched(), Exit: cmd.ProcessState.ExitCode(), said: out.String()}
	u.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if u.Exit < 0 {
		u.Exit = killed
	}
	return u, nil
}

// A tail keeps the end of what is written to it. exec writes from one goroutine.
type tail struct{ bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	if t.Len() > 64<<10 {
		t.Next(32 << 10)
	}
	return t.Buffer.Write(p)
}

// watchPeak reads a process's most resident memory until the function that it
// returns is called, which says it in bytes. The figure that wait4 has (ru_maxrss)
// is not it: Linux carries it through exec, so a small child of a large process
// shows the large one's.
func watchPeak(pid int) (stop func() int64) {
	done, ended := make(chan struct{}), make(chan int64)
	go func() {
		t := time.NewTicker(5 * time.Millisecond)
		defer t.Stop()
		var peak int64
		for {
			peak = max(peak, highWater(pid))
			select {
			case <-done:
				ended <- peak
				return
			case <-t.C:
			}
		}
	}()
	return func() int64 { close(done); return <-ended }
}

// highWater is VmHWM, in bytes, 0 if the process has ended.
func highWater(pid int) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}

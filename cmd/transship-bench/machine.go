package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// A machine is where something was measured, without its name.
type machine struct {
	Cores  int    `json:"cores"`
	CPU    string `json:"cpu"`
	Memory string `json:"memory"`
	System string `json:"system"`
	Go     string `json:"go"`
}

func thisMachine() machine {
	cpu, _ := os.ReadFile("/proc/cpuinfo") // elsewhere than on Linux it stays empty
	memory, _ := os.ReadFile("/proc/meminfo")
	m := machine{Cores: runtime.NumCPU(), CPU: field(string(cpu), "model name"), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	if kib, err := strconv.ParseInt(strings.TrimSuffix(field(string(memory), "MemTotal"), " kB"), 10, 64); err == nil {
		m.Memory = fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
	}
	return m
}

// field finds "name: value" in a file of such lines.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (m machine) String() string {
	parts := []string{fmt.Sprintf("%d cores", m.Cores)}
	for _, p := range []string{m.CPU, m.Memory, m.System, m.Go} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ", ")
}

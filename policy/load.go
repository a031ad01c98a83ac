package policy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Load reads policy files, and in folders the files *.yaml and *.yml (sorted,
// hidden ones and folders below left out), and merges them into one set. A
// registry or rule may be defined once. The error is [Problems], all of them.
func Load(paths ...string) (*Set, error) {
	var problems Problems
	var parts []part
	if len(paths) == 0 {
		problems.add("", "no policy file given")
	}
	for _, path := range paths {
		files, err := policyFiles(path)
		if err != nil {
			problems = append(problems, unreadable(path, err))
		}
		for _, file := range files {
			data, err := readFile(file)
			if err != nil {
				problems = append(problems, unreadable(file, err))
				continue
			}
			parts = append(parts, parseFile(file, data))
		}
	}
	return assemble(parts, problems)
}

// Sum is one of what Load would read of paths: equal if all of it is, with its
// files' names. What cannot be read counts as not there.
func Sum(paths ...string) [sha256.Size]byte {
	all := sha256.New()
	for _, path := range paths {
		files, _ := policyFiles(path)
		for _, file := range files {
			if data, err := readFile(file); err == nil {
				fmt.Fprintf(all, "%q %x\n", filepath.Base(file), sha256.Sum256(data))
			}
		}
	}
	return [sha256.Size]byte(all.Sum(nil))
}

// Parse reads one policy; name stands for it in problems. The error is
// [Problems], all of them.
func Parse(name string, data []byte) (*Set, error) {
	return assemble([]part{parseFile(name, data)}, nil)
}

func unreadable(path string, err error) Problem {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return Problem{File: path, Message: fmt.Sprintf("cannot be read: %v", err)}
}

// policyFiles returns path itself, or the policy files of the folder path.
func policyFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path) // sorted
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if strings.HasPrefix(e.Name(), ".") || e.IsDir() || ext != ".yaml" && ext != ".yml" {
			continue
		}
		files = append(files, filepath.Join(path, e.Name()))
	}
	if len(files) == 0 {
		return nil, errors.New("the folder has no *.yaml or *.yml")
	}
	return files, nil
}

// readFile reads at most one byte more than a policy may have.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxFile+1))
}

// A part is what one file says.
type part struct {
	set      Set
	at       positions
	bad      map[string]bool
	problems Problems
}

func parseFile(file string, data []byte) part {
	root, problem := readYAML(file, data)
	if problem != nil {
		return part{problems: Problems{*problem}, bad: map[string]bool{"registries": true}}
	}
	set, d := decode(file, root)
	if d.stopped {
		return part{problems: d.problems, bad: map[string]bool{"registries": true}}
	}
	return part{set, d.at, d.bad, d.problems}
}

// assemble merges the parts, validates what they say together, and returns the
// set only if there is no problem at all.
func assemble(parts []part, problems Problems) (*Set, error) {
	all := part{set: Set{Registries: map[string]Registry{}, at: positions{}}, bad: map[string]bool{}, problems: problems}
	for _, p := range parts {
		all.merge(p)
	}
	for _, p := range append(all.set.checkNames(), all.set.validate()...) {
		if !all.isBad(p.Path) {
			all.problems = append(all.problems, all.set.at.place(p))
		}
	}
	if err := all.problems.Err(); err != nil {
		return nil, err
	}
	return &all.set, nil
}

// merge adds what p says to all, with the paths of its rules moved behind ours.
func (all *part) merge(p part) {
	offset := len(all.set.Rules)
	for path, pos := range p.at {
		if _, have := all.set.at[moved(path, offset)]; !have {
			all.set.at[moved(path, offset)] = pos
		}
	}
	for path := range p.bad {
		all.bad[moved(path, offset)] = true
	}
	all.problems = append(all.problems, p.problems...)
	all.set.Rules = append(all.set.Rules, p.set.Rules...)
	all.mergeLimits(p)
	for name, r := range p.set.Registries {
		path := join("registries", name)
		if _, have := all.set.Registries[name]; have {
			first := all.set.at[path]
			all.problems = append(all.problems, p.at.place(Problem{Path: path, Message: fmt.Sprintf(
				"registry %q is already defined at %s:%d:%d; give one of them another name", name, first.file, first.line, first.column)}))
			continue
		}
		all.set.Registries[name] = r
	}
}

// mergeLimits takes the limits of p, if no file before it had some.
func (all *part) mergeLimits(p part) {
	if _, has := p.at["limits"]; !has {
		return
	}
	if first := all.set.at["limits"]; first.file != p.at["limits"].file {
		all.problems = append(all.problems, p.at.place(Problem{Path: "limits", Message: fmt.Sprintf(
			"limits are already given at %s:%d:%d; keep them in one file", first.file, first.line, first.column)}))
		return
	}
	all.set.Limits = p.set.Limits
}

// isBad reports whether the value at path, or one above it, could not be read.
func (all *part) isBad(path string) bool {
	if (all.bad["registries"] || all.bad[""]) && strings.Contains(path, "registry") {
		return true // whether a name is known cannot be told
	}
	for ; path != ""; path = parent(path) {
		if all.bad[path] {
			return true
		}
	}
	return false
}

// moved adds offset to the index of a path of a rule.
func moved(path string, offset int) string {
	rest, ok := strings.CutPrefix(path, "rules[")
	number, after, closed := strings.Cut(rest, "]")
	if !ok || !closed {
		return path
	}
	i, err := strconv.Atoi(number)
	if err != nil {
		return path
	}
	return fmt.Sprintf("rules[%d]%s", i+offset, after)
}

package policy

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files, docs/policy.md among them")

// golden compares got with a file, or writes it with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; go test ./policy -update writes it", err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test ./policy -update writes it)\n got:\n%s\nwant:\n%s", file, got, want)
	}
}

// TestProblems holds each file of testdata/bad against the problems beside it.
func TestProblems(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("testdata/bad has %d files, %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			set, err := Parse(name, data)
			if err == nil || set != nil {
				t.Fatalf("Parse gave %v, %v; want problems only", set, err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret is in a message:\n%v", err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", err.Error()+"\n")
		})
	}
}

func TestLoadMergesFolder(t *testing.T) {
	set, err := Load("testdata/good")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(set.Names(), " "); got != "disk dr plain prod" {
		t.Errorf("registries are %s", got)
	}
	if len(set.Rules) != 2 || set.Rules[0].Name != "apps" || set.Rules[1].Name != "base" {
		t.Errorf("rules are %v", set.Rules)
	}
	got := set.at.place(Problem{Path: "rules[1].tags.newest.by"})
	if got.File != "testdata/good/b.yml" || got.Line != 6 || got.Path != "rules[0].tags.newest.by" {
		t.Errorf("a path of the second file is placed at %+v", got)
	}
}

func TestLoadProblems(t *testing.T) {
	_, err := Load("testdata/twice", "testdata/no-such-file.yaml", "testdata/empty-folder")
	golden(t, "testdata/load.txt", problemsOf(t, err).Error()+"\n")
}

func TestReference(t *testing.T) {
	text, err := Reference()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keysBelow(t) {
		if !strings.Contains(text, "| "+key+" |") && !strings.Contains(text, "| **"+key+"** |") {
			t.Errorf("the reference lacks the key %s", key)
		}
	}
	if strings.Contains(text, "|  |") {
		t.Error("the reference has a key without words")
	}
	golden(t, "../docs/policy.md", text)
}

// keysBelow returns all keys of all mappings.
func keysBelow(t *testing.T) []string {
	t.Helper()
	var keys []string
	for _, s := range structs() {
		for key := range keysOf(s) {
			keys = append(keys, key)
		}
	}
	if len(keys) < 60 {
		t.Fatalf("only %d keys: %v", len(keys), keys)
	}
	return keys
}

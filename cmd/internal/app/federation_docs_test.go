package app

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers/registrytest/clouds"
)

// blocks are the fenced blocks of a page that are in that language.
func blocks(page, language string) (all []string) {
	parts := strings.Split("\n"+page, "\n```")
	for i := 1; i < len(parts); i += 2 {
		if lang, text, _ := strings.Cut(parts[i], "\n"); lang == language {
			all = append(all, text+"\n")
		}
	}
	return all
}

func readPage(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestFederationPages: each policy on the pages about federation is one, for what its
// page is about; each JSON document is one.
func TestFederationPages(t *testing.T) {
	pages, err := filepath.Glob("../../../docs/federation/*.md")
	if err != nil || len(pages) != 8 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, path := range pages {
		name := strings.TrimSuffix(filepath.Base(path), ".md")
		page := readPage(t, path)
		from, to, _ := strings.Cut(name, "-to-")
		policies := 0
		for _, text := range blocks(page, "yaml") {
			if !strings.HasPrefix(text, "registries:") {
				continue
			}
			policies++
			set, err := policy.Parse(name, []byte(text))
			if err != nil {
				t.Errorf("%v\n%s", err, text)
				continue
			}
			for _, r := range set.Registries {
				if f := r.Auth.Federated; f == nil || string(f.From) != from || to != "" && r.ProviderName() != map[string]string{"aws": "ecr", "gcp": "gar", "azure": "acr"}[to] {
					t.Errorf("%s is not about %s\n%s", path, name, text)
				}
			}
		}
		if policies == 0 && name != "README" {
			t.Errorf("%s has no policy", path)
		}
		for _, text := range blocks(page, "json") {
			if !json.Valid([]byte(text)) {
				t.Errorf("%s: no JSON:\n%s", path, text)
			}
		}
	}
}

// TestDocumentedDoctor: what the pages say that doctor prints is what it prints,
// whatever the names: the same lines in the same order, of the same words.
func TestDocumentedDoctor(t *testing.T) {
	for _, tt := range directions {
		page := tt.from + "-to-" + tt.to
		if tt.from == clouds.Kubernetes {
			if page = tt.from; tt.to != clouds.AWS {
				continue // the page shows one
			}
		}
		t.Run(page, func(t *testing.T) {
			w := clouds.New(t)
			a := w.Trust(tt.from, tt.to, w.RunsIn(t, tt.from))
			_, text, up := doctorOfPolicy(t, policyOf(w, tt.to, a))
			documented := readPage(t, "../../../docs/federation/"+page+".md")
			var want, got []string
			for line := range strings.Lines(blocks(documented, "text")[0]) {
				name, detail, ok := strings.Cut(strings.TrimSpace(line), " ok ")
				if name = strings.TrimSpace(name); !ok {
					t.Errorf("%q is no line of a check", line)
				}
				want = append(want, name+": "+words(name, detail))
				if f := up.check(name); f.Detail != "" {
					got = append(got, name+": "+words(name, f.Detail))
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("documented\n%s\nprinted\n%s\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"), text)
			}
			if len(commands(up.Trust)) == 0 {
				t.Errorf("no command in %s", up.Trust)
			}
			for _, c := range commands(up.Trust) {
				if !strings.Contains(strings.Join(strings.Fields(documented), " "), c) {
					t.Errorf("the page has no %s", c)
				}
			}
		})
	}
}

// words are those of a detail that are no names, numbers or times. Who we are is told
// by what the machine has.
func words(check, detail string) string {
	if check == "identity" {
		return ""
	}
	var all []string
	for _, word := range strings.Fields(detail) {
		if word = strings.Trim(word, ",()"); !strings.ContainsAny(word, "0123456789@:/.-") {
			all = append(all, word)
		}
	}
	return strings.Join(all, " ")
}

// commands are those of a trust, without the names that they are about.
func commands(trust string) (all []string) {
	for line := range strings.Lines(trust) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !slices.Contains([]string{"aws", "az", "gcloud"}, fields[0]) {
			continue
		}
		end := slices.IndexFunc(fields, func(f string) bool { return strings.HasPrefix(f, "-") || strings.Contains(f, "@") })
		if fields[0] == "gcloud" && !strings.Contains(fields[end], "@") {
			end-- // what is made is named before the flags
		}
		all = append(all, strings.Join(fields[:end], " "))
	}
	return all
}

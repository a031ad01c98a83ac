package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transship/transship/providers/harbor/harbortest"
	"github.com/transship/transship/providers/quay/quaytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// TestDoctorOfQuayAndHarbor: the repository that a push makes is no failure, and
// looking makes none; a project that is not there is named, with what to do, and is
// no failure either where the policy has it made.
func TestDoctorOfQuayAndHarbor(t *testing.T) {
	for create, want := range map[string]grade{"": failed, ", create: {harbor: {}}": warned} {
		quay, harbor := quaytest.New(t, quaytest.Options{}), harbortest.New(t, harbortest.Options{})
		if err := quay.Load("acme/app", content.Image("app", nil), "v1"); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "transship.yaml")
		text := fmt.Sprintf(`registries:
  quay: {host: %q, provider: quay, plainHTTP: true, auth: {username: acme+sync, password: %q, apiToken: %q}}
  harbor: {host: %q, provider: harbor, plainHTTP: true, auth: {username: robot$sync, password: %q}%s}
rules:
  - {name: in, from: {registry: quay, repositories: {include: [acme/app]}}, to: [{registry: harbor, repository: dr/app}, {registry: quay, repository: acme/copy}]}
`, quay.Host(), quay.Account("acme+sync", quaytest.Admin("acme")), quay.Token("acme+sync"),
			harbor.Host(), harbor.Robot("robot$sync", harbortest.Creates()), create)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, problems bytes.Buffer
		Main([]string{"doctor", "-c", file, "--state", filepath.Join(t.TempDir(), "none"), "-o", "json"}, strings.NewReader(""), &out, &problems)
		var doc struct{ Registries []checkup }
		if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
			t.Fatalf("%v: %s%s", err, out.String(), problems.String())
		}
		for _, c := range doc.Registries {
			push := c.check("push")
			switch c.Registry {
			case "quay":
				if push.Verdict != warned || c.check("pull").Verdict != fine || c.check("sign in").Verdict != fine || !strings.Contains(c.Grant, "creator") {
					t.Errorf("quay: %+v; %s", c.Checks, c.Grant)
				}
			case "harbor":
				if push.Verdict != want || create == "" && !strings.Contains(push.Fix, "no project dr") {
					t.Errorf("harbor%s: %+v", create, push)
				}
			}
		}
		if quay.Exists("acme/copy") || len(harbor.Projects()) > 0 {
			t.Error("doctor has made something")
		}
	}
}

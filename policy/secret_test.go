package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretNeverPrints formats a secret, alone and inside structs, in every way
// that could end in a log.
func TestSecretNeverPrints(t *testing.T) {
	type hidden struct{ auth Auth } // fmt cannot call methods below an unexported field
	secret := NewSecret("hunter2")
	auth := Auth{Username: NewSecret("hunter2"), Password: secret, Token: secret}
	values := []any{secret, &secret, auth, &auth, hidden{auth}, &hidden{auth}, []Secret{secret}, map[string]Secret{"a": secret}, Registry{Auth: auth}}
	var out bytes.Buffer
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%08.3f"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("m", "v", v)
		}
		if text, err := json.Marshal(v); err == nil {
			out.Write(text)
		}
	}
	for _, leak := range []string{"hunter2", "68756e74657232", "68756E74657232", "104 117 110"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q is printed:\n%s", leak, out.String())
		}
	}
	if text, _ := json.Marshal(auth); string(text) != `{"username":"[redacted]","password":"[redacted]","token":"[redacted]"}` {
		t.Errorf("JSON is %s", text)
	}
}

func TestSecretResolve(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	t.Setenv("TRANSSHIP_USER", "sync")
	t.Setenv("TRANSSHIP_PASSWORD", "p$${A}ss") // values are not expanded again
	t.Setenv("TRANSSHIP_EMPTY", "")
	for _, tt := range []struct{ text, want, problem string }{
		{"", "", ""},
		{"plain", "plain", ""},
		{"${TRANSSHIP_USER}", "sync", ""},
		{"a-${TRANSSHIP_USER}-${TRANSSHIP_PASSWORD}", "a-sync-p$${A}ss", ""},
		{"$${TRANSSHIP_USER}", "${TRANSSHIP_USER}", ""},
		{"$5$ and $$", "$5$ and $$", ""},
		{"robot$acme+sync", "robot$acme+sync", ""}, // as Harbor calls them
		{"robot$${TRANSSHIP_USER}", "robot${TRANSSHIP_USER}", ""},
		{"robot$acme+${TRANSSHIP_USER}", "robot$acme+sync", ""},
		{"${TRANSSHIP_NONE}${TRANSSHIP_EMPTY}hunter2", "", "the environment variable TRANSSHIP_NONE, TRANSSHIP_EMPTY is not set"},
		{"hunter2${", "", "has a ${ that names no variable"},
		{"hunter2${9}", "", "has a ${ that names no variable"},
		{write("pw", "from file\n"), "from file", ""},
		{write("crlf", "from file\r\n"), "from file", ""},
		{write("two", "a\n\n"), "a\n", ""},
		{write("empty", "\n"), "", "is empty"},
		{write("large", strings.Repeat("x", maxSecretFile+1)), "", "has more than 65536 bytes"},
		{"file:" + dir + "/none", "", "no such file"},
	} {
		got, err := NewSecret(tt.text).Resolve()
		if tt.problem == "" && (err != nil || got != tt.want) {
			t.Errorf("%q resolves to %q, %v", tt.text, got, err)
		}
		if tt.problem != "" && (err == nil || got != "" || !strings.Contains(err.Error(), tt.problem) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%q resolves to %q, %v; want the error %q", tt.text, got, err, tt.problem)
		}
	}
	rotated := NewSecret(write("rotated", "old"))
	write("rotated", "new")
	if got, _ := rotated.Resolve(); got != "new" {
		t.Errorf("a rotated file resolves to %q", got)
	}
}

func TestCheckSecrets(t *testing.T) {
	set := mustParse(t, `
registries:
  a:
    host: a.example.com
    auth: {username: "${TRANSSHIP_NOBODY}", password: file:/no/such/secret}
    caFile: /no/such/ca.pem
  b: {host: b.example.com, clientCert: /, clientKey: /no/such/key.pem, auth: {dockerConfig: true}}
`)
	want := `policy.yaml:5:22: registries.a.auth.username: the environment variable TRANSSHIP_NOBODY is not set or empty; export it, or point to a file with file:/path
policy.yaml:5:55: registries.a.auth.password: the secret cannot be read: open /no/such/secret: no such file or directory; make the file readable for this user
policy.yaml:6:13: registries.a.caFile: open /no/such/ca.pem: no such file or directory
policy.yaml:7:40: registries.b.clientCert: / is a folder; expected a file
policy.yaml:7:54: registries.b.clientKey: open /no/such/key.pem: no such file or directory`
	if got := problemsOf(t, set.CheckSecrets()).Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := mustParse(t, `registries: {a: {host: a.example.com}}`).CheckSecrets(); err != nil {
		t.Errorf("without references: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	set := mustParse(t, `
registries:
  a: {host: a.example.com, auth: {username: u, password: hunter2}}
  b: {host: b.example.com, plainHTTP: true, auth: {token: "${T}"}}
  c: {host: c.example.com}
rules:
  - {name: r, from: {registry: a}, to: [{registry: b}], maxLag: 5m}
`)
	want := `policy.yaml:3:58: registries.a.auth.password: a secret stands in the policy itself; write ${VARIABLE} or file:/path instead
policy.yaml:4:59: registries.b.auth.token: the credential goes over plain http, readable by everyone on the way
policy.yaml:5:6: registries.c: no rule uses this registry
policy.yaml:7:65: rules[0].maxLag: the rule has a maxLag and no schedule: it runs only when asked`
	if got := set.Warnings().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

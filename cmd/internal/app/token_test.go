package app

import (
	"os"
	"path/filepath"
	"testing"
)

// TestClientToken holds that the token of this machine's daemon is shown to no other.
func TestClientToken(t *testing.T) {
	dir := t.TempDir()
	p := &program{opts: Options{State: filepath.Join(dir, "state.db")}}
	token, err := p.apiToken("", true)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "api-token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: %v, %v", info, err)
	}
	named := filepath.Join(dir, "another")
	write(t, named, "the-token-of-another-daemon")
	for _, tt := range []struct{ server, file, want string }{
		{"", "", token},
		{"http://127.0.0.1:8080", "", token},
		{"http://localhost:8080", "", token},
		{"http://[::1]:8080", "", token},
		{"http://transship.example.com:8080", "", ""},
		{"http://10.0.0.7:8080", "", ""},
		{"http://127.0.0.1.example.com", "", ""},
		{"http://10.0.0.7:8080", named, "the-token-of-another-daemon"},
	} {
		c, err := p.client(&serverOptions{server: tt.server, tokenFile: tt.file})
		if err != nil || c.Token != tt.want {
			t.Errorf("server %q, token file %q: token %q, %v, want %q", tt.server, tt.file, c.Token, err, tt.want)
		}
	}
}

// TestAddressOfTwo holds that a daemon which ends leaves alone what another has written.
func TestAddressOfTwo(t *testing.T) {
	p := &program{opts: Options{State: filepath.Join(t.TempDir(), "state.db")}}
	write(t, p.addressFile(), "127.0.0.1:2\n")
	p.forgetAddress("127.0.0.1:1")
	if got := p.saidAddress(); got != "http://127.0.0.1:2" {
		t.Errorf("the other's address is %s by now", got)
	}
	p.forgetAddress("127.0.0.1:2")
	if _, err := os.Stat(p.addressFile()); !os.IsNotExist(err) {
		t.Errorf("the file is there: %v", err)
	}
}

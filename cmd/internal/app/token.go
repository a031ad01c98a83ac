package app

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// apiToken reads the token of the daemon's API from path, or from beside the state.
// With make a new one is written where there is none; otherwise there is "" then.
func (p *program) apiToken(path string, make bool) (string, error) {
	if path == "" {
		path = p.defaultTokenFile()
	}
	raw, err := os.ReadFile(path)
	token := strings.TrimSpace(string(raw))
	switch {
	case errors.Is(err, fs.ErrNotExist) && make:
		return newToken(path)
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", &failure{code: exitFailed, err: fmt.Errorf("read the API's token: %w", err), hint: "name a file that can be read: --token-file FILE"}
	case len(token) < 16:
		return "", usage("delete the file, and a new one is made; or write 16 characters or more into it", "the API's token in %s is too short", path)
	}
	return token, nil
}

// addressFile is where a daemon says at which address it answers, so that commands
// on its machine with the same --state find it.
func (p *program) addressFile() string {
	return filepath.Join(filepath.Dir(p.defaultTokenFile()), "api-address")
}

// forgetAddress removes the file, unless another replica has written its own there.
func (p *program) forgetAddress(mine string) {
	if raw, err := os.ReadFile(p.addressFile()); err == nil && strings.TrimSpace(string(raw)) == mine {
		os.Remove(p.addressFile())
	}
}

// saidAddress is the URL of the daemon with our state, or where one is by default.
func (p *program) saidAddress() string {
	raw, err := os.ReadFile(p.addressFile())
	if address := strings.TrimSpace(string(raw)); err == nil && address != "" {
		return "http://" + address
	}
	return "http://" + defaultListen
}

// defaultTokenFile is beside the state file, or where that would be.
func (p *program) defaultTokenFile() string {
	at := p.opts.State
	if isDatabase(at) {
		at = defaults().State
	}
	return filepath.Join(filepath.Dir(at), "api-token")
}

// newToken makes a token that only we can read.
func newToken(path string) (string, error) {
	token := rand.Text()
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(token+"\n"), 0o600)
	}
	if err != nil {
		return "", &failure{code: exitFailed, err: fmt.Errorf("make a token for the API: %w", err), hint: "name a file that can be written: --token-file FILE"}
	}
	return token, nil
}

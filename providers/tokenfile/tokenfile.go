// Package tokenfile is the identity of a workload whose platform puts a signed token
// into a file and replaces it before it ends: a Kubernetes service account, whose
// token the kubelet projects. The file is read each time that the token is needed, so
// that a new one is found without a restart. It asks nobody.
package tokenfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/transship/transship/providers"
)

// maxToken bounds in bytes what is read of a file.
const maxToken = 64 << 10

// An Issuer is who the token in a file is for. It is safe for concurrent use.
type Issuer struct {
	Path string
	// Audience is the one that the token has to be for; "" leaves that to who takes it.
	Audience string
}

var _ providers.Issuer = Issuer{}

// Assertion reads the file. The audience is what it is.
func (i Issuer) Assertion(_ context.Context, _ string) (providers.Assertion, error) {
	a, err := i.read()
	if err == nil && i.Audience != "" {
		err = a.For(i.Audience)
	}
	return a, err
}

// Whoami is the token's subject.
func (i Issuer) Whoami(context.Context) (providers.Identity, error) {
	a, err := i.read()
	if err != nil {
		return providers.Identity{}, err
	}
	name := a.Subject
	if name == "" {
		name = "nobody"
	}
	return providers.Identity{Name: name, From: "the token in " + i.Path, Expires: a.Expires}, nil
}

func (i Issuer) read() (providers.Assertion, error) {
	raw, err := readFile(i.Path)
	if err != nil {
		return providers.Assertion{}, i.fail(unreadable(err), err)
	}
	token := strings.TrimSpace(string(raw))
	switch {
	case len(raw) > maxToken:
		return providers.Assertion{}, i.fail("check auth.federated.tokenFile", fmt.Errorf("it has more than %d bytes: that is no token", maxToken))
	case token == "":
		return providers.Assertion{}, i.fail("wait for the kubelet to write it, or check what does", errors.New("it is empty"))
	}
	a, err := providers.ReadAssertion(token)
	if err != nil {
		return a, i.fail("check auth.federated.tokenFile: what is wanted is the token that the kubelet projects", err)
	}
	return a, nil
}

// unreadable says what to do about a file that cannot be read.
func unreadable(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "let this user read it (fsGroup of the pod's securityContext)"
	}
	return "check auth.federated.tokenFile, and that the pod has a volume with a projected serviceAccountToken there"
}

// readFile reads one byte more than a token may have.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxToken+1))
}

func (i Issuer) fail(hint string, err error) error {
	return &providers.Error{Kind: providers.Denied, Op: "read the token in", Ref: i.Path, Hint: hint, Err: err}
}

package app

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/docker/cli/cli/config"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers/all"
)

// settings are what makes an open registry another one when it changes. What changes
// without that, prices and limits that are set in place, is left out.
type settings struct {
	what  policy.Registry
	push  bool
	files [sha256.Size]byte // of what the settings refer to
}

// settingsOf reads the files that what refers to: credentials that were changed take
// effect at once where a policy is put in force.
func settingsOf(what policy.Registry, push bool) settings {
	s := settings{what: what, push: push}
	s.what.EgressPrice = nil
	s.what.Limits.Requests, s.what.Limits.Bytes, s.what.Limits.Hours = policy.Rate{}, 0, nil
	sum := sha256.New()
	for _, secret := range what.Secrets() {
		value, err := secret.Resolve()
		fmt.Fprintf(sum, "%q %v\n", value, err)
	}
	for _, path := range what.Files() {
		addFile(sum, path)
	}
	for _, path := range chainFiles(what.ProviderName(), what.Auth) {
		addFile(sum, path)
	}
	sum.Sum(s.files[:0])
	return s
}

// chainFiles are where the usual docker configuration or a cloud's chain finds who we
// are. Tokens that are meant to be replaced while they are used are not among them.
func chainFiles(provider string, a policy.Auth) []string {
	who, keychain := credentials(provider, a)
	switch {
	case who != nil || a.DockerConfig != "" && a.DockerConfig != policy.DefaultDockerConfig:
		return nil
	case keychain != nil || !all.SignsIn(provider):
		return []string{filepath.Join(config.Dir(), config.ConfigFileName)}
	}
	return append(homeFiles(".aws/config", ".aws/credentials", ".config/gcloud/application_default_credentials.json"),
		os.Getenv("AWS_CONFIG_FILE"), os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), os.Getenv("GOOGLE_APPLICATION_CREDENTIALS"))
}

func homeFiles(names ...string) (list []string) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	for _, n := range names {
		list = append(list, filepath.Join(home, n))
	}
	return list
}

// maxSettingsFile bounds in bytes what is read of a file.
const maxSettingsFile = 1 << 20

// addFile adds what a file holds, or that it cannot be read.
func addFile(sum hash.Hash, path string) {
	if path == "" {
		return
	}
	fmt.Fprintf(sum, "%q\n", path)
	f, err := os.Open(path)
	if err != nil {
		fmt.Fprintln(sum, err)
		return
	}
	defer f.Close()
	if _, err := io.Copy(sum, io.LimitReader(f, maxSettingsFile)); err != nil {
		fmt.Fprintln(sum, err)
	}
}

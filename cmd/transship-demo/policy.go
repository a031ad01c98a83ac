package main

import (
	"fmt"
	"os"
)

// policy is the file that the demo runs, as it is printed.
func (w *world) policy() string {
	return fmt.Sprintf(`registries:
  home:  {host: "%s", provider: oci, plainHTTP: true}
  west:  {host: "%s", provider: oci, plainHTTP: true,
          auth: {username: %s, password: %s}}
  north: {host: "%s", provider: oci, plainHTTP: true}
rules:
  - name: everything
    from: {registry: home}
    to:
      - {registry: west, repository: "%s{{.Repository}}"}
      - {registry: north}
`, w.home.Host(), w.west.Host(), westUser, westPassword, w.north.Host(), mirror)
}

func (w *world) writePolicy() error {
	return os.WriteFile(w.path(policyFile), []byte(w.policy()), 0o600)
}

// The files of transship in the demo's folder.
const (
	policyFile = "transship.yaml"
	stateFile  = "state.db"
	spoolDir   = "spool"
)

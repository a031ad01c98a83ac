package main

import (
	"fmt"
	"os"
)

// policy is the file that the demo runs, as it is printed.
func (w *world) policy() string {
	return fmt.Sprintf(`registries:
  aws:    {host: "%s", provider: ecr, plainHTTP: true,
           auth: {aws: {region: %s}}}
  google: {host: "%s", provider: gar, plainHTTP: true,
           auth: {gcp: {credentialsFile: "%s"}}}
  azure:  {host: "%s", provider: acr,
           caFile: "%s",
           auth: {azure: {tenantID: %s,
                          clientID: %s,
                          clientSecret: "%s"}},
           limits: {quotas: {ReadOps: %d/m, WriteOps: %d/m}}}
rules:
  - name: everything
    from: {registry: aws}
    to:
      - {registry: google, repository: "%s{{.Repository}}"}
      - {registry: azure}
`, w.aws.Host(), w.clouds.ecr.Region(), w.google.Host(), w.path(googleKey), w.azure.Host(), w.path(azureCA),
		w.clouds.app.Tenant, w.clouds.app.ClientID, w.clouds.app.Secret, premiumReads/2, premiumWrites/2, mirror)
}

func (w *world) writePolicy() error {
	return os.WriteFile(w.path(policyFile), []byte(w.policy()), 0o600)
}

// The files of transship in the demo's folder.
const (
	policyFile = "transship.yaml"
	stateFile  = "state.db"
	spoolDir   = "spool"
	googleKey  = "google.json" // of a service account
	azureCA    = "azure.pem"   // the authorities of azure's and of Entra's certificates
	curlFile   = "curl.conf"
)

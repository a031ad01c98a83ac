package main

import (
	"os"
	"time"
)

// signIn are the variables by which AWS's SDK, gcloud and Azure's SDK find an identity
// and their cloud's services.
func (w *world) signIn() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + w.clouds.key.ID,
		"AWS_SECRET_ACCESS_KEY=" + w.clouds.key.Secret,
		"AWS_ENDPOINT_URL_ECR=" + w.clouds.ecr.Endpoint(),
		"AWS_ENDPOINT_URL_STS=" + w.clouds.ecr.Endpoint(),
		"CLOUDSDK_API_ENDPOINT_OVERRIDES_ARTIFACTREGISTRY=" + w.clouds.gar.Endpoint(),
		"CLOUDSDK_ARTIFACTS_LOCATION=" + w.clouds.gar.Location(),
		"AZURE_AUTHORITY_HOST=" + w.clouds.acr.Entra().URL(),
	}
}

// foreign are variables of the user's own clouds that would be in the way.
var foreign = []string{"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
	"CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS"}

// setEnvironment sets those variables, for the commands that run in this process, until the
// world is closed.
func (w *world) setEnvironment() {
	for _, name := range foreign {
		w.setenv(name, "", false)
	}
	for _, pair := range w.signIn() {
		for i, c := range pair {
			if c == '=' {
				w.setenv(pair[:i], pair[i+1:], true)
				break
			}
		}
	}
}

func (w *world) setenv(name, value string, set bool) {
	old, was := os.LookupEnv(name)
	w.closers = append(w.closers, func() {
		_ = os.Unsetenv(name) // a name without = and NUL
		if was {
			_ = os.Setenv(name, old)
		}
	})
	_ = os.Unsetenv(name)
	if set {
		_ = os.Setenv(name, value)
	}
}

// writeCurl writes a configuration of curl's with which it is let in at aws.
func (w *world) writeCurl() error {
	password := w.clouds.ecr.Password(w.clouds.key, 12*time.Hour)
	return os.WriteFile(w.path(curlFile), []byte("silent\nuser = \"AWS:"+password+"\"\n"), 0o600)
}

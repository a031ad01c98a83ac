package dockerhub

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const opSignIn = "sign in"

// signIn gets the API's token for the registry's own credential: a password, a
// personal access token, or an organization's with its name. Nobody stays nobody.
func (r *Registry) signIn(ctx context.Context) (oci.Credential, error) {
	c, err := r.Credential(ctx)
	if err != nil || c.Username == "" || c.Password == "" {
		return oci.Credential{Who: c.Who}, err
	}
	q := oci.Question{Op: opSignIn, Count: providers.OpToken, Method: http.MethodPost, Path: "/v2/auth/token", Open: true,
		Body: map[string]string{"identifier": c.Username, "secret": c.Password}}
	var answer struct {
		Token string `json:"access_token"`
	}
	if _, err := r.api.Ask(ctx, q, &answer); err != nil {
		return oci.Credential{}, err
	}
	if answer.Token == "" || strings.ContainsAny(answer.Token, "\r\n") {
		return oci.Credential{}, r.fail(opSignIn, "", providers.Invalid, errors.New("the API's answer holds no token"), "check apiHost of this registry in the policy")
	}
	return oci.Credential{RegistryToken: answer.Token, Who: c.Who}, nil
}

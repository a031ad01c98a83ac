package all

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/registrytest/clouds"
)

// podKeys are the keys of a role's session, as Pod Identity's agent gives them.
func podKeys(t *testing.T, w *clouds.World, role string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.ECR.PodIdentityURL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", w.ECR.IAM().PodToken(role))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	return raw
}

// instance is the metadata of an EC2 instance with a role, which is in a region.
func instance(t *testing.T, keys []byte, region string) *httptest.Server {
	t.Helper()
	var doc map[string]string
	if err := json.Unmarshal(keys, &doc); err != nil {
		t.Fatal(err)
	}
	doc["Code"] = "Success"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := strings.TrimSuffix(r.URL.Path, "/"); {
		case r.Method == http.MethodPut && path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			_, _ = io.WriteString(w, "session")
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "session":
			w.WriteHeader(http.StatusUnauthorized)
		case path == "/latest/meta-data/iam/security-credentials":
			_, _ = io.WriteString(w, "instance")
		case path == "/latest/meta-data/iam/security-credentials/instance":
			_ = json.NewEncoder(w).Encode(doc)
		case path == "/latest/dynamic/instance-identity/document":
			_ = json.NewEncoder(w).Encode(map[string]string{"region": region})
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// TestAWSIdentities: whatever AWS's own chain finds reaches Google by a signed
// request, and Azure by a token, also what Google's library does not read.
func TestAWSIdentities(t *testing.T) {
	for name, sign := range map[string]func(t *testing.T, w *clouds.World, o *Options) (role string){
		"EKS Pod Identity": func(t *testing.T, w *clouds.World, _ *Options) string {
			role := w.ECR.IAM().Role(w.ECR.Account(), "agent", ecrtest.Trust{})
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", w.ECR.PodIdentityURL())
			t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", w.Write("agent", w.ECR.IAM().PodToken(role)))
			t.Setenv("AWS_REGION", w.ECR.Region())
			return role
		},
		"instance profile": func(t *testing.T, w *clouds.World, _ *Options) string {
			role := w.ECR.IAM().Role(w.ECR.Account(), "instance", ecrtest.Trust{})
			t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
			t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", instance(t, podKeys(t, w, role), w.ECR.Region()).URL)
			return role
		},
		"a role that the pod's assumes": func(t *testing.T, w *clouds.World, o *Options) string {
			pod := w.RunsIn(t, clouds.AWS)
			role := w.ECR.IAM().Role(w.ECR.Account(), "hop", ecrtest.Trust{Principals: []string{pod}})
			o.ECR.Roles = []ECRRole{{ARN: role}}
			return role
		},
	} {
		for _, to := range []string{clouds.GCP, clouds.Azure} {
			t.Run(name+" to "+to, func(t *testing.T) {
				w := clouds.New(t)
				var o Options
				role := sign(t, w, &o)
				r := federated(t, w, to, w.Trust(clouds.AWS, to, role), func(to *Options) { to.ECR = o.ECR })
				both(t, r, to)
				if way := Way(t.Context(), r); !strings.Contains(way.Links[0].Detail, ":assumed-role/"+role[strings.LastIndex(role, "/")+1:]) {
					t.Errorf("we are %s", way.Links[0].Detail)
				}
			})
		}
	}
}

// TestGoogleImpersonation: an account that ours may act as is shown to the others,
// by a token of IAM credentials; and a key file alone is none to show.
func TestGoogleImpersonation(t *testing.T) {
	for _, to := range []string{clouds.AWS, clouds.Azure} {
		w := clouds.New(t)
		own := w.RunsIn(t, clouds.GCP)
		email := w.GAR.IAM().Account("sync")
		a := w.Trust(clouds.GCP, to, email)
		act := func(o *Options) { o.GAR.Impersonate = []string{email} }
		_, err := federated(t, w, to, a, act).Whoami(t.Context())
		if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "link assertion: ") || !strings.Contains(providers.HintOf(err), "roles/iam.serviceAccountTokenCreator") {
			t.Errorf("without permission: %v; %s", err, providers.HintOf(err))
		}
		w.GAR.IAM().Trust(email, own)
		both(t, federated(t, w, to, a, act), to)
		if w.GAR.Calls()["Identity"] != 0 || w.GAR.Calls()["GenerateIDToken"] != 2 {
			t.Errorf("calls %v", w.GAR.Calls())
		}
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", w.Write("key", string(w.GAR.KeyFile(email))))
		_, err = federated(t, w, to, a).Whoami(t.Context())
		if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "GOOGLE_APPLICATION_CREDENTIALS") || !strings.Contains(providers.HintOf(err), "auth.federated.gcp.impersonate") {
			t.Errorf("with a key: %v; %s", err, providers.HintOf(err))
		}
	}
}

// between stands before Google's exchange: it sees and may change what is sent.
func between(t *testing.T, w *clouds.World, change func(form url.Values)) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		change(r.PostForm)
		resp, err := http.PostForm(w.GAR.Endpoint()+r.URL.Path, r.PostForm)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		rw.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(rw, resp.Body) // what does not arrive is an error there
	}))
	t.Cleanup(s.Close)
	t.Setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_STS", s.URL)
}

// TestSignedRequest: what Google is shown of AWS is a request that is signed for one
// provider, and for now; it opens nothing else, and cannot be changed.
func TestSignedRequest(t *testing.T) {
	for name, tt := range map[string]struct{ old, new, want string }{
		"as it is":                 {"", "", ""},
		"for another provider":     {"providers/aws", "providers/other", "x-goog-cloud-target-resource"},
		"of another time":          {`"X-Amz-Date","value":"2`, `"X-Amz-Date","value":"1`, "Received invalid AWS response"},
		"with another signature":   {"Signature=", "Signature=0", "Received invalid AWS response"},
		"of another session":       {`"X-Amz-Security-Token","value":"`, `"X-Amz-Security-Token","value":"0`, "Received invalid AWS response"},
		"for another service":      {"/sts/aws4_request", "/ecr/aws4_request", "Received invalid AWS response"},
		"to be sent somewhere":     {"https://sts.eu-west-1.amazonaws.com", "https://evil.example", "invalid_request"},
		"that does something else": {"GetCallerIdentity", "AssumeRole", "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			w := clouds.New(t)
			a := w.Trust(clouds.AWS, clouds.GCP, w.RunsIn(t, clouds.AWS))
			pod, err := os.ReadFile(os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE"))
			if err != nil {
				t.Fatal(err)
			}
			between(t, w, func(form url.Values) {
				text, err := url.QueryUnescape(form.Get("subject_token"))
				if err != nil || !strings.Contains(strings.ToLower(text), "x-goog-cloud-target-resource") || strings.Contains(text, string(pod)) {
					t.Errorf("%v in %s", err, text)
				}
				if tt.old != "" {
					lower := caseless(text, tt.old)
					if lower == "" {
						t.Errorf("no %s in %s", tt.old, text)
					}
					form.Set("subject_token", url.QueryEscape(strings.Replace(text, lower, tt.new, 1)))
				}
			})
			_, err = federated(t, w, clouds.GCP, a).Whoami(t.Context())
			if tt.want == "" && err != nil || tt.want != "" && (providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// caseless is what text has of part, whatever the case of header names; "" for nothing.
func caseless(text, part string) string {
	i := strings.Index(strings.ToLower(text), strings.ToLower(part))
	if i < 0 {
		return ""
	}
	return text[i : i+len(part)]
}

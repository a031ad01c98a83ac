package ecrtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// A fail is an error of an AWS API.
type fail struct {
	status  int
	code    string
	message string
}

func failf(code, format string, args ...any) *fail {
	return &fail{400, code, fmt.Sprintf(format, args...)}
}

// serve tells the services at one address apart, as their clients' requests do.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if wait := s.Quirks().Latency; wait > 0 {
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	w.Header().Set("X-Amzn-Requestid", random(16))
	target, isECR := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AmazonEC2ContainerRegistry_V20150921.")
	switch {
	case r.URL.Path == podIdentityPath && r.Method == http.MethodGet:
		s.servePodIdentity(w, r)
	case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, outboundPath):
		s.serveOutbound(w, r)
	case r.Method != http.MethodPost || r.URL.Path != "/":
		http.NotFound(w, r)
	case isECR:
		s.serveECR(w, r, target, body)
	case s.serveBeside(w, r, body):
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") || r.URL.Query().Has("Action"):
		s.serveSTS(w, r, body)
	default:
		sendFail(w, failf("UnknownOperationException", ""), Fault{})
	}
}

// A call is one call to the control plane by somebody who may make it.
type call struct {
	s    *Server
	who  *key
	op   string
	body []byte
}

// operations are those of ECR that are here.
var operations = map[string]func(*call) (any, *fail){
	"GetAuthorizationToken":               (*call).getAuthorizationToken,
	"DescribeRepositories":                (*call).describeRepositories,
	"CreateRepository":                    (*call).createRepository,
	"DeleteRepository":                    (*call).deleteRepository,
	"PutImageTagMutability":               (*call).putImageTagMutability,
	"PutImageScanningConfiguration":       (*call).putImageScanning,
	"PutLifecyclePolicy":                  (*call).putLifecyclePolicy,
	"GetLifecyclePolicy":                  (*call).getLifecyclePolicy,
	"SetRepositoryPolicy":                 (*call).setRepositoryPolicy,
	"GetRepositoryPolicy":                 (*call).getRepositoryPolicy,
	"TagResource":                         (*call).tagResource,
	"ListTagsForResource":                 (*call).listTagsForResource,
	"ListImages":                          (*call).listImages,
	"DescribeImages":                      (*call).describeImages,
	"BatchGetImage":                       (*call).batchGetImage,
	"BatchDeleteImage":                    (*call).batchDeleteImage,
	"ListImageReferrers":                  (*call).listImageReferrers,
	"GetAccountSetting":                   (*call).getAccountSetting,
	"PutAccountSetting":                   (*call).putAccountSetting,
	"CreateRepositoryCreationTemplate":    (*call).createTemplate,
	"DescribeRepositoryCreationTemplates": (*call).describeTemplates,
}

func (s *Server) serveECR(w http.ResponseWriter, r *http.Request, op string, body []byte) {
	if f := s.calls.Called(op); f != nil {
		sendFail(w, &fail{f.Status, f.Code, f.Message}, *f)
		return
	}
	answer, f := s.operate(r, op, body)
	if f != nil {
		sendFail(w, f, Fault{})
		return
	}
	out, err := json.Marshal(answer)
	if err != nil {
		panic(err) // structs of ours
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_, _ = w.Write(out) // a client that went away is its own business
}

func (s *Server) operate(r *http.Request, op string, body []byte) (any, *fail) {
	do := operations[op]
	if do == nil {
		return nil, failf("UnknownOperationException", "no operation %s", op)
	}
	who, f := s.caller(r, body, "ecr")
	if f != nil {
		return nil, f
	}
	if s.throttled(op) {
		return nil, failf("ThrottlingException", "Rate exceeded")
	}
	c := &call{s, who, op, body}
	action := "ecr:" + op
	if op == "ListImageReferrers" {
		action = "ecr:BatchGetImage"
	}
	if !s.iam.may(who.who, action) {
		return nil, c.denied(action)
	}
	return do(c)
}

// denied is how IAM refuses.
func (c *call) denied(action string) *fail {
	var in struct{ RepositoryName string }
	_ = json.Unmarshal(c.body, &in) // it may name none
	resource := "*"
	if in.RepositoryName != "" {
		resource = c.s.arn(in.RepositoryName)
	}
	return failf("AccessDeniedException", "User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action",
		c.who.session, action, resource, action)
}

// arn is a repository's.
func (s *Server) arn(repo string) string {
	return fmt.Sprintf("arn:aws:ecr:%s:%s:repository/%s", s.region, s.account, repo)
}

// read reads the call's input.
func (c *call) read(in any) *fail {
	if err := json.Unmarshal(c.body, in); err != nil {
		return failf("SerializationException", "%v", err)
	}
	return nil
}

// sendFail sends an error in the form that the fault wants, the plain one by default.
func sendFail(w http.ResponseWriter, f *fail, form Fault) {
	status := f.status
	if status == 0 {
		status = http.StatusBadRequest
	}
	body := map[string]string{"__type": f.code, "message": f.message}
	switch {
	case form.Header:
		w.Header().Set("X-Amzn-Errortype", f.code+":http://internal.amazon.com/coral/com.amazonaws.ecr/")
		delete(body, "__type")
	case form.Prefix:
		body["__type"] = "com.amazonaws.ecr#" + f.code
	}
	out, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_, _ = w.Write(out) // a client that went away is its own business
}

// seconds writes a time as AWS's JSON does: epoch seconds with fractions.
type seconds time.Time

func (t seconds) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", float64(time.Time(t).UnixMilli())/1000), nil
}

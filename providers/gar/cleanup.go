package gar

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	pb "cloud.google.com/go/artifactregistry/apiv1/artifactregistrypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// policies are cleanup policies by their names.
type policies map[string]*pb.CleanupPolicy

// A cleanupPolicy is one in gcloud's form.
type cleanupPolicy struct {
	Name      string `json:"name"`
	Action    struct{ Type string }
	Condition *struct {
		TagState            string
		TagPrefixes         []string
		VersionNamePrefixes []string
		PackageNamePrefixes []string
		OlderThan           string
		NewerThan           string
	}
	MostRecentVersions *struct {
		PackageNamePrefixes []string
		KeepCount           int32
	}
}

// parseCleanup reads gcloud's form: a list. Empty text is no policies.
func parseCleanup(text []byte) (policies, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var all []cleanupPolicy
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("the cleanup policies: %w", err)
	}
	read := policies{}
	for _, p := range all {
		one, err := p.read()
		if err != nil {
			return nil, fmt.Errorf("the cleanup policy %q: %w", p.Name, err)
		}
		read[p.Name] = one
	}
	return read, nil
}

func (p cleanupPolicy) read() (*pb.CleanupPolicy, error) {
	action, ok := pb.CleanupPolicy_Action_value[strings.ToUpper(p.Action.Type)]
	if !ok || action == 0 || p.Name == "" {
		return nil, fmt.Errorf("it needs a name, and Delete or Keep as action.type")
	}
	out := &pb.CleanupPolicy{Id: p.Name, Action: pb.CleanupPolicy_Action(action)}
	switch c, recent := p.Condition, p.MostRecentVersions; {
	case c != nil && recent == nil:
		state, ok := pb.CleanupPolicyCondition_TagState_value[strings.ToUpper(or(c.TagState, "any"))]
		if !ok {
			return nil, fmt.Errorf("tagState %q is none of tagged, untagged and any", c.TagState)
		}
		older, err := duration(c.OlderThan)
		if err != nil {
			return nil, err
		}
		newer, err := duration(c.NewerThan)
		if err != nil {
			return nil, err
		}
		out.ConditionType = &pb.CleanupPolicy_Condition{Condition: &pb.CleanupPolicyCondition{
			TagState: pb.CleanupPolicyCondition_TagState(state).Enum(), TagPrefixes: c.TagPrefixes, VersionNamePrefixes: c.VersionNamePrefixes,
			PackageNamePrefixes: c.PackageNamePrefixes, OlderThan: older, NewerThan: newer}}
	case recent != nil && c == nil:
		out.ConditionType = &pb.CleanupPolicy_MostRecentVersions{MostRecentVersions: &pb.CleanupPolicyMostRecentVersions{
			PackageNamePrefixes: recent.PackageNamePrefixes, KeepCount: &recent.KeepCount}}
	default:
		return nil, fmt.Errorf("it needs one of condition and mostRecentVersions")
	}
	return out, nil
}

// duration reads 30d, 12h or 3600s; "" is none.
func duration(text string) (*durationpb.Duration, error) {
	if text == "" {
		return nil, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil {
			return durationpb.New(time.Duration(n) * 24 * time.Hour), nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no duration such as 30d", text)
	}
	return durationpb.New(d), nil
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

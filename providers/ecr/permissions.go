package ecr

import (
	"cmp"
	"encoding/json"
	"fmt"
)

// A statement is one of an IAM policy.
type statement struct {
	Sid      string
	Effect   string
	Action   []string
	Resource string
}

// What each use of a registry needs, and no more.
var (
	signInActions = []string{"ecr:GetAuthorizationToken"}
	readActions   = []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:DescribeRepositories", "ecr:GetDownloadUrlForLayer", "ecr:ListImages"}
	writeActions  = []string{"ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart"}
	mountActions  = []string{"ecr:GetAccountSetting"}
)

// Permissions is the smallest IAM policy, as JSON, with which this registry can be
// read, and written if push is set, with its repositories made as Create says.
func (r *Registry) Permissions(push bool) string { return permissions(r.host, r.opts.Create, push) }

func permissions(h Host, c Create, push bool) string {
	repositories := fmt.Sprintf("arn:%s:ecr:%s:%s:repository/*", cmp.Or(h.Partition, "aws"), cmp.Or(h.Region, "*"), cmp.Or(h.Account, "*"))
	account := signInActions
	if push {
		account = append(account[:len(account):len(account)], mountActions...)
	}
	all := []statement{
		{"SignIn", "Allow", account, "*"},
		{"Read", "Allow", readActions, repositories},
	}
	if push {
		all = append(all, statement{"Write", "Allow", writeActions, repositories})
	}
	if create := c.actions(); push && len(create) > 0 {
		all = append(all, statement{"Create", "Allow", create, repositories})
	}
	out, err := json.MarshalIndent(map[string]any{"Version": "2012-10-17", "Statement": all}, "", "  ")
	if err != nil {
		panic(err) // strings
	}
	return string(out)
}

// actions are those that making repositories with these settings needs.
func (c Create) actions() []string {
	var actions []string
	if !c.Never && !c.Template {
		actions = append(actions, "ecr:CreateRepository")
	}
	changes := len(actions) > 0 || c.Enforce
	for _, at := range []struct {
		set     bool
		actions []string
	}{
		{changes && len(c.Tags) > 0, []string{"ecr:TagResource"}},
		{changes && len(c.LifecyclePolicy) > 0, []string{"ecr:PutLifecyclePolicy"}},
		{changes && len(c.RepositoryPolicy) > 0, []string{"ecr:SetRepositoryPolicy"}},
		{c.Enforce && len(c.Tags) > 0, []string{"ecr:ListTagsForResource"}},
		{c.Enforce && len(c.LifecyclePolicy) > 0, []string{"ecr:GetLifecyclePolicy"}},
		{c.Enforce && len(c.RepositoryPolicy) > 0, []string{"ecr:GetRepositoryPolicy"}},
		{c.Enforce && (c.Immutability != "" || len(c.Exclusions) > 0), []string{"ecr:PutImageTagMutability"}},
		{c.Enforce && c.ScanOnPush, []string{"ecr:PutImageScanningConfiguration"}},
	} {
		if at.set {
			actions = append(actions, at.actions...)
		}
	}
	return actions
}

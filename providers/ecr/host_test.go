package ecr

import (
	"strings"
	"testing"
)

func TestParseHost(t *testing.T) {
	for _, tt := range []struct {
		host string
		want Host
	}{
		{"123456789012.dkr.ecr.eu-west-1.amazonaws.com", Host{"123456789012", "eu-west-1", "aws", false, false}},
		{"123456789012.dkr.ecr.ap-southeast-2.amazonaws.com:443", Host{"123456789012", "ap-southeast-2", "aws", false, false}},
		{"123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", Host{"123456789012", "us-east-1", "aws", true, false}},
		{"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", Host{"123456789012", "us-gov-west-1", "aws-us-gov", true, false}},
		{"123456789012.dkr-ecr.eu-west-1.on.aws", Host{"123456789012", "eu-west-1", "aws", false, true}},
		{"123456789012.dkr-ecr-fips.us-east-1.on.aws", Host{"123456789012", "us-east-1", "aws", true, true}},
		{"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", Host{"123456789012", "cn-north-1", "aws-cn", false, false}},
		{"123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", Host{"123456789012", "cn-north-1", "aws-cn", false, true}},
		{"123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", Host{"123456789012", "eusc-de-east-1", "aws-eusc", false, false}},
		{"123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", Host{"123456789012", "us-iso-east-1", "aws-iso", false, false}},
		{"123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", Host{"123456789012", "us-isob-east-1", "aws-iso-b", false, false}},
	} {
		if got, ok, err := ParseHost(tt.host); got != tt.want || !ok || err != nil {
			t.Errorf("%s: %+v, %v, %v", tt.host, got, ok, err)
		}
	}
	for _, other := range []string{"public.ecr.aws", "localhost:5000", "127.0.0.1:80", "registry.example.com", "eu-west-1.amazonaws.com", ""} {
		if _, ok, err := ParseHost(other); ok || err != nil {
			t.Errorf("%s: %v, %v, want another's", other, ok, err)
		}
	}
	for host, says := range map[string]string{
		"12345.dkr.ecr.eu-west-1.amazonaws.com":                 "5 digits",
		"123456789012.dkr.ecr.eu-west.amazonaws.com":            "no region",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com":         "amazonaws.com.cn",
		"123456789012.dkr.ecr.eusc-de-east-1.amazonaws.com":     "amazonaws.eu",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.org":          "looks like",
		"123456789012.dkr.ecr.amazonaws.com":                    "looks like",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.org": "looks like",
	} {
		if _, ok, err := ParseHost(host); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v, want %q", host, ok, err, says)
		}
	}
}

func FuzzParseHost(f *testing.F) {
	f.Add("123456789012.dkr.ecr.eu-west-1.amazonaws.com")
	f.Add("123456789012.dkr-ecr.eu-west-1.on.aws")
	f.Fuzz(func(t *testing.T, s string) {
		h, ok, err := ParseHost(s)
		if ok && err == nil && (len(h.Account) != 12 || h.Region == "" || h.Partition == "") {
			t.Errorf("%q is %+v", s, h)
		}
	})
}

package ec2sim

import (
	"errors"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeQuery(t *testing.T) {
	type item struct {
		Name   string   `json:"Name"`
		Values []string `json:"Value"`
		Port   *int32   `json:"Port"`
	}
	type request struct {
		Items []item `json:"Item"`
		Count int    `json:"Count"`
	}
	port := int32(443)
	for _, c := range []struct {
		query string
		want  request
		code  string
	}{
		{"Action=A&Version=2016-11-15", request{}, ""},
		{"Item.1.Name=a&Item.1.Value.1=x&Item.1.Value.2=y&Item.2.Port=443", request{Items: []item{{Name: "a", Values: []string{"x", "y"}}, {Port: &port}}}, ""},
		{"Item.999999999.Name=a", request{}, "UnknownParameter"},
		{"Item.0.Name=a", request{}, "UnknownParameter"},
		{"Item.x.Name=a", request{}, "UnknownParameter"},
		{"Item=a", request{}, "UnknownParameter"},
		{"Count=1&Count.1=1", request{}, "UnknownParameter"},
		{"Count=many", request{}, "InvalidParameterValue"},
		{"Item.1.Name=a&Item.x=b", request{}, "UnknownParameter"},
		{"Item.1.Colour=red", request{}, "UnknownParameter"},
		{"=a", request{}, "UnknownParameter"},
	} {
		params, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		var got request
		err = attempt(func() { decodeQuery(params, &got) })
		if e, ok := errors.AsType[*apiError](err); err != nil && (!ok || e.code != c.code) || err == nil && c.code != "" {
			t.Errorf("%s: got error %v, want %q", c.query, err, c.code)
		}
		if diff := cmp.Diff(c.want, got); c.code == "" && diff != "" {
			t.Errorf("%s: %s", c.query, diff)
		}
	}
}

// Whatever a caller sends, the answer is a decoded request or an error of EC2's.
func FuzzDecodeQuery(f *testing.F) {
	for _, seed := range []string{
		"GroupId=sg-1&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=443&IpPermissions.1.ToPort=443&IpPermissions.1.IpRanges.1.CidrIp=192.0.2.0%2F24",
		"IpPermissions.2.Groups.1.GroupId=sg-1&IpPermissions.999999999999999999999.IpProtocol=x",
		"IpPermissions=1&IpPermissions.1.1.1=&....=&DryRun=maybe",
		"TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		params, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		var in rulesInput
		s := New(Options{})
		at := s.site(DefaultAccount, "us-east-1")
		err = attempt(func() {
			decodeQuery(params, &in)
			for id := range at.groups.byID {
				in.Group = id
			}
			at.authorize(&call{}, in)
		})
		if _, ok := errors.AsType[*apiError](err); err != nil && !ok {
			t.Fatalf("not an error of EC2's: %v", err)
		}
	})
}

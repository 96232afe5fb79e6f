package main

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// The environment of Lambda and of an operator counts.
func TestAWSConfig(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_MAX_ATTEMPTS": "7", "AWS_RETRY_MODE": "adaptive", "AWS_USE_FIPS_ENDPOINT": "true",
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
		"AWS_ENDPOINT_URL": "https://all.example.com", "AWS_ENDPOINT_URL_EC2": "https://ec2.example.com",
	} {
		t.Setenv(name, value)
	}
	cfg, err := awsConfig()
	if err != nil {
		t.Fatal(err)
	}
	creds, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o, endpoint := ec2.NewFromConfig(cfg).Options(), aws.ToString(cfg.BaseEndpoint)
	got := fmt.Sprintln(cfg.Region, cfg.RetryMaxAttempts, cfg.RetryMode, o.EndpointOptions.UseFIPSEndpoint,
		creds.AccessKeyID, creds.SecretAccessKey, creds.SessionToken, endpoint, aws.ToString(o.BaseEndpoint))
	want := fmt.Sprintln("eu-west-1 7 adaptive", aws.FIPSEndpointStateEnabled,
		"AKIDEXAMPLE secret token https://all.example.com https://ec2.example.com")
	if got != want {
		t.Errorf("configuration %s, want %s", got, want)
	}
	t.Setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
	if cfg, err := awsConfig(); err != nil || cfg.BaseEndpoint != nil {
		t.Errorf("ignored endpoint %v, error %v", cfg.BaseEndpoint, err)
	}
}

// A bundle of certificates takes the place of the system's.
func TestCABundle(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	t.Setenv("AWS_CA_BUNDLE", bundle)
	if _, err := awsConfig(); err == nil || !strings.Contains(err.Error(), "AWS_CA_BUNDLE="+bundle) {
		t.Errorf("a bundle that is not there: error %v", err)
	}
	write := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(bundle, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte("nothing"))
	if _, err := awsConfig(); err == nil {
		t.Error("a bundle without a certificate is taken")
	}
	write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	cfg, err := awsConfig()
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := cfg.HTTPClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}

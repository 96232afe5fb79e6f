package main

import (
	"encoding/pem"
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
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
		"AWS_ENDPOINT_URL": "https://all.example.com", "AWS_ENDPOINT_URL_EC2": "https://ec2.example.com",
		"AWS_MAX_ATTEMPTS": "7", "AWS_RETRY_MODE": "adaptive", "AWS_USE_FIPS_ENDPOINT": "true",
	} {
		t.Setenv(name, value)
	}
	cfg, err := awsConfig()
	if err != nil {
		t.Fatal(err)
	}
	creds, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil || creds.AccessKeyID != "AKIDEXAMPLE" || creds.SecretAccessKey != "secret" || creds.SessionToken != "token" {
		t.Errorf("credentials %+v, error %v", creds, err)
	}
	if cfg.Region != "eu-west-1" || cfg.RetryMaxAttempts != 7 || cfg.RetryMode != aws.RetryModeAdaptive || *cfg.BaseEndpoint != "https://all.example.com" {
		t.Errorf("configuration %+v", cfg)
	}
	o := ec2.NewFromConfig(cfg).Options()
	if o.BaseEndpoint == nil || *o.BaseEndpoint != "https://ec2.example.com" || o.EndpointOptions.UseFIPSEndpoint != aws.FIPSEndpointStateEnabled {
		t.Errorf("EC2's endpoint %v, FIPS %v", o.BaseEndpoint, o.EndpointOptions.UseFIPSEndpoint)
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
	for content, works := range map[string]bool{
		"nothing": false,
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})): true,
	} {
		if err := os.WriteFile(bundle, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := awsConfig()
		if (err == nil) != works {
			t.Fatalf("error %v, works: %t", err, works)
		}
		if !works {
			continue
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
}

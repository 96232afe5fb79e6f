package iprange

import (
	"bytes"
	"crypto/md5"
	"encoding/json"
	"io"
	"os"
	"testing"
	"time"
)

// benchmarkFile returns the real file or, where it is missing, one like it.
func benchmarkFile(b *testing.B) []byte {
	b.Helper()
	data, err := readGzip("../../shared/data/ip-ranges-2026-08-22.json.gz")
	if os.IsNotExist(err) {
		b.Log("the real data is not here, using a document like it: ", err)
		data, err = bigDocument(17_000), nil
	}
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	return data
}

// BenchmarkMD5 is what hashing alone takes, the measure for BenchmarkDecode.
func BenchmarkMD5(b *testing.B) {
	data := benchmarkFile(b)
	for b.Loop() {
		md5.Sum(data)
	}
}

// BenchmarkDecode hashes, decodes, validates, selects and merges.
func BenchmarkDecode(b *testing.B) {
	data := benchmarkFile(b)
	for b.Loop() {
		if _, err := Decode(bytes.NewReader(data), cloudfront); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecodeWithin makes the compact cover as well, and looks at the ranges of EC2.
func BenchmarkDecodeWithin(b *testing.B) {
	data := benchmarkFile(b)
	sel := cloudfront
	sel.Within = []string{EC2}
	if bytes.Contains(data, []byte(CloudFrontOriginFacing)) {
		sel = compact
	}
	for b.Loop() {
		if _, err := Decode(bytes.NewReader(data), sel); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPlainJSON only hashes and decodes, in the plain way: into a struct by encoding/json.
func BenchmarkPlainJSON(b *testing.B) {
	data := benchmarkFile(b)
	for b.Loop() {
		var document struct {
			SyncToken string `json:"syncToken"`
			Prefixes  []struct {
				Prefix  string `json:"ip_prefix"`
				Service string `json:"service"`
			} `json:"prefixes"`
			IPv6Prefixes []struct {
				Prefix  string `json:"ipv6_prefix"`
				Service string `json:"service"`
			} `json:"ipv6_prefixes"`
		}
		hash := md5.New()
		if err := json.NewDecoder(io.TeeReader(bytes.NewReader(data), hash)).Decode(&document); err != nil {
			b.Fatal(err)
		}
		hash.Sum(nil)
	}
}

// BenchmarkDecodeToMD5 takes turns at both, and reports how many times as long as hashing alone all of Decode takes: by
// the fastest turn of each, which nothing else on the machine has interrupted.
func BenchmarkDecodeToMD5(b *testing.B) {
	data := benchmarkFile(b)
	hashing, decoding := time.Hour, time.Hour
	for b.Loop() {
		began := time.Now()
		md5.Sum(data)
		hashed := time.Now()
		if _, err := Decode(bytes.NewReader(data), cloudfront); err != nil {
			b.Fatal(err)
		}
		hashing = min(hashing, hashed.Sub(began))
		decoding = min(decoding, time.Since(hashed))
	}
	b.ReportMetric(float64(decoding)/float64(hashing), "decode/md5")
}

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

// BenchmarkRead compares ways to read a file. The measure is what hashing alone takes.
func BenchmarkRead(b *testing.B) {
	decode := func(sel Selection) func([]byte) error {
		return func(data []byte) error {
			_, err := Decode(bytes.NewReader(data), sel)
			return err
		}
	}
	within := cloudfront
	within.Within = []string{EC2}
	for _, way := range []struct {
		name string
		read func([]byte) error
	}{
		{"MD5", func(data []byte) error { md5.Sum(data); return nil }},
		{"Decode", decode(cloudfront)},
		{"Within", decode(within)}, // looks at the ranges of EC2 as well
		{"PlainJSON", readPlainly},
	} {
		b.Run(way.name, func(b *testing.B) {
			data := benchmarkFile(b)
			for b.Loop() {
				if err := way.read(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// readPlainly only hashes and decodes, in the plain way: into a struct by encoding/json.
func readPlainly(data []byte) error {
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
	err := json.NewDecoder(io.TeeReader(bytes.NewReader(data), hash)).Decode(&document)
	hash.Sum(nil)
	return err
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

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

// origin is the program "origin ADDR [ANSWER]", an HTTP server for the scripts. It answers hello, or what ANSWER says:
// a status, loop (a redirect to itself), silence, drops (a byte a second), busy (504 if too many ask), expired (by TLS,
// with such a certificate), secret (by TLS, 403 without the header X-Origin-Verify; the certificate goes to the file
// SSL_CERT_FILE), or the path of a file, or of a folder as an API has it. When it listens, it prints ready.
func origin() {
	answer := "200"
	if len(os.Args) > 2 {
		answer = os.Args[2]
	}
	var asking atomic.Int32
	handler := func(w http.ResponseWriter, r *http.Request) {
		defer asking.Add(-1)
		status := http.StatusOK
		switch now := asking.Add(1); answer {
		default:
			var err error
			if status, err = strconv.Atoi(answer); err != nil {
				http.ServeFile(w, r, fileOf(answer, r.URL.Path))
				return
			}
		case "secret":
			if r.Header.Get("X-Origin-Verify") != "hunter2-of-cloudfront" {
				status = http.StatusForbidden
			}
		case "loop":
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
			return
		case "silence":
			<-r.Context().Done()
			return
		case "drops":
			for r.Context().Err() == nil {
				fmt.Fprint(w, ".")
				w.(http.Flusher).Flush()
				time.Sleep(time.Second)
			}
			return
		case "busy":
			time.Sleep(20 * time.Millisecond)
			if now > 8 {
				status = http.StatusGatewayTimeout
			}
		case "expired":
		}
		w.WriteHeader(status)
		fmt.Fprintln(w, "hello")
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	switch answer {
	case "expired":
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate("expired.example.com", -93, -3)}})
	case "secret":
		c := certificate("secret.example.com", -1, 90)
		if err := os.WriteFile(os.Getenv("SSL_CERT_FILE"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600); err != nil {
			log.Fatal(err)
		}
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{c}})
	}
	fmt.Println("ready")
	server := http.Server{Handler: http.HandlerFunc(handler), ReadHeaderTimeout: time.Minute}
	log.Fatal(server.Serve(listener))
}

// fileOf returns a file, or that of a path in a folder: what lists the things of a folder is its file list.
func fileOf(root, path string) string {
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return root
	}
	name := filepath.Join(root, filepath.FromSlash(path))
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return filepath.Join(name, "list")
	}
	return name
}

// certificate returns one that is valid from one day to another, counted from today, and that nobody vouches for.
func certificate(name string, from, to int) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name},
		NotBefore: time.Now().AddDate(0, 0, from), NotAfter: time.Now().AddDate(0, 0, to),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// origin is the program "origin ADDR [ANSWER]", an HTTP server for the scripts. It answers hello, or what ANSWER says:
// a status, loop (a redirect to itself), silence, drops (a byte a second), busy (504 if too many ask), expired (by TLS,
// with such a certificate), or the path of a file. When it listens, it prints ready.
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
				http.ServeFile(w, r, answer)
				return
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
	if answer == "expired" {
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{expired()}})
	}
	fmt.Println("ready")
	server := http.Server{Handler: http.HandlerFunc(handler), ReadHeaderTimeout: time.Minute}
	log.Fatal(server.Serve(listener))
}

// expired returns a certificate that expired three days ago, and that nobody vouches for.
func expired() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"expired.example.com"},
		NotBefore: time.Now().AddDate(0, 0, -93), NotAfter: time.Now().AddDate(0, 0, -3),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

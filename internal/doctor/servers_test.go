package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// listen runs a server that does with connections as it likes. They are closed with the test, or before.
func listen(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// afterRequest runs a server that reads a request and then does what it likes.
func afterRequest(t *testing.T, answer func(net.Conn)) (address string) {
	t.Helper()
	return listen(t, func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 4096)); err == nil {
			answer(conn)
		}
	})
}

// resetting cuts a connection: without lingering, closing sends a reset.
func resetting(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }

// drip writes the same again and again, for as long as anyone listens.
func drip(conn net.Conn, text string, pause time.Duration) {
	for {
		if _, err := io.WriteString(conn, text); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// serve runs an HTTP server.
func serve(t *testing.T, h http.Handler) (address string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// serveTLS runs an HTTPS server that shows a certificate.
func serveTLS(t *testing.T, h http.Handler, shown tls.Certificate, tweak func(*tls.Config)) (address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{shown}, NextProtos: []string{"h2", "http/1.1"}}
	if tweak != nil {
		tweak(server.TLS)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// An authority issues certificates by an intermediate one.
type authority struct {
	root, intermediate       *x509.Certificate
	rootKey, intermediateKey *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{rootKey: newKey(t), intermediateKey: newKey(t)}
	ca := func(name string) *x509.Certificate {
		c := template("")
		c.Subject = pkix.Name{CommonName: name}
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.DNSNames = true, true, x509.KeyUsageCertSign, nil
		c.NotBefore, c.NotAfter = time.Now().AddDate(-5, 0, 0), time.Now().AddDate(5, 0, 0)
		return c
	}
	root := ca("Test Root")
	a.root = sign(t, root, root, &a.rootKey.PublicKey, a.rootKey)
	a.intermediate = sign(t, ca("Test Intermediate"), a.root, &a.intermediateKey.PublicKey, a.rootKey)
	return a
}

func (a *authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

// chain issues a certificate, and returns it with the intermediate one.
func (a *authority) chain(t *testing.T, c *x509.Certificate) tls.Certificate {
	t.Helper()
	key := newKey(t)
	leaf := sign(t, c, a.intermediate, &key.PublicKey, a.intermediateKey)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, a.intermediate.Raw}, PrivateKey: key}
}

// selfSigned returns a certificate that vouches for itself.
func selfSigned(t *testing.T, c *x509.Certificate) tls.Certificate {
	t.Helper()
	key := newKey(t)
	return tls.Certificate{Certificate: [][]byte{sign(t, c, c, &key.PublicKey, key).Raw}, PrivateKey: key}
}

// template returns a certificate for a name that is valid for half a year.
func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 6, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, c, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

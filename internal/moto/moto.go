// Package moto starts moto_server for tests: an EC2 that others have written, in Python. See https://docs.getmoto.org
package moto

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Start starts moto_server on a free loopback port and returns its URL. Where it is not installed, the test is skipped.
func Start(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: moto_server takes some seconds to start")
	}
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("skipped: moto_server is not installed, so nothing was tried on it")
	}
	return Serve(t, path, func(port string) []string { return []string{"-H", "127.0.0.1", "-p", port} })
}

// Serve starts a program that serves moto on a port of the loopback, with the arguments for that port, and returns its
// URL.
func Serve(t *testing.T, path string, arguments func(port string) []string) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address)
	var log strings.Builder
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of moto ends:\n%s", log.String()[max(0, log.Len()-8000):])
		}
	})
	server := exec.CommandContext(t.Context(), path, arguments(port)...)
	server.Stdout, server.Stderr = &log, &log
	server.WaitDelay = 5 * time.Second
	if err := server.Start(); err != nil {
		t.Fatalf("%s does not start: %v", path, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	for range 600 {
		select {
		case err := <-ended:
			t.Fatalf("%s ended: %v\n%s", path, err, log.String())
		case <-time.After(100 * time.Millisecond):
		}
		if connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", address); err == nil {
			_ = connection.Close()
			return "http://" + address
		}
	}
	t.Fatal("moto_server is not ready after a minute")
	return ""
}

package doctor

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// A listener whose backlog is full drops packets, as a firewall does.
func TestFullBacklog(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(bound.(*syscall.SockaddrInet4).Port)).String()
	full := false
	for range 10 {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if full = err != nil; full {
			break
		}
		defer conn.Close()
	}
	if !full {
		t.Skip("this system does not bound its backlog")
	}
	s := newSite(t, address)
	s.options.Settings.ConnectionTimeout = 300 * time.Millisecond
	wants(t, s.examine(t.Context(), "http://"+name+":80/"), "connect:connect-timeout:unknown")
}

package doctor

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// A failure says how a connection or a request failed.
type failure string

const (
	none     failure = ""
	refused  failure = "refused"  // nothing listens there, or a firewall rejects the connection
	timedOut failure = "timeout"  // no answer at all
	noRoute  failure = "no-route" // this machine cannot send there, which says nothing about the origin
	closed   failure = "closed"   // the connection ended before its answer
	reset    failure = "reset"    // the connection was cut before its answer, by the server or on the way
	failed   failure = "error"    // anything else, such as an answer that makes no sense
)

// failureOf classifies an error of the network.
func failureOf(err error) failure {
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil:
		return none
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return noRoute
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return timedOut
	case errors.Is(err, syscall.ECONNRESET):
		return reset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		return closed
	}
	return failed
}

// causeOf says what is behind an error, without addresses and system calls.
func causeOf(err error) string {
	for err != nil {
		switch e := err.(type) { //nolint:errorlint // it is unwrapped layer by layer
		case *net.OpError:
			err = e.Err
		case *os.SyscallError:
			err = e.Err
		case *net.DNSError:
			return printable(e.Err)
		default:
			return printable(err.Error())
		}
	}
	return ""
}

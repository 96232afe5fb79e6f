package ec2sim

import (
	"net/http"
	"time"
)

// A distant ResponseWriter keeps a long answer back for a moment, as the real EC2 does by being far away.
//
// When an answer begins, the SDK for Go closes the body of its request. If its transport has not looked for the body's
// end by then, it takes that for a failure and closes the connection, under what is left of the answer to read.
// https://github.com/aws/aws-sdk-go-v2/issues/1825
type distant struct{ http.ResponseWriter }

const (
	longAnswer = 2 << 10 // bytes; less is read at once
	distance   = 500 * time.Microsecond
)

func (w distant) Write(p []byte) (int, error) {
	if len(p) > longAnswer {
		time.Sleep(distance)
	}
	return w.ResponseWriter.Write(p)
}

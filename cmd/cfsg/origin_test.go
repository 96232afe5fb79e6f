package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

// origin is the program "origin ADDR [ANSWER]", an HTTP server for the scripts. It answers hello, or what ANSWER says:
// a status, loop (a redirect to itself), silence, or drops (a byte a second). When it listens, it prints ready.
func origin() {
	answer := "200"
	if len(os.Args) > 2 {
		answer = os.Args[2]
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch answer {
		case "loop":
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		case "silence":
			<-r.Context().Done()
		case "drops":
			for r.Context().Err() == nil {
				fmt.Fprint(w, ".")
				w.(http.Flusher).Flush()
				time.Sleep(time.Second)
			}
		default:
			var status int
			fmt.Sscan(answer, &status)
			w.WriteHeader(status)
			io.WriteString(w, "hello\n")
		}
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready")
	server := http.Server{Handler: http.HandlerFunc(handler), ReadHeaderTimeout: time.Minute}
	log.Fatal(server.Serve(listener))
}
